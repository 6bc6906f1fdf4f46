"""Phase 4, ControlPlane: the Helm upgrade, and the watch over its workloads until they are ready."""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.errors import HelmError, HelmTimedOut, HelmUnreachable, ReleaseLocked, WebhookUnreachable
from meshupgrade.helm.process import Child
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.diagnosis import Cause, diagnose
from meshupgrade.kube.readiness import Readiness, observe_readiness, workload_refs
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.preflight.objects import immutable_objects
from meshupgrade.phases.shape import Busy, Outcome, PhaseFailed, PhasePlan, Superseded, Work

__all__ = ["ControlPlane"]

FIRST_LOOK, LAST_LOOK = 0.2, 2.0
"""Seconds between two looks at the workloads, growing."""

DIAGNOSE_EVERY = 5.0
"""Seconds between two diagnoses, which read Pods and logs."""


class ControlPlane:
    """Drives Helm. A revision is good only when its workloads were seen ready."""

    name = Phase.CONTROL_PLANE
    condition = ConditionType.CONTROL_PLANE_UPGRADED

    async def plan(self, work: Work) -> PhasePlan:
        """Say whether Helm has anything to do; what speaks against it, Preflight has found."""
        if release_fits(work):
            return PhasePlan()
        rendered = work.need_target().rendered
        return PhasePlan(changes=[f"helm upgrade of {work.release} to {rendered.chart_name} {rendered.chart_version}"])

    async def apply(self, work: Work) -> Outcome:
        """Upgrade the release unless it already is what the spec asks for, then wait for its workloads."""
        upgraded = not release_fits(work)
        if upgraded:
            await self._upgrade(work)
        assert work.live is not None
        readiness = await self._wait(work, workload_refs(work.live.objects(), work.namespace))
        work.revision = work.live.revision
        return Outcome(
            Reason.DONE if upgraded else Reason.NOTHING_TO_DO,
            f"release {work.release} is at revision {work.live.revision}, chart {work.live.chart_version}; "
            f"{readiness.summary()}",
        )

    async def _upgrade(self, work: Work) -> None:
        target = work.need_target()
        if work.accepts(FindingName.IMMUTABLE_FIELD_CHANGED):
            await self._delete_immutable(work)
        await work.report(f"helm upgrade of {work.release} to {target.rendered.chart_version}")
        request = dataclasses.replace(target.request, wait=target.rendered.has_post_upgrade_hook())

        async def started(child: Child, seconds: float) -> None:
            await work.helm_started(work.revisions[0].revision + 1, child, seconds)

        try:
            work.live = await work.tools.helm.upgrade(request, started)
        except HelmUnreachable:
            raise
        except ReleaseLocked as error:
            raise Busy(f"another Helm operation works on release {work.release}; it is waited for") from error
        except HelmTimedOut as error:
            cause = await _cause(work, await observe_readiness(work.tools.kube, _targets(work)))
            text = f"{error}. {cause}" if cause else str(error)
            raise PhaseFailed(cause.reason if cause else Reason.TIMED_OUT, text) from error
        except WebhookUnreachable as error:
            raise PhaseFailed(Reason.WEBHOOK_UNREACHABLE, f"helm upgrade failed: {error}") from error
        except HelmError as error:
            raise PhaseFailed(Reason.HELM_FAILED, f"helm upgrade failed: {error}") from error
        work.revisions = await work.storage.revisions()

    async def _delete_immutable(self, work: Work) -> None:
        """Delete what can only be changed by deleting it, so that Helm creates it again; the risk was accepted."""
        for ref in await immutable_objects(work):
            live = await work.tools.kube.find(ref)
            if live is not None:
                await work.report(f"deleting {ref}, which cannot be changed in place")
                await work.tools.kube.delete(ref, uid=live["metadata"]["uid"])

    async def _wait(self, work: Work, refs: Sequence[ObjectRef]) -> Readiness:
        """Wait until all workloads are ready, saying meanwhile what is waited for and why it does not come."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + work.timeout.total_seconds()
        pause, diagnosed, cause = FIRST_LOOK, loop.time(), None
        while True:
            readiness = await observe_readiness(work.tools.kube, refs)
            if readiness.ready:
                return readiness
            late = loop.time() >= deadline
            if late or loop.time() - diagnosed >= DIAGNOSE_EVERY:
                diagnosed, cause = loop.time(), await _cause(work, readiness)
            if late:
                raise _not_ready(work, readiness, cause)
            if cause is not None and work.superseded():
                raise Superseded(f"the spec changed while {readiness.summary()}: {cause.message}")
            await work.report(f"{readiness.summary()}{f' ({cause.message})' if cause else ''}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LAST_LOOK)


def _targets(work: Work) -> list[ObjectRef]:
    return workload_refs(work.need_target().rendered.objects(), work.namespace)


async def _cause(work: Work, readiness: Readiness) -> Cause | None:
    """Diagnose with the bootstrap first: the controllers wait for it, so its failure looks like theirs."""

    def others_later(workload: Mapping[str, Any]) -> bool:
        return bool(workload["metadata"]["name"] != work.distribution.bootstrap.deployment)

    return await diagnose(work.tools.kube, work.namespace, sorted(readiness.unready, key=others_later))


def _not_ready(work: Work, readiness: Readiness, cause: Cause | None) -> PhaseFailed:
    text = f"the control plane is not ready after {work.spec.upgrade.timeout}: {readiness.summary()}"
    if cause is None:
        return PhaseFailed(Reason.TIMED_OUT, f"{text}; its Pods do not say why")
    return PhaseFailed(cause.reason, f"{text}. {cause}")
