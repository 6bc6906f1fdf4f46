"""Which images are of another version than their chart, and which are not pinned."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution
from meshupgrade.helm.release import Release
from meshupgrade.phases.preflight.images import control_plane_images, image_findings
from tests.unit.phases.preflight.releases import deployment, rendered

FACTS = load_distribution(DistributionName.OSM_EDGE)
DIGEST = "sha256:" + "a" * 64


def release(tag: str, *, app: str = "v1.2.3", chart: str = "1.2.3", default: str = "1.2.3") -> Release:
    separator = "" if tag.startswith(("@", ":")) else ":"
    return rendered(
        deployment(
            "osm-controller",
            {"name": "osm-pipy-repo", "image": "flomesh/pipy:0.90.3"},
            {"name": "osm-controller", "image": f"r.example:5000/flomesh/osm-edge-controller{separator}{tag}"},
        ),
        deployment("osm-prometheus", {"name": "prometheus", "image": "prom/prometheus:v2.18.1"}),
        app_version=app,
        chart_version=chart,
        defaults={"osm": {"image": {"tag": default}}},
    )


@pytest.mark.parametrize(
    ("made", "mismatch"),
    [
        (release("1.2.3"), False),
        (release("v1.2.3"), False),
        (release("1.2.3-ubi8"), False),
        (release("1.2.2"), True),
        (release("1.2.30"), True),
        (release("latest"), True),
        (release("1.2.1", app="v1.2.0", chart="1.2.0", default="1.2.1"), False),
        (release("1.1.1", app="1.1.3", chart="1.1.1", default=""), False),
        (release("1.2.2", default=""), True),
    ],
)
def test_which_images_are_of_another_version(made: Release, mismatch: bool) -> None:
    found = {item.name: item for item in image_findings(made, FACTS)}
    assert (FindingName.IMAGE_VERSION_MISMATCH in found) == mismatch
    assert found[FindingName.NOT_DIGEST_PINNED].severity is Severity.INFO
    if mismatch:
        warned = found[FindingName.IMAGE_VERSION_MISMATCH]
        assert warned.severity is Severity.WARNING
        assert "osm-edge-controller" in warned.message
        assert "pipy" not in warned.message
        assert "osm.image.tag" in warned.remedy


@pytest.mark.parametrize("tag", [f"@{DIGEST}", f":1.0.0@{DIGEST}", "@no-digest"])
def test_what_is_pinned_or_no_image_is_left_alone(tag: str) -> None:
    assert image_findings(release(tag), FACTS) == []


def test_the_images_of_crds_and_init_containers_count() -> None:
    pod: dict[str, Any] = {"initContainers": [{"name": "init-osm-bootstrap", "image": "crds:1"}]}
    variable = {"name": "OSM_DEFAULT_INIT_CONTAINER_IMAGE", "value": "init:1"}
    made = rendered(
        deployment("osm-bootstrap", {"name": "osm-bootstrap", "image": "bootstrap:1"}, pod=pod),
        deployment("osm-injector", {"name": "osm-injector", "image": "injector:1", "env": [variable]}),
    )
    assert [image for _, image in control_plane_images(made, FACTS)] == [
        "crds:1",
        "bootstrap:1",
        "injector:1",
        "init:1",
    ]
