"""What the injector stand-in decides about a Pod, in the shapes of all three meshes."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution
from tests.cluster.injection import (
    InjectedImages,
    InjectionRefused,
    image_id,
    injected_images,
    patch_of,
    wants_injection,
)

OSM, EDGE, FSM = (load_distribution(DistributionName(name)) for name in ("osm", "osm-edge", "fsm"))
DRIVERS = [
    {"sidecarName": "envoy", "sidecarImage": "envoy:1", "initContainerImage": "init-envoy:1"},
    {"sidecarName": "Pipy", "sidecarImage": "pipy:1"},
]


def injector(name: str, **env: str) -> dict[str, Any]:
    """A Deployment of an injector with these variables in its container, and others beside it."""
    entries: list[Any] = [{"name": "POD", "valueFrom": {}}]
    entries += [{"name": key, "value": value} for key, value in env.items()]
    containers = [{"name": "other", "env": [{"name": key, "value": "wrong"} for key in env]}]
    containers.append({"name": name, "env": entries})
    return {"spec": {"template": {"spec": {"containers": containers}}}}


OSM_INJECTOR = injector("osm-injector", OSM_DEFAULT_ENVOY_IMAGE="e:0", OSM_DEFAULT_INIT_CONTAINER_IMAGE="i:0")
EDGE_INJECTOR = injector("osm-injector", OSM_DEFAULT_SIDECAR_IMAGE="s:0", OSM_DEFAULT_INIT_CONTAINER_IMAGE="i:0")
FSM_INJECTOR = injector("fsm-injector", FSM_DEFAULT_SIDECAR_IMAGE="s:0", FSM_DEFAULT_INIT_CONTAINER_IMAGE="i:0")


@pytest.mark.parametrize(
    ("facts", "sidecar", "deployment", "images"),
    [
        (OSM, {"envoyImage": "e:1", "initContainerImage": "i:1"}, OSM_INJECTOR, ("e:1", "i:1")),
        (OSM, {"envoyImage": "", "sidecarImage": "no:1"}, OSM_INJECTOR, ("e:0", "i:0")),
        (OSM, None, OSM_INJECTOR, ("e:0", "i:0")),
        (OSM, {"envoyImage": "e:1"}, None, ("e:1", "")),
        (EDGE, {"sidecarImage": "s:1", "initContainerImage": "i:1"}, EDGE_INJECTOR, ("s:1", "i:1")),
        (EDGE, {"sidecarClass": "pipy", "sidecarDrivers": DRIVERS}, EDGE_INJECTOR, ("pipy:1", "i:0")),
        (EDGE, {"sidecarClass": "ENVOY", "sidecarDrivers": DRIVERS}, EDGE_INJECTOR, ("envoy:1", "init-envoy:1")),
        (
            EDGE,
            {"sidecarImage": "s:1", "sidecarClass": "envoy", "sidecarDrivers": DRIVERS},
            EDGE_INJECTOR,
            ("s:1", "init-envoy:1"),
        ),
        (EDGE, {"sidecarDrivers": DRIVERS}, EDGE_INJECTOR, ("s:0", "i:0")),
        (FSM, {"sidecarImage": "s:1", "initContainerImage": "no:1"}, FSM_INJECTOR, ("s:1", "i:0")),
        (FSM, {}, FSM_INJECTOR, ("s:0", "i:0")),
    ],
)
def test_the_images_of_each_mesh(facts: Any, sidecar: Any, deployment: Any, images: tuple[str, str]) -> None:
    config = None if sidecar is None else {"spec": {"sidecar": sidecar}}
    assert injected_images(facts, config, deployment) == InjectedImages(*images)


def pod(**spec: Any) -> dict[str, Any]:
    """A Pod with one container."""
    return {"metadata": {}, "spec": {"containers": [{"name": "app", "image": "a:1"}], **spec}}


@pytest.mark.parametrize(
    ("facts", "containers", "init", "label"),
    [
        (OSM, "envoy", "osm-init", "osm-proxy-uuid"),
        (EDGE, "sidecar", "osm-init", "osm-proxy-uuid"),
        (FSM, "sidecar", "fsm-init", "fsm-proxy-uuid"),
    ],
)
def test_the_names_of_each_mesh(facts: Any, containers: str, init: str, label: str) -> None:
    first = {"name": "first", "image": "f:1"}
    labels, inits, sidecar = patch_of(facts, pod(initContainers=[first]), InjectedImages("s:1", "i:1"), "uuid")
    assert labels == {"op": "add", "path": "/metadata/labels", "value": {label: "uuid"}}
    assert inits["value"] == [first, {"name": init, "image": "i:1"}]
    assert sidecar["value"] == {"name": containers, "image": "s:1"}


@pytest.mark.parametrize(("images", "missing"), [(("", "i:1"), "sidecar"), (("s:1", ""), "init container")])
def test_without_an_image_a_pod_is_refused(images: tuple[str, str], missing: str) -> None:
    with pytest.raises(InjectionRefused, match=f"image of the {missing} is"):
        patch_of(FSM, pod(), InjectedImages(*images), "uuid")


@pytest.mark.parametrize(
    ("of_pod", "of_namespace", "wanted"),
    [
        (None, None, False),
        (None, "enabled", True),
        (None, "YES", True),
        (None, "disabled", False),
        ("true", None, True),
        ("enabled", "no", True),
        ("disabled", "enabled", False),
    ],
)
def test_the_annotation_of_the_pod_goes_first(of_pod: str | None, of_namespace: str | None, wanted: bool) -> None:
    def annotated(value: str | None) -> dict[str, Any]:
        return {"metadata": {"annotations": {FSM.sidecar.injection_annotation: value} if value else {}}}

    assert wants_injection(FSM, {**pod(), **annotated(of_pod)}, annotated(of_namespace)) is wanted
    assert not wants_injection(FSM, {**pod(hostNetwork=True), **annotated(of_pod)}, annotated(of_namespace))
    injected = pod(containers=[{"name": "sidecar", "image": "s:1"}])
    assert not wants_injection(FSM, {**injected, **annotated(of_pod)}, annotated(of_namespace))


def test_an_annotation_that_says_neither_is_refused() -> None:
    odd = {"metadata": {"annotations": {OSM.sidecar.injection_annotation: "perhaps"}}}
    for refused, namespace in ((pod() | odd, pod()), (pod(), odd)):
        with pytest.raises(InjectionRefused, match="perhaps"):
            wants_injection(OSM, refused, namespace)


@pytest.mark.parametrize("image", ["r:5000/pipy:1", "r:5000/pipy", "r:5000/pipy:1@sha256:a", "r:5000/pipy@sha256:a"])
def test_an_image_id_has_no_tag(image: str) -> None:
    assert image_id(image, "sha256:b") == "r:5000/pipy@sha256:b"
