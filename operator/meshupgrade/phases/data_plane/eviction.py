"""Pods that no rollout replaces: evicted one at a time, each of which has to be back before the next one goes.

That is how a person does it for the strategy OnDelete, and for the Pods below the partition of a StatefulSet, which
come back from the template of before and are injected anew all the same.
"""

import asyncio
import re

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.errors import ApiStatusError, Conflict, EvictionForbidden
from meshupgrade.phases.data_plane.in_use import PodUse
from meshupgrade.phases.data_plane.live import Live
from meshupgrade.phases.data_plane.restart import Failed, Restarts, late

__all__ = ["replace_pods"]

LOOK_AGAIN = 1.0
"""Seconds between two looks at the Pods of a workload while one of them is replaced."""

TRY_AGAIN = 2.0
"""Seconds between two tries to evict a Pod that a PodDisruptionBudget keeps."""


async def replace_pods(restarts: Restarts, live: Live, deadline: float) -> Failed | None:
    """Evict the Pods of a workload that are still those of before, one by one; give why not when that fails.

    A Pod that came back as it was is not evicted again. Raises the errors of kube that are worth another try.
    """
    use = await restarts.pods_of(live)
    left = sorted((pod for pod in use.pods if restarts.is_left(pod, live)), key=_last_first)
    for pod in left:
        if (failed := await _evict(restarts, live, pod, deadline)) is not None:
            return failed
        if not await _replaced(restarts, live, pod, len(use.pods), deadline):
            why = f"Pod {pod.name} was evicted, and none is ready in its place in {restarts.work.spec.wave_timeout}"
            return await late(restarts, live.ref) or Failed(live.ref, Reason.TIMED_OUT, why)
    return None


async def _evict(restarts: Restarts, live: Live, pod: PodUse, deadline: float) -> Failed | None:
    loop, said = asyncio.get_running_loop(), ""
    while True:
        try:
            async with restarts.limit:
                await restarts.work.tools.kube.evict(pod.namespace, pod.name, uid=pod.uid)
            return None
        except EvictionForbidden as error:
            said = error.message
        except Conflict as error:
            if await _is_gone(restarts, live, pod):
                return None
            said = error.message
        except ApiStatusError as error:
            return Failed(live.ref, Reason.API_REJECTED, f"Pod {pod.name} cannot be evicted: {error.message[:500]}")
        if loop.time() >= deadline:
            return Failed(
                live.ref,
                Reason.DISRUPTION_FORBIDDEN,
                f"Pod {pod.name} cannot be evicted: {said} Let its PodDisruptionBudget allow it, or have the workload "
                "left alone by the annotation meshupgrade.io/restart: Never",
            )
        await asyncio.sleep(TRY_AGAIN)


async def _is_gone(restarts: Restarts, live: Live, pod: PodUse) -> bool:
    """Tell whether another Pod may have the name by now, and not only somebody has written the Pod meanwhile."""
    return all(one.uid != pod.uid for one in (await restarts.pods_of(live)).pods)


async def _replaced(restarts: Restarts, live: Live, pod: PodUse, wanted: int, deadline: float) -> bool:
    """Wait until as many Pods as before, or as are wanted by now, are ready without the one that was evicted."""
    loop = asyncio.get_running_loop()
    while True:
        use = await restarts.pods_of(live)
        ready = [one for one in use.pods if one.ready and one.uid != pod.uid]
        known = restarts.live.get(live.ref)
        if known is None or known.uid != live.uid:
            return True
        if len(ready) >= min(wanted, known.wanted) and all(one.uid != pod.uid for one in use.pods):
            return True
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(LOOK_AGAIN)


def _last_first(pod: PodUse) -> tuple[int, str]:
    """As a StatefulSet replaces its Pods: the highest ordinal first."""
    ordinal = re.search(r"-(\d+)$", pod.name)
    return (-int(ordinal[1]) if ordinal else 0, pod.name)
