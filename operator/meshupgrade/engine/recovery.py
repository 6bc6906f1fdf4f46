"""A pending Helm release that is provably ours and that nobody works on any more is unlocked, and no other one.

The proof has two halves. That it is ours: the stored revision carries our label, which Helm writes with the pending
revision itself. That its process is gone: it was recorded, before it did anything, with its host, boot, id and start;
on the same boot of the same host it can be looked up, and from elsewhere its deadline, after which its own operator has
ended it, must have passed.
"""

from datetime import UTC, datetime, timedelta

from meshupgrade.api.v1alpha1.names import OWNER_LABEL, owner_value
from meshupgrade.api.v1alpha1.status import HelmProcess
from meshupgrade.helm.process import GRACE, boot_id, is_running
from meshupgrade.helm.storage import ReleaseStorage, StoredRevision
from meshupgrade.phases.shape import Busy

__all__ = ["is_gone", "unlock_own"]


async def unlock_own(storage: ReleaseStorage, newest: StoredRevision, process: HelmProcess | None, uid: str) -> bool:
    """Mark the newest revision failed when it is pending, ours and abandoned; tell whether it was.

    Raises Busy while a process of ours may still work on it. One that is not ours is left alone.
    """
    ours = newest.labels.get(OWNER_LABEL) == owner_value(uid, newest.revision)
    if not newest.status.pending or not ours or process is None or process.revision != newest.revision:
        return False
    if not is_gone(process, datetime.now(UTC)):
        raise Busy(f"Helm process {process.pid} on {process.host} may still work on revision {newest.revision}")
    await storage.mark_failed(newest.revision, "the operator that ran it was ended")
    return True


def is_gone(process: HelmProcess, at: datetime) -> bool:
    """Tell whether the recorded process cannot be running any more."""
    if process.host == boot_id():
        return not is_running(process.pid, process.started_ticks)
    return at > process.deadline + timedelta(seconds=GRACE)
