"""Merging the CRD that a release ships into the one that lives in the cluster.

Merge, as the youngest of the meshes' own bootstraps does, and never replace: versions that the new CRD dropped stay
served, and the stored version stays stored, so that no custom resource is ever unreadable.
"""

import re
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY, DISTRIBUTION_LABEL
from meshupgrade.api.v1alpha1.status import Phase

Object = Mapping[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NO_CONVERSION: Object = {"strategy": "None"}

KEEP_ALL: Object = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
"""The schema of a version of which no field may be pruned."""

DEFAULTED = frozenset(
    {("names", "singular"), ("names", "listKind"), ("conversion", "webhook", "clientConfig", "service", "port")}
)
"""What the API server puts into the spec of a CRD by itself, beside what is in its versions."""


def stored_version(crd: Object) -> str | None:
    """Give the name of the version in which objects are stored."""
    return next((version["name"] for version in crd["spec"]["versions"] if version.get("storage")), None)


def dropped_stored_versions(live: Object, shipped: Object) -> list[str]:
    """Give the versions in which objects may be stored (status.storedVersions) and that the shipped CRD lacks."""
    shipped_names = {version["name"] for version in shipped["spec"]["versions"]}
    return [name for name in (live.get("status") or {}).get("storedVersions") or [] if name not in shipped_names]


def merge_versions(live: Object, shipped: Object) -> list[dict[str, Any]]:
    """Give the versions of the merged CRD: the shipped ones, then the live ones that were dropped.

    The live stored version stays the stored one; migrating storage is a phase of its own, after the control plane.
    """
    keep = stored_version(live)
    shipped_versions = [dict(version) for version in shipped["spec"]["versions"]]
    names = {version["name"] for version in shipped_versions}
    dropped = [dict(version) for version in live["spec"]["versions"] if version["name"] not in names]
    if live["spec"].get("preserveUnknownFields"):
        # A CRD of before v1, which kept what no schema named: so must the versions that stay as they were.
        dropped = [{**version, "schema": KEEP_ALL} for version in dropped]
    merged = shipped_versions + dropped
    for version in merged:
        version["storage"] = version["name"] == keep
    return merged


def webhooks(live: Object | None, shipped: Object) -> list[Object]:
    """Give the conversion stanzas with a webhook that the CRD could have, the one to prefer first.

    A live one stays for as long as objects need it. A shipped one for the same service is the same webhook; it gets
    the authority that the live one has, which is known to the cluster alone.
    """
    ours, theirs = _webhook(shipped), _webhook(live) if live is not None else None
    if ours is None or theirs is None:
        return [stanza for stanza in (theirs, ours) if stanza is not None]
    if _target(ours) != _target(theirs):
        return [theirs, ours]
    client = {**theirs["webhook"]["clientConfig"], **ours["webhook"]["clientConfig"]}
    return [{**ours, "webhook": {**ours["webhook"], "clientConfig": client}}]


def merge_crd(live: Object | None, shipped: Object, *, written_by: str, conversion: Object) -> dict[str, Any]:
    """Give the CRD to apply: what is shipped, merged into what lives, with that conversion stanza.

    Only fields that the operator means to own are in it: no status, no labels or annotations of others.
    """
    spec = {**shipped["spec"], "conversion": conversion}
    if live is not None:
        spec["versions"] = merge_versions(live, shipped)
    if live is not None and live["spec"].get("preserveUnknownFields"):
        spec["preserveUnknownFields"] = False
    annotations = {
        key: value for key, value in (shipped["metadata"].get("annotations") or {}).items() if key != LAST_APPLIED
    }
    return {
        "apiVersion": shipped["apiVersion"],
        "kind": shipped["kind"],
        "metadata": {
            "name": shipped["metadata"]["name"],
            # The meshes' bootstraps write into the label map of a CRD without looking whether it is there.
            "labels": {**(shipped["metadata"].get("labels") or {}), DISTRIBUTION_LABEL: written_by.partition("/")[0]},
            "annotations": {**annotations, CRD_WRITTEN_BY: written_by},
        },
        "spec": spec,
    }


def is_already(live: Object, merged: Object) -> bool:
    """Tell whether the live spec is the merged one word for word, but for what the API server always fills in.

    Then an apply changes nothing. If not, only the API server can tell, by a dry run.
    """
    spec = {key: value for key, value in merged["spec"].items() if (key, value) != ("preserveUnknownFields", False)}
    kind = spec["names"]["kind"]
    filled_in = {"singular": kind.lower(), "listKind": f"{kind}List", **spec["names"]}
    return bool({**spec, "names": filled_in} == live["spec"])


def has_leftovers(wanted: Object, result: Object, path: tuple[str, ...] = ()) -> bool:
    """Tell whether a spec kept fields that nobody wants any more, since they belong to another field manager.

    Lists of a CRD are atomic: an apply replaces them whole, whoever owned them.
    """
    for key, value in result.items():
        if (*path, key) in DEFAULTED:
            continue
        if key not in wanted:
            return True
        both = isinstance(value, Mapping) and isinstance(wanted[key], Mapping)
        if both and has_leftovers(wanted[key], value, (*path, key)):
            return True
    return False


def drops_webhook(live: Object, merged: Object) -> bool:
    """Tell whether the live CRD converts by a webhook and the merged one does not."""
    return _webhook(live) is not None and _webhook(merged) is None


def _webhook(crd: Object) -> Object | None:
    conversion: Object = crd["spec"].get("conversion") or NO_CONVERSION
    return conversion if conversion["strategy"] == "Webhook" else None


def _target(conversion: Object) -> tuple[Any, ...]:
    client = conversion["webhook"]["clientConfig"]
    service = client.get("service") or {}
    return client.get("url"), service.get("namespace"), service.get("name")


def immutable_findings(live: Object, shipped: Object) -> list[Finding]:
    """Name what the API server will not let change in a CRD: its scope and its names.

    Source: Kubernetes' validation of CustomResourceDefinition updates.
    """
    name = shipped["metadata"]["name"]
    changes = [
        f"spec.{label} from {old!r} to {new!r}"
        for label, old, new in (
            ("scope", live["spec"]["scope"], shipped["spec"]["scope"]),
            ("names.kind", live["spec"]["names"]["kind"], shipped["spec"]["names"]["kind"]),
            ("names.plural", live["spec"]["names"]["plural"], shipped["spec"]["names"]["plural"]),
        )
        if old != new
    ]
    if not changes:
        return []
    return [
        Finding(
            name=FindingName.CRD_IMMUTABLE_CHANGE,
            severity=Severity.ERROR,
            phase=Phase.CRDS,
            message=f"CRD {name} would change {' and '.join(changes)}, which the API server does not allow",
            remedy=f"Export the objects of {name}, delete the CRD, and create the objects again after the upgrade; "
            "or choose a version that does not change it.",
        )
    ]


def served_version(crd: Object) -> str | None:
    """Give the version to read and write objects in: the newest that is served, by Kubernetes' own order.

    Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning
    """
    names = [version["name"] for version in crd["spec"]["versions"] if version.get("served")]
    return min(names, key=_order, default=None)


def _order(name: str) -> tuple[int, int, int, str]:
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", name)
    if match is None:
        return (1, 0, 0, name)
    major, stage, minor = match.groups()
    return ({"alpha": -1, "beta": -2, None: -3}[stage], -int(major), -int(minor or 0), "")
