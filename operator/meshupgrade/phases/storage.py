"""Phase 5, Storage: which CRDs still store objects in a version that the release no longer writes.

For now it tells, and migrates nothing: all versions stay served, so nothing is broken by waiting.
"""

from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.crds import stored_version
from meshupgrade.kube.client import crd_ref
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["Storage"]


class Storage:
    """Reads status.storedVersions of the CRDs of the release."""

    name = Phase.STORAGE
    condition = ConditionType.STORAGE_MIGRATED

    async def plan(self, work: Work) -> PhasePlan:
        """Nothing is changed by this phase yet."""
        return PhasePlan()

    async def apply(self, work: Work) -> Outcome:
        """Say which CRDs have objects in an old version."""
        due = [text for crd in work.need_target().crds if (text := await _due(work, crd))]
        if not due:
            return Outcome(Reason.NOTHING_TO_DO, "every CRD stores its objects in the version of this release")
        return Outcome(
            Reason.REPORTED_ONLY,
            f"nothing has to be done now: all versions stay served; objects may still be stored in an older one: "
            f"{', '.join(due[:10])}",
            status="False",
        )


async def _due(work: Work, shipped: Mapping[str, Any]) -> str | None:
    name = shipped["metadata"]["name"]
    live = await work.tools.kube.find(crd_ref(name))
    if live is None:
        return None
    wanted = stored_version(shipped)
    stored = live.get("status", {}).get("storedVersions") or []
    older = [version for version in stored if version != wanted]
    return f"{name} ({', '.join(older)}; {wanted} is wanted)" if older else None
