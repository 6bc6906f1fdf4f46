"""FieldConflict of the replicas that an autoscaler owns and the chart would reset."""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.helm.release import Release
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding
from meshupgrade.phases.preflight.dry_run import HELM_MANAGER
from meshupgrade.phases.replicas import autoscaled, replicas
from meshupgrade.phases.shape import Work

__all__ = ["CHECK", "replica_findings"]


async def check(work: Work) -> list[Finding]:
    """Compare the replicas of what is autoscaled with what the chart makes of them."""
    if release_fits(work):
        return []
    rendered = work.need_target().rendered
    return replica_findings(await autoscaled(work, rendered), rendered)


def replica_findings(live: Sequence[Mapping[str, Any]], rendered: Release) -> list[Finding]:
    """Name the Deployments that an autoscaler scales and whose replicas the chart would lower."""
    wanted = {obj["metadata"]["name"]: obj for obj in rendered.objects() if obj["kind"] == "Deployment"}
    lowered = []
    for deployment in live:
        name, now = deployment["metadata"]["name"], replicas(deployment)
        named = wanted[name]["spec"].get("replicas")
        # What Helm once set and does not set any more falls back to the API's default, one.
        after = int(named) if named is not None else 1 if _helm_owns_replicas(deployment) else now
        if after < now:
            lowered.append(f"Deployment {name} from {now} to {after}")
    if not lowered:
        return []
    return [
        finding(
            FindingName.FIELD_CONFLICT,
            Severity.WARNING,
            "an autoscaler owns the replicas of what the upgrade would scale down; they are put back right after: "
            f"{enumerate_some(lowered)}",
            "Have the chart make the autoscaler (autoScale.enable of the component), so that it leaves the replicas "
            "alone, or set replicaCount in spec.values to what is needed at least.",
        )
    ]


def _helm_owns_replicas(deployment: Mapping[str, Any]) -> bool:
    return any(
        entry.get("manager") == HELM_MANAGER and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields") or []
    )


CHECK = Check((FindingName.FIELD_CONFLICT,), "replicas that an autoscaler owns", check, Severity.WARNING)
