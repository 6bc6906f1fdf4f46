"""What osm-injector and fsm-injector decide about a Pod; pure, for any mesh of `meshupgrade.distributions`.

Read in the meshes' own releases: osm pkg/injector/webhook.go and pkg/utils/mesh_config.go, osm-edge and fsm
pkg/configurator/methods.go.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.distributions import Distribution

__all__ = ["InjectedImages", "InjectionRefused", "image_id", "injected_images", "patch_of", "wants_injection"]

YES, NO = ("enabled", "yes", "true"), ("disabled", "no", "false")

Object = Mapping[str, Any]
JsonPatch = list[dict[str, Any]]


class InjectionRefused(Exception):
    """The injector refuses the Pod; the message says why."""


@dataclass(frozen=True)
class InjectedImages:
    """The images that are injected; empty for one that nothing names."""

    sidecar: str
    init: str


def injected_images(facts: Distribution, mesh_config: Object | None, injector: Object | None) -> InjectedImages:
    """The images by the live MeshConfig and, where it names none, by the live Deployment of the injector."""
    config, spec = facts.mesh_config, (mesh_config or {}).get("spec") or {}
    sidecar = _at(spec, config.sidecar_image_path)
    init = _at(spec, config.init_image_path) if config.init_image_path else None
    if config.drivers:
        wanted = str(_at(spec, config.drivers.class_path) or "").lower()
        drivers = _at(spec, config.drivers.path) or ()
        driver: Object = next((one for one in drivers if str(one.get(config.drivers.name, "")).lower() == wanted), {})
        sidecar = sidecar or driver.get(config.drivers.image)
        init = init or driver.get(config.drivers.init_image)
    environment = _environment(facts, injector)
    return InjectedImages(
        sidecar=str(sidecar or environment.get(facts.injector.sidecar_image_env, "")),
        init=str(init or environment.get(facts.injector.init_image_env, "")),
    )


def wants_injection(facts: Distribution, pod: Object, namespace: Object) -> bool:
    """Whether a new Pod gets a sidecar: its own annotation goes before that of its namespace.

    Never on the host's network, and never a second one. Raises InjectionRefused for an annotation that says neither
    yes nor no.
    """
    # The annotations come after: what is not injected anyhow is not refused for them.
    if pod["spec"].get("hostNetwork"):
        return False
    of_pod, of_namespace = (_asked(facts, one) for one in (pod, namespace))
    if any(one["name"] == facts.sidecar.container for one in pod["spec"]["containers"]):
        return False
    return bool(of_namespace if of_pod is None else of_pod)


def patch_of(facts: Distribution, pod: Object, images: InjectedImages, uuid: str) -> JsonPatch:
    """The JSON patch that puts init container, sidecar and label into a Pod.

    Raises InjectionRefused when an image is not known.
    """
    if not images.sidecar or not images.init:
        raise InjectionRefused(f"no image of the {'init container' if images.sidecar else 'sidecar'} is configured")
    labels = {**pod["metadata"].get("labels", {}), facts.sidecar.pod_label: uuid}
    init = {"name": facts.sidecar.init_container, "image": images.init}
    sidecar = {"name": facts.sidecar.container, "image": images.sidecar}
    return [
        {"op": "add", "path": "/metadata/labels", "value": labels},
        {"op": "add", "path": "/spec/initContainers", "value": [*pod["spec"].get("initContainers", ()), init]},
        {"op": "add", "path": "/spec/containers/-", "value": sidecar},
    ]


def image_id(image: str, digest: str) -> str:
    """The id that a kubelet reports for an image whose digest (``sha256:…``) is that: without the tag."""
    return f"{re.sub(r'(:[^:/@]+)?(@.*)?$', '', image)}@{digest}"


def _asked(facts: Distribution, obj: Object) -> bool | None:
    value = obj["metadata"].get("annotations", {}).get(facts.sidecar.injection_annotation)
    if value is None or value.lower() in (*YES, *NO):
        return None if value is None else value.lower() in YES
    raise InjectionRefused(f"invalid value for annotation {facts.sidecar.injection_annotation}: {value}")


def _environment(facts: Distribution, injector: Object | None) -> dict[str, str]:
    containers = injector["spec"]["template"]["spec"]["containers"] if injector else ()
    entries = [one.get("env", ()) for one in containers if one["name"] == facts.injector.container]
    return {entry["name"]: entry.get("value", "") for entry in (entries[0] if entries else ())}


def _at(content: Object, path: Sequence[str]) -> Any:
    found: Any = content
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
