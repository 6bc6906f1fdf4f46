"""InsufficientCapacity: whether the nodes have room for the Pods that a rolling update adds to those that run.

Only a warning: an autoscaler may add nodes, and the scheduler knows more rules than are looked at here.
"""

import math
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.domain.quantities import parse_quantity
from meshupgrade.domain.scheduling import Needs, Room, pod_needs, takes
from meshupgrade.helm.release import Release
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding
from meshupgrade.phases.replicas import replicas
from meshupgrade.phases.shape import Work

__all__ = ["CHECK", "new_pods", "surge"]

MOST_NODES = 100
"""How many nodes are looked at, the largest first."""


async def check(work: Work) -> list[Finding]:
    """Find a place for every additional Pod, reading the Pods of a node only when it is its turn."""
    if release_fits(work):
        return []
    kube, pods = work.tools.kube, new_pods(work.live, work.need_target().rendered)
    if not pods:
        return []
    nodes = [node async for node in kube.list_objects("v1", "Node")]
    nodes = sorted(nodes, key=lambda node: Room.of(node).needs.cpu, reverse=True)[:MOST_NODES]
    rooms: dict[str, Room] = {}
    homeless: list[str] = []
    for name, spec in pods:
        needs, places = pod_needs(spec), [node for node in nodes if takes(node, spec)]
        for node in places:
            host = node["metadata"]["name"]
            if host not in rooms:
                running = kube.list_objects("v1", "Pod", fields=f"spec.nodeName={host}")
                rooms[host] = Room.of(node).without([pod async for pod in running])
            if rooms[host].has(needs):
                rooms[host] = rooms[host].minus(needs)
                break
        else:
            most = max((rooms[node["metadata"]["name"]] for node in places), key=lambda room: room.needs, default=None)
            homeless.append(_told(name, spec, needs, len(places), most))
    if not homeless:
        return []
    return [
        finding(
            FindingName.INSUFFICIENT_CAPACITY,
            Severity.WARNING,
            f"no node has room for Pods that run beside those of before during the upgrade: {enumerate_some(homeless)}",
            "Add nodes or free resources, or lower the requests in spec.values.",
        )
    ]


def new_pods(live: Release | None, rendered: Release) -> list[tuple[str, Mapping[str, Any]]]:
    """Give name of the Deployment and Pod spec for each Pod that runs beside those of before, the largest first.

    A Deployment whose template stays gets no new Pods; one that is new gets all of its own.
    """
    before = {obj["metadata"]["name"]: obj for obj in (live.objects() if live else []) if obj["kind"] == "Deployment"}
    pods = []
    for obj in rendered.objects():
        if obj["kind"] != "Deployment":
            continue
        name, old = obj["metadata"]["name"], before.get(obj["metadata"]["name"])
        if old is not None and old["spec"]["template"] == obj["spec"]["template"]:
            continue
        count = replicas(obj) if old is None else surge(obj)
        pods += [(name, obj["spec"]["template"]["spec"])] * count
    return sorted(pods, key=lambda pod: pod_needs(pod[1]), reverse=True)


def surge(deployment: Mapping[str, Any]) -> int:
    """Give how many Pods a rolling update starts before it ends any.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-surge (25 %, rounded up)
    """
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    most = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    if isinstance(most, str) and most.endswith("%"):
        return math.ceil(replicas(deployment) * float(most[:-1]) / 100)
    return min(int(parse_quantity(most)), replicas(deployment))


def _told(name: str, spec: Mapping[str, Any], needs: Needs, places: int, most: Room | None) -> str:
    text = f"a Pod of {name} asks for {needs}"
    text += f" and the most that any of {places} nodes has free is {most.needs}" if most else " and no node takes it"
    priority = spec.get("priorityClassName")
    return f"{text} (its priority class {priority} may push out others)" if priority else text


CHECK = Check((FindingName.INSUFFICIENT_CAPACITY,), "the room on the nodes", check, Severity.WARNING)
