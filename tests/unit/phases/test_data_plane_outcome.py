"""What is said of the data plane, and how a restart that was interrupted goes on counting its waves."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.status import RestartStatus
from meshupgrade.domain.sidecars import Images, PodSidecar, Running, SidecarState, has_current_sidecar, judge
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.in_use import InUse, PodUse, WorkloadUse
from meshupgrade.phases.data_plane.outcome import outcome_of
from meshupgrade.phases.data_plane.restart import Restarts
from meshupgrade.phases.data_plane.selection import Selection
from meshupgrade.phases.data_plane.waves import Waves
from tests.unit.phases.works import make_work

TARGET = "1.2.3-abcdef12"
BOTH, SIDECAR = Images("pipy:2", "init:2"), Images("pipy:2", None)


def ref(name: str) -> ObjectRef:
    return ObjectRef("apps/v1", "Deployment", name, "shop")


def use(name: str, *pods: tuple[str, str | None], images: Images = BOTH) -> WorkloadUse:
    """Pods by the images that they run."""
    found = []
    for sidecar, init in pods:
        pod = PodSidecar(Running(sidecar, None), Running(init, None) if init else None)
        state, current = judge(pod, images), has_current_sidecar(pod, images)
        found.append(PodUse("shop", "p", "u", state, "", datetime(2026, 3, 1, tzinfo=UTC), True, current))
    return WorkloadUse(ref(name), tuple(found))


def in_use(*uses: WorkloadUse, images: Images = BOTH) -> InUse:
    return InUse(images, {one.ref: one for one in uses})


def selection(**fields: Any) -> Selection:
    empty = dict.fromkeys(("due", "in_flight", "excluded", "given_up", "not_injected"), ())
    return Selection(**{"target": TARGET, "size": 1, "done": 0, **empty, **fields})


@pytest.mark.parametrize(
    ("pods", "by"),
    [
        ([("pipy:2", "init:2")], ""),
        ([("pipy:2", None)], ""),
        ([("pipy:2", "init:1"), ("pipy:2", "init:2")], "init container"),
        ([("pipy:2", "init:1"), ("pipy:1", "init:2")], "sidecar"),
        ([("pipy:1", "init:1")], "sidecar"),
    ],
)
def test_which_container_makes_it_outdated(pods: list[tuple[str, str | None]], by: str) -> None:
    found = use("web", *pods)
    assert (found.outdated_by, found.state is SidecarState.OUTDATED) == (by, bool(by))


@pytest.mark.parametrize(
    ("images", "init", "said"),
    [
        (BOTH, "init:1", "0 run the sidecar pipy:2 and the init container init:2 that are injected now, 2 run others"),
        (BOTH, "init:2", "1 run the sidecar pipy:2 and the init container init:2 that are injected now, 1 run others"),
        (SIDECAR, None, "1 run the sidecar pipy:2 that is injected now, 1 run others, 0 cannot"),
        (Images(None, None), None, "0 run the one that is injected now, 0 run others, 2 cannot"),
    ],
)
def test_what_the_pods_are_compared_with_is_named(images: Images, init: str | None, said: str) -> None:
    pods = [("pipy:2", init), ("pipy:1", init)]
    found = outcome_of(make_work(), in_use(use("web", *pods, images=images), images=images), None)
    assert (found.reason, found.status) == (Reason.REPORTED_ONLY, "False")
    assert f"of {len(pods)} Pods with a sidecar {said}" in found.message


@pytest.mark.parametrize(
    ("excluded", "said"),
    [
        ([("pipy:2", "init:2")], "1 workload left alone by spec.dataPlane or its annotation"),
        (
            [("pipy:1", "init:2")],
            "1 workload left alone by spec.dataPlane or its annotation; 1 of them runs another sidecar",
        ),
        (
            [("pipy:2", "init:1"), ("pipy:2", "init:1"), ("pipy:2", "init:2")],
            "3 workloads left alone by spec.dataPlane or their annotation; 2 of them run another init container",
        ),
    ],
)
def test_how_many_that_are_left_alone_are_outdated(excluded: list[tuple[str, str | None]], said: str) -> None:
    uses = [use(f"left-{number}", pod) for number, pod in enumerate(excluded)]
    work = make_work({"dataPlane": {"restart": "WhenOutdated"}})
    work.restart = RestartStatus(target=TARGET, total=1, restarted=1, wave=1, waves=1, done=True)
    found = outcome_of(
        work,
        in_use(use("web", ("pipy:2", "init:2")), *uses),
        selection(done=1, excluded=tuple(one.ref for one in uses)),
    )
    assert (found.reason, found.status) == (Reason.DONE, "True")
    assert found.message == f"1 of 1 workloads restarted for {TARGET} in 1 wave; {said}"


@pytest.mark.parametrize("in_flight", [0, 1])
def test_a_wave_that_was_interrupted_is_not_counted_twice(in_flight: int) -> None:
    work = make_work({"dataPlane": {"restart": "WhenOutdated", "canary": {"namespace": "other"}}})
    work.restart = RestartStatus(target=TARGET, total=6, restarted=3, wave=4, waves=6)
    left = [ref(f"web-{number}") for number in range(3)]
    chosen = selection(done=3, in_flight=tuple(left[:in_flight]), due=tuple(left[in_flight:]))
    waves = Waves(cast("Restarts", SimpleNamespace(work=work)), chosen)
    assert (waves.status.restarted, waves.status.wave) == (3, 3), "the fourth is begun again"
