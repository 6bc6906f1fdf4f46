"""The facts of the three meshes, as they stand in the meshes' own releases."""

from typing import Any

import pytest
from pydantic import ValidationError

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import Distribution, load_distribution

EGRESS, PERMISSIVE = ("traffic", "enableEgress"), ("traffic", "enablePermissiveTrafficPolicyMode")
OSM, EDGE, FSM = DistributionName.OSM, DistributionName.OSM_EDGE, DistributionName.FSM


def fact(distribution: DistributionName, path: str) -> Any:
    value: Any = load_distribution(distribution)
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("name", DistributionName)
def test_every_distribution_loads_and_knows_its_name(name: DistributionName) -> None:
    assert load_distribution(name).name is name


@pytest.mark.parametrize(
    ("path", "osm", "edge", "fsm"),
    [
        ("chart.names", ("osm",), ("osm-edge", "osm"), ("fsm",)),
        ("chart.root", "osm", "osm", "fsm"),
        ("mesh_name", "osm", "osm", "fsm"),
        ("identity", (("osm", "meshName"), ("osm", "osmNamespace")),
         (("osm", "meshName"), ("osm", "osmNamespace")), (("fsm", "meshName"), ("fsm", "fsmNamespace"))),
        ("control_plane", ("osm-bootstrap", "osm-controller", "osm-injector"),
         ("osm-bootstrap", "osm-controller", "osm-injector"), ("fsm-bootstrap", "fsm-controller", "fsm-injector")),
        ("ca_secret", "osm-ca-bundle", "osm-ca-bundle", "fsm-ca-bundle"),
        ("bootstrap.deployment", "osm-bootstrap", "osm-bootstrap", "fsm-bootstrap"),
        ("bootstrap.containers", ("init-osm-bootstrap", "osm-bootstrap"),
         ("init-osm-bootstrap", "osm-bootstrap"), ("fsm-bootstrap",)),
        ("bootstrap.crd_folder", "/osm-crds", "/osm-crds", "/fsm-crds"),
        ("injector.deployment", "osm-injector", "osm-injector", "fsm-injector"),
        ("injector.container", "osm-injector", "osm-injector", "fsm-injector"),
        ("injector.sidecar_image_env", "OSM_DEFAULT_ENVOY_IMAGE", "OSM_DEFAULT_SIDECAR_IMAGE",
         "FSM_DEFAULT_SIDECAR_IMAGE"),
        ("injector.init_image_env", "OSM_DEFAULT_INIT_CONTAINER_IMAGE", "OSM_DEFAULT_INIT_CONTAINER_IMAGE",
         "FSM_DEFAULT_INIT_CONTAINER_IMAGE"),
        ("mesh_config.name", "osm-mesh-config", "osm-mesh-config", "fsm-mesh-config"),
        ("mesh_config.group", "config.openservicemesh.io", "config.openservicemesh.io", "config.flomesh.io"),
        ("mesh_config.sidecar_image_path", ("sidecar", "envoyImage"), ("sidecar", "sidecarImage"),
         ("sidecar", "sidecarImage")),
        ("mesh_config.guard_paths", (EGRESS, PERMISSIVE), (EGRESS, PERMISSIVE),
         (EGRESS, PERMISSIVE, ("sidecar", "sidecarDisabledMTLS"))),
        ("sidecar.container", "envoy", "sidecar", "sidecar"),
        ("sidecar.pod_label", "osm-proxy-uuid", "osm-proxy-uuid", "fsm-proxy-uuid"),
        ("sidecar.namespace_label", "openservicemesh.io/monitored-by", "openservicemesh.io/monitored-by",
         "flomesh.io/monitored-by"),
    ],
)  # fmt: skip
def test_facts(path: str, osm: Any, edge: Any, fsm: Any) -> None:
    assert (fact(OSM, path), fact(EDGE, path), fact(FSM, path)) == (osm, edge, fsm)


@pytest.mark.parametrize(
    ("distribution", "deployments"),
    [
        (OSM, {"prometheus": ("osm-prometheus",), "grafana": ("osm-grafana",), "jaeger": ("jaeger",)}),
        (EDGE, {"prometheus": ("osm-prometheus",), "grafana": ("osm-grafana",), "jaeger": ("osm-jaeger", "jaeger")}),
        (FSM, {"prometheus": ("fsm-prometheus",), "grafana": ("fsm-grafana",), "jaeger": ("fsm-jaeger",)}),
    ],
)
def test_addons(distribution: DistributionName, deployments: dict[str, tuple[str, ...]]) -> None:
    addons = load_distribution(distribution).addons
    assert {addon.name: addon.deployments for addon in addons} == deployments
    assert all(addon.container == addon.name for addon in addons)


@pytest.mark.parametrize("name", DistributionName)
def test_default_repositories_are_https(name: DistributionName) -> None:
    assert load_distribution(name).chart.repository.startswith("https://")


@pytest.mark.parametrize("name", DistributionName)
def test_identity_is_below_the_root_of_the_values(name: DistributionName) -> None:
    facts = load_distribution(name)
    assert all(path[0] == facts.chart.root for path in facts.identity)


def test_a_misspelt_fact_is_refused() -> None:
    facts = load_distribution(OSM).model_dump(by_alias=True)
    with pytest.raises(ValidationError):
        Distribution.model_validate(facts | {"meshNmae": "osm"})
