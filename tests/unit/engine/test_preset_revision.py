"""By which stored revision the MeshConfig is judged."""

import pytest

from meshupgrade.engine.observation import preset_revision
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.helm.storage import StoredRevision
from tests.unit.phases.works import make_work


def stored(revision: int, made: str = "", status: str = "superseded") -> StoredRevision:
    return StoredRevision(revision, ReleaseStatus(status), {"meshupgrade.io/owner": made} if made else {})


FIRST = stored(1)


@pytest.mark.parametrize(
    ("revisions", "merged", "expected"),
    [
        ([], None, None),
        # Nothing is recorded yet: what others made last, and had in use.
        ([FIRST], None, 1),
        ([stored(2), FIRST], None, 2),
        ([stored(2, status="failed"), FIRST], None, 1),
        ([stored(2, status="pending-upgrade"), FIRST], None, 1),
        ([stored(2, "u1.2", "deployed"), FIRST], None, 1),
        ([stored(3, "u1.3", "failed"), stored(2, "u1.2", "failed"), FIRST], None, 1),
        # It is recorded.
        ([stored(2, "u1.2", "deployed"), FIRST], 2, 2),
        ([stored(3, "u1.3", "deployed"), stored(2, "u1.2"), FIRST], 2, 2),
        # Others went on meanwhile; Helm handed our label on to what they made.
        ([stored(3, "u1.2", "deployed"), stored(2, "u1.2"), FIRST], 2, 3),
        ([stored(3, "", "deployed"), stored(2, "u1.2"), FIRST], 2, 3),
        ([stored(3, "other.3", "deployed"), stored(2, "u1.2"), FIRST], 2, 3),
        # A rollback of ours started from a revision, and wrote its own number into its label.
        ([stored(4, "u1.4", "deployed"), stored(3, "u1.3"), stored(2, "u1.4"), FIRST], 1, 1),
        # Helm does not have it any more.
        ([stored(9, "u1.9", "deployed")], 2, None),
        ([stored(9, "u1.9", "deployed"), stored(8)], 2, 8),
    ],
)
def test_by_which_revision(revisions: list[StoredRevision], merged: int | None, expected: int | None) -> None:
    work = make_work()
    work.revisions = revisions
    assert preset_revision(work, merged) == expected
