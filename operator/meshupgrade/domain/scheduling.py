"""What Pods ask of nodes, and what nodes have left: the part of the scheduler's rules that numbers and names decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from meshupgrade.domain.quantities import parse_quantity

__all__ = ["Needs", "Room", "pod_needs", "takes"]

Object = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Needs:
    """CPU in cores and memory in bytes."""

    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)

    def __add__(self, other: "Needs") -> "Needs":
        return Needs(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: "Needs") -> "Needs":
        return Needs(self.cpu - other.cpu, self.memory - other.memory)

    def __str__(self) -> str:
        return f"{self.cpu.normalize():f} CPU and {self.memory / 2**20:.0f} Mi of memory"


@dataclass(frozen=True)
class Room:
    """What a node has left."""

    needs: Needs
    pods: int

    @classmethod
    def of(cls, node: Object) -> Self:
        """Give what an empty node has."""
        allocatable = node.get("status", {}).get("allocatable") or {}
        return cls(_needs(allocatable), int(parse_quantity(allocatable.get("pods", 110))))

    def without(self, pods: Sequence[Object]) -> Self:
        """Give what these Pods leave of it; those that have ended take nothing."""
        running = [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
        taken = sum((pod_needs(pod["spec"]) for pod in running), Needs())
        return type(self)(self.needs - taken, self.pods - len(running))

    def minus(self, needs: Needs) -> Self:
        """Give what one more Pod leaves of it."""
        return type(self)(self.needs - needs, self.pods - 1)

    def has(self, needs: Needs) -> bool:
        """Tell whether there is room for one more Pod; what it does not ask for it gets even on a full node."""
        return (
            self.pods > 0
            and (needs.cpu == 0 or needs.cpu <= self.needs.cpu)
            and (needs.memory == 0 or needs.memory <= self.needs.memory)
        )


def pod_needs(spec: Object) -> Needs:
    """Give what a Pod asks for: its containers together, or the largest init container when that is more.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    together, first = Needs(), Needs()
    for container in spec.get("initContainers") or []:
        asked = _asked(container)
        if container.get("restartPolicy") == "Always":
            together += asked
        else:
            first = Needs(max(first.cpu, asked.cpu + together.cpu), max(first.memory, asked.memory + together.memory))
    for container in spec.get("containers") or []:
        together += _asked(container)
    return Needs(max(together.cpu, first.cpu), max(together.memory, first.memory)) + _needs(spec.get("overhead") or {})


def takes(node: Object, spec: Object) -> bool:
    """Tell whether a node takes new Pods of that spec: not cordoned, its labels selected, its taints tolerated."""
    labels = node["metadata"].get("labels") or {}
    if node["spec"].get("unschedulable") or not (spec.get("nodeSelector") or {}).items() <= labels.items():
        return False
    tolerations = spec.get("tolerations") or []
    taints = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] != "PreferNoSchedule"]
    return all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in taints)


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


def _asked(container: Object) -> Needs:
    """Give what a container asks for; a request that is not named is its limit."""
    resources = container.get("resources") or {}
    return _needs({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _needs(amounts: Object) -> Needs:
    return Needs(parse_quantity(amounts.get("cpu", 0)), parse_quantity(amounts.get("memory", 0)))
