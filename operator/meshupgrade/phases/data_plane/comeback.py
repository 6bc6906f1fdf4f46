"""The restart of one workload goes on with its rollout, and ends with a look at what came of it."""

from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.names import FIELD_MANAGER, RESTARTED_FOR
from meshupgrade.domain.managed_fields import last_writer
from meshupgrade.domain.restarts import is_for
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.eviction import replace_pods
from meshupgrade.phases.data_plane.restart import End, Failed, Restarts, late

__all__ = ["bring_back"]

TEMPLATE = ("spec", "template")


async def bring_back(restarts: Restarts, ref: ObjectRef, deadline: float) -> End | Failed:
    """Wait until a workload has come back by the deadline, a time of the event loop, and look at its Pods.

    Raises the errors of kube that are worth another try.
    """
    await restarts.live.until(ref, lambda live: live is None or live.ready or bool(live.stuck), deadline)
    live = restarts.live.get(ref)
    # A watch may have missed the end.
    if live is not None and not live.ready and (failed := await late(restarts, ref)) is not None:
        return failed
    live = restarts.live.get(ref)
    if live is None:
        return End.DONE
    if live.one_by_one and (failed := await replace_pods(restarts, live, deadline)) is not None:
        return failed
    return await verify(restarts, ref)


async def verify(restarts: Restarts, ref: ObjectRef) -> End | Failed:
    """Look whether no Pod of a workload is left to be replaced, and say why one is."""
    live = restarts.live.get(ref)
    if live is None:
        return End.DONE
    use = await restarts.pods_of(live)
    bad = [pod for pod in use.pods if restarts.is_left(pod, live)]
    if not bad:
        return End.DONE
    obj = await restarts.live.refresh(ref)
    live = restarts.live.get(ref)
    if obj is None or live is None:
        return End.DONE
    some = f"{len(bad)} of {len(use.pods)} Pods, such as {bad[0].name},"
    if not is_for(live.restarted_for, restarts.target):
        return Failed(
            ref,
            Reason.RESTART_UNDONE,
            f"the annotation {RESTARTED_FOR} was taken off its Pod template, which {_undoer(obj)} wrote last, and "
            f"{some} are those of before; have whoever applies it leave that annotation alone",
        )
    return Failed(
        ref,
        Reason.INJECTION_BROKEN,
        f"{some} came back without the sidecar {restarts.images.sidecar}, although its rollout is complete",
    )


def _undoer(obj: Mapping[str, Any]) -> str:
    """Give who wrote the annotation, else the template, last beside us."""
    managed = obj["metadata"].get("managedFields") or []
    paths = ((*TEMPLATE, "metadata", "annotations", RESTARTED_FOR), TEMPLATE)
    writers = [last_writer(managed, path, without=FIELD_MANAGER) for path in paths]
    return next((writer for writer in writers if writer), "somebody")
