"""The CRDs of the target, compared with those that live, and tried by a dry run."""

from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.phases.crds import look_at_crds
from meshupgrade.phases.preflight.check import Check

__all__ = ["CHECK"]

CHECK = Check(
    (
        FindingName.CRD_REJECTED,
        FindingName.CRD_IMMUTABLE_CHANGE,
        FindingName.SCOPE_CHANGE_BLOCKED,
        FindingName.STORED_VERSION_DROPPED,
        FindingName.CRD_WRITTEN_BY_NEWER,
        FindingName.CRD_WRITTEN_BACK,
        FindingName.CRDS_MISSING,
    ),
    "each CRD, by a dry run",
    look_at_crds,
    timeout=60.0,
)
