"""ReleasePending: another Helm operation is in progress, or was and died."""

from datetime import UTC, datetime, timedelta

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.phases.shape import Busy, Work

PATIENCE = timedelta(minutes=10)
"""How long a pending release of somebody else is taken to be worked on; twice Helm's default timeout."""


async def check(work: Work) -> list[Finding]:
    """Give the finding for a release that somebody else left pending.

    Raises Busy while it may still be worked on. One that is ours was unlocked before, when its process is gone.
    """
    if not work.revisions:
        return []
    newest = work.revisions[0] if work.revisions else None
    if newest is None or not newest.status.pending:
        return []
    release = await work.storage.read(newest.revision)
    what = f"release {work.release} revision {newest.revision} is {newest.status}"
    if release.updated is not None and datetime.now(UTC) - release.updated < PATIENCE:
        raise Busy(f"{what}: another Helm operation is in progress; it is waited for")
    return [
        Finding(
            name=FindingName.RELEASE_PENDING,
            severity=Severity.ERROR,
            phase=Phase.PREFLIGHT,
            message=f"{what} since {release.updated}, and was not made by this MeshUpgrade: another Helm operation is "
            "in progress, or died in the middle",
            remedy=f"Make sure that no Helm works on it, then clear it: helm rollback {work.release} "
            f"-n {work.namespace}.",
        )
    ]
