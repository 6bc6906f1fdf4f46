"""ControlPlaneUnhealthy: what runs is not ready, and why. An upgrade is often the cure, so it only warns."""

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.kube.diagnosis import diagnose
from meshupgrade.kube.readiness import observe_readiness, workload_refs
from meshupgrade.phases.addon_images import advice_for
from meshupgrade.phases.preflight.check import Check, finding
from meshupgrade.phases.shape import Work

__all__ = ["CHECK"]


async def check(work: Work) -> list[Finding]:
    """Look at the workloads of the release that runs; an upgrade under way is not looked at."""
    if work.live is None or work.live.status is not ReleaseStatus.DEPLOYED:
        return []
    readiness = await observe_readiness(work.tools.kube, workload_refs(work.live.objects(), work.namespace))
    if readiness.ready:
        return []
    cause = await diagnose(
        work.tools.kube, work.namespace, readiness.unready, lambda workload: advice_for(work, workload)
    )
    return [
        finding(
            FindingName.CONTROL_PLANE_UNHEALTHY,
            Severity.WARNING,
            f"the control plane that runs is not ready: {readiness.summary()}{f' ({cause.message})' if cause else ''}",
            f"{cause.remedy if cause else 'Repair it'}, unless this upgrade is the repair. A rollback needs a revision "
            "that was seen healthy.",
        )
    ]


CHECK = Check(
    (FindingName.CONTROL_PLANE_UNHEALTHY,),
    "the health of the control plane that runs",
    check,
    Severity.WARNING,
    needs_target=False,
)
