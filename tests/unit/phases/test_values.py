"""From which release values are reused."""

import pytest

from meshupgrade.api.v1alpha1.names import OWNER_LABEL, owner_value
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.helm.storage import StoredRevision
from meshupgrade.phases.values import base_revision
from tests.unit.phases.works import make_work

DEPLOYED, SUPERSEDED, FAILED = ReleaseStatus.DEPLOYED, ReleaseStatus.SUPERSEDED, ReleaseStatus.FAILED


def stored(revision: int, status: ReleaseStatus, *, ours: bool) -> StoredRevision:
    # Helm hands labels on: one that others make after us carries our label, with the number of ours.
    label = owner_value("u1", revision if ours else 1)
    return StoredRevision(revision, status, {OWNER_LABEL: label} if ours or revision > 1 else {})


@pytest.mark.parametrize(
    ("revisions", "verified", "base"),
    [
        # Nobody but others was here.
        ([stored(1, DEPLOYED, ours=False)], None, 1),
        # Ours is verified.
        ([stored(2, DEPLOYED, ours=True), stored(1, SUPERSEDED, ours=False)], 2, 2),
        # Ours is deployed and was never seen healthy, or failed.
        ([stored(2, DEPLOYED, ours=True), stored(1, SUPERSEDED, ours=False)], None, 1),
        ([stored(3, FAILED, ours=True), stored(2, SUPERSEDED, ours=True), stored(1, SUPERSEDED, ours=False)], 2, 2),
        # Others upgraded after us, and that worked.
        ([stored(3, DEPLOYED, ours=False), stored(2, SUPERSEDED, ours=True)], 2, 3),
        # Or did not.
        ([stored(3, FAILED, ours=False), stored(2, DEPLOYED, ours=True)], 2, 2),
        # A first install of ours that failed: there is nothing else.
        ([stored(1, FAILED, ours=True)], None, None),
        ([], None, None),
    ],
)
def test_the_newest_that_was_verified_or_that_others_made(
    revisions: list[StoredRevision], verified: int | None, base: int | None
) -> None:
    work = make_work()
    work.revisions, work.verified = revisions, verified
    assert base_revision(work) == base
