"""The plan of an upgrade: what will happen, hop by hop, known before the first write.

The whole of it is a compressed Secret that its digest names; status.plan carries a summary.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from meshupgrade.api.v1alpha1.base import ApiModel
from meshupgrade.api.v1alpha1.findings import Finding

MAX_HOPS = 64


class ObjectAction(StrEnum):
    """What becomes of an object."""

    CREATE = "Create"
    UPDATE = "Update"
    RECREATE = "Recreate"
    DELETE = "Delete"


class CRDAction(StrEnum):
    """What becomes of a CRD."""

    CREATE = "Create"
    CHANGE = "Change"
    CHANGE_SCOPE = "ChangeScope"


class SchemaChange(StrEnum):
    """What a change of a schema does to objects that are there: nothing, refuse some of them, or lose fields."""

    ADDITIVE = "Additive"
    TIGHTENING = "Tightening"
    DROPPING = "Dropping"


class PlannedVersion(ApiModel):
    """How one version of a CRD changes."""

    name: str = Field(description="The version.")
    added: bool = Field(default=False, description="Whether the CRD does not have it yet.")
    changes: dict[SchemaChange, list[str]] = Field(
        default_factory=dict, description="By kind of change, the fields of the schema that change so."
    )


class PlannedCRD(ApiModel):
    """How one CRD changes."""

    name: str = Field(description="Its name.")
    action: CRDAction = Field(description="Create, Change or ChangeScope.")
    versions: list[PlannedVersion] = Field(default_factory=list, description="The versions that change.")
    fields: list[str] = Field(default_factory=list, description="What else of it changes, beside its schemas.")
    stored_before: str = Field(default="", description="The version in which objects are stored now.")
    stored_after: str = Field(default="", description="The version in which they will be.")


class PlannedObject(ApiModel):
    """What becomes of one object of the release."""

    object: str = Field(description="Kind, namespace and name, such as Deployment osm-system/osm-controller.")
    action: ObjectAction = Field(description="Create, Update, Recreate or Delete.")
    paths: list[str] = Field(default_factory=list, description="Of an Update, the fields that change.")


class PlannedImage(ApiModel):
    """The image of a container that changes."""

    workload: str = Field(description="Kind, namespace and name.")
    container: str = Field(description="Name of the container.")
    before: str = Field(default="", description="The image that it has now; empty for a new container.")
    after: str = Field(default="", description="The image that it gets; empty for one that goes.")


class PlannedValue(ApiModel):
    """A value that changes; of what a Secret reaches, the path alone."""

    path: str = Field(description="Dotted path.")
    before: Any = Field(default=None, description="What it is now; absent when it is not set, or is secret.")
    after: Any = Field(default=None, description="What it becomes; absent when it is removed, or is secret.")
    secret: bool = Field(default=False, description="Whether it is not shown.")


class PlannedRestart(ApiModel):
    """How the data plane is restarted after the hops, as far as can be told before them."""

    target: str = Field(description="What the workloads are restarted for.", max_length=160)
    workloads: int = Field(default=0, description="Workloads to restart.")
    names: list[str] = Field(default_factory=list, description="Some of them, in their order.", max_length=500)
    waves: int = Field(default=0, description="Waves in all.")
    wave_size: int = Field(default=0, description="Workloads in a wave at most.")
    canary: str = Field(default="", description="Namespace whose workloads come first.", max_length=63)


class PlannedHop(ApiModel):
    """One step from a version to the next."""

    version: str = Field(description="The version that it brings.")
    previous: str = Field(description="The version before; empty for an install.")
    chart: str = Field(description="Name of the chart.")
    chart_digest: str = Field(description="Digest of the chart archive.")
    crd_digest: str = Field(default="", description="Digest of the image that the CRDs come from.")
    values_digest: str = Field(default="", description="Digest of the values that Helm is given.")
    crds: list[PlannedCRD] = Field(default_factory=list, description="CRDs that change.")
    objects: list[PlannedObject] = Field(default_factory=list, description="Objects of the release that change.")
    images: list[PlannedImage] = Field(default_factory=list, description="Images that change.")
    values: list[PlannedValue] = Field(default_factory=list, description="Values that change.")
    storage: list[str] = Field(default_factory=list, description="CRDs whose objects are stored anew.")
    restarts: list[str] = Field(default_factory=list, description="Workloads of the release whose Pods are replaced.")
    random: list[str] = Field(
        default_factory=list, description="Fields that the chart renders anew each time; the digest leaves them out."
    )

    def changes(self) -> bool:
        """Tell whether anything would be written in it."""
        return bool(self.crds or self.objects or self.values or self.storage) or self.version != self.previous


class Reversibility(ApiModel):
    """Whether what a phase does can be taken back."""

    phase: str = Field(description="Name of the phase.")
    reversible: bool = Field(description="Whether a rollback takes it back.")
    note: str = Field(description="How, or why not.")


class Plan(ApiModel):
    """All that an upgrade will do."""

    digest: str = Field(default="", description="Digest of what will be done; the same input gives the same.")
    created_at: datetime = Field(description="When it was made.")
    namespace: str = Field(description="Namespace of the mesh.")
    mesh: str = Field(description="Name of the mesh, which is that of its release.")
    current: str = Field(description="The version that runs; empty for an install.")
    target: str = Field(description="The version to reach.")
    hops: list[PlannedHop] = Field(default_factory=list, description="The steps, in order.", max_length=MAX_HOPS)
    mesh_config: list[PlannedValue] = Field(default_factory=list, description="Fields of the MeshConfig that change.")
    data_plane: PlannedRestart | None = Field(
        default=None, description="How the data plane is restarted; absent when the spec wants no restarts."
    )
    addons: list[PlannedImage] = Field(
        default_factory=list, description="Images of addons that are set on Deployments, where no value says them."
    )
    findings: list[Finding] = Field(default_factory=list, description="What was found.")
    interruptions: list[str] = Field(default_factory=list, description="What does not work meanwhile.")
    reversibility: list[Reversibility] = Field(default_factory=list, description="What a rollback takes back.")
    estimate_seconds: float | None = Field(
        default=None, description="How long it will take, by the history of this mesh; absent when there is none."
    )

    def changes(self) -> bool:
        """Tell whether anything would be written."""
        hops = any(hop.changes() for hop in self.hops)
        restarts = self.data_plane is not None and self.data_plane.workloads > 0
        return hops or bool(self.mesh_config) or restarts or bool(self.addons)


class PlanSummary(ApiModel):
    """The plan in short; the whole is in the Secret."""

    digest: str = Field(
        description="Digest of what will be done; meshupgrade.io/approved-plan takes it.", max_length=80
    )
    created_at: datetime = Field(description="When it was made.")
    secret: str = Field(default="", description="Name of the Secret with the whole plan.", max_length=253)
    changes: bool = Field(description="Whether anything would be written.")
    approved: bool = Field(
        default=False, description="Whether it may be carried out: by approval, or since none is asked."
    )
    carried: bool = Field(default=False, description="Whether it is the rest of one that was approved and begun.")
    inputs: str = Field(default="", description="Digest of the inputs that it was made for.", max_length=80)
    current: str = Field(description="The version it was made at; empty for an install.", max_length=128)
    hops: list[str] = Field(default_factory=list, description="The versions on the way.", max_length=MAX_HOPS)
    charts: list[str] = Field(
        default_factory=list, description="By hop, the digest of its chart archive.", max_length=MAX_HOPS
    )
    crds: int = Field(default=0, description="CRDs that change.")
    created: int = Field(default=0, description="Objects that are created.")
    updated: int = Field(default=0, description="Objects that are updated.")
    recreated: int = Field(default=0, description="Objects that are deleted and created again.")
    deleted: int = Field(default=0, description="Objects that are deleted.")
    restarts: int = Field(default=0, description="Workloads of the release whose Pods are replaced.")
    mesh_config: int = Field(default=0, description="Fields of the MeshConfig that change.")
    addons: int = Field(default=0, description="Images of addons that are set on Deployments.")
    data_plane: int = Field(default=0, description="Workloads of the data plane that are restarted.")
    waves: int = Field(default=0, description="Waves in which they are.")
    errors: int = Field(default=0, description="Findings that never pass.")
    risks: int = Field(default=0, description="Findings that pass when they are accepted.")
    warnings: int = Field(default=0, description="Findings to look at.")
    estimate_seconds: float | None = Field(default=None, description="How long it will take, by history.")


class AvailableVersion(ApiModel):
    """A version that the repository lists, and what the policy says of it."""

    version: str = Field(description="The version.", max_length=128)
    allowed: bool = Field(description="Whether the policy allows it as the spec is now.")
    reason: str = Field(default="", description="Why not, in one word.", max_length=64)
    message: str = Field(default="", description="Why not, in words for a person.", max_length=256)
