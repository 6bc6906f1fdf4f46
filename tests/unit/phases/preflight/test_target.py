"""What is read out of a rendered chart, and out of Helm's refusals."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.phases.preflight.crd_source import bootstrap_image
from meshupgrade.phases.preflight.target import _kubernetes_finding
from tests.unit.phases.works import make_work

OSM, FSM = DistributionName.OSM, DistributionName.FSM


def deployment(name: str, containers: dict[str, str], init: dict[str, str] | None = None) -> dict[str, Any]:
    pod: dict[str, Any] = {"containers": [{"name": key, "image": image} for key, image in containers.items()]}
    if init is not None:
        pod["initContainers"] = [{"name": key, "image": image} for key, image in init.items()]
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"spec": pod}}}


@pytest.mark.parametrize(
    ("distribution", "objects", "image"),
    [
        (
            OSM,
            [deployment("osm-bootstrap", {"osm-bootstrap": "bootstrap:1"}, {"init-osm-bootstrap": "crds:1"})],
            "crds:1",
        ),
        (OSM, [deployment("osm-bootstrap", {"osm-bootstrap": "bootstrap:1"})], "bootstrap:1"),
        (OSM, [deployment("osm-bootstrap", {"proxy": "p:1", "osm-bootstrap": "bootstrap:1"}, {})], "bootstrap:1"),
        (FSM, [deployment("fsm-bootstrap", {"fsm-bootstrap": "bootstrap:1"})], "bootstrap:1"),
        (FSM, [deployment("osm-bootstrap", {"osm-bootstrap": "bootstrap:1"})], None),
        (OSM, [deployment("osm-bootstrap", {"other": "o:1"})], None),
        (OSM, [deployment("osm-controller", {"osm-bootstrap": "bootstrap:1"})], None),
        (OSM, [{"kind": "ServiceAccount", "metadata": {"name": "osm-bootstrap"}}], None),
        (OSM, [], None),
    ],
)
def test_the_image_that_carries_the_crds(
    distribution: DistributionName, objects: list[dict[str, Any]], image: str | None
) -> None:
    assert bootstrap_image(make_work(distribution=distribution), objects) == image


@pytest.mark.parametrize(
    ("constraint", "server", "name"),
    [
        (">=1.40.0-0", "v1.37.2", FindingName.KUBERNETES_TOO_OLD),
        (">= 1.19.0-0", "v1.18.20", FindingName.KUBERNETES_TOO_OLD),
        ("^1.38", "v1.37.2", FindingName.KUBERNETES_TOO_OLD),
        (">=1.38.0 <1.40.0", "v1.37.2", FindingName.KUBERNETES_TOO_OLD),
        ("<1.30.0", "v1.37.2", FindingName.KUBERNETES_TOO_NEW),
        (">= 1.19.0-0 < 1.30.0-0", "v1.37.2", FindingName.KUBERNETES_TOO_NEW),
        ("~1.24.0", "v1.37.2+k3s1", FindingName.KUBERNETES_TOO_NEW),
        ("~1.38.0", "v1.37.2-gke.100", FindingName.KUBERNETES_TOO_OLD),
    ],
)
def test_too_old_is_told_from_too_new(constraint: str, server: str, name: FindingName) -> None:
    message = f"chart requires kubeVersion: {constraint} which is incompatible with Kubernetes {server}"
    assert _kubernetes_finding(message, server) is name
