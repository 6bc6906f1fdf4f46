"""spec of a MeshUpgrade. A field exists here only when a phase reads it."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from meshupgrade.api.v1alpha1.base import ApiModel
from meshupgrade.api.v1alpha1.data_plane import DataPlaneSpec
from meshupgrade.api.v1alpha1.findings import RISKS
from meshupgrade.api.v1alpha1.rules import Duration, cel, duration_rule
from meshupgrade.api.v1alpha1.version_pattern import MAX_VERSION, VERSION_OR_RANGE_PATTERN
from meshupgrade.api.v1alpha1.windows import MaintenanceWindow

FreeObject = Annotated[
    dict[str, Any], Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]


class DistributionName(StrEnum):
    """The supported meshes."""

    OSM_EDGE = "osm-edge"
    OSM = "osm"
    FSM = "fsm"


class ValuesPolicy(StrEnum):
    """What becomes of the values of the release that runs; the names are those of Helm's flags."""

    RESET = "Reset"
    REUSE = "Reuse"
    RESET_THEN_REUSE = "ResetThenReuse"


class OnFailure(StrEnum):
    """What becomes of an upgrade whose attempts are used up."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"


class PathPolicy(StrEnum):
    """How a version is reached that is more than one minor away."""

    DIRECT = "Direct"
    STEPWISE = "Stepwise"


class Approval(StrEnum):
    """Who decides that a plan is carried out."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class Mode(StrEnum):
    """Whether the plan is carried out at all."""

    APPLY = "Apply"
    PLAN = "Plan"


class DriftPolicy(StrEnum):
    """What is done about objects of the release that somebody changed by hand."""

    WARN = "Warn"
    CORRECT = "Correct"
    IGNORE = "Ignore"


class MeshConfigDefaults(StrEnum):
    """What becomes of the MeshConfig when a release brings new defaults for it."""

    KEEP = "Keep"
    MERGE = "Merge"


class ValuesKind(StrEnum):
    """Where values can be read from."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - the name of a kind


class CRDPolicy(StrEnum):
    """What is done with the CRDs of the mesh."""

    APPLY = "Apply"
    VERIFY = "Verify"
    SKIP = "Skip"


class CRDSource(StrEnum):
    """Where the CRDs of the mesh are read."""

    AUTO = "Auto"
    CHART = "Chart"
    IMAGE = "Image"
    CONFIG_MAP = "ConfigMap"


class LocalReference(ApiModel):
    """Names a Secret or ConfigMap in the namespace of the MeshUpgrade."""

    name: str = Field(description="Its name.", min_length=1, max_length=253)


class MeshSpec(ApiModel):
    """Which mesh to upgrade. It cannot be changed: make another MeshUpgrade for another mesh."""

    distribution: DistributionName = Field(description="The kind of mesh: osm-edge, osm or fsm.")
    name: str | None = Field(
        default=None,
        description=(
            "Name of the mesh, which is the name of its Helm release in this namespace. "
            "Default: the distribution's own (osm for osm-edge and osm, fsm for fsm)."
        ),
        min_length=1,
        max_length=53,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    )


class VerifySpec(ApiModel):
    """How the provenance of the chart is verified."""

    keyring_secret_ref: LocalReference = Field(
        description="Secret whose every key holds public keys in OpenPGP format; one of them has to have signed."
    )


class ValuesReference(ApiModel):
    """Values out of a ConfigMap or Secret of the namespace."""

    kind: ValuesKind = Field(description="ConfigMap or Secret.")
    name: str = Field(description="Its name.", min_length=1, max_length=253)
    key: str = Field(
        default="values.yaml", description="Key in its data. Default: values.yaml.", min_length=1, max_length=253
    )
    target_path: str | None = Field(
        default=None,
        description=(
            "Dotted path of the one value to set, as helm --set takes it; without it the content is a values file."
        ),
        min_length=1,
        max_length=253,
    )
    literal: bool = Field(
        default=False,
        description="With targetPath: take the content as it is, as helm --set-literal does, and not as helm --set.",
    )
    optional: bool = Field(default=False, description="Go on without it when it, or its key, is not there.")


class ChartSpec(ApiModel):
    """Where the mesh's chart comes from."""

    repository: str | None = Field(
        default=None,
        description="Chart repository, https://, http:// or oci://. Default: the distribution's own.",
        max_length=1024,
        json_schema_extra=cel(
            "self.matches('^(https?|oci)://[^/@ ]+(/[^ ]*)?$')",
            "chart.repository must be a URL that begins with https://, http:// or oci://, and carries no login",
        ),
    )
    name: str | None = Field(
        default=None,
        description="Name of the chart in the repository. Default: the distribution's.",
        min_length=1,
        max_length=253,
    )
    secret_ref: LocalReference | None = Field(
        default=None,
        description="Secret with the login: username and password, or .dockerconfigjson for an oci:// repository.",
    )
    cert_secret_ref: LocalReference | None = Field(
        default=None,
        description="Secret with ca.crt for a private authority, and tls.crt with tls.key for a client certificate.",
    )
    verify: VerifySpec | None = Field(default=None, description="Verify the provenance of the chart before it is used.")
    insecure: bool = Field(default=False, description="Speak plain http to an oci:// repository.")


class UpgradeSpec(ApiModel):
    """How the upgrade is done."""

    path: PathPolicy = Field(
        default=PathPolicy.DIRECT,
        description=(
            "Direct: one hop to the version. Stepwise: by the newest patch of each minor on the way, as the repository "
            "lists them, each hop verified before the next."
        ),
    )
    approval: Approval = Field(
        default=Approval.AUTOMATIC,
        description=(
            "Automatic: a plan that nothing speaks against is carried out. Manual: it waits until annotation "
            "meshupgrade.io/approved-plan has the plan's digest."
        ),
    )
    windows: list[MaintenanceWindow] = Field(
        default_factory=list,
        description="When an upgrade, and each hop of it, may begin. None: at any time.",
        max_length=16,
    )
    accept_risks: list[str] = Field(
        default_factory=list,
        description="Names of Risks that may pass: " + ", ".join(RISKS) + ".",
        max_length=len(RISKS),
        json_schema_extra={
            "x-kubernetes-list-type": "set",
            "items": {"type": "string", "enum": [str(risk) for risk in RISKS]},
        },
    )
    timeout: Duration = Field(
        default="5m",
        description="How long the control plane may take to become ready, such as 90s, 5m or 1h30m.",
        max_length=16,
        json_schema_extra=duration_rule("upgrade.timeout"),
    )
    retries: int = Field(
        default=2, ge=0, le=10, description="How often a failed attempt is tried again before the upgrade is Stalled."
    )
    on_failure: OnFailure = Field(
        default=OnFailure.ROLLBACK,
        description=(
            "When the attempts are used up. Rollback: bring the release back to the last verified revision, once. "
            "Hold: leave it as it is, for inspection."
        ),
    )


class CRDsSpec(ApiModel):
    """Where the mesh's CRDs come from, and what is done with them."""

    policy: CRDPolicy = Field(
        default=CRDPolicy.APPLY,
        description=(
            "Apply: bring them to what the release ships. Verify: refuse the upgrade when they are not there already. "
            "Skip: leave them alone, and do not look."
        ),
    )
    source: CRDSource = Field(
        default=CRDSource.AUTO,
        description=(
            "Auto: the image that the chart's bootstrap Deployment names, else the crds/ folder of the chart. Chart, "
            "Image and ConfigMap: only that."
        ),
    )
    config_map_ref: LocalReference | None = Field(
        default=None, description="ConfigMap whose every key holds CRDs in YAML; for source ConfigMap."
    )
    image_ref: str | None = Field(
        default=None,
        description="Image to read the CRDs from, instead of the one that the rendered chart names.",
        min_length=1,
        max_length=1024,
    )
    secret_ref: LocalReference | None = Field(
        default=None,
        description=(
            "Secret with .dockerconfigjson, or username and password, for the registry of the image. Default: the "
            "imagePullSecrets of the bootstrap's ServiceAccount."
        ),
    )
    cert_secret_ref: LocalReference | None = Field(
        default=None,
        description="Secret with ca.crt for a private authority, and tls.crt with tls.key for a client certificate.",
    )
    insecure: bool = Field(default=False, description="Speak plain http to the registry of that image.")
    migrate_storage: bool = Field(
        default=True,
        description=(
            "After the control plane is verified: store the objects of the CRDs in the version that the release "
            "stores, and prune status.storedVersions."
        ),
    )
    namespaces: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "By CRD name: the namespace for the objects of a CRD that was cluster-scoped and becomes namespaced, where "
            "it cannot be told from the objects."
        ),
        max_length=32,
    )


class MeshConfigSpec(ApiModel):
    """What to change in the live MeshConfig, which no Helm upgrade touches."""

    patch: FreeObject = Field(
        default_factory=dict,
        description="JSON merge patch (RFC 7386) on the spec of the MeshConfig, applied after the control plane.",
    )
    defaults: MeshConfigDefaults = Field(
        default=MeshConfigDefaults.KEEP,
        description=(
            "Keep: the MeshConfig keeps its fields, whatever the release's defaults are by now. Merge: a field that "
            "still has the default of the release before takes the new default; one that was changed stays."
        ),
    )


class AddonSpec(ApiModel):
    """What one addon is to run."""

    image: str = Field(
        description="Its image; set through the chart's own value where the chart has one, else on the Deployment.",
        min_length=1,
        max_length=1024,
        json_schema_extra=cel(
            "!self.matches('[[:space:]]') && !self.matches('^[a-z]+://')",
            "an addon's image must be one such as grafana/grafana:8.1.0, without a scheme",
        ),
    )


class AddonsSpec(ApiModel):
    """The third-party parts that the chart installs beside the mesh."""

    prometheus: AddonSpec | None = Field(default=None, description="Prometheus.")
    grafana: AddonSpec | None = Field(default=None, description="Grafana.")
    jaeger: AddonSpec | None = Field(default=None, description="Jaeger.")


class MeshUpgradeSpec(ApiModel):
    """The mesh and the version that it is to have."""

    version: str = Field(
        description=(
            "The chart version to reach: exact, such as 1.2.3, or a range, such as ~1.2, 1.x or >=1.2 <1.4. Of a range "
            "the newest version is taken that the policy allows, and newer ones as the repository lists them."
        ),
        max_length=MAX_VERSION,
        json_schema_extra=cel(
            f"self.matches(r'{VERSION_OR_RANGE_PATTERN}')",
            "version must be a semantic version such as 1.2.3, or a range such as ~1.2, 1.x or >=1.2 <1.4",
        ),
    )
    mesh: MeshSpec = Field(description="Which mesh.")
    chart: ChartSpec = Field(default_factory=ChartSpec, description="Where its chart comes from.")
    values: FreeObject = Field(default_factory=dict, description="Helm values, as in values.yaml.")
    values_policy: ValuesPolicy = Field(
        default=ValuesPolicy.RESET,
        description=(
            "Reset: the new chart's defaults plus spec.values, as `osm mesh upgrade` does. Reuse: the values of the "
            "release that runs plus spec.values. ResetThenReuse: the new chart's defaults, then the user's values of "
            "the release that runs, then spec.values."
        ),
    )
    values_from: list[ValuesReference] = Field(
        default_factory=list,
        description="Helm values out of ConfigMaps and Secrets; a later one goes before, and spec.values before all.",
        max_length=32,
    )
    mode: Mode = Field(
        default=Mode.APPLY,
        description="Apply: carry the plan out. Plan: make the plan, and change nothing.",
    )
    suspend: bool = Field(
        default=False, description="Do nothing. A hop that has begun is finished or rolled back before that."
    )
    interval: Duration = Field(
        default="10m",
        description="How often a mesh at rest is looked at, and the repository asked for versions, such as 10m.",
        max_length=16,
        json_schema_extra=duration_rule("interval", least="10s"),
    )
    drift_policy: DriftPolicy = Field(
        default=DriftPolicy.WARN,
        description=(
            "What is done at rest when objects of the release are not what its manifest says. Warn: name the fields in "
            "condition Drifted. Correct: put them back, while a window is open. Ignore: do not look."
        ),
    )
    install_if_missing: bool = Field(
        default=False, description="Install the mesh when there is no release of it, instead of refusing."
    )
    upgrade: UpgradeSpec = Field(default_factory=UpgradeSpec, description="How the upgrade is done.")
    crds: CRDsSpec = Field(default_factory=CRDsSpec, description="Where the mesh's CRDs come from.")
    mesh_config: MeshConfigSpec = Field(
        default_factory=MeshConfigSpec, description="What to change in the live MeshConfig."
    )
    data_plane: DataPlaneSpec = Field(
        default_factory=DataPlaneSpec, description="Which sidecar the workloads of the mesh get, and how."
    )
    addons: AddonsSpec = Field(default_factory=AddonsSpec, description="The images of Prometheus, Grafana and Jaeger.")

    @property
    def wave_timeout(self) -> str:
        """How long the workloads of one wave may take: a duration as it stands in the spec.

        Without any, as long as a Deployment waits for progress of its own. Source: the Kubernetes documentation of
        Deployments, ``progressDeadlineSeconds``.
        """
        own = self.upgrade.timeout if "timeout" in self.upgrade.model_fields_set else "10m"
        return self.data_plane.timeout or own
