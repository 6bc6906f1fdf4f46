"""Deployments that a HorizontalPodAutoscaler scales: their replicas are its own, whatever the chart says.

Helm's forced apply sets them back to the chart's number, or, when the chart stops naming any, to one. So they are
looked at before Helm runs and put back right after it. Autoscalers go on from there.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from meshupgrade.api.v1alpha1.names import FIELD_MANAGER
from meshupgrade.helm.release import Release
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import Forbidden, KindNotServed, NotFound
from meshupgrade.phases.shape import Work

__all__ = ["autoscaled", "put_back", "remember", "replicas"]

AUTOSCALER_API = "autoscaling/v2"


async def autoscaled(work: Work, release: Release) -> list[Mapping[str, Any]]:
    """Give the live Deployments of the mesh that an autoscaler scales, or will when the release is applied."""
    try:
        scalers = [
            scaler
            async for scaler in work.tools.kube.list_objects(AUTOSCALER_API, "HorizontalPodAutoscaler", work.namespace)
        ]
    except KindNotServed:
        scalers = []
    scalers += [obj for obj in release.objects() if obj["kind"] == "HorizontalPodAutoscaler"]
    targets = {scaler["spec"]["scaleTargetRef"]["name"] for scaler in scalers if _scales_deployment(scaler)}
    ours = [
        ObjectRef.of(obj, work.namespace)
        for obj in release.objects()
        if obj["kind"] == "Deployment" and obj["metadata"]["name"] in targets
    ]
    found = [await work.tools.kube.find(ref) for ref in ours]
    return [deployment for deployment in found if deployment is not None]


async def remember(work: Work, release: Release) -> list[Mapping[str, Any]]:
    """Give what to put back after the release is applied; nothing when autoscalers may not be looked at."""
    try:
        return await autoscaled(work, release)
    except Forbidden:
        return []


async def put_back(work: Work, before: Sequence[Mapping[str, Any]]) -> None:
    """Scale up again what has fewer replicas than before.

    A process that dies before this, or may not do it, leaves the autoscaler to do it in its own time.
    """
    for deployment in before:
        ref, count = ObjectRef.of(deployment), replicas(deployment)
        live = await work.tools.kube.find(ref)
        if live is None or replicas(live) >= count:
            continue
        path = await work.tools.kube.path(ref.api_version, ref.kind, ref.namespace, ref.name)
        with suppress(Forbidden, NotFound):
            await work.tools.kube.json(
                "PATCH",
                f"{path}/scale",
                query={"fieldManager": FIELD_MANAGER},
                body={"spec": {"replicas": count}},
                content_type="application/merge-patch+json",
            )


def replicas(deployment: Mapping[str, Any]) -> int:
    """Give how many replicas a Deployment is to have; one when it does not say."""
    return int(deployment["spec"].get("replicas", 1))


def _scales_deployment(scaler: Mapping[str, Any]) -> bool:
    return bool(scaler["spec"]["scaleTargetRef"].get("kind") == "Deployment")
