"""status of a MeshUpgrade: the only memory that the operator has."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from meshupgrade.api.v1alpha1.base import ApiModel
from meshupgrade.api.v1alpha1.conditions import Condition
from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.plan import AvailableVersion, PlanSummary

MAX_HISTORY = 20
MAX_AVAILABLE = 50
MAX_FINDINGS = 50
MAX_VALUES_SET = 256
MAX_POINTER = 512


class Phase(StrEnum):
    """What the object is doing, in one word; a summary, the conditions are the contract."""

    PENDING = "Pending"
    PATH = "Path"
    PREFLIGHT = "Preflight"
    CRDS = "CRDs"
    CONTROL_PLANE = "ControlPlane"
    STORAGE = "Storage"
    MESH_CONFIG = "MeshConfig"
    DATA_PLANE = "DataPlane"
    ADDONS = "Addons"
    COMPLETED = "Completed"
    REFUSED = "Refused"
    RETRYING = "Retrying"
    AWAITING_APPROVAL = "AwaitingApproval"
    OUTSIDE_WINDOW = "OutsideWindow"
    SUSPENDED = "Suspended"
    PLANNED = "Planned"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    INVALID = "Invalid"
    DUPLICATE = "Duplicate"


class HistoryState(StrEnum):
    """How an attempt ended; Partial while it has not."""

    PARTIAL = "Partial"
    COMPLETED = "Completed"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"


class HistoryAction(StrEnum):
    """What was done to the release."""

    ADOPT = "Adopt"
    INSTALL = "Install"
    UPGRADE = "Upgrade"
    ROLLBACK = "Rollback"


class Remediation(StrEnum):
    """What becomes, or became, of the release when the attempts are used up."""

    DUE = "Due"
    DONE = "Done"
    FAILED = "Failed"
    HELD = "Held"


class Attempts(ApiModel):
    """The budget of the current target."""

    input_digest: str = Field(description="Digest of the inputs that the budget is for.", max_length=80)
    count: int = Field(description="Attempts that failed so far.")
    message: str = Field(default="", description="Why the last one failed.", max_length=4096)
    reason: str = Field(default="", description="Reason of the last failure.", max_length=64)
    remediation: Remediation | None = Field(
        default=None,
        description=(
            "When they are used up. Due, Done and Failed: of the one rollback. Held: the release is left as it is."
        ),
    )
    revision: int | None = Field(
        default=None, description="The revision to roll back to, where a person asked for one; else the last verified."
    )


class HelmProcess(ApiModel):
    """A Helm process that the operator started, recorded before it does anything.

    What makes it provable, after a crash, that a pending release is ours and nobody works on it any more.
    """

    revision: int = Field(description="The revision of the release that it makes.")
    host: str = Field(description="Host and boot on which it runs.", max_length=320)
    pid: int = Field(description="Its process id there.")
    started_ticks: int = Field(description="Its start in clock ticks since boot, which tells it from a reused id.")
    deadline: datetime = Field(description="When the operator ends it at the latest.")


class PhaseDuration(ApiModel):
    """How long a phase took."""

    name: str = Field(description="Name of the phase.", max_length=32)
    seconds: float = Field(description="How long it took, in seconds.")


class HistoryEntry(ApiModel):
    """One attempt to bring the mesh to a version, or the rollback after the last one."""

    action: HistoryAction = Field(
        default=HistoryAction.UPGRADE,
        description=(
            "Upgrade, Install or Rollback; Adopt records a release that others made and that was seen healthy."
        ),
    )
    version: str = Field(description="The version it was for.", max_length=128)
    from_: str = Field(alias="from", description="The version before.", max_length=128)
    revision: int | None = Field(default=None, description="The revision of the Helm release.")
    verified: bool = Field(default=False, description="Whether the control plane was seen healthy at that revision.")
    chart_digest: str = Field(default="", description="Digest of the chart archive.", max_length=80)
    crd_digest: str = Field(default="", description="Digest of the image the CRDs came from.", max_length=80)
    input_digest: str = Field(default="", description="Digest of the inputs that it was for.", max_length=80)
    authorities: list[str] = Field(
        default_factory=list,
        description="SHA-256 of the certificates of the mesh's authority before it began, to be compared at the end.",
        max_length=16,
    )
    state: HistoryState = Field(description="How it ended; Partial while it has not.")
    message: str = Field(default="", description="Why it failed.", max_length=1024)
    started_time: datetime = Field(description="When it began to write.")
    completion_time: datetime | None = Field(default=None, description="When it ended.")
    phases: list[PhaseDuration] = Field(default_factory=list, description="How long each phase took.", max_length=16)
    mesh_config_snapshot: str = Field(
        default="", description="Secret with the MeshConfig as it was before the attempt changed it.", max_length=253
    )
    accepted_risks: list[str] = Field(
        default_factory=list, description="Risks that passed because they were accepted.", max_length=16
    )


class StorageMigration(ApiModel):
    """How far the rewriting of stored objects has come, for a run that takes it up after a crash."""

    crd: str = Field(description="The CRD whose objects are rewritten.", max_length=253)
    generation: int = Field(description="Its metadata.generation; with another one its objects are begun anew.")
    continue_token: str = Field(default="", description="Names the next page of its objects.", max_length=4096)
    objects: int = Field(default=0, description="Objects of it looked at so far.")
    finished: int = Field(default=0, description="Objects of the CRDs before it.")
    rewritten: int = Field(default=0, description="Objects that were stored anew so far, of all CRDs.")
    refused: list[str] = Field(
        default_factory=list, description="Some of the objects of this CRD that were refused.", max_length=10
    )


class WorkloadCounts(ApiModel):
    """Workloads of the mesh by what their Pods run; one counts for the worst of its Pods."""

    total: int = Field(default=0, description="Deployments, StatefulSets and DaemonSets with Pods in the mesh.")
    current: int = Field(default=0, description="Those whose Pods all run the sidecar that is injected now.")
    outdated: int = Field(default=0, description="Those with a Pod that runs another one, or has lost its own.")
    unknown: int = Field(default=0, description="Those of which it cannot be told.")
    excluded: int = Field(default=0, description="Those that are not restarted since somebody opted them out.")


class RestartStatus(ApiModel):
    """How far the restart of the data plane has come."""

    target: str = Field(description="What the workloads are restarted for.", max_length=160)
    total: int = Field(default=0, description="Workloads to restart for it.")
    restarted: int = Field(default=0, description="Those that came back.")
    wave: int = Field(default=0, description="The wave that runs, or ran last.")
    waves: int = Field(default=0, description="Waves in all.")
    failed: list[str] = Field(
        default_factory=list, description="Some of the workloads that did not come back, and why.", max_length=10
    )
    soak_until: datetime | None = Field(default=None, description="Until when the canary has to stay healthy.")
    done: bool = Field(default=False, description="Whether nothing of it is left to do.")


class DataPlaneStatus(ApiModel):
    """How many Pods of the mesh run which sidecar. A Pod whose sidecar cannot be told is unknown, never current."""

    total: int = Field(default=0, description="Pods of the mesh that are not finished.")
    current: int = Field(default=0, description="Those that run the images that are injected now.")
    outdated: int = Field(default=0, description="Those that run others, or have lost their sidecar in a restart.")
    unknown: int = Field(default=0, description="Those of which it cannot be told.")
    unmanaged: int = Field(
        default=0, description="Of all these, Pods that no Deployment, StatefulSet or DaemonSet would bring back."
    )
    uninjected: int = Field(
        default=0, description="Pods beside these for which injection is asked, and that never had a sidecar."
    )
    workloads: WorkloadCounts = Field(default_factory=WorkloadCounts, description="The same by workload.")
    unmanaged_owners: list[str] = Field(
        default_factory=list,
        description="Some of the owners of unmanaged Pods: bare Pods, Jobs, and kinds that are not known.",
        max_length=20,
    )
    restart: RestartStatus | None = Field(default=None, description="The restart under way, or the last one.")


class MeshUpgradeStatus(ApiModel):
    """What the operator last saw and did."""

    observed_generation: int | None = Field(default=None, description="The metadata.generation that was last handled.")
    phase: Phase | None = Field(default=None, description="What the object is doing, in one word.")
    current_version: str | None = Field(
        default=None, description="Chart version of the release that runs.", max_length=128
    )
    target_version: str | None = Field(default=None, description="The version it is brought to.", max_length=128)
    hops: list[str] = Field(
        default_factory=list, description="The versions on the way, the target last.", max_length=64
    )
    available_versions: list[AvailableVersion] = Field(
        default_factory=list,
        description="The versions that the repository lists from the current one on, and what the policy says of them.",
        max_length=MAX_AVAILABLE,
    )
    plan: PlanSummary | None = Field(default=None, description="What will be done, or was, in short.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready, Available, Reconciling and Stalled, and one for each phase.",
        max_length=24,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    findings: list[Finding] = Field(
        default_factory=list, description="What was found before the first write.", max_length=MAX_FINDINGS
    )
    attempts: Attempts | None = Field(default=None, description="The budget of the current target.")
    helm_process: HelmProcess | None = Field(default=None, description="The Helm process under way, if any.")
    history: list[HistoryEntry] = Field(
        default_factory=list, description="Every attempt, the newest first.", max_length=MAX_HISTORY
    )
    values_set: list[str] = Field(
        default_factory=list,
        description=(
            "With valuesPolicy Reuse or ResetThenReuse: the paths, as JSON pointers, of the values that the spec set "
            "in the last verified release. What of it the spec sets no more is not reused."
        ),
        max_length=MAX_VALUES_SET,
        json_schema_extra={"items": {"type": "string", "maxLength": MAX_POINTER}},
    )
    storage_migration: StorageMigration | None = Field(
        default=None, description="How far the rewriting of stored objects has come, while it is under way."
    )
    data_plane: DataPlaneStatus | None = Field(default=None, description="The sidecars of the mesh, counted.")
    last_handled_reconcile_at: str | None = Field(
        default=None, description="The last handled value of meshupgrade.io/reconcile-requested-at.", max_length=128
    )
    last_handled_rollback: str | None = Field(
        default=None, description="The last handled value of meshupgrade.io/rollback-requested.", max_length=128
    )
    operator_version: str | None = Field(default=None, description="The operator that wrote this.", max_length=64)
    kubernetes_version: str | None = Field(default=None, description="The API server's version.", max_length=64)
