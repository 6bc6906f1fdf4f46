"""Which images the spec wants for the addons of the mesh, laid into Helm's values and into the release's objects."""

from collections.abc import Iterator, Mapping
from typing import Any

from meshupgrade.distributions import Addon
from meshupgrade.domain.addons import find_deployment, image_value, with_image
from meshupgrade.domain.merge import dotted, lookup, with_value
from meshupgrade.helm.release import Release
from meshupgrade.kube.causes import OF_RELEASE, Advice
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.shape import Work

__all__ = [
    "addon_refs",
    "advice_for",
    "image_paths",
    "in_release",
    "missing_addons",
    "spec_values",
    "wanted_image",
    "with_images",
]

Object = Mapping[str, Any]


def wanted_image(work: Work, addon: Addon) -> str | None:
    """Give the image that the spec names for an addon."""
    named = getattr(work.spec.addons, addon.name)
    return named.image if named is not None else None


def spec_values(work: Work) -> Mapping[str, Any]:
    """Give the values that the spec asks for: its own, and over them the images of addons where the chart has a value.

    Which form they have is read in the values of the chart of the target, and until there is one in those of the
    release that runs.
    """
    defaults = work.chart_defaults
    if defaults is None:
        defaults = work.live.defaults if work.live is not None else {}
    values = work.values
    for addon, image in _wanted(work):
        value = image_value(lookup(defaults, addon.image_value), image)
        if value is not None:
            values = with_value(values, addon.image_value, _over(lookup(values, addon.image_value), value))
    return values


def image_paths(work: Work) -> list[tuple[str, ...]]:
    """Give where the values name the images of the addons that the spec names."""
    return [addon.image_value for addon, _ in _wanted(work)]


def in_release(release: Release, addon: Addon) -> Object | None:
    """Give the Deployment of an addon as the release renders it, None when it has none."""
    return find_deployment(release.objects(), addon.deployments, addon.container)


def addon_refs(work: Work, release: Release) -> list[ObjectRef]:
    """Give the Deployments of the addons that the release has."""
    found = (in_release(release, addon) for addon in work.distribution.addons)
    return [ObjectRef.of(deployment, work.namespace) for deployment in found if deployment is not None]


def missing_addons(work: Work, release: Release) -> list[tuple[str, str]]:
    """Give the addons that the spec names and the release does not have, each with the value that installs it."""
    return [(addon.name, dotted(addon.switch)) for addon, _ in _wanted(work) if in_release(release, addon) is None]


def with_images(work: Work, release: Release) -> list[Object]:
    """Give the objects of the release with the addons' images as the spec wants them."""
    objects: list[Object] = list(release.objects())
    for addon, image in _wanted(work):
        found = in_release(release, addon)
        objects = [with_image(obj, addon.container, image) if obj is found else obj for obj in objects]
    return objects


def advice_for(work: Work, workload: Object) -> Advice:
    """Give what to do about a workload of the release that is not well."""
    for addon, _ in _wanted(work):
        if workload["metadata"]["name"] in addon.deployments:
            field = f"spec.addons.{addon.name}.image"
            return Advice(
                image=f"Set {field} to an image that exists, or fix imagePullSecrets", resources=OF_RELEASE.resources
            )
    return OF_RELEASE


def _wanted(work: Work) -> Iterator[tuple[Addon, str]]:
    for addon in work.distribution.addons:
        if (image := wanted_image(work, addon)) is not None:
            yield addon, image


def _over(known: Any, value: str | dict[str, str]) -> Any:
    """Lay the value over what the spec's own values say; what else an object says of the image stays."""
    return {**known, **value} if isinstance(known, Mapping) and isinstance(value, Mapping) else value
