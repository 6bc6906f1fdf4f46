"""What the CRDs of the target come to: looked at among the checks of Preflight, kept for the phase that writes them."""

from collections.abc import Sequence

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.spec import CRDPolicy
from meshupgrade.domain.crd_changes import CRDChange, ExpectedCRD, Look
from meshupgrade.domain.scope import ScopeChange
from meshupgrade.phases.crds import told
from meshupgrade.phases.crds.bootstraps import Bootstrap, find_bootstraps
from meshupgrade.phases.crds.look import Looker
from meshupgrade.phases.crds.verify import crds_missing
from meshupgrade.phases.live_crds import known_crd
from meshupgrade.phases.shape import Work

__all__ = ["changes_of", "expected_of", "look_at_crds", "scope_changes_of"]


async def look_at_crds(work: Work) -> list[Finding]:
    """Put into the Work what would change, and give what the API server, and what is stored, have against it."""
    policy = work.spec.crds.policy
    if policy is CRDPolicy.SKIP:
        return []
    bootstraps = await find_bootstraps(work.tools.kube)
    looks = work.crd_looks = await Looker(work, bootstraps, known_crd).look_at_all(work.need_target().crds)
    findings = [finding for look in looks for finding in look.findings]
    if policy is CRDPolicy.VERIFY:
        return [*findings, *crds_missing(looks)]
    return [*findings, *_older_meshes(work, bootstraps, changes_of(looks))]


def changes_of(looks: Sequence[Look]) -> list[CRDChange]:
    """Give what would be applied."""
    return [look.change for look in looks if look.change is not None]


def scope_changes_of(looks: Sequence[Look]) -> list[ScopeChange]:
    """Give the changes of scope, which come before what is applied."""
    return [look.scope for look in looks if look.scope is not None]


def expected_of(looks: Sequence[Look]) -> dict[str, ExpectedCRD]:
    """Give what each CRD will be left as, by name."""
    return {look.name: look.expected for look in looks if look.expected is not None}


def _older_meshes(work: Work, bootstraps: Sequence[Bootstrap], changes: Sequence[CRDChange]) -> list[Finding]:
    """Tell of other, older meshes whose bootstraps replace the CRDs that change now."""
    version = work.version
    findings = []
    for other in bootstraps:
        if other.namespace == work.namespace or not other.replicas or not other.replaces:
            continue
        crds = [change.name for change in changes if change.live is not None and other.brings([change.group])]
        if crds and (other.version is None or other.version < version):
            findings.append(told.written_back(other, crds))
    return findings
