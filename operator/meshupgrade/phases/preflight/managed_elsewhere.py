"""ManagedElsewhere: Flux manages the release, and would undo the upgrade."""

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.phases.adoption import FLUX_LABEL
from meshupgrade.phases.preflight.check import Check
from meshupgrade.phases.shape import Work

FLUX_NAMESPACE = "helm.toolkit.fluxcd.io/namespace"


async def check(work: Work) -> list[Finding]:
    """Look for Flux's mark on the objects of the release that runs."""
    if work.live is None:
        return []
    labels = (obj["metadata"].get("labels") or {} for obj in work.live.objects())
    marked = next((found for found in labels if FLUX_LABEL in found), None)
    if marked is None:
        return []
    name = f"{marked.get(FLUX_NAMESPACE, work.namespace)}/{marked[FLUX_LABEL]}"
    return [
        Finding(
            name=FindingName.MANAGED_ELSEWHERE,
            severity=Severity.WARNING,
            phase=Phase.PREFLIGHT,
            message=f"Flux's HelmRelease {name} made the release that runs; when it is still there, two controllers "
            "work on one release, and Flux brings back its own version",
            remedy=f"Suspend it (flux suspend helmrelease), and delete it while it is suspended, which leaves the "
            f"release {work.release} as it is.",
        )
    ]


CHECK = Check(
    (FindingName.MANAGED_ELSEWHERE,), "whether Flux manages the release", check, Severity.WARNING, needs_target=False
)
