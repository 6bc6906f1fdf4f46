"""SidecarImageStale: the MeshConfig will name another sidecar than the new release ships with (osm #4371).

An upgrade alone does not touch the MeshConfig, so new Pods would go on getting the sidecar of before. NotDigestPinned:
the sidecar that the spec itself names is named by a tag.
"""

import json
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import MeshConfigDefaults
from meshupgrade.distributions import Distribution
from meshupgrade.domain.merge import dotted, lookup, with_value
from meshupgrade.helm.release import Release
from meshupgrade.phases.mesh_config import plan_mesh_config
from meshupgrade.phases.preflight.check import Check, finding
from meshupgrade.phases.preset import preset_of
from meshupgrade.phases.shape import Work

__all__ = ["CHECK", "stale_findings"]

DRIVERS = ("sidecar", "sidecarDrivers")
CLASS = ("sidecar", "sidecarClass")
MAX_PATCH = 700

Spec = Mapping[str, Any]


async def check(work: Work) -> list[Finding]:
    """Compare the MeshConfig as it will be with the defaults of the new release; what the spec names is meant so."""
    chosen = work.spec.data_plane.sidecar_image
    if chosen is not None:
        return _unpinned(chosen)
    planned = await plan_mesh_config(work)
    if planned is None or planned.live is None:
        return []
    merges = work.spec.mesh_config.defaults is MeshConfigDefaults.MERGE
    return stale_findings(planned.spec, work.live, work.need_target().rendered, work.distribution, merges=merges)


def _unpinned(image: str) -> list[Finding]:
    if "@" in image:
        return []
    return [
        finding(
            FindingName.NOT_DIGEST_PINNED,
            Severity.INFO,
            f"spec.dataPlane.sidecarImage names {image} by a tag, which may point at something else tomorrow",
            "Add the digest of the image to it: …@sha256:….",
        )
    ]


def stale_findings(
    live: Spec, before: Release | None, rendered: Release, facts: Distribution, *, merges: bool = False
) -> list[Finding]:
    """Give the finding for images of the MeshConfig that are not those of the new release.

    It warns when they are the defaults of the release before; one that somebody chose is only told. To merge defaults
    is advised where that helps, and the spec does not ask for it (``merges``) already.
    """
    new, path = preset_of(rendered.objects()), facts.mesh_config.sidecar_image_path
    old = preset_of(before.objects()) if before is not None else {}
    changes: list[str] = []
    patch: dict[str, Any] = {}
    defaults = mended = False
    image = lookup(live, path)
    wanted = _shipped(rendered, facts)
    if image and wanted and image != wanted:
        changes.append(f"spec.{dotted(path)} is {image}, the release ships {wanted}")
        patch = with_value(patch, path, wanted)
        mended = image == lookup(old, path)
        defaults = before is not None and image == _shipped(before, facts)
    images, shipped = _driver_images(live), _driver_images(new)
    outdated = {name for name in images if shipped.get(name) not in (None, "", images[name])}
    if outdated:
        changes += [
            f"spec.{dotted(DRIVERS)}[{name}] has {images[name]}, the release ships {shipped[name]}"
            for name in sorted(outdated)
        ]
        drivers = [
            {**driver, "sidecarImage": shipped[driver["sidecarName"]]}
            if driver.get("sidecarName") in outdated
            else driver
            for driver in lookup(live, DRIVERS)
        ]
        patch = with_value(patch, DRIVERS, drivers)
        unchanged = all(images[name] == _driver_images(old).get(name) for name in outdated)
        mended, defaults = mended or unchanged, defaults or unchanged
    if not changes:
        return []
    text = json.dumps(patch)
    how = f"set spec.meshConfig.patch to {text}" if len(text) <= MAX_PATCH else "set them by spec.meshConfig.patch"
    if wanted and image:
        how = f"set spec.dataPlane.sidecarImage to {wanted}; or {how}"
    if mended and not merges:
        how = f"set spec.meshConfig.defaults to Merge, which takes new defaults where nobody changed them; or {how}"
    return [
        finding(
            FindingName.SIDECAR_IMAGE_STALE,
            Severity.WARNING if defaults else Severity.INFO,
            f"the MeshConfig keeps the sidecar of before, which an upgrade does not touch: {'; '.join(changes)}",
            f"{how[0].upper()}{how[1:]}. spec.dataPlane.restart has the meshed workloads restarted, which get the new "
            "sidecar only so.",
        )
    ]


def _shipped(release: Release, facts: Distribution) -> str | None:
    """Give the image that a release ships: of its preset, else of its driver, else what its injector falls back to."""
    preset = preset_of(release.objects())
    return (
        lookup(preset, facts.mesh_config.sidecar_image_path)
        or _driver_images(preset).get(str(lookup(preset, CLASS)))
        or _injector_image(release, facts)
    )


def _driver_images(spec: Spec) -> dict[str, str]:
    drivers = lookup(spec, DRIVERS)
    return {
        str(driver["sidecarName"]): str(driver.get("sidecarImage") or "")
        for driver in (drivers if isinstance(drivers, list) else [])
        if isinstance(driver, Mapping) and "sidecarName" in driver
    }


def _injector_image(rendered: Release, facts: Distribution) -> str | None:
    """Give the image that the injector falls back to."""
    for obj in rendered.objects():
        if obj["kind"] == "Deployment" and obj["metadata"]["name"] == facts.injector.deployment:
            for container in obj["spec"]["template"]["spec"]["containers"]:
                for variable in container.get("env") or []:
                    if variable["name"] == facts.injector.sidecar_image_env:
                        return variable.get("value") or None
    return None


CHECK = Check(
    (FindingName.SIDECAR_IMAGE_STALE, FindingName.NOT_DIGEST_PINNED),
    "the sidecar images of the MeshConfig",
    check,
    Severity.WARNING,
)
