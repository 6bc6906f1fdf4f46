"""PodDisruptionBudgets: how many Pods of a workload may be away."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from meshupgrade.domain.label_selectors import selects
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.live import Live, places_of
from meshupgrade.phases.shape import Work

__all__ = ["Budgets", "read_budgets"]


@dataclass
class Budgets:
    """The budgets of some workloads."""

    of: dict[ObjectRef, list[str]] = field(default_factory=dict)
    """By workload, the budgets that select its Pods, as namespace/name."""

    allowed: dict[str, int] = field(default_factory=dict)
    """By budget, how many Pods may go now."""


async def read_budgets(work: Work, workloads: Collection[Live]) -> Budgets:
    """Read the budgets that select Pods of these workloads. Raises the errors of kube."""
    by_namespace: dict[str, list[Live]] = {}
    for live in workloads:
        by_namespace.setdefault(str(live.ref.namespace), []).append(live)
    budgets = Budgets()
    for place in places_of(by_namespace):
        async for budget in work.tools.kube.list_objects("policy/v1", "PodDisruptionBudget", place):
            name, namespace = budget["metadata"]["name"], budget["metadata"]["namespace"]
            for live in by_namespace.get(namespace, ()):
                if selects(budget["spec"].get("selector"), live.labels):
                    budgets.of.setdefault(live.ref, []).append(f"{namespace}/{name}")
                    budgets.allowed[f"{namespace}/{name}"] = _allowed(budget)
    return budgets


def _allowed(budget: dict[str, Any]) -> int:
    """Give how many Pods may go; none while the controller has not seen the newest spec."""
    status = budget.get("status") or {}
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        return 0
    return int(status.get("disruptionsAllowed") or 0)
