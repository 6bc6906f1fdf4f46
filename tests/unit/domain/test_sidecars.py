"""Which sidecar a Pod runs, compared with the one that is injected now."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.sidecars import (
    Images,
    PodSidecar,
    Running,
    SidecarState,
    TagSeen,
    judge,
    sidecar_of,
    with_tags,
)

NAMES = load_distribution(DistributionName.OSM_EDGE).sidecar
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CURRENT, OUTDATED, UNKNOWN = SidecarState.CURRENT, SidecarState.OUTDATED, SidecarState.UNKNOWN


def runs(image: str, ran: str | None = None) -> PodSidecar:
    return PodSidecar(Running(image, ran), None)


@pytest.mark.parametrize(
    ("image", "ran", "wanted", "state"),
    [
        ("x:1", None, "x:1", CURRENT),
        ("x:1", None, "x:2", OUTDATED),
        ("x:1", A, "x:2", OUTDATED),
        ("x", None, "x:latest", CURRENT),
        ("x:1", None, None, UNKNOWN),
        # What is meant where a name leaves it out.
        ("flomesh/pipy:1", None, "docker.io/flomesh/pipy:1", CURRENT),
        ("index.docker.io/flomesh/pipy:1", None, "flomesh/pipy:1", CURRENT),
        ("docker.io/library/x:1", None, "x:1", CURRENT),
        ("x/y:1", None, "localhost/x/y:1", OUTDATED),
        ("quay.io/x:1", None, "x:1", OUTDATED),
        ("r.example:5000/x", None, "r.example:5000/x:latest", CURRENT),
        # A digest is wanted.
        ("x:1", A, f"x@{A}", CURRENT),
        ("x:1", A, f"x:1@{A}", CURRENT),
        ("x:0", A, f"x:1@{A}", CURRENT),
        ("mirror.example/x:1", A, f"x:1@{A}", CURRENT),
        (f"x@{A}", None, f"x:1@{A}", CURRENT),
        (f"x@{A}", B, f"x@{A}", CURRENT),
        (f"x@{B}", A, f"x@{A}", OUTDATED),
        ("x:1", B, f"x:1@{A}", OUTDATED),
        ("x:1", None, f"x:1@{A}", UNKNOWN),
        ("x:1", None, f"x@{A}", UNKNOWN),
        ("x:1", None, f"x:2@{A}", OUTDATED),
        ("y:1", None, f"x@{A}", OUTDATED),
        # The Pod names a digest where none is wanted any more.
        (f"x@{A}", A, "x:1", UNKNOWN),
        (f"x:1@{A}", A, "x:1", UNKNOWN),
        (f"x:1@{A}", A, "x:2", OUTDATED),
        (f"y@{A}", A, "x:1", OUTDATED),
    ],
)
def test_images_are_compared(image: str, ran: str | None, wanted: str | None, state: SidecarState) -> None:
    assert judge(runs(image, ran), Images(wanted, None)) is state


@pytest.mark.parametrize(
    ("sidecar", "init", "state"),
    [
        ("s:1", "i:1", CURRENT),
        ("s:1", None, CURRENT),
        ("s:1", "i:0", OUTDATED),
        ("s:0", "i:1", OUTDATED),
        ("s:0", f"i@{A}", OUTDATED),
        ("s:1", f"i@{A}", UNKNOWN),
        (None, "i:1", UNKNOWN),
        (None, "i:0", UNKNOWN),
    ],
)
def test_the_worse_of_sidecar_and_init_container_counts(
    sidecar: str | None, init: str | None, state: SidecarState
) -> None:
    containers = [Running(image, None) if image else None for image in (sidecar, init)]
    assert judge(PodSidecar(containers[0], containers[1]), Images("s:1", "i:1")) is state


def test_an_init_container_whose_image_nobody_knows_is_unknown() -> None:
    assert judge(PodSidecar(Running("s:1", None), Running("i:1", None)), Images("s:1", None)) is UNKNOWN


def test_a_pod_for_windows_is_unknown() -> None:
    assert judge(replace(runs("s:1"), windows=True), Images("s:1", None)) is UNKNOWN


class TestMovedTags:
    def test_what_the_youngest_runs_counts(self) -> None:
        old, young, starting = runs("x:1", A), runs("docker.io/library/x:1", B), runs("x:1")
        images = with_tags(Images("x:1", None), [(NOON, young), (NOON - timedelta(days=1), old), (NOON, starting)])
        assert [judge(pod, images) for pod in (old, young, starting)] == [UNKNOWN, CURRENT, CURRENT]

    def test_one_digest_is_no_move(self) -> None:
        pods = [runs("x:1", A), runs("x:1", A), runs("x:1")]
        images = with_tags(Images("x:1", None), [(NOON + timedelta(hours=n), pod) for n, pod in enumerate(pods)])
        assert {judge(pod, images) for pod in pods} == {CURRENT}

    def test_nobody_is_current_when_the_youngest_of_one_second_differ(self) -> None:
        pods = [runs("x:1", A), runs("x:1", B)]
        images = with_tags(Images("x:1", None), [(NOON, pod) for pod in pods])
        assert {judge(pod, images) for pod in pods} == {UNKNOWN}

    def test_what_was_seen_before_is_kept_until_a_younger_one_is_seen(self) -> None:
        old, young = runs("x:1", A), runs("x:1", B)
        seen = Images("x:1", None, TagSeen(NOON, B))
        assert judge(old, with_tags(seen, [(NOON - timedelta(hours=1), old)])) is UNKNOWN
        later = with_tags(seen, [(NOON + timedelta(hours=1), old)])
        assert (judge(old, later), judge(young, later)) == (CURRENT, UNKNOWN)

    def test_other_images_say_nothing_of_a_tag(self) -> None:
        others = [runs("x:2", B), runs(f"x@{B}", B), runs("y:1", B)]
        images = with_tags(Images("x:1", None), [(NOON, pod) for pod in others])
        assert images.sidecar_seen is None
        assert judge(runs("x:1", A), images) is CURRENT
        assert with_tags(Images(f"x@{A}", None), [(NOON, runs(f"x@{A}", A))]).sidecar_seen is None

    def test_the_tag_of_the_init_container_moves_as_well(self) -> None:
        pods = [PodSidecar(Running("s:1", A), Running("i:1", digest)) for digest in (A, B)]
        images = with_tags(Images("s:1", "i:1"), [(NOON + timedelta(hours=n), pod) for n, pod in enumerate(pods)])
        assert [judge(pod, images) for pod in pods] == [UNKNOWN, CURRENT]

    def test_what_was_seen_does_not_make_other_images(self) -> None:
        assert Images("x:1", None, TagSeen(NOON, A)) == Images("x:1", None)


def container(name: str, image: str = "i:1", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": image, **fields}


def pod(*containers: dict[str, Any], label: bool = True, **fields: Any) -> dict[str, Any]:
    labels = {NAMES.pod_label: "u1"} if label else {}
    spec: dict[str, Any] = {"containers": list(containers), **fields}
    status = spec.pop("status", {})
    return {"metadata": {"labels": labels}, "spec": spec, "status": status}


INIT = container("osm-init", "init:1")
ALWAYS = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("live", "found"),
    [
        (pod(container("app"), container("sidecar", "s:1"), initContainers=[INIT]), ("s:1", "init:1")),
        (pod(container("app"), initContainers=[INIT, container("sidecar", "s:1", **ALWAYS)]), ("s:1", "init:1")),
        # One that runs to its end is no sidecar, whatever its name.
        (pod(container("app"), initContainers=[INIT, container("sidecar", "s:1")]), (None, "init:1")),
        (pod(container("app"), container("sidecar", "s:1")), ("s:1", None)),
        (pod(container("app")), (None, None)),
        (pod(container("app"), label=False), None),
        # An application's own container of that name.
        (pod(container("sidecar", "s:1"), label=False), None),
        (pod(container("sidecar", "s:1"), label=False, initContainers=[INIT]), ("s:1", "init:1")),
        ({"metadata": {}, "spec": {"containers": [container("app")]}}, None),
    ],
)
def test_what_a_pod_runs_is_found(live: dict[str, Any], found: tuple[str | None, str | None] | None) -> None:
    seen = sidecar_of(live, NAMES)
    if found is None:
        assert seen is None
    else:
        assert seen is not None
        assert tuple(one.image if one else None for one in (seen.sidecar, seen.init)) == found


@pytest.mark.parametrize(
    ("image_id", "ran"),
    [
        (f"docker.io/library/x@{A}", A),
        (f"docker-pullable://x@{A}", A),
        # The digest of a configuration is that of no image in a registry.
        (A, None),
        (f"docker://{A}", None),
        ("", None),
    ],
)
def test_the_digest_that_runs_is_read(image_id: str, ran: str | None) -> None:
    statuses = [{"name": name, "imageID": image_id} for name in ("app", "sidecar")]
    live = pod(container("app"), container("sidecar"), status={"containerStatuses": statuses})
    native = pod(
        container("app"), initContainers=[container("sidecar", **ALWAYS)], status={"initContainerStatuses": statuses}
    )
    for one in (live, native):
        seen = sidecar_of(one, NAMES)
        assert seen is not None
        assert seen.sidecar == Running("i:1", ran)


def test_the_system_of_a_pod_is_read() -> None:
    windows = sidecar_of(pod(container("sidecar"), nodeSelector={"kubernetes.io/os": "Windows"}), NAMES)
    assert windows is not None
    assert windows.windows


names = st.sampled_from(["x", "docker.io/library/x", "y", "mirror.example:5000/x"])
tags = st.sampled_from(["", ":1", ":2", ":latest"])
digests = st.sampled_from([None, A, B])
images_named = st.builds(
    lambda name, tag, digest: f"{name}{tag}" + (f"@{digest}" if digest else ""), names, tags, digests
)
containers = st.builds(Running, images_named, digests)
pods = st.builds(PodSidecar, containers, st.none() | containers)


@given(pods, st.none() | images_named, st.none() | images_named)
def test_current_means_the_same_digest_or_the_same_name(one: PodSidecar, sidecar: str | None, init: str | None) -> None:
    if judge(one, Images(sidecar, init)) is not CURRENT:
        return
    for running, wanted in ((one.sidecar, sidecar), (one.init, init)):
        if running is None:
            continue
        assert wanted is not None
        digest = running.image.partition("@")[2] or running.ran
        if "@" in wanted:
            assert digest == wanted.partition("@")[2]
        else:
            assert "@" not in running.image
            # Nothing but what a name may leave out differs.
            long = [text.removeprefix("docker.io/library/") for text in (running.image, wanted)]
            assert len({text if ":" in text.rpartition("/")[2] else f"{text}:latest" for text in long}) == 1


@given(images_named, digests)
def test_a_pod_made_now_is_current_unless_its_tag_says_nothing(image: str, ran: str | None) -> None:
    digest = image.partition("@")[2]
    assert judge(runs(image, digest or ran), Images(image, None)) is CURRENT


@given(st.lists(st.tuples(st.integers(0, 3), pods), max_size=6), images_named)
def test_at_most_one_digest_of_a_tag_is_current(made: list[tuple[int, PodSidecar]], wanted: str) -> None:
    dated = [(NOON + timedelta(hours=hours), one) for hours, one in made]
    images = with_tags(Images(wanted, None), dated)
    # In two parts, the way one workload is looked at after all of them were.
    assert with_tags(with_tags(Images(wanted, None), dated[:3]), dated[3:]).sidecar_seen == images.sidecar_seen
    current = [one for _, one in dated if judge(replace(one, init=None), images) is CURRENT]
    ran = {one.sidecar.ran for one in current if one.sidecar is not None and "@" not in one.sidecar.image}
    assert len(ran - {None}) <= 1
