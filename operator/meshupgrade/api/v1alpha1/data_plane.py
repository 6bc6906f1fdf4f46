"""spec.dataPlane of a MeshUpgrade."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

from meshupgrade.api.v1alpha1.base import ApiModel
from meshupgrade.api.v1alpha1.rules import Duration, cel, duration_rule


class Restart(StrEnum):
    """Which workloads of the data plane are restarted."""

    NEVER = "Never"
    WHEN_OUTDATED = "WhenOutdated"
    ALWAYS = "Always"


class CanarySpec(ApiModel):
    """The namespace whose workloads are restarted first."""

    namespace: str = Field(description="A namespace of the mesh.", min_length=1, max_length=63)
    soak: Duration = Field(
        default="5m",
        description="How long its workloads have to stay healthy before the next wave, such as 5m.",
        max_length=16,
        json_schema_extra=duration_rule("dataPlane.canary.soak"),
    )


class LabelRequirement(ApiModel):
    """One expression of a label selector."""

    key: str = Field(description="The label.", min_length=1, max_length=317)
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How it is compared.")
    values: list[Annotated[str, Field(max_length=63)]] = Field(
        default_factory=list, description="With what, for In and NotIn.", max_length=64
    )


class LabelSelector(ApiModel):
    """A label selector as everywhere in Kubernetes; an empty one selects everything."""

    match_labels: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default_factory=dict, description="Labels and the values that they have.", max_length=32
    )
    match_expressions: list[LabelRequirement] = Field(
        default_factory=list, description="Expressions, all of which hold.", max_length=32
    )


class WorkloadSelector(ApiModel):
    """Names workloads; what is left out matches all."""

    namespace: str | None = Field(default=None, description="Their namespace.", min_length=1, max_length=63)
    kind: Literal["Deployment", "StatefulSet", "DaemonSet"] | None = Field(default=None, description="Their kind.")
    name: str | None = Field(default=None, description="Their name.", min_length=1, max_length=253)


class DataPlaneSpec(ApiModel):
    """What becomes of the workloads of the mesh, whose Pods keep the sidecar that they were made with."""

    restart: Restart = Field(
        default=Restart.NEVER,
        description=(
            "Never: outdated sidecars are counted. WhenOutdated: workloads with Pods that do not run the sidecar that "
            "is injected now are restarted, in waves. Always: all workloads are, once for each target."
        ),
    )
    sidecar_image: str | None = Field(
        default=None,
        description="Image of the sidecar: sets the fields of the MeshConfig that say so. Best with a digest.",
        min_length=1,
        max_length=1024,
        json_schema_extra=cel(
            "!self.matches('[[:space:]]') && !self.matches('^[a-z]+://')",
            "dataPlane.sidecarImage must be an image such as flomesh/pipy:0.90.0-18@sha256:…, without a scheme",
        ),
    )
    canary: CanarySpec | None = Field(
        default=None, description="A namespace whose workloads come first, and have to prove themselves."
    )
    max_unavailable: int | str = Field(
        default="25%",
        description=(
            "How many workloads a wave restarts at most: a number, or a percentage of the mesh's workloads, rounded "
            "down; at least one."
        ),
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            **cel(
                "type(self) == int ? self >= 1 : self.matches('^(100|[1-9][0-9]?)%$')",
                "dataPlane.maxUnavailable must be a number from 1 on, or a percentage from 1% to 100%",
            ),
        },
    )
    namespace_selector: LabelSelector | None = Field(
        default=None, description="Only workloads in namespaces with these labels are restarted. Default: all."
    )
    exclude: list[WorkloadSelector] = Field(
        default_factory=list, description="Workloads that are not restarted.", max_length=64
    )
    failure_threshold: int = Field(
        default=0, ge=0, le=1000, description="How many workloads may fail to come back before no more are restarted."
    )
    timeout: Duration | None = Field(
        default=None,
        description=(
            "How long the workloads of one wave may take to come back, such as 10m. Default: spec.upgrade.timeout, or "
            "10m when that is not set either."
        ),
        max_length=16,
        json_schema_extra=duration_rule("dataPlane.timeout"),
    )

    @field_validator("max_unavailable")
    @classmethod
    def _max_unavailable_is_a_share(cls, value: int | str) -> int | str:
        if (isinstance(value, int) and value >= 1) or re.fullmatch(r"(100|[1-9][0-9]?)%", str(value)):
            return value
        raise ValueError(f"{value!r} is no number from 1 on and no percentage from 1% to 100%")
