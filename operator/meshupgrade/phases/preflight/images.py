"""ImageVersionMismatch and NotDigestPinned: the images of the control plane, as the chart renders them.

A control plane image of another version than its chart meets command line flags that it does not know. Only the mesh's
own images count: those of addons and helpers have versions of their own.
"""

from collections.abc import Iterator
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.distributions import Distribution
from meshupgrade.domain.merge import lookup
from meshupgrade.helm.release import Release
from meshupgrade.oci import ImageReference, OCIError, parse_reference
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding
from meshupgrade.phases.shape import Work

__all__ = ["CHECK", "control_plane_images", "image_findings"]


async def check(work: Work) -> list[Finding]:
    """Compare the tags of the rendered images with the versions that the chart states."""
    return image_findings(work.need_target().rendered, work.distribution)


def image_findings(rendered: Release, facts: Distribution) -> list[Finding]:
    """Give what is to be said of the control plane's images; an image pinned by its digest is what it is."""
    unpinned = {
        place: reference
        for place, image in control_plane_images(rendered, facts)
        if (reference := _reference(image)) is not None and reference.digest is None
    }
    if not unpinned:
        return []
    root = facts.chart.root
    tag = lookup(rendered.defaults, (root, "image", "tag"))
    # osm-edge's tag v1.2.1 has the chart 1.2.0 with images 1.2.1: a chart's own default is never a mismatch.
    stated = [version for version in (rendered.app_version, rendered.chart_version, str(tag or "")) if version]
    others = [
        f"{reference} in {place}" for place, reference in unpinned.items() if not _is_of(reference.target, stated)
    ]
    found = []
    if others:
        found.append(
            finding(
                FindingName.IMAGE_VERSION_MISMATCH,
                Severity.WARNING,
                f"chart {rendered.chart_name} {rendered.chart_version} is for the control plane "
                f"{rendered.app_version}, and these images are of another version: {enumerate_some(others)}",
                f"Take {root}.image.tag out of spec.values, or set it to {tag or rendered.app_version}, so that chart "
                "and images are of one version.",
            )
        )
    names = sorted({str(reference) for reference in unpinned.values()})
    found.append(
        finding(
            FindingName.NOT_DIGEST_PINNED,
            Severity.INFO,
            f"these images are named by a tag, which may point at something else tomorrow: {enumerate_some(names)}",
            f'Set {root}.image.tag to "" and {root}.image.digest to the digests, where the chart has these values.',
        )
    )
    return found


def control_plane_images(rendered: Release, facts: Distribution) -> Iterator[tuple[str, str]]:
    """Yield where each of the mesh's own images is named, and the image: containers, CRDs, the injected init."""
    own = {*facts.control_plane, *facts.bootstrap.containers}
    for obj in rendered.objects():
        if obj["kind"] != "Deployment" or obj["metadata"]["name"] not in facts.control_plane:
            continue
        pod = obj["spec"]["template"]["spec"]
        for container in [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]:
            if container["name"] in own and container.get("image"):
                yield f"container {container['name']}", container["image"]
            for variable in container.get("env") or []:
                if variable["name"] == facts.injector.init_image_env and variable.get("value"):
                    yield f"variable {variable['name']}", variable["value"]


def _reference(image: Any) -> ImageReference | None:
    try:
        return parse_reference(str(image))
    except OCIError:
        # That it is none, the API server or the kubelet says better.
        return None


def _is_of(tag: str, versions: list[str]) -> bool:
    """Tell whether a tag is one of the versions, or a variant of one such as 1.2.3-ubi8."""
    plain = tag.removeprefix("v")
    return any(plain == known or plain.startswith(f"{known}-") for known in (v.removeprefix("v") for v in versions))


CHECK = Check(
    (FindingName.IMAGE_VERSION_MISMATCH, FindingName.NOT_DIGEST_PINNED),
    "the images of the control plane",
    check,
    Severity.WARNING,
)
