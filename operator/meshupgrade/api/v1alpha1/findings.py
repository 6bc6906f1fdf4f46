"""What preflight can find, by name. A name in spec.upgrade.acceptRisks lets a Risk pass; an Error never passes."""

from enum import StrEnum

from pydantic import Field, ValidationInfo, field_validator

from meshupgrade.api.v1alpha1.base import ApiModel

MAX_MESSAGE = 2048
MAX_REMEDY = 1024


class Severity(StrEnum):
    """How much a finding weighs."""

    ERROR = "Error"
    RISK = "Risk"
    WARNING = "Warning"
    INFO = "Info"


class FindingName(StrEnum):
    """Names of findings; stable, since users write those of Risks into acceptRisks."""

    # Path
    DOWNGRADE = "Downgrade"
    BREAKING_CHANGE = "BreakingChange"
    PRERELEASE = "Prerelease"
    CHART_NOT_FOUND = "ChartNotFound"
    NO_VERSION_ALLOWED = "NoVersionAllowed"
    REPOSITORY_DENIED = "RepositoryDenied"
    REPOSITORY_INVALID = "RepositoryInvalid"
    REFERENCE_INVALID = "ReferenceInvalid"

    # Preflight
    RELEASE_NOT_FOUND = "ReleaseNotFound"
    RELEASE_PENDING = "ReleasePending"
    RENDER_FAILED = "RenderFailed"
    VALUES_INVALID = "ValuesInvalid"
    VALUES_DROPPED = "ValuesDropped"
    VALUES_IGNORED = "ValuesIgnored"
    CHART_NOT_VERIFIED = "ChartNotVerified"
    IMAGE_VERSION_MISMATCH = "ImageVersionMismatch"
    KUBERNETES_TOO_OLD = "KubernetesTooOld"
    KUBERNETES_TOO_NEW = "KubernetesTooNew"
    IDENTITY_CHANGED = "IdentityChanged"
    REMOVED_APIS = "RemovedAPIs"
    IMMUTABLE_FIELD_CHANGED = "ImmutableFieldChanged"
    OBJECT_REJECTED = "ObjectRejected"
    NAMESPACE_MISSING = "NamespaceMissing"
    FORBIDDEN = "Forbidden"
    DRY_RUN_UNSUPPORTED = "DryRunUnsupported"
    FIELD_CONFLICT = "FieldConflict"
    MANAGED_ELSEWHERE = "ManagedElsewhere"
    INSUFFICIENT_CAPACITY = "InsufficientCapacity"
    CONTROL_PLANE_UNHEALTHY = "ControlPlaneUnhealthy"
    CERTIFICATE_EXPIRING = "CertificateExpiring"
    SIDECAR_IMAGE_STALE = "SidecarImageStale"
    NOT_DIGEST_PINNED = "NotDigestPinned"
    CHART_RENDERS_RANDOMLY = "ChartRendersRandomly"
    CHECK_FAILED = "CheckFailed"

    # CRDs
    CRD_SOURCE_UNAVAILABLE = "CRDSourceUnavailable"
    CRD_IMMUTABLE_CHANGE = "CRDImmutableChange"
    CRD_REJECTED = "CRDRejected"
    CRD_WRITTEN_BY_NEWER = "CRDWrittenByNewer"
    CRD_WRITTEN_BACK = "CRDWrittenBack"
    CRDS_MISSING = "CRDsMissing"
    STORED_VERSION_DROPPED = "StoredVersionDropped"
    CUSTOM_RESOURCE_INVALID = "CustomResourceInvalid"
    FIELDS_PRUNED = "FieldsPruned"
    SCOPE_CHANGE_BLOCKED = "ScopeChangeBlocked"
    ROLLBACK_BLOCKED = "RollbackBlocked"

    # MeshConfig
    MESH_CONFIG_PATCH_INVALID = "MeshConfigPatchInvalid"
    MESH_CONFIG_CONFLICT = "MeshConfigConflict"
    MESH_CONFIG_OPENED = "MeshConfigOpened"
    MESH_CONFIG_SNAPSHOT_MISSING = "MeshConfigSnapshotMissing"

    # DataPlane
    CANARY_NOT_IN_MESH = "CanaryNotInMesh"
    WORKLOAD_NOT_RESTARTABLE = "WorkloadNotRestartable"

    # Addons
    ADDON_MISSING = "AddonMissing"


RISKS = (
    FindingName.BREAKING_CHANGE,
    FindingName.PRERELEASE,
    FindingName.IMMUTABLE_FIELD_CHANGED,
    FindingName.CRD_IMMUTABLE_CHANGE,
    FindingName.CUSTOM_RESOURCE_INVALID,
    FindingName.FIELDS_PRUNED,
)
"""The names that spec.upgrade.acceptRisks takes."""


class Finding(ApiModel):
    """One thing that was found before the first write."""

    name: FindingName = Field(description="Stable name of the finding.")
    severity: Severity = Field(
        description="Error never passes; Risk passes when accepted by name; Warning and Info only tell."
    )
    phase: str = Field(description="The phase that would be affected.", max_length=32)
    message: str = Field(description="What was found, on what object.", max_length=MAX_MESSAGE)
    remedy: str = Field(default="", description="What to do about it.", max_length=MAX_REMEDY)

    @field_validator("message", "remedy", mode="before")
    @classmethod
    def _bounded(cls, text: str, info: ValidationInfo) -> str:
        """Cut what is too long: a finding must never fail for the length of what was found."""
        most = MAX_MESSAGE if info.field_name == "message" else MAX_REMEDY
        return text if len(text) <= most else text[: most - 2] + " …"

    def blocks(self, accepted: frozenset[str]) -> bool:
        """Tell whether the finding refuses the upgrade, given the names of the accepted Risks."""
        return self.severity is Severity.ERROR or (self.severity is Severity.RISK and self.name not in accepted)
