"""Phase 8, Addons: which image Prometheus, Grafana and Jaeger run.

For now it compares, and changes nothing: the chart's own values set the images, so Helm has brought them already.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.distributions import Addon
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["Addons"]


class Addons:
    """Compares the addons that the release has with what its manifest asks for."""

    name = Phase.ADDONS
    condition = ConditionType.ADDONS_UPGRADED

    async def plan(self, work: Work) -> PhasePlan:
        """Nothing is changed by this phase yet."""
        return PhasePlan()

    async def apply(self, work: Work) -> Outcome:
        """Say what each addon of the release runs, and whether that is what Helm was told."""
        assert work.live is not None
        found = [
            (addon, deployment)
            for addon in work.distribution.addons
            if (deployment := _in_manifest(work.live.objects(), addon)) is not None
        ]
        if not found:
            return Outcome(Reason.NOTHING_TO_DO, "the release has no addons")
        compared = [await _compare(work, addon, deployment) for addon, deployment in found]
        message = "; ".join(text for _, text in compared)
        if all(same for same, _ in compared):
            return Outcome(Reason.DONE, message)
        return Outcome(Reason.REPORTED_ONLY, message, status="False")


def _in_manifest(objects: Sequence[Mapping[str, Any]], addon: Addon) -> Mapping[str, Any] | None:
    return next(
        (obj for obj in objects if obj["kind"] == "Deployment" and obj["metadata"]["name"] in addon.deployments), None
    )


async def _compare(work: Work, addon: Addon, rendered: Mapping[str, Any]) -> tuple[bool, str]:
    ref = ObjectRef.of(rendered, work.namespace)
    wanted, live = _image(rendered, addon), await work.tools.kube.find(ref)
    running = _image(live, addon) if live is not None else None
    if running == wanted:
        return True, f"{addon.name} runs {running}"
    return False, f"{addon.name} runs {running or 'nothing'}, while the chart asks for {wanted}"


def _image(deployment: Mapping[str, Any], addon: Addon) -> str | None:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next((container["image"] for container in containers if container["name"] == addon.container), None)
