"""AddonMissing: the spec names an image for an addon that the release does not have."""

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.phases.addon_images import missing_addons
from meshupgrade.phases.preflight.check import Check, finding
from meshupgrade.phases.shape import Work

__all__ = ["CHECK"]


async def check(work: Work) -> list[Finding]:
    """Look at the release of the last hop: what one on the way has does not count."""
    if work.version != work.need_goal():
        return []
    return [
        finding(
            FindingName.ADDON_MISSING,
            Severity.WARNING,
            f"spec.addons.{name} names an image, and the release has no {name}",
            f"Set {switch} to true in spec.values to install it, or take spec.addons.{name} out.",
        )
        for name, switch in missing_addons(work, work.need_target().rendered)
    ]


CHECK = Check((FindingName.ADDON_MISSING,), "the addons that the spec names", check, Severity.WARNING)
