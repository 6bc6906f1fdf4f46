"""The policy Verify: the CRDs are only looked at, and an upgrade that needs others is refused."""

from collections.abc import Sequence

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.crd_changes import Look
from meshupgrade.domain.crd_diff import crd_differences

__all__ = ["crds_missing"]


def crds_missing(looks: Sequence[Look]) -> list[Finding]:
    """Give a finding for each CRD that is not as the release needs it; labels and annotations do not count."""
    differing = {look.name: _difference(look) for look in looks}
    return [
        Finding(
            name=FindingName.CRDS_MISSING,
            severity=Severity.ERROR,
            phase=Phase.CRDS,
            message=f"CRD {name} is not what this version needs, and spec.crds.policy is Verify: it {difference}",
            remedy="Apply the CRDs of this version by the means that keep them, or set spec.crds.policy to Apply.",
        )
        for name, difference in differing.items()
        if difference
    ]


def _difference(look: Look) -> str:
    if look.scope is not None:
        return "has another scope"
    if look.change is None:
        return ""
    live = look.change.live
    return crd_differences(live["spec"] if live is not None else None, look.change.spec)
