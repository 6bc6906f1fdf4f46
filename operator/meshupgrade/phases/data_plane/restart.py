"""The restart of one workload begins with our annotation on its Pod template.

Whoever patches an annotation of his own on the template undoes nothing of anybody, and nobody who applies the workload
from git takes it away: it is in nobody's manifest. All that is ever written is the two annotations.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any

from meshupgrade.api.v1alpha1.conditions import AnyReason, Reason
from meshupgrade.api.v1alpha1.data_plane import Restart
from meshupgrade.api.v1alpha1.names import RESTARTED_AT, RESTARTED_FOR
from meshupgrade.api.v1alpha1.rules import parse_duration
from meshupgrade.domain.restarts import next_value
from meshupgrade.domain.sidecars import Images
from meshupgrade.kube.causes import Cause, of_data_plane
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.diagnosis import diagnose
from meshupgrade.kube.errors import ApiStatusError, Conflict, NotFound
from meshupgrade.phases.data_plane.in_use import PodUse, WorkloadUse, find_pods_of
from meshupgrade.phases.data_plane.live import Live, LiveWorkloads
from meshupgrade.phases.data_plane.selection import is_left
from meshupgrade.phases.shape import Work

__all__ = ["End", "Failed", "Restarts", "late", "mark"]

PARALLEL = 8
"""How many workloads are written, or looked at, at the same time."""

CONFLICTS = 5
"""How often a workload that somebody else writes, too, is decided anew at once."""

MOST_DIAGNOSES = 10


class End(Enum):
    """How the restart of a workload ended, unless it failed."""

    DONE = auto()
    BACK = auto()
    """It was not touched, since it is not as it was when it was chosen."""


@dataclass(frozen=True)
class Failed:
    """A workload that did not come back."""

    ref: ObjectRef
    reason: AnyReason
    why: str

    def __str__(self) -> str:
        return f"{self.ref}: {self.why}"


@dataclass
class Restarts:
    """What all workloads of a run have in common."""

    work: Work
    live: LiveWorkloads
    target: str
    images: Images
    seen: dict[ObjectRef, tuple[int, bool]]
    """By workload, its generation and whether it was ready, when its Pods were looked at."""

    diagnoses: int = MOST_DIAGNOSES
    """How many more workloads that are late are looked into."""

    limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))

    @property
    def always(self) -> bool:
        """Whether Pods that run what is wanted are replaced, too."""
        return self.work.spec.data_plane.restart is Restart.ALWAYS

    @property
    def seconds(self) -> float:
        """How long the workloads of a wave may take."""
        return parse_duration(self.work.spec.wave_timeout).total_seconds()

    async def pods_of(self, live: Live) -> WorkloadUse:
        """Look at the Pods of a workload. Raises the errors of kube."""
        async with self.limit:
            return await find_pods_of(self.work, live.as_object(), self.images)

    async def diagnose(self, workload: Mapping[str, Any]) -> Cause | None:
        """Give why a workload is not ready, and what to do, as its Pods and Events tell. Raises the errors of kube."""
        facts = self.work.distribution.sidecar
        advice = of_data_plane([facts.container, facts.init_container])
        async with self.limit:
            return await diagnose(
                self.work.tools.kube, str(workload["metadata"]["namespace"]), [workload], lambda _: advice
            )

    def is_left(self, pod: PodUse, live: Live) -> bool:
        """Tell whether a Pod still has to be replaced."""
        return is_left(pod, live, self.target, always=self.always)


async def mark(restarts: Restarts, ref: ObjectRef, at: datetime) -> End | Failed:
    """Put the annotations on the template of a workload, which starts its rollout.

    DONE when it has them, or is gone, or needs them no more. Each write is guarded: whoever wrote in between makes us
    look again. Raises the errors of kube that are worth another try.
    """
    work, live = restarts.work, restarts.live.get(ref)
    value = next_value(live.restarted_for, restarts.target) if live is not None else ""
    for _ in range(CONFLICTS):
        if live is None or live.restarted_for == value:
            return End.DONE
        if not live.ready or live.paused:
            return End.BACK
        if restarts.seen.get(ref) != (live.generation, True):
            # Somebody changed it after its Pods were looked at.
            use = await restarts.pods_of(live)
            restarts.seen[ref] = (live.generation, live.ready)
            if not any(restarts.is_left(pod, live) for pod in use.pods):
                return End.DONE
            continue
        annotations = {RESTARTED_FOR: value, RESTARTED_AT: f"{at:%Y-%m-%dT%H:%M:%SZ}"}
        patch = {
            "metadata": {"uid": live.uid, "resourceVersion": live.version},
            "spec": {"template": {"metadata": {"annotations": annotations}}},
        }
        try:
            async with restarts.limit:
                restarts.live.put(await work.tools.kube.merge_patch(ref, patch))
        except Conflict:
            await restarts.live.refresh(ref)
        except NotFound:
            return End.DONE
        except ApiStatusError as error:
            return Failed(ref, Reason.API_REJECTED, f"the API server refuses its restart: {error.message[:500]}")
        live = restarts.live.get(ref)
    return End.BACK


async def late(restarts: Restarts, ref: ObjectRef) -> Failed | None:
    """Give why a workload is not ready, as its Pods tell; None when it is after all, or is gone.

    Raises the errors of kube that are worth another try.
    """
    obj = await restarts.live.refresh(ref)
    live = restarts.live.get(ref)
    if obj is None or live is None or live.ready:
        return None
    what = f"it gave up: {live.stuck}" if live.stuck else f"it is not ready after {restarts.work.spec.wave_timeout}"
    if live.paused:
        return Failed(ref, Reason.UNHEALTHY, f"{what}: its rollout is paused; resume it with kubectl rollout resume")
    if restarts.diagnoses <= 0:
        return Failed(ref, Reason.TIMED_OUT, what)
    restarts.diagnoses -= 1
    cause = await restarts.diagnose(obj)
    if cause is None:
        return Failed(ref, Reason.TIMED_OUT, f"{what}; its Pods do not say why")
    return Failed(ref, cause.reason, f"{what}. {cause}")
