"""Which workloads of the mesh have to be restarted for a target, and which are left alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.data_plane import DataPlaneSpec, Restart
from meshupgrade.api.v1alpha1.status import RestartStatus
from meshupgrade.domain.label_selectors import selects
from meshupgrade.domain.restarts import is_for
from meshupgrade.domain.sidecars import SidecarState
from meshupgrade.domain.waves import wave_size
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.in_use import InUse, PodUse
from meshupgrade.phases.data_plane.live import Live, opted_out
from meshupgrade.phases.data_plane.pods import asks_for_injection
from meshupgrade.phases.shape import Work

__all__ = ["MOST_NAMED", "Selection", "is_left", "is_settled", "select"]

Find = Callable[[ObjectRef], Live | None]

MOST_NAMED = 10
"""How many failures RestartStatus.failed holds."""


@dataclass(frozen=True)
class Selection:
    """The workloads of the mesh, sorted by what becomes of them."""

    target: str
    size: int
    """How many may be restarted at a time."""

    due: tuple[ObjectRef, ...]
    """To be restarted, those of the canary first."""

    in_flight: tuple[ObjectRef, ...]
    """Those that have the annotation of the target already, and are not seen through."""

    done: int
    """How many were restarted for it, and came back."""

    excluded: tuple[ObjectRef, ...]
    """Those that somebody opted out."""

    given_up: tuple[ObjectRef, ...]
    """Those that failed in a restart that is over, and are not well since: they are not tried again for the target."""

    not_injected: tuple[ObjectRef, ...]
    """Those that would lose their sidecar, since injection is switched off for them by now."""

    @property
    def all(self) -> tuple[ObjectRef, ...]:
        """Those that there is something to do for."""
        return (*self.in_flight, *self.due)


def select(work: Work, in_use: InUse, find: Find, target: str) -> Selection:
    """Sort the workloads; ``find`` gives what is known of one, None when it is gone. Reads nothing."""
    spec, settled = work.spec.data_plane, is_settled(work.restart, target)
    unfinished = work.restart is not None and work.restart.target == target and not settled
    due, in_flight, given_up = list[ObjectRef](), list[ObjectRef](), list[ObjectRef]()
    excluded, not_injected = list[ObjectRef](), list[ObjectRef]()
    done = managed = 0
    for ref, use in in_use.workloads.items():
        live = find(ref)
        if live is None:
            continue
        namespace = in_use.namespaces.get(str(ref.namespace), {})
        if live.opted_out or is_excluded(spec, ref, namespace):
            excluded.append(ref)
            continue
        by_namespace = asks_for_injection({"name": ref.namespace, **namespace}, work.distribution, work.namespace)
        if not live.asks_injection[by_namespace]:
            not_injected.append(ref)
            continue
        managed += 1
        always = spec.restart is Restart.ALWAYS and not settled
        over = not any(is_left(pod, live, target, always=always) for pod in use.pods)
        mine = is_for(live.restarted_for, target)
        if settled and _was_given_up(work.restart, ref):
            given_up += [] if over and live.ready else [ref]
        elif mine and not live.ready and not settled and (unfinished or not over):
            in_flight.append(ref)
        elif over:
            done += mine
        elif mine and live.one_by_one:
            in_flight.append(ref)
        else:
            due.append(ref)
    canary = spec.canary.namespace if spec.canary is not None else None

    def place(ref: ObjectRef) -> tuple[bool, str, str, str]:
        return ref.namespace != canary, str(ref.namespace), ref.kind, ref.name

    return Selection(
        target=target,
        size=wave_size(spec.max_unavailable, managed),
        due=tuple(sorted(due, key=place)),
        in_flight=tuple(sorted(in_flight, key=place)),
        done=done,
        excluded=tuple(excluded),
        given_up=tuple(given_up),
        not_injected=tuple(not_injected),
    )


def is_settled(restart: RestartStatus | None, target: str) -> bool:
    """Tell whether the status says that nothing is left to do for the target."""
    return restart is not None and restart.done and restart.target == target


def is_excluded(spec: DataPlaneSpec, ref: ObjectRef, namespace: Mapping[str, Any]) -> bool:
    """Tell whether the spec, or the annotation of its namespace, keeps a workload from being restarted."""
    if opted_out(namespace):
        return True
    selector = spec.namespace_selector
    if selector is not None and not selects(selector.model_dump(by_alias=True), namespace.get("labels") or {}):
        return True
    return any(
        one.namespace in (None, ref.namespace) and one.kind in (None, ref.kind) and one.name in (None, ref.name)
        for one in spec.exclude
    )


def is_left(pod: PodUse, live: Live, target: str, *, always: bool) -> bool:
    """Tell whether a Pod still has to be replaced.

    What cannot be told of one that was replaced already, to replace it again would not tell, either.
    """
    match pod.state:
        case SidecarState.OUTDATED:
            return True
        case SidecarState.UNKNOWN:
            return not _was_replaced(pod, live, target)
    return always and not _was_replaced(pod, live, target)


def _was_replaced(pod: PodUse, live: Live, target: str) -> bool:
    """Tell whether a Pod was made by the restart for the target, or after it.

    Pods below a partition come back from the template of before, so they have no annotation. The time on the template
    is that of the API server, as is that of the Pod.
    """
    if is_for(pod.restarted_for, target):
        return True
    since = live.restarted_at if is_for(live.restarted_for, target) else None
    return since is not None and pod.created >= since


def _was_given_up(restart: RestartStatus | None, ref: ObjectRef) -> bool:
    """Tell whether a workload failed in a restart that is over: it is not tried again for the same target.

    Of many failures the status names some, and any may be among the others.
    """
    failed = restart.failed if restart is not None else []
    return len(failed) >= MOST_NAMED or any(text.startswith(f"{ref}: ") for text in failed)
