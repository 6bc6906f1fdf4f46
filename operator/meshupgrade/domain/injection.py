"""What the injector of a mesh does with a Pod: whether it puts a sidecar in, and with which images.

Source: the injectors' own code, pkg/configurator/methods.go and pkg/injector/webhook.go of osm 1.0 to 1.2, osm-edge 1.1
to 1.3 and fsm 1.5.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.domain.merge import lookup

__all__ = ["annotation_says", "driver_in_use", "environment", "injected_image", "injection_asked"]

Object = Mapping[str, Any]

YES = ("enabled", "yes", "true")
NO = ("disabled", "no", "false")


def injected_image(spec: Object, path: Sequence[str] | None, driver: Any, default: str | None) -> str | None:
    """Give the image that is injected: the MeshConfig's own, else its driver's, else the injector's default.

    ``path`` is None when the MeshConfig has no field for it. None when nothing names one.
    """
    named = lookup(spec, path) if path is not None else None
    return next((str(image) for image in (named, driver, default) if image), None)


def driver_in_use(spec: Object, path: Sequence[str], name: str, class_path: Sequence[str]) -> Object:
    """Give the first driver of the MeshConfig whose name is the class in use, whatever the case; empty without one."""
    drivers, wanted = lookup(spec, path), str(lookup(spec, class_path) or "").lower()
    for driver in drivers if isinstance(drivers, list) else []:
        if isinstance(driver, Mapping) and str(driver.get(name) or "").lower() == wanted:
            return driver
    return {}


def environment(deployment: Object, container: str) -> dict[str, str]:
    """Give the variables of a container that have their value in the Deployment itself."""
    return {
        variable["name"]: variable["value"]
        for spec in deployment["spec"]["template"]["spec"]["containers"]
        if spec["name"] == container
        for variable in spec.get("env") or []
        if variable.get("value")
    }


def injection_asked(pod: Object, annotation: str, *, by_namespace: bool | None) -> bool:
    """Tell whether the injector would put a sidecar into such a Pod.

    The Pod's own annotation goes before that of its namespace; a value that the injector does not know it refuses. It
    leaves Pods in the network of their node alone.
    """
    if pod["spec"].get("hostNetwork"):
        return False
    own = (pod["metadata"].get("annotations") or {}).get(annotation)
    return bool(by_namespace) if own is None else annotation_says(own) is True


def annotation_says(value: str | None) -> bool | None:
    """Give what a value of the injection annotation means; None for none, and for one that means nothing."""
    text = (value or "").lower()
    return True if text in YES else False if text in NO else None
