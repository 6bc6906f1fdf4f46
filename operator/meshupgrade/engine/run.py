"""One run: a MeshUpgrade taken from where it is, through the phases, as far as it goes.

Nothing is remembered between two runs but the object's own status. Each run reads the world, decides (plan), and only
then writes (apply), so a run that died anywhere is simply run again.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.conditions import AnyReason, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec, OnFailure
from meshupgrade.api.v1alpha1.status import Attempts, HistoryEntry, Phase, Remediation
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.exports import ExportBroken
from meshupgrade.domain.state import State, after_failure, backoff
from meshupgrade.domain.versions import parse_version
from meshupgrade.engine import history
from meshupgrade.engine.digest import input_digest
from meshupgrade.engine.finalizer import remove_finalizer, set_finalizer
from meshupgrade.engine.objects import has_finalizer, requested_at, spec_errors
from meshupgrade.engine.recovery import unlock_own
from meshupgrade.engine.report import Report, target_version
from meshupgrade.engine.status import StatusWriter
from meshupgrade.helm.errors import HelmTimedOut, HelmUnreachable
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.helm.repository import RepositoryUnreachable
from meshupgrade.kube.errors import Forbidden, KubeError, Unreachable
from meshupgrade.kube.readiness import Readiness, observe_readiness, workload_refs
from meshupgrade.oci import OCIError
from meshupgrade.phases import PHASES
from meshupgrade.phases.authority import check_authority
from meshupgrade.phases.crds import CRDs, clean, lift
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.rollback import Rollback
from meshupgrade.phases.shape import Busy, PhaseFailed, PhaseModule, PhasePlan, Superseded, Tools, Work
from meshupgrade.phases.values import find_base, resolve_values

__all__ = ["Run"]

logger = logging.getLogger(__name__)

RECHECK = {
    State.COMPLETED: 600.0,
    State.FAILED: 600.0,
    State.ROLLED_BACK: 600.0,
    State.ROLLBACK_FAILED: 600.0,
    State.REFUSED: 60.0,
    State.INVALID: 600.0,
}
"""Seconds until a mesh at rest is looked at again."""

SPENT = {
    Remediation.DONE: State.ROLLED_BACK,
    Remediation.FAILED: State.ROLLBACK_FAILED,
    Remediation.HELD: State.FAILED,
}
"""The state of rest of a target whose attempts are used up, by what became of it."""

UNFENCE_TIMEOUT = 10.0
"""Seconds that restoring what was held off may take on the way out; it takes milliseconds."""

BUSY_PAUSE = 5.0
"""Seconds between two looks at a release that somebody else works on."""

TRANSIENT = (Unreachable, HelmUnreachable, HelmTimedOut, RepositoryUnreachable, OCIError)
"""What is worth another try without anybody changing anything; counts against no budget.

Of an image, what is not transient is a finding of Preflight and does not come this far.
"""

AT_REST_PHASES = (Phase.MESH_CONFIG, Phase.DATA_PLANE, Phase.ADDONS)
"""The phases that are still looked at while the release is what the spec asks for."""


class Run:
    """One run for one object."""

    def __init__(self, tools: Tools, obj: Mapping[str, Any], kubernetes_version: str, failures: int) -> None:
        self._tools = tools
        self._obj = obj
        self._writer = StatusWriter(tools.kube, obj, scrub=tools.secrets.scrub_tree)
        self._report = Report(self._writer)
        self._kubernetes_version = kubernetes_version
        self._failures = failures
        self._values_digest = ""
        self._work_under_way: Work | None = None
        self.superseded = False
        """Set from outside when the spec changed meanwhile."""

        self.transient = False
        """Whether the run ended because something did not answer."""

    async def go(self) -> float:
        """Run, and give the seconds until the next run is due. Raises ObjectGone and Unreachable."""
        try:
            return await self._go()
        finally:
            await self._unfence_on_the_way_out()

    async def _go(self) -> float:
        try:
            spec = MeshUpgradeSpec.model_validate(self._obj["spec"])
            parse_version(spec.version)
        except ValidationError as error:
            return await self._invalid(spec_errors(error))
        except ValueError as error:
            return await self._invalid(f"spec.version: {error}")
        work = self._work_under_way = self._work(spec)
        resumed = await self._report.begun(work, requested_at(self._obj), self._kubernetes_version)
        try:
            return await self._advance(work, resumed=resumed)
        except Superseded:
            return 0.0
        except Busy as error:
            await self._report.retrying(Reason.PENDING, str(error))
            return BUSY_PAUSE
        except TRANSIENT as error:
            self.transient = True
            pause = backoff(self._failures + 1)
            await self._report.retrying(Reason.UNREACHABLE, f"{error}; tried again in {pause:.0f} s")
            return pause
        except PhaseFailed as error:
            return await self._fail(work, error.reason, str(error))
        except KubeError as error:
            return await self._fail(work, Reason.API_REJECTED, str(error))

    async def show_defect(self) -> None:
        """Tell the user that the operator itself failed."""
        await self._report.defect()

    async def _advance(self, work: Work, *, resumed: bool) -> float:
        await self._observe(work)
        await resolve_values(work)
        self._values_digest = work.values_digest
        spent = self._spent(work)
        if spent is Remediation.DUE:
            return await self._roll_back(work)
        if spent is not None:
            await self._report.unchanged()
            return await self._rest(work, SPENT[spent])
        if resumed and self._report.ready() and release_fits(work):
            return await self._look_after(work)
        work.half_way = self._half_way(work)
        work.authorities = self._report.status.history[0].authorities if work.half_way else ()
        findings, plans = await self._plan(work)
        blocking = await self._report.planned(work, findings)
        if not blocking:
            return await self._apply(work, plans)
        if work.half_way:
            # Half-way and cannot go on: that is a failed attempt, not a refusal.
            raise PhaseFailed(blocking[0].name, f"{blocking[0].message}. {blocking[0].remedy}")
        await self._report.refused(blocking)
        return await self._rest(work, State.REFUSED)

    def _work(self, spec: MeshUpgradeSpec) -> Work:
        return Work(
            tools=self._tools,
            namespace=str(self._writer.ref.namespace),
            uid=self._writer.uid,
            generation=self._writer.generation,
            spec=spec,
            distribution=load_distribution(spec.mesh.distribution),
            report=self._report.progress,
            helm_started=self._report.helm_started,
            superseded=lambda: self.superseded or self._writer.changed_meanwhile,
            migration=self._report.status.storage_migration,
            keep_migration=self._report.migration,
            fenced=has_finalizer(self._obj),
            values_set=self._report.status.values_set,
        )

    async def _observe(self, work: Work) -> None:
        """Read the release, unlock it when it is ours and abandoned, and see whether the mesh is healthy."""
        storage = work.storage
        work.revisions = await storage.revisions()
        if not work.revisions or work.revisions[0].status is ReleaseStatus.UNINSTALLED:
            # What `helm uninstall --keep-history` leaves is no release, for Helm too.
            self._report.observed(work, None)
            return
        if await unlock_own(storage, work.revisions[0], self._report.status.helm_process, work.uid):
            work.revisions = await storage.revisions()
        deployed = (stored for stored in work.revisions if stored.status is ReleaseStatus.DEPLOYED)
        work.live = await storage.read(next(deployed, work.revisions[0]).revision)
        verified = self._last_verified(work)
        work.verified = verified.revision if verified is not None else None
        work.base = await find_base(work)
        self._report.observed(work, await _readiness(work))

    def _spent(self, work: Work) -> Remediation | None:
        """Give what becomes of the release when the attempts for these inputs are used up, else None."""
        attempts = self._report.status.attempts
        if attempts is None:
            return None
        if work.value_findings and attempts.remediation is Remediation.DUE:
            # The inputs cannot be read any more, which is no reason to leave the mesh half-way.
            return Remediation.DUE
        if attempts.input_digest != self._digest():
            return None
        if after_failure(attempts.count, work.spec.upgrade.retries) is not State.FAILED:
            return None
        return attempts.remediation or Remediation.HELD

    def _last_verified(self, work: Work) -> HistoryEntry | None:
        return history.last_verified(self._report.status.history, {stored.revision for stored in work.revisions})

    def _half_way(self, work: Work) -> bool:
        return history.half_way(self._report.status.history, target_version(work), self._digest())

    async def _plan(self, work: Work) -> tuple[list[Finding], list[PhasePlan]]:
        """Plan every phase before the first write; an Error keeps the later phases from planning."""
        findings: list[Finding] = []
        plans: list[PhasePlan] = []
        for phase in PHASES:
            try:
                plan = await phase.plan(work)
            except Forbidden as error:
                plan = PhasePlan([_forbidden(phase, error)])
            plans.append(plan)
            findings += plan.findings
            if any(finding.severity is Severity.ERROR for finding in plan.findings):
                break
        return findings, plans

    async def _apply(self, work: Work, plans: Sequence[PhasePlan]) -> float:
        if any(plan.changes for plan in plans) or work.half_way:
            self._report.opened(work, self._digest())
            self._writer.saw(await set_finalizer(work.tools.kube, self._writer.ref, work.uid))
        begun = False
        for phase, plan in zip(PHASES, plans, strict=True):
            writes = work.half_way or bool(plan.changes)
            await self._report.phase_begun(phase, work, tell=writes and not begun)
            begun = begun or writes
            outcome = await phase.apply(work)
            self._report.phase_done(phase, work, outcome)
            if phase.name is Phase.CONTROL_PLANE:
                self._report.verified(work)
                self._report.observed(work, await _readiness(work))
                await self._check_crds_again(work)
                await check_authority(work)
        self._report.counted(work)
        superseded = work.superseded()
        await self._report.completed(work, superseded=superseded)
        rest = await self._rest(work, State.COMPLETED)
        return 0.0 if superseded else rest

    async def _check_crds_again(self, work: Work) -> None:
        """See what the new bootstrap, or another one, made of the CRDs meanwhile."""
        for phase in PHASES:
            if isinstance(phase, CRDs) and (outcome := await phase.after_control_plane(work)):
                self._report.looked_after(phase, outcome)

    async def _unfence(self) -> None:
        """Restore what was held off while CRDs changed; the finalizer tells of a run that died with it."""
        work = self._work_under_way
        if work.fenced if work is not None else has_finalizer(self._obj):
            await lift(self._tools.kube, self._writer.uid)
        if work is not None:
            work.fenced = False

    async def _unfence_on_the_way_out(self) -> None:
        try:
            async with asyncio.timeout(UNFENCE_TIMEOUT):
                await self._unfence()
        except (KubeError, TimeoutError) as error:
            # The finalizer is still set: the next run, or the deletion of the object, does it.
            logger.warning("%s: what is held off for it could not be restored now: %s", self._writer.ref, error)

    async def _look_after(self, work: Work) -> float:
        """Look after a mesh at rest: keep the MeshConfig as the spec says, and count again."""
        for phase in PHASES:
            if phase.name in AT_REST_PHASES:
                self._report.looked_after(phase, await phase.apply(work))
        self._report.counted(work)
        await self._report.unchanged()
        return await self._rest(work, State.COMPLETED)

    async def _rest(self, work: Work, state: State) -> float:
        """Let go of the object: at rest nothing is held off, and nothing holds up its deletion."""
        await self._unfence()
        if state is State.COMPLETED:
            await self._clean(work)
        await remove_finalizer(work.tools.kube, self._writer.ref, work.uid)
        return RECHECK[state]

    async def _clean(self, work: Work) -> None:
        """Remove the exports that changes of scope needed; what cannot be removed now is when it is looked at next."""
        try:
            await clean(work)
        except (KubeError, ExportBroken) as error:
            logger.warning("%s: exports could not be removed now: %s", self._writer.ref, error)

    async def _fail(self, work: Work, reason: AnyReason, message: str) -> float:
        """Count a failed attempt; try again later, or, when the budget is spent, go back or stop."""
        before, digest = self._report.status.attempts, self._digest()
        count = before.count + 1 if before is not None and before.input_digest == digest else 1
        attempts = Attempts(
            input_digest=digest, count=count, reason=reason, message=self._tools.secrets.scrub(message)[:4000]
        )
        retries = work.spec.upgrade.retries
        if after_failure(count, retries) is not State.FAILED:
            pause = backoff(count)
            await self._report.failed(attempts, reason, pause, retries + 1)
            return pause
        remediation, why = self._remedy(work)
        await self._report.gave_up(attempts.model_copy(update={"remediation": remediation}), reason, why)
        return 0.0 if remediation is Remediation.DUE else await self._rest(work, State.FAILED)

    def _remedy(self, work: Work) -> tuple[Remediation, str]:
        """Decide what becomes of the release, and say why it is not rolled back when it is not."""
        status = self._report.status
        blocked = next((item for item in status.findings if item.name is FindingName.ROLLBACK_BLOCKED), None)
        if work.spec.upgrade.on_failure is OnFailure.HOLD:
            return Remediation.HELD, "spec.upgrade.onFailure is Hold: it is left as it is, for inspection"
        if blocked is not None:
            return Remediation.HELD, f"It is left as it is, since a rollback could not start: {blocked.message}"
        verified = self._last_verified(work)
        if verified is None:
            return Remediation.HELD, "It is left as it is: no stored revision was ever seen healthy, to go back to"
        if (verified.version, verified.revision) == (target_version(work), work.revisions[0].revision):
            return Remediation.HELD, "It is left as it is: the control plane itself is verified at this version"
        return Remediation.DUE, f"It is rolled back to revision {verified.revision}"

    async def _roll_back(self, work: Work) -> float:
        """Bring the release back to its last verified revision: once, whatever comes of it."""
        phase = Rollback()
        self._writer.saw(await set_finalizer(work.tools.kube, self._writer.ref, work.uid))
        await self._report.rollback_begun(phase, work)
        try:
            outcome = await phase.apply(work)
        except TRANSIENT:
            raise
        except (PhaseFailed, KubeError) as error:
            reason = error.reason if isinstance(error, PhaseFailed) else Reason.API_REJECTED
            await self._report.rollback_failed(reason, str(error))
            return await self._rest(work, State.ROLLBACK_FAILED)
        self._report.observed(work, await _readiness(work))
        await self._report.rolled_back(work, outcome)
        return await self._rest(work, State.ROLLED_BACK)

    async def _invalid(self, message: str) -> float:
        await self._report.invalid(message)
        return RECHECK[State.INVALID]

    def _digest(self) -> str:
        return input_digest(dict(self._obj["spec"]), requested_at(self._obj), self._values_digest)


async def _readiness(work: Work) -> Readiness:
    assert work.live is not None
    return await observe_readiness(work.tools.kube, workload_refs(work.live.objects(), work.namespace))


def _forbidden(phase: PhaseModule, error: Forbidden) -> Finding:
    return Finding(
        name=FindingName.FORBIDDEN,
        severity=Severity.ERROR,
        phase=phase.name,
        message=error.message,
        remedy="Give the operator's account the right that is named.",
    )
