"""Merging the CRD that a release ships into the one that lives in the cluster.

Merge, as the youngest of the meshes' own bootstraps does, and never replace: versions that the new CRD dropped stay
served, and the stored version stays stored, so that no custom resource is ever unreadable.
"""

import re
from collections.abc import Mapping
from typing import Any

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY, DISTRIBUTION_LABEL
from meshupgrade.api.v1alpha1.status import Phase

Object = Mapping[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def stored_version(crd: Object) -> str | None:
    """Give the name of the version in which objects are stored."""
    return next((version["name"] for version in crd["spec"]["versions"] if version.get("storage")), None)


def merge_versions(live: Object, shipped: Object) -> list[dict[str, Any]]:
    """Give the versions of the merged CRD: the shipped ones, then the live ones that were dropped.

    The live stored version stays the stored one; migrating storage is a phase of its own, after the control plane.
    """
    keep = stored_version(live)
    shipped_versions = [dict(version) for version in shipped["spec"]["versions"]]
    names = {version["name"] for version in shipped_versions}
    dropped = [dict(version) for version in live["spec"]["versions"] if version["name"] not in names]
    merged = shipped_versions + dropped
    for version in merged:
        version["storage"] = version["name"] == keep
    return merged


def merge_crd(live: Object | None, shipped: Object, *, written_by: str, keep_conversion: bool) -> dict[str, Any]:
    """Give the CRD to apply: what is shipped, merged into what lives.

    ``keep_conversion`` keeps a live conversion webhook, for one that somebody serves. Only fields that the operator
    means to own are in it: no status, no labels or annotations of others.
    """
    spec = dict(shipped["spec"])
    if live is not None:
        spec["versions"] = merge_versions(live, shipped)
    if live is not None and keep_conversion:
        spec["conversion"] = live["spec"]["conversion"]
    else:
        spec["conversion"] = shipped["spec"].get("conversion") or {"strategy": "None"}
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


def written_by_newer(live: Object, shipped: Object, distribution: str, version: semver.Version) -> str | None:
    """Give the mesh version that wrote the live CRD when it is newer than ours, else None.

    A live CRD that lacks a version we ship is not what the newer mesh wrote: an older bootstrap put its own back, and
    left the mark.
    """
    if not _served(shipped) <= _served(live):
        return None
    mark = (live["metadata"].get("annotations") or {}).get(CRD_WRITTEN_BY, "")
    author, _, text = mark.partition("/")
    if author != distribution or not semver.Version.is_valid(text):
        return None
    return text if semver.Version.parse(text) > version else None


def _served(crd: Object) -> set[str]:
    return {version["name"] for version in crd["spec"]["versions"] if version.get("served")}


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


def live_equals(live: Object, applied: Object) -> bool:
    """Tell whether a dry run of the apply would leave the live CRD as it is."""
    return all(
        live.get(section) == applied.get(section) if section == "spec" else _meta(live) == _meta(applied)
        for section in ("spec", "metadata")
    )


def _meta(crd: Object) -> tuple[Any, Any]:
    metadata = crd["metadata"]
    return metadata.get("labels") or {}, metadata.get("annotations") or {}


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
