"""The watch over the workloads of a release until they are ready, and what Helm's failures mean."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.helm.errors import HelmError, HelmTimedOut, HelmUnreachable, ReleaseLocked, WebhookUnreachable
from meshupgrade.kube.causes import Cause
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.diagnosis import diagnose
from meshupgrade.kube.readiness import Readiness, observe_readiness, watch_readiness
from meshupgrade.phases.addon_images import advice_for
from meshupgrade.phases.shape import Busy, PhaseFailed, Superseded, Work

__all__ = ["helm_failure", "wait_healthy"]

LOOK_AGAIN = 2.0
"""Seconds between two looks at the workloads while none of them becomes ready."""

DIAGNOSE_EVERY = 5.0
"""Seconds between two diagnoses, which read Pods and logs."""


async def wait_healthy(work: Work, refs: Sequence[ObjectRef], *, what: str) -> Readiness:
    """Wait until all workloads are ready, saying meanwhile what is waited for and why it does not come.

    Raises PhaseFailed after spec.upgrade.timeout, with the cause that the Pods show, and Superseded when the spec
    changed and a cause is known.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + work.timeout.total_seconds()
    diagnosed, cause = loop.time(), None
    async with watch_readiness(work.tools.kube, refs) as one_more:
        while True:
            readiness = await observe_readiness(work.tools.kube, refs)
            if readiness.ready:
                return readiness
            late = loop.time() >= deadline
            if late or loop.time() - diagnosed >= DIAGNOSE_EVERY:
                diagnosed, cause = loop.time(), await _cause(work, readiness)
            if late:
                raise _not_ready(work, what, readiness, cause)
            if cause is not None and work.superseded():
                raise Superseded(f"the spec changed while {readiness.summary()}: {cause.message}")
            await work.report(f"{readiness.summary()}{f' ({cause.message})' if cause else ''}")
            await one_more(max(0.05, min(LOOK_AGAIN, deadline - loop.time())))


async def helm_failure(work: Work, action: str, error: HelmError, refs: Sequence[ObjectRef]) -> Exception:
    """Give the error of a phase for a failure of Helm, with what the workloads say when it ran out of time.

    What did not answer, or is at work elsewhere, counts as no attempt: HelmUnreachable, Busy.
    """
    match error:
        case HelmUnreachable():
            return error
        case ReleaseLocked():
            return Busy(f"another Helm operation works on release {work.release}; it is waited for")
        case HelmTimedOut():
            cause = await _cause(work, await observe_readiness(work.tools.kube, refs))
            text = f"{error}. {cause}" if cause else str(error)
            return PhaseFailed(cause.reason if cause else Reason.TIMED_OUT, text)
        case WebhookUnreachable():
            return PhaseFailed(Reason.WEBHOOK_UNREACHABLE, f"{action} failed: {error}")
    return PhaseFailed(Reason.HELM_FAILED, f"{action} failed: {error}")


async def _cause(work: Work, readiness: Readiness) -> Cause | None:
    """Diagnose with the bootstrap first: the controllers wait for it, so its failure looks like theirs."""

    def others_later(workload: Mapping[str, Any]) -> bool:
        return bool(workload["metadata"]["name"] != work.distribution.bootstrap.deployment)

    unready = sorted(readiness.unready, key=others_later)
    return await diagnose(work.tools.kube, work.namespace, unready, lambda workload: advice_for(work, workload))


def _not_ready(work: Work, what: str, readiness: Readiness, cause: Cause | None) -> PhaseFailed:
    text = f"{what} is not ready after {work.spec.upgrade.timeout}: {readiness.summary()}"
    if cause is None:
        return PhaseFailed(Reason.TIMED_OUT, f"{text}; its Pods do not say why")
    return PhaseFailed(cause.reason, f"{text}. {cause}")
