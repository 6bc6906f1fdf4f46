"""spec of a MeshUpgrade. A field exists here only when a phase reads it."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic.config import JsonDict

from meshupgrade.api.v1alpha1.base import ApiModel
from meshupgrade.api.v1alpha1.findings import RISKS

VERSION_PATTERN = (
    r"^v?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$"
)
"""Semantic Versioning 2.0.0, with a leading v accepted."""

DURATION_PATTERN = r"^([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$"

FreeObject = Annotated[
    dict[str, Any], Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]


def cel(rule: str, message: str) -> JsonDict:
    """Give the schema extension for one CEL rule of the CRD, with the message that its violation shows."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


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
    insecure: bool = Field(default=False, description="Speak plain http to an oci:// repository.")


class UpgradeSpec(ApiModel):
    """How the upgrade is done."""

    accept_risks: list[str] = Field(
        default_factory=list,
        description="Names of Risks that may pass: " + ", ".join(RISKS) + ".",
        max_length=len(RISKS),
        json_schema_extra={
            "x-kubernetes-list-type": "set",
            "items": {"type": "string", "enum": [str(risk) for risk in RISKS]},
        },
    )
    timeout: str = Field(
        default="5m",
        description="How long the control plane may take to become ready, such as 90s, 5m or 1h30m.",
        max_length=16,
        json_schema_extra=cel(
            f"self != '' && self.matches('{DURATION_PATTERN}') && duration(self) >= duration('1s')"
            " && duration(self) <= duration('24h')",
            "upgrade.timeout must be a duration between 1s and 24h, such as 90s, 5m or 1h30m",
        ),
    )
    retries: int = Field(
        default=2, ge=0, le=10, description="How often a failed attempt is tried again before the upgrade is Stalled."
    )

    @field_validator("timeout")
    @classmethod
    def _timeout_is_a_duration(cls, value: str) -> str:
        parse_duration(value)
        return value


class CRDsSpec(ApiModel):
    """Where the mesh's CRDs come from: by default the image that the chart's bootstrap Deployment names."""

    image_ref: str | None = Field(
        default=None,
        description="Image to read the CRDs from, instead of the one that the rendered chart names.",
        min_length=1,
        max_length=1024,
    )
    insecure: bool = Field(default=False, description="Speak plain http to the registry of that image.")


class MeshConfigSpec(ApiModel):
    """What to change in the live MeshConfig, which no Helm upgrade touches."""

    patch: FreeObject = Field(
        default_factory=dict,
        description="JSON merge patch (RFC 7386) on the spec of the MeshConfig, applied after the control plane.",
    )


class MeshUpgradeSpec(ApiModel):
    """The mesh and the version that it is to have."""

    version: str = Field(
        description="The chart version to reach, exact, such as 1.2.3 or v1.2.3.",
        max_length=128,
        json_schema_extra=cel(
            f"self.matches(r'{VERSION_PATTERN}')",
            "version must be an exact semantic version such as 1.2.3, v1.2.3 or 1.3.0-beta.1",
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
    upgrade: UpgradeSpec = Field(default_factory=UpgradeSpec, description="How the upgrade is done.")
    crds: CRDsSpec = Field(default_factory=CRDsSpec, description="Where the mesh's CRDs come from.")
    mesh_config: MeshConfigSpec = Field(
        default_factory=MeshConfigSpec, description="What to change in the live MeshConfig."
    )


def parse_duration(text: str) -> timedelta:
    """Give the length of a duration such as 90s, 5m or 1h30m.

    Raises ValueError when the text is no such duration, or is zero.
    """
    match = re.fullmatch(r"(?:([0-9]{1,7})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?", text)
    if match is None or not text:
        raise ValueError(f"{text!r} is no duration such as 90s, 5m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not length:
        raise ValueError(f"{text!r} is no time at all; give a duration such as 5m")
    return length
