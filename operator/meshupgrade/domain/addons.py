"""The images of addons: how a chart's value is given one, and what is done on a Deployment that no value reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from meshupgrade.api.v1alpha1.names import ADDON_IMAGE

__all__ = ["Record", "Step", "find_deployment", "image_of", "image_value", "next_step", "patch_of", "with_image"]

Object = Mapping[str, Any]

PARTS = ("registry", "name", "tag")


def image_value(default: Any, image: str) -> str | dict[str, str] | None:
    """Give the value by which a chart renders exactly this image, in the form that the chart's own value has.

    None when the chart has no such value, or its form cannot say it. A text is the image itself; an object of registry,
    name and tag is rendered as registry/name:tag, with another registry when that one is empty. Source: the charts of
    osm and osm-edge and fsm up to 1.1 for the one, templates/_helpers.tpl of fsm from 1.2 on for the other.
    """
    if isinstance(default, str):
        return image
    if not isinstance(default, Mapping) or not set(PARTS) <= set(default):
        return None
    registry, _, rest = image.rpartition("/")
    # Of name:tag@digest the tag takes the digest along; name@digest is parted at its only colon.
    name, _, tag = rest.partition(":")
    return dict(zip(PARTS, (registry, name, tag), strict=True)) if registry and name and tag else None


@dataclass(frozen=True)
class Record:
    """What the operator last set on a Deployment: the image, and the revision of the release that it was set for."""

    revision: int
    image: str

    @classmethod
    def of(cls, deployment: Object) -> Self | None:
        """Read it; None when there is none, or somebody spoilt it."""
        text = (deployment["metadata"].get("annotations") or {}).get(ADDON_IMAGE) or ""
        revision, _, image = text.partition(" ")
        return cls(int(revision), image) if revision.isascii() and revision.isdigit() and image else None

    def __str__(self) -> str:
        return f"{self.revision} {self.image}"


@dataclass(frozen=True)
class Step:
    """What is to be written."""

    image: str | None
    """The image to set; None leaves it."""

    record: Record | None
    """What to remember; None forgets it."""


def next_step(live: Object, container: str, rendered: str, wanted: str | None, revision: int) -> Step | None:
    """Give what is to be done on the live Deployment of an addon; None for nothing.

    ``rendered`` is the image that the revision of the release has, ``wanted`` the one that the spec names. An image is
    set once for each revision, since each may have brought the chart's own back. What is different later was changed by
    somebody, and is drift.
    """
    runs, record = image_of(live, container), Record.of(live)
    if runs is None:
        return None
    if wanted is None or wanted == rendered:
        if record is None:
            return None
        return Step(rendered if runs == record.image != rendered else None, None)
    due = Record(revision, wanted)
    if record == due:
        return None
    return Step(wanted if runs != wanted else None, due)


def patch_of(live: Object, container: str, step: Step) -> list[dict[str, Any]]:
    """Give the step as a JSON patch that holds for the object as it was read, and for no later one."""
    metadata = live["metadata"]
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    ]
    if step.image is not None:
        names = [one["name"] for one in _containers(live)]
        path = f"/spec/template/spec/containers/{names.index(container)}/image"
        patch.append({"op": "replace", "path": path, "value": step.image})
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != ADDON_IMAGE}
    if step.record is not None:
        annotations[ADDON_IMAGE] = str(step.record)
    patch.append({"op": "add", "path": "/metadata/annotations", "value": annotations})
    return patch


def find_deployment(objects: Sequence[Object], names: Sequence[str], container: str) -> Object | None:
    """Give the Deployment of one of these names that has the container."""
    return next(
        (
            obj
            for obj in objects
            if obj["kind"] == "Deployment" and obj["metadata"]["name"] in names and image_of(obj, container) is not None
        ),
        None,
    )


def image_of(deployment: Object, container: str) -> str | None:
    """Give the image of a container, None when there is no such container."""
    return next((str(one.get("image") or "") for one in _containers(deployment) if one["name"] == container), None)


def with_image(deployment: Object, container: str, image: str) -> dict[str, Any]:
    """Give the Deployment with another image in the container; itself it is not changed."""
    spec, template = deployment["spec"], deployment["spec"]["template"]
    containers = [{**one, "image": image} if one["name"] == container else one for one in _containers(deployment)]
    pod = {**template["spec"], "containers": containers}
    return {**deployment, "spec": {**spec, "template": {**template, "spec": pod}}}


def _containers(deployment: Object) -> Sequence[Object]:
    containers: Sequence[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return containers
