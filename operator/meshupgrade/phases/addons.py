"""Phase 8, Addons: Prometheus, Grafana and Jaeger run the images that the spec names.

Where the chart has a value for an image, Helm has brought it already (see meshupgrade.phases.addon_images). Where it
has none, or makes something else of it, the container of the Deployment is changed, once for each revision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.plan import PlannedImage
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.distributions import Addon
from meshupgrade.domain.addons import image_of, next_step, patch_of
from meshupgrade.helm.release import Release
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import Conflict, Rejected
from meshupgrade.phases.addon_images import in_release, missing_addons, wanted_image
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.healthy import wait_healthy
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["Addons"]

TRIES = 5
"""A controller may write the Deployment just then, more than once."""


@dataclass(frozen=True)
class Seen:
    """An addon of the release, and what runs of it."""

    addon: Addon
    ref: ObjectRef
    rendered: str
    """The image that the release renders."""

    wanted: str | None
    """The image that the spec names."""

    live: Mapping[str, Any] | None

    @property
    def due(self) -> str:
        """The image that is to run."""
        return self.wanted or self.rendered

    @property
    def runs(self) -> str | None:
        """The image of the live Deployment."""
        return image_of(self.live, self.addon.container) if self.live is not None else None


class Addons:
    """Brings the images of the addons that the release has; an addon that it has not is told, and no failure."""

    name = Phase.ADDONS
    condition = ConditionType.ADDONS_UPGRADED

    async def plan(self, work: Work) -> PhasePlan:
        """Say which images are set on Deployments, Helm's own changes being told as its own."""
        release = work.target.rendered if work.target is not None else work.live
        if release is None:
            return PhasePlan()
        # Each revision brings the chart's own images back.
        revision = work.live.revision if work.live is not None and release_fits(work) else work.next_revision()
        found = [
            PlannedImage(
                workload=str(seen.ref), container=seen.addon.container, before=seen.runs or "", after=step.image
            )
            for seen in await _see(work, release)
            if seen.live is not None
            and (step := next_step(seen.live, seen.addon.container, seen.rendered, seen.wanted, revision)) is not None
            and step.image is not None
        ]
        return PhasePlan(
            changes=[
                f"set the image of {image.workload}, container {image.container}, to {image.after}" for image in found
            ],
            addons=found,
        )

    async def apply(self, work: Work) -> Outcome:
        """Set the images that no value brings, and wait until the addons are rolled out; at rest nothing is waited for.

        Raises PhaseFailed with the cause when one does not become ready.
        """
        release = work.live
        assert release is not None
        seen = await _see(work, release)
        changed = [one.ref for one in seen if await _settle(work, one, release.revision)]
        if work.revision is not None and seen:
            await wait_healthy(work, [one.ref for one in seen], what=_named(seen))
        return _outcome(work, release, await _see(work, release) if changed else seen, changed)


async def _see(work: Work, release: Release) -> list[Seen]:
    seen = []
    for addon in work.distribution.addons:
        if (deployment := in_release(release, addon)) is None:
            continue
        ref = ObjectRef.of(deployment, work.namespace)
        rendered = image_of(deployment, addon.container) or ""
        seen.append(Seen(addon, ref, rendered, wanted_image(work, addon), await work.tools.kube.find(ref)))
    return seen


async def _settle(work: Work, seen: Seen, revision: int) -> bool:
    """Write what is due on the Deployment, if anything, and tell whether its image changed."""
    live, container = seen.live, seen.addon.container
    for left in reversed(range(TRIES)):
        step = next_step(live, container, seen.rendered, seen.wanted, revision) if live is not None else None
        if live is None or step is None:
            return False
        try:
            await work.tools.kube.json_patch(seen.ref, patch_of(live, container, step))
        except (Conflict, Rejected):
            if not left:
                raise
            live = await work.tools.kube.find(seen.ref)
        else:
            return step.image is not None
    return False


def _outcome(work: Work, release: Release, seen: list[Seen], changed: list[ObjectRef]) -> Outcome:
    told = [_told(one) for one in seen]
    told += [
        f"the release has no {name}, whose image spec.addons.{name} names; {switch} installs it"
        for name, switch in missing_addons(work, release)
    ]
    if any(one.runs != one.due for one in seen):
        return Outcome(Reason.REPORTED_ONLY, "; ".join(told), status="False")
    reason = Reason.DONE if seen and (changed or work.revision is not None) else Reason.NOTHING_TO_DO
    return Outcome(reason, "; ".join(told) or "the release has no addons")


def _named(seen: list[Seen]) -> str:
    names = ", ".join(one.addon.name for one in seen)
    return f"the addon {names}" if len(seen) == 1 else f"one of the addons {names}"


def _told(seen: Seen) -> str:
    text = f"{seen.addon.name} runs {seen.runs or 'nothing'}"
    if seen.runs == seen.due:
        return text
    return f"{text}, while {'the spec' if seen.wanted else 'the chart'} asks for {seen.due}"
