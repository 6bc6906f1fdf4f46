"""The images that the spec names, in Helm's values and in the release's objects."""

import dataclasses
from typing import Any

import pytest
import yaml

from meshupgrade.api.v1alpha1.findings import Severity
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.helm.release import Release
from meshupgrade.phases.addon_images import advice_for, missing_addons, spec_values, with_images
from meshupgrade.phases.fit import desired_defaults, desired_values, no_longer_set, release_fits
from meshupgrade.phases.preflight import addon_missing
from meshupgrade.phases.shape import Target
from tests.unit.phases.works import make_release, make_work

TEXT = {"osm": {"prometheus": {"image": "prom/prometheus:v2.18.1", "port": 7070}, "tracing": {"image": "j:1"}}}
PARTS = {"fsm": {"grafana": {"image": {"registry": "grafana", "name": "grafana", "tag": "8.2.2"}}}}
WANTED = {"addons": {"prometheus": {"image": "r.example/p:v3"}}}
LAID = {"osm": {"prometheus": {"image": "r.example/p:v3"}}}


def deployment(name: str, container: str, image: str = "i:1") -> dict[str, Any]:
    pod = {"spec": {"containers": [{"name": container, "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"template": pod}}


def release(*objects: dict[str, Any], **fields: Any) -> Release:
    return dataclasses.replace(make_release(), manifest=yaml.safe_dump_all(objects), **fields)


@pytest.mark.parametrize(
    ("spec", "defaults", "values"),
    [
        ({}, TEXT, {}),
        (WANTED, TEXT, LAID),
        # It goes before the spec's own value of that path, and leaves what is beside it.
        ({**WANTED, "values": {"osm": {"prometheus": {"image": "a:1", "port": 1}}}}, TEXT,
         {"osm": {"prometheus": {"image": "r.example/p:v3", "port": 1}}}),
        ({**WANTED, "values": {"osm": {"prometheus": None}}}, TEXT, LAID),
        ({"addons": {"jaeger": {"image": "j:2"}}}, TEXT, {"osm": {"tracing": {"image": "j:2"}}}),
        # A chart without the value gets none.
        ({"addons": {"grafana": {"image": "g:2"}}}, TEXT, {}),
        (WANTED, {}, {}),
    ],
)  # fmt: skip
def test_values(spec: dict[str, Any], defaults: dict[str, Any], values: dict[str, Any]) -> None:
    work = make_work(spec)
    work.chart_defaults = defaults
    before = yaml.safe_dump(work.values)
    assert spec_values(work) == values
    assert yaml.safe_dump(work.values) == before


def test_parts_are_laid_into_what_the_spec_says_beside_them() -> None:
    spec = {
        "addons": {"grafana": {"image": "r.example/g:9"}},
        "values": {"fsm": {"grafana": {"image": {"tag": "8.3", "pullPolicy": "Always"}}}},
    }
    work = make_work(spec, distribution=DistributionName.FSM)
    work.chart_defaults = PARTS
    image = {"registry": "r.example", "name": "g", "tag": "9", "pullPolicy": "Always"}
    assert spec_values(work) == {"fsm": {"grafana": {"image": image}}}


def test_until_there_is_a_chart_the_release_that_runs_tells_the_form() -> None:
    work = make_work(WANTED, live=release(defaults=TEXT))
    assert spec_values(work) == LAID
    work.chart_defaults = {}
    assert spec_values(work) == {}
    assert spec_values(make_work(WANTED)) == {}


@pytest.mark.parametrize("policy", ["Reset", "Reuse", "ResetThenReuse"])
def test_an_image_that_changes_alone_is_a_matter_for_helm(policy: str) -> None:
    spec = {"valuesPolicy": policy, **WANTED}
    assert not release_fits(make_work(spec, live=release(defaults=TEXT)))
    assert release_fits(make_work(spec, live=release(defaults=TEXT, config=LAID)))
    assert (
        desired_values(make_work(spec, live=release(defaults=TEXT, config={"osm": {"prometheus": {"image": "a:1"}}})))
        == LAID
    )


def test_an_image_that_the_spec_names_no_more_goes_back_to_the_charts() -> None:
    work = make_work({"valuesPolicy": "ResetThenReuse"}, live=release(defaults=TEXT, config=LAID))
    work.values_set = ["/osm/prometheus/image"]
    assert no_longer_set(work) == [("osm", "prometheus", "image")]
    assert desired_values(work) == {}
    work = make_work({"valuesPolicy": "ResetThenReuse", **WANTED}, live=work.live)
    work.values_set = ["/osm/prometheus/image"]
    assert no_longer_set(work) == []


def test_reuse_keeps_the_form_of_the_charts_own_value() -> None:
    spec = {"valuesPolicy": "Reuse", "addons": {"grafana": {"image": "r.example/g:9"}}}
    old = {"fsm": {"grafana": {"image": "grafana/grafana:8.2.2", "port": 3000}}}
    work = make_work(spec, distribution=DistributionName.FSM, live=release(defaults=old))
    work.chart_defaults = PARTS
    reused = desired_defaults(work, PARTS)
    assert reused == {"fsm": {"grafana": {**PARTS["fsm"]["grafana"], "port": 3000}}}
    after = make_work(
        spec, distribution=DistributionName.FSM, live=release(defaults=reused, config=desired_values(work))
    )
    assert release_fits(after)


def test_objects() -> None:
    objects = [
        deployment("osm-prometheus", "prometheus"),
        deployment("osm-grafana", "grafana"),
        deployment("jaeger", "x"),
    ]
    live = release(*objects)
    work = make_work({"addons": {"prometheus": {"image": "p:2"}, "jaeger": {"image": "j:2"}}}, live=live)
    assert with_images(work, live) == [deployment("osm-prometheus", "prometheus", "p:2"), *objects[1:]]
    assert live.objects() == objects
    assert missing_addons(work, live) == [("jaeger", "osm.deployJaeger")]
    assert with_images(make_work(live=live), live) == objects


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("osm-grafana", "spec.addons.grafana.image"),
        ("osm-prometheus", "spec.values"),
        ("osm-controller", "spec.values"),
    ],
)
def test_what_to_do_about_an_image_says_where_it_is_set(name: str, named: str) -> None:
    work = make_work({"addons": {"grafana": {"image": "g:2"}}})
    assert named in advice_for(work, {"metadata": {"name": name}}).about_image("grafana")


async def test_a_missing_addon_is_found_at_the_end_of_the_path_only() -> None:
    work = make_work(WANTED)
    work.target = Target(None, "", None, release(deployment("osm-grafana", "grafana")), (), "")  # type: ignore[arg-type]
    (finding,) = await addon_missing.check(work)
    assert finding.severity is Severity.WARNING
    assert finding.message == "spec.addons.prometheus names an image, and the release has no prometheus"
    assert "osm.deployPrometheus to true" in finding.remedy
    work.version = work.version.bump_patch()
    assert await addon_missing.check(work) == []
