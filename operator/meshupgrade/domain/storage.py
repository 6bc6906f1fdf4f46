"""Which CRDs have their objects to be rewritten, and what the switch of the stored version is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshupgrade.domain.crds import stored_version

__all__ = [
    "Due", "dropped_too_early", "storage_due", "storage_switch", "unchanged", "write_versions",
]  # fmt: skip

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Due:
    """A CRD whose objects are to be stored in another version than some of them may be stored in now."""

    name: str
    group: str
    kind: str
    wanted: str
    """The version that the release stores."""

    others: tuple[str, ...]
    """The other versions in which objects may be stored."""

    drops_webhook: bool
    """Whether the release converts without a webhook: one that still is there is for the old objects alone."""

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.others) or 'nothing yet'}; {self.wanted} is wanted)"


def storage_due(live: Object, shipped: Object) -> Due | None:
    """Give what is due for a CRD, or None when its objects can only be stored in the version that the release stores.

    Until the release's CRD is there, the version that is wanted may be missing in the live one.
    """
    wanted = stored_version(shipped)
    if wanted is None:
        return None
    stored = (live.get("status") or {}).get("storedVersions") or []
    if stored_version(live) == wanted and list(stored) == [wanted]:
        return None
    return Due(
        name=live["metadata"]["name"],
        group=live["spec"]["group"],
        kind=live["spec"]["names"]["kind"],
        wanted=wanted,
        others=tuple(version for version in stored if version != wanted),
        drops_webhook=(shipped["spec"].get("conversion") or {}).get("strategy", "None") == "None",
    )


def dropped_too_early(due: Due, shipped: Object) -> bool:
    """Tell whether objects may be stored in a version that the release drops: its CRD alone would be refused."""
    names = {version["name"] for version in shipped["spec"]["versions"]}
    return any(version not in names for version in due.others)


def write_versions(crd: Object, wanted: str) -> list[str]:
    """Give the versions through which objects can be written, the one that is stored first.

    Whichever is used, the object is stored in the CRD's stored version; it is validated in the one that is used.
    """
    served = [version["name"] for version in crd["spec"]["versions"] if version.get("served")]
    return sorted(served, key=lambda name: name != wanted)


def storage_switch(crd: Object, wanted: str) -> list[dict[str, Any]]:
    """Give the JSON patch that makes a version the stored one, of a CRD that nobody has changed meanwhile."""
    flags = [
        {"op": "replace", "path": f"/spec/versions/{index}/storage", "value": version["name"] == wanted}
        for index, version in enumerate(crd["spec"]["versions"])
    ]
    return [unchanged(crd), *flags]


def unchanged(crd: Object) -> dict[str, Any]:
    """Give the part of a JSON patch that makes it a conflict when the object has changed."""
    version = crd["metadata"]["resourceVersion"]
    return {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
