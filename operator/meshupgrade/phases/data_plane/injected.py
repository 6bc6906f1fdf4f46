"""The images that the injector of a mesh uses now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from meshupgrade.distributions import Distribution
from meshupgrade.domain.injection import driver_in_use, environment, injected_image
from meshupgrade.domain.sidecars import Images
from meshupgrade.kube.client import Kube, ObjectRef, crd_ref
from meshupgrade.phases.mesh_config.find import mesh_config_of
from meshupgrade.phases.shape import Work

__all__ = ["MeshAt", "images_in", "images_of", "injected_images"]


@dataclass(frozen=True)
class MeshAt:
    """Which mesh, and the way to it; the kubectl plugin has no more of a Work than that."""

    kube: Kube
    distribution: Distribution
    namespace: str
    name: str

    @classmethod
    def of(cls, work: Work) -> Self:
        """Give the mesh of a run."""
        return cls(work.tools.kube, work.distribution, work.namespace, work.release)


async def injected_images(work: Work) -> Images:
    """Give what a new Pod gets: by the MeshConfig, else by the injector's own defaults. Raises the errors of kube."""
    return await images_of(MeshAt.of(work))


async def images_of(mesh: MeshAt) -> Images:
    """Give what a new Pod of the mesh gets. Raises the errors of kube."""
    crd = await mesh.kube.find(crd_ref(f"meshconfigs.{mesh.distribution.mesh_config.group}"))
    mesh_config = await mesh_config_of(mesh.kube, mesh.distribution, mesh.namespace, crd)
    injector = ObjectRef("apps/v1", "Deployment", mesh.distribution.injector.deployment, mesh.namespace)
    spec = (mesh_config or {}).get("spec") or {}
    return images_in(spec, await mesh.kube.find(injector), mesh.distribution)


def images_in(spec: Mapping[str, Any], injector_object: Mapping[str, Any] | None, distribution: Distribution) -> Images:
    """Give what a new Pod gets under such a spec of the MeshConfig, from an injector of such a Deployment."""
    facts, injector = distribution.mesh_config, distribution.injector
    defaults = environment(injector_object, injector.container) if injector_object is not None else {}
    sidecar = init = None
    if (drivers := facts.drivers) is not None:
        driver = driver_in_use(spec, drivers.path, drivers.name, drivers.class_path)
        sidecar, init = driver.get(drivers.image), driver.get(drivers.init_image)
    return Images(
        injected_image(spec, facts.sidecar_image_path, sidecar, defaults.get(injector.sidecar_image_env)),
        injected_image(spec, facts.init_image_path, init, defaults.get(injector.init_image_env)),
    )
