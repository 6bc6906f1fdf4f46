"""What the phase tells: its findings."""

from collections.abc import Collection, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.kube.errors import ApiStatusError
from meshupgrade.phases.crds.bootstraps import Bootstrap

__all__ = [
    "counted",
    "export_broken",
    "rejected",
    "some",
    "stored_version_dropped",
    "written_back",
    "written_by_newer",
]

MOST_NAMES = 10


def written_by_newer(name: str, newer: str) -> Finding:
    """Give the finding for a CRD that belongs to a newer mesh."""
    message = f"CRD {name} is that of the newer mesh version {newer} and is left as it is"
    return _finding(FindingName.CRD_WRITTEN_BY_NEWER, Severity.INFO, message, "")


def stored_version_dropped(name: str, versions: Sequence[str], *, migrated: bool) -> Finding:
    """Give the finding for versions that the release no longer has, and in which objects may be stored."""
    message = (
        f"CRD {name} of this release no longer has {', '.join(versions)}, in which objects may be stored; "
        "the merge keeps it served"
    )
    if migrated:
        return _finding(FindingName.STORED_VERSION_DROPPED, Severity.INFO, message, "")
    remedy = "Set spec.crds.migrateStorage to true, or rewrite the objects and prune status.storedVersions yourself."
    return _finding(FindingName.STORED_VERSION_DROPPED, Severity.WARNING, message, remedy)


def rejected(name: str, error: ApiStatusError) -> Finding:
    """Give the finding for a CRD that the API server would not take."""
    return _finding(
        FindingName.CRD_REJECTED,
        Severity.ERROR,
        f"the API server refuses CRD {name} of this version: {error.message}",
        "Choose another version; this one cannot be brought over what the cluster stores.",
    )


def export_broken(error: Exception) -> Finding:
    """Give the finding for an export of custom resources that is not what it was."""
    message = f"a change of scope has begun, and its export is broken: {error}"
    remedy = "Restore the Secrets of the export from a backup; without them its objects would be lost."
    return _finding(FindingName.SCOPE_CHANGE_BLOCKED, Severity.ERROR, message, remedy)


def written_back(other: Bootstrap, crds: Sequence[str]) -> Finding:
    """Give the finding for an older mesh whose bootstrap will put its own CRDs back one day."""
    version = f" {other.version}" if other.version else ""
    return _finding(
        FindingName.CRD_WRITTEN_BACK,
        Severity.WARNING,
        f"the mesh in namespace {other.namespace} ({other.ref.name}{version}) is older: whenever its bootstrap starts, "
        f"it replaces CRDs by its own. They are put right while this upgrade runs, not afterwards: {some(crds)}",
        f"Upgrade the mesh in namespace {other.namespace} next; until then keep its bootstrap from being restarted.",
    )


def _finding(name: FindingName, severity: Severity, message: str, remedy: str) -> Finding:
    return Finding(name=name, severity=severity, phase=Phase.CRDS, message=message, remedy=remedy)


def counted(objects: Collection[Any]) -> str:
    """Say how many objects there are."""
    return "1 object" if len(objects) == 1 else f"{len(objects)} objects"


def some(names: Sequence[str]) -> str:
    """Give the first names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"
