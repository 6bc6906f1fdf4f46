"""Phase 7, DataPlane: how many Pods of the mesh still run the sidecar of before.

For now it counts, and restarts nothing: a control plane upgrade leaves running sidecars alone.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.status import DataPlaneStatus, Phase
from meshupgrade.domain.merge import lookup
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.mesh_config import find_mesh_config
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["DataPlane"]


class DataPlane:
    """Counts the Pods of the mesh by the image of their sidecar."""

    name = Phase.DATA_PLANE
    condition = ConditionType.DATA_PLANE_RESTARTED

    async def plan(self, work: Work) -> PhasePlan:
        """Nothing is changed by this phase yet."""
        return PhasePlan()

    async def apply(self, work: Work) -> Outcome:
        """Count, and say how many have to be restarted to get the sidecar that is injected now."""
        image = await injected_image(work)
        count: Counter[str] = Counter()
        async for namespace in work.tools.kube.list_objects(
            "v1", "Namespace", labels=f"{work.distribution.sidecar.namespace_label}={work.release}"
        ):
            async for pod in work.tools.kube.list_objects(
                "v1", "Pod", namespace["metadata"]["name"], labels=work.distribution.sidecar.pod_label
            ):
                if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                    count[judge_pod(pod, work.distribution.sidecar.container, image)] += 1
        status = DataPlaneStatus(total=count.total(), **count)
        work.data_plane = status
        if status.total == 0:
            return Outcome(Reason.NOTHING_TO_DO, "no Pod of the mesh has a sidecar")
        if status.current == status.total:
            return Outcome(Reason.NOTHING_TO_DO, f"all {status.total} Pods run the sidecar {image}")
        return Outcome(
            Reason.REPORTED_ONLY,
            f"of {status.total} Pods with a sidecar {status.current} run {image or 'the one that is injected now'}, "
            f"{status.outdated} an older one, {status.unknown} cannot be told; restart their workloads with "
            "kubectl rollout restart when it suits them",
            status="False",
        )


def judge_pod(pod: Mapping[str, Any], container: str, image: str | None) -> str:
    """Give current, outdated or unknown. What cannot be told is never current."""
    images = [spec["image"] for spec in pod["spec"]["containers"] if spec["name"] == container]
    if not images or image is None:
        return "unknown"
    return "current" if images[0] == image else "outdated"


async def injected_image(work: Work) -> str | None:
    """Give the sidecar image that is injected now: the MeshConfig's, else the default that the injector was given."""
    mesh_config = await find_mesh_config(work) or {}
    image = lookup(mesh_config.get("spec") or {}, work.distribution.mesh_config.sidecar_image_path)
    if image:
        return str(image)
    facts = work.distribution.injector
    deployment = await work.tools.kube.find(ObjectRef("apps/v1", "Deployment", facts.deployment, work.namespace))
    if deployment is None:
        return None
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        for variable in container.get("env") or []:
            if container["name"] == facts.container and variable["name"] == facts.sidecar_image_env:
                return variable.get("value") or None
    return None
