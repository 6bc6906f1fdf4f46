"""Condition types, their statuses and the closed set of reasons.

Ready, Reconciling and Stalled follow kstatus, so that kubectl, Flux and Argo CD read them without help:
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from meshupgrade.api.v1alpha1.base import ApiModel
from meshupgrade.api.v1alpha1.findings import FindingName

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """Every condition that a MeshUpgrade can carry."""

    READY = "Ready"
    AVAILABLE = "Available"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PATH_VALIDATED = "PathValidated"
    PREFLIGHT_PASSED = "PreflightPassed"
    CRDS_APPLIED = "CRDsApplied"
    CONTROL_PLANE_UPGRADED = "ControlPlaneUpgraded"
    STORAGE_MIGRATED = "StorageMigrated"
    MESH_CONFIG_PATCHED = "MeshConfigPatched"
    DATA_PLANE_RESTARTED = "DataPlaneRestarted"
    ADDONS_UPGRADED = "AddonsUpgraded"
    ROLLED_BACK = "RolledBack"
    DRIFTED = "Drifted"


class Reason(StrEnum):
    """Reasons of conditions; a refusal carries the name of its first finding (FindingName) instead."""

    # Of the whole object.
    SUCCEEDED = "Succeeded"
    PROGRESSING = "Progressing"
    RETRYING = "Retrying"
    ATTEMPTS_EXHAUSTED = "AttemptsExhausted"
    AWAITING_APPROVAL = "AwaitingApproval"
    OUTSIDE_WINDOW = "OutsideWindow"
    SUSPENDED = "Suspended"
    PLANNED = "Planned"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_FAILED = "RollbackFailed"
    ROLLBACK_REQUESTED = "RollbackRequested"
    ROLLBACK_REFUSED = "RollbackRefused"
    INVALID_SPEC = "InvalidSpec"
    DUPLICATE = "DuplicateMeshUpgrade"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    NOT_OBSERVED = "NotObserved"

    # Of one phase.
    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    DONE = "Done"
    NOTHING_TO_DO = "NothingToDo"
    REPORTED_ONLY = "ReportedOnly"

    # Of condition Drifted.
    DRIFTED = "Drifted"
    CORRECTED = "Corrected"

    # Of a phase that failed: what the cluster says (see meshupgrade.kube.diagnosis).
    TIMED_OUT = "TimedOut"
    INSUFFICIENT_RESOURCES = "InsufficientResources"
    IMAGE_PULL = "ImagePull"
    CRASH_LOOP = "CrashLoop"
    INVALID_CLI_PARAMETERS = "InvalidCLIParameters"
    PROBE_FAILING = "ProbeFailing"
    QUOTA = "Quota"
    WEBHOOK_UNREACHABLE = "WebhookUnreachable"
    HELM_FAILED = "HelmFailed"
    AUTHORITY_CHANGED = "AuthorityChanged"
    INJECTION_BROKEN = "InjectionBroken"
    DISRUPTION_FORBIDDEN = "DisruptionForbidden"
    RESTART_UNDONE = "RestartUndone"
    API_REJECTED = "APIRejected"
    UNREACHABLE = "Unreachable"
    INTERNAL_ERROR = "InternalError"


AnyReason = Reason | FindingName


class Condition(ApiModel):
    """One condition, of the shape of metav1.Condition."""

    type: ConditionType = Field(description="What the condition is about.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(description="Why, in one word out of a closed set.", max_length=64)
    message: str = Field(description="Why, in words for a person.", max_length=4096)
    observed_generation: int = Field(description="The metadata.generation that the condition speaks of.")
    last_transition_time: datetime = Field(description="When the status last changed.")
