"""What came of the data plane, as counts for the status and in words."""

from collections.abc import Sequence

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.status import DataPlaneStatus
from meshupgrade.domain.sidecars import Images, SidecarState
from meshupgrade.phases.data_plane.in_use import InUse
from meshupgrade.phases.data_plane.selection import Selection, is_settled
from meshupgrade.phases.shape import Outcome, Work

__all__ = ["counted", "outcome_of"]

TOLD = 3


def counted(work: Work, in_use: InUse, selection: Selection | None) -> DataPlaneStatus:
    """Give the counts for the status; ``selection`` is None when nothing is ever restarted."""
    status = in_use.status()
    excluded = len(selection.excluded) + len(selection.not_injected) if selection is not None else 0
    workloads = status.workloads.model_copy(update={"excluded": excluded})
    return status.model_copy(update={"workloads": workloads, "restart": work.restart})


def outcome_of(work: Work, in_use: InUse, selection: Selection | None) -> Outcome:
    """Give how the phase ended, after a restart, or at rest."""
    status = in_use.status()
    if status.total == 0:
        return Outcome(Reason.NOTHING_TO_DO, "no Pod of the mesh has a sidecar")
    if selection is not None and is_settled(work.restart, selection.target):
        return _restarted(work, in_use, selection)
    if status.current == status.total:
        return Outcome(Reason.NOTHING_TO_DO, f"all {status.total} Pods run the sidecar {in_use.images.sidecar}")
    counts = (
        f"of {status.total} Pods with a sidecar {status.current} run {_wanted(in_use.images)}, "
        f"{status.outdated} run others, {status.unknown} cannot be told"
    )
    if selection is None:
        return Outcome(
            Reason.REPORTED_ONLY,
            f"{counts}; restart their workloads with kubectl rollout restart when it suits them, or set "
            "spec.dataPlane.restart",
            status="False",
        )
    if selection.all:
        return Outcome(
            Reason.REPORTED_ONLY, f"{counts}; {len(selection.all)} workloads are to be restarted", status="False"
        )
    return Outcome(Reason.NOTHING_TO_DO, "; ".join([counts, *_left_alone(in_use, selection)]))


def _wanted(images: Images) -> str:
    """Say what a Pod is compared with."""
    if images.sidecar is None:
        return "the one that is injected now"
    if images.init is None:
        return f"the sidecar {images.sidecar} that is injected now"
    return f"the sidecar {images.sidecar} and the init container {images.init} that are injected now"


def _restarted(work: Work, in_use: InUse, selection: Selection) -> Outcome:
    restart = work.restart
    assert restart is not None
    waves = f" in {restart.wave} wave{'s' * (restart.wave != 1)}" if restart.wave else ""
    text = f"{restart.restarted} of {restart.total} workloads restarted for {restart.target}{waves}"
    more = _left_alone(in_use, selection)
    if selection.given_up:
        names = [str(ref) for ref in selection.given_up]
        known = [failed for failed in restart.failed if failed.partition(": ")[0] in names]
        failed = "; ".join((known or names)[:TOLD])
        count = f"{len(names)} did not come back, and are not tried again for it: {failed}"
        return Outcome(Reason.UNHEALTHY, "; ".join([text, count, *more]), status="False")
    if restart.restarted < restart.total:
        more = ["the others came back later", *more]
    if selection.all:
        left = f"{len(selection.all)} workloads have lost what they were restarted for, and are to be restarted again"
        return Outcome(Reason.REPORTED_ONLY, "; ".join([text, left, *more]), status="False")
    return Outcome(Reason.DONE if restart.total else Reason.NOTHING_TO_DO, "; ".join([text, *more]))


def _left_alone(in_use: InUse, selection: Selection) -> Sequence[str]:
    """Say what runs what it ran, and why."""
    status, told = in_use.status(), []
    if count := len(selection.excluded):
        told.append(
            f"{_count(count, 'workload')} left alone by spec.dataPlane or {'its' if count == 1 else 'their'} annotation"
        )
        uses = [in_use.workloads[ref] for ref in selection.excluded]
        if outdated := sum(use.state is SidecarState.OUTDATED for use in uses):
            other = "sidecar" if any(use.outdated_by == "sidecar" for use in uses) else "init container"
            told.append(f"{outdated} of them run{'s' * (outdated == 1)} another {other}")
    if count := len(selection.not_injected):
        names = ", ".join(map(str, selection.not_injected[:TOLD]))
        told.append(f"{_count(count, 'workload')} left alone, since injection is off for what has a sidecar: {names}")
    if status.unmanaged:
        names = ", ".join(status.unmanaged_owners[:TOLD])
        told.append(f"{_count(status.unmanaged, 'Pod')} brought back by nobody, so restart them yourself: {names}")
    if status.unknown:
        told.append(f"of {_count(status.unknown, 'Pod')} it cannot be told what they run")
    return told


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
