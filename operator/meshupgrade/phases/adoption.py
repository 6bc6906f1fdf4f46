"""Taking over a release that another program made: its fields are handed to Helm before Helm upgrades it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.handover import HELM_MANAGER, handed_over, made_elsewhere
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import Conflict, KindNotServed, Rejected
from meshupgrade.phases.shape import Work

__all__ = ["FLUX_LABEL", "adopt", "is_made_elsewhere", "makers"]

FLUX_MANAGER = "helm-controller"

FLUX_LABEL = "helm.toolkit.fluxcd.io/name"
"""Flux's helm-controller puts it on every object of a release; its value is the name of the HelmRelease."""

PARALLEL = 8
TRIES = 3


def makers() -> frozenset[str]:
    """Give the field managers of programs that make releases of the meshes: Helm, Flux and the meshes' own CLIs."""
    return frozenset({HELM_MANAGER, FLUX_MANAGER, *(load_distribution(name).cli for name in DistributionName)})


def is_made_elsewhere(live: Mapping[str, Any]) -> bool:
    """Tell whether another program than Helm 4 applied the object, which Helm is to make its own."""
    return made_elsewhere(live["metadata"].get("managedFields") or [], makers())


async def adopt(work: Work) -> None:
    """Hand the fields of the live release's objects to Helm; only metadata.managedFields is written.

    Those that Preflight saw in Helm's hands are left out.

    What Helm has applied itself stays as it is, so that a second time does nothing. Raises the errors of kube.
    """
    limit = asyncio.Semaphore(PARALLEL)

    async def one(obj: Mapping[str, Any]) -> None:
        async with limit:
            await _adopt_object(work, ObjectRef.of(obj, work.namespace))

    if work.live is not None:
        await asyncio.gather(*(one(obj) for obj in work.live.objects()))


async def _adopt_object(work: Work, ref: ObjectRef) -> None:
    kube = work.tools.kube
    try:
        ref = await kube.placed(ref)
    except KindNotServed:
        return
    if ref in work.helms_own:
        return
    for left in reversed(range(TRIES)):
        live = await kube.find(ref)
        if live is None or not is_made_elsewhere(live):
            return
        fields = handed_over(live["metadata"]["managedFields"], makers())
        version = live["metadata"]["resourceVersion"]
        try:
            await kube.json_patch(
                ref,
                [
                    {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                    {"op": "replace", "path": "/metadata/managedFields", "value": fields},
                ],
            )
        except (Conflict, Rejected):
            # Somebody wrote the object meanwhile.
            if not left:
                raise
        else:
            return
