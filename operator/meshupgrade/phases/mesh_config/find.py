"""The live MeshConfig."""

from collections.abc import Mapping
from typing import Any

from meshupgrade.distributions import Distribution
from meshupgrade.domain.crds import served_version
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.phases.live_crds import ReadCRD, crd_now
from meshupgrade.phases.shape import Work

__all__ = ["find_mesh_config", "mesh_config_of"]


async def find_mesh_config(work: Work, read: ReadCRD = crd_now) -> dict[str, Any] | None:
    """Give the live MeshConfig in the newest version that is served, or None."""
    name = f"meshconfigs.{work.distribution.mesh_config.group}"
    crd = await read(work, name)
    found = await mesh_config_of(work.tools.kube, work.distribution, work.namespace, crd)
    if found is None and crd is not None and read is not crd_now:
        # The CRD is known as an earlier hop will leave it, with a version that is not served yet.
        return await find_mesh_config(work)
    return found


async def mesh_config_of(
    kube: Kube, distribution: Distribution, namespace: str, crd: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Give the MeshConfig in the newest version that its live CRD serves, or None."""
    facts = distribution.mesh_config
    if crd is None or (version := served_version(crd)) is None:
        return None
    return await kube.find(ObjectRef(f"{facts.group}/{version}", "MeshConfig", facts.name, namespace))
