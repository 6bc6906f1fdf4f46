"""The image of an addon: as a chart's value, and on a Deployment."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.names import ADDON_IMAGE
from meshupgrade.domain.addons import (
    Record,
    Step,
    find_deployment,
    image_of,
    image_value,
    next_step,
    patch_of,
    with_image,
)

PARTS = {"registry": "prom", "name": "prometheus", "tag": "v2.34.0"}
DIGEST = "sha256:" + "0" * 64
CHARTS, OTHERS, WANTED = "grafana/grafana:8.2.2", "mine:1", "grafana/grafana:9.0.0"


def rendered_by_fsm(value: dict[str, str]) -> str:
    """What the helper templates of fsm 1.2 and later make of it, the registry being set."""
    assert value["registry"]
    return f"{value['registry']}/{value['name']}:{value['tag']}"


@pytest.mark.parametrize(
    "image",
    [
        "prom/prometheus:v2.19.1",
        "registry.example/prom/prometheus:v2.19.1",
        "localhost:5000/prometheus:v2.19.1",
        f"prom/prometheus:v2.19.1@{DIGEST}",
        f"registry.example:5000/prom/prometheus@{DIGEST}",
    ],
)
def test_an_image_comes_out_as_it_is(image: str) -> None:
    value = image_value(PARTS, image)
    assert isinstance(value, dict)
    assert rendered_by_fsm(value) == image
    assert image_value("prom/prometheus:v2.18.1", image) == image
    assert image_value("", image) == image


@pytest.mark.parametrize(
    "image", ["prometheus:v2", "prom/prometheus", "registry.example:5000/prometheus", "prometheus"]
)
def test_what_the_parts_cannot_say_is_not_said_by_them(image: str) -> None:
    assert image_value(PARTS, image) is None
    assert image_value("prom/prometheus:v2.18.1", image) == image


@given(st.text("ab:/@.", min_size=1))
def test_parts_never_make_another_image(image: str) -> None:
    value = image_value(PARTS, image)
    assert value is None or (isinstance(value, dict) and rendered_by_fsm(value) == image)


@pytest.mark.parametrize("default", [None, 1, [], {}, {"name": "prometheus", "tag": "v2"}, {"repository": "a"}])
def test_a_chart_without_such_a_value_gets_none(default: Any) -> None:
    assert image_value(default, "prom/prometheus:v2") is None


def deployment(image: str = CHARTS, record: str | None = None, name: str = "osm-grafana") -> dict[str, Any]:
    annotations = {"theirs": "1"} | ({ADDON_IMAGE: record} if record is not None else {})
    containers = [{"name": "renderer", "image": "r:1"}, {"name": "grafana", "image": image, "args": ["a"]}]
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "resourceVersion": "7", "annotations": annotations},
        "spec": {"replicas": 1, "template": {"metadata": {}, "spec": {"containers": containers}}},
    }


@pytest.mark.parametrize(
    ("text", "record"),
    [
        (f"3 {WANTED}", Record(3, WANTED)),
        (None, None),
        ("", None),
        ("3", None),
        ("3 ", None),
        (WANTED, None),
        (f"x {WANTED}", None),
        (f"³ {WANTED}", None),
    ],
)
def test_the_record_is_read_back(text: str | None, record: Record | None) -> None:
    assert Record.of(deployment(record=text)) == record
    assert record is None or str(record) == text


@pytest.mark.parametrize(
    ("runs", "record", "wanted", "step"),
    [
        pytest.param(CHARTS, None, None, None, id="nobody wants anything"),
        pytest.param(OTHERS, None, None, None, id="changed by hand, which is drift"),
        pytest.param(CHARTS, None, CHARTS, None, id="the chart's value says it"),
        pytest.param(OTHERS, None, CHARTS, None, id="the same, and changed by hand"),
        pytest.param(CHARTS, None, WANTED, Step(WANTED, Record(3, WANTED)), id="wanted for the first time"),
        pytest.param(OTHERS, None, WANTED, Step(WANTED, Record(3, WANTED)), id="the same, after a change by hand"),
        pytest.param(WANTED, None, WANTED, Step(None, Record(3, WANTED)), id="set by hand to just that"),
        pytest.param(WANTED, Record(3, WANTED), WANTED, None, id="done"),
        pytest.param(OTHERS, Record(3, WANTED), WANTED, None, id="done, and changed by hand, which is drift"),
        pytest.param(CHARTS, Record(2, WANTED), WANTED, Step(WANTED, Record(3, WANTED)), id="reset by a new revision"),
        pytest.param(WANTED, Record(2, WANTED), WANTED, Step(None, Record(3, WANTED)), id="kept by a new revision"),
        pytest.param("a:1", Record(3, "a:1"), WANTED, Step(WANTED, Record(3, WANTED)), id="another one is wanted"),
        pytest.param(WANTED, Record(3, WANTED), None, Step(CHARTS, None), id="wanted no more"),
        pytest.param(OTHERS, Record(3, WANTED), None, Step(None, None), id="wanted no more, and changed by hand"),
        pytest.param(CHARTS, Record(2, WANTED), None, Step(None, None), id="wanted no more, and reset by Helm"),
        pytest.param(CHARTS, Record(2, CHARTS), CHARTS, Step(None, None), id="the new chart has it by itself"),
    ],
)
def test_steps(runs: str, record: Record | None, wanted: str | None, step: Step | None) -> None:
    live = deployment(runs, str(record) if record else None)
    assert next_step(live, "grafana", CHARTS, wanted, 3) == step
    if step is not None:
        after = patched(live, patch_of(live, "grafana", step))
        assert image_of(after, "grafana") == (step.image or runs)
        assert (image_of(after, "renderer"), Record.of(after)) == ("r:1", step.record)
        assert after["metadata"]["annotations"]["theirs"] == "1"
        assert next_step(after, "grafana", CHARTS, wanted, 3) is None, "once is enough"


def patched(obj: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    test, *writes = patch
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    after = copy.deepcopy(obj)
    for write in writes:
        *path, last = write["path"].split("/")[1:]
        node: Any = after
        for key in path:
            node = node[int(key)] if isinstance(node, list) else node[key]
        node[last] = write["value"]
    return after


def test_a_container_that_is_gone_is_left_to_drift() -> None:
    assert next_step(deployment(), "prometheus", CHARTS, WANTED, 3) is None


def test_a_deployment_without_annotations_gets_its_first() -> None:
    live = deployment()
    del live["metadata"]["annotations"]
    patch = patch_of(live, "grafana", Step(WANTED, Record(1, WANTED)))
    assert patch[-1] == {"op": "add", "path": "/metadata/annotations", "value": {ADDON_IMAGE: f"1 {WANTED}"}}


def test_the_deployment_is_found_by_any_of_its_names() -> None:
    objects = [{"kind": "Service", "metadata": {"name": "jaeger"}}, deployment(name="x"), deployment(name="jaeger")]
    assert find_deployment(objects, ("osm-jaeger", "jaeger"), "grafana") is objects[2]
    assert find_deployment(objects, ("osm-jaeger", "jaeger"), "jaeger") is None
    assert find_deployment(objects, ("osm-jaeger",), "grafana") is None


def test_an_image_is_laid_in_and_the_rest_stays() -> None:
    before = deployment()
    after = with_image(before, "grafana", WANTED)
    assert (image_of(before, "grafana"), image_of(after, "grafana")) == (CHARTS, WANTED)
    assert with_image(after, "grafana", CHARTS) == before
