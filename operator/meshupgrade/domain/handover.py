"""Who owns the fields of an object, and how they are handed to Helm.

Helm's library applies under the name of the program that it is in: the CLIs of the meshes and Flux's helm-controller
leave fields behind that are theirs alone, and what a new chart drops of them would stay for good. Helm 4 takes over
what it once wrote client-side as ``helm``, and nobody else's. Source: Kubernetes' documentation, "Server-Side Apply",
and what client-go (util/csaupgrade) does for kubectl.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

__all__ = ["HELM_MANAGER", "handed_over", "made_elsewhere"]

HELM_MANAGER = "helm"
"""The field manager under which the Helm CLI applies."""

Entry = Mapping[str, Any]


def made_elsewhere(managed_fields: Sequence[Entry], makers: Collection[str]) -> bool:
    """Tell whether one of the makers owns fields, other than Helm by its own server-side apply."""
    return any(_is_theirs(entry, makers) for entry in managed_fields)


def handed_over(managed_fields: Sequence[Entry], makers: Collection[str]) -> list[dict[str, Any]]:
    """Give the managed fields with those of the makers in Helm's hands, as if it had applied them."""
    kept = [dict(entry) for entry in managed_fields if not _is_theirs(entry, makers) and not _is_helms(entry)]
    helms: dict[str, dict[str, Any]] = {}
    # What Helm applied itself comes first: of several entries, the first gives all but the fields.
    for entry in sorted(managed_fields, key=lambda entry: not _is_helms(entry)):
        if _is_helms(entry) or _is_theirs(entry, makers):
            taken = {**entry, "manager": HELM_MANAGER, "operation": "Apply"}
            known = helms.setdefault(entry["apiVersion"], taken)
            known["fieldsV1"] = _union(known.get("fieldsV1") or {}, entry.get("fieldsV1") or {})
    return [*helms.values(), *kept]


def _is_helms(entry: Entry) -> bool:
    return (entry.get("manager"), entry.get("operation")) == (HELM_MANAGER, "Apply") and not entry.get("subresource")


def _is_theirs(entry: Entry, makers: Collection[str]) -> bool:
    return entry.get("manager") in makers and not entry.get("subresource") and not _is_helms(entry)


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, **{key: _union(one.get(key) or {}, value) for key, value in other.items()}}
