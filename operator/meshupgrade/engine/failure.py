"""What becomes of an attempt that failed: another one, one rollback, or nothing more."""

from contextlib import suppress

from meshupgrade.api.v1alpha1.conditions import AnyReason, Reason
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.spec import OnFailure
from meshupgrade.api.v1alpha1.status import Attempts, Remediation
from meshupgrade.domain.state import State, after_failure, backoff
from meshupgrade.engine.mesh_config_history import to_undo
from meshupgrade.engine.observation import last_verified
from meshupgrade.engine.planning import LATER
from meshupgrade.engine.session import Session, readiness_of
from meshupgrade.helm.errors import HelmTimedOut, HelmUnreachable
from meshupgrade.helm.repository import RepositoryUnreachable
from meshupgrade.kube.errors import KubeError, Unreachable
from meshupgrade.oci import OCIError
from meshupgrade.phases.data_plane import DataPlane
from meshupgrade.phases.rollback import Rollback
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["SPENT", "TRANSIENT", "fail", "roll_back"]

SPENT = {
    Remediation.DONE: State.ROLLED_BACK,
    Remediation.FAILED: State.ROLLBACK_FAILED,
    Remediation.HELD: State.FAILED,
}
"""The state of rest of a target whose attempts are used up, by what became of it."""

TRANSIENT = (Unreachable, HelmUnreachable, HelmTimedOut, RepositoryUnreachable, OCIError)
"""What is worth another try without anybody changing anything; counts against no budget.

Of an image, what is not transient is a finding of Preflight and does not come this far.
"""


async def fail(session: Session, work: Work, reason: AnyReason, message: str) -> float:
    """Count a failed attempt; try again later, or, when the budget is spent, go back or stop."""
    before, digest = session.report.status.attempts, session.digest()
    count = before.count + 1 if before is not None and before.input_digest == digest else 1
    attempts = Attempts(
        input_digest=digest, count=count, reason=reason, message=session.tools.secrets.scrub(message)[:4000]
    )
    retries = work.spec.upgrade.retries
    if after_failure(count, retries) is not State.FAILED:
        pause = backoff(count)
        await session.report.failed(attempts, reason, pause, retries + 1)
        return pause
    remediation, why = _remedy(session, work)
    await session.report.gave_up(attempts.model_copy(update={"remediation": remediation}), reason, why)
    return 0.0 if remediation is Remediation.DUE else await session.rest(work, State.FAILED)


def _remedy(session: Session, work: Work) -> tuple[Remediation, str]:
    """Decide what becomes of the release, and say why it is not rolled back when it is not."""
    status = session.report.status
    found = (item for item in status.findings if item.name is FindingName.ROLLBACK_BLOCKED)
    blocked = next((item for item in found if not item.message.startswith(LATER)), None)
    if work.spec.upgrade.on_failure is OnFailure.HOLD:
        return Remediation.HELD, "spec.upgrade.onFailure is Hold: it is left as it is, for inspection"
    if blocked is not None:
        return Remediation.HELD, f"It is left as it is, since a rollback could not start: {blocked.message}"
    verified = last_verified(session, work)
    if verified is None:
        return Remediation.HELD, "It is left as it is: no stored revision was ever seen healthy, to go back to"
    if (verified.version, verified.revision) == (str(work.version), work.revisions[0].revision):
        return Remediation.HELD, "It is left as it is: the control plane itself is verified at this version"
    return Remediation.DUE, f"It is rolled back to revision {verified.revision}"


async def roll_back(session: Session, work: Work) -> float:
    """Bring the release back to its last verified revision: once, whatever comes of it."""
    attempts = session.report.status.attempts
    if attempts is not None and attempts.revision is not None:
        work.verified = attempts.revision
    entries = session.report.status.history
    target = next((entry for entry in entries if entry.verified and entry.revision == work.verified), None)
    work.undo = to_undo(entries, target.version, target.revision) if target is not None else []
    phase = Rollback()
    await session.hold_on(work)
    await session.report.rollback_begun(phase, work)
    try:
        outcome = await phase.apply(work)
    except TRANSIENT:
        raise
    except (PhaseFailed, KubeError) as error:
        reason = error.reason if isinstance(error, PhaseFailed) else Reason.API_REJECTED
        await session.report.rollback_failed(reason, str(error))
        return await session.rest(work, State.ROLLBACK_FAILED)
    session.report.observed(work, await readiness_of(work))
    with suppress(KubeError):
        # Which sidecars run is told, and nothing depends on it.
        await DataPlane().count(work)
        session.report.counted(work)
    await session.report.rolled_back(work, outcome)
    return await session.rest(work, State.ROLLED_BACK)
