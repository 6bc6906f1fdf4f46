"""Reads out of the events of one upgrade by the operator how long each part of it took."""

from collections.abc import Iterator, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.status import Phase
from tests.bench.recorder import BenchFailed, Event

__all__ = ["PARTS", "is_done", "parts"]

TAKEN_UP, PLANNING, HELM, READINESS = "taken up", "planning", "ControlPlane: Helm", "ControlPlane: readiness"
PARTS: tuple[str, ...] = (
    TAKEN_UP, PLANNING, Phase.PATH, Phase.PREFLIGHT, Phase.CRDS, HELM, READINESS,
    Phase.STORAGE, Phase.MESH_CONFIG, Phase.DATA_PLANE, Phase.ADDONS,
)  # fmt: skip
"""What an upgrade consists of, in order.

Taken up is from kubectl until the first status for the new generation, with kubectl itself; planning is everything that
is read before the first write, for all phases.
"""


def is_done(obj: dict[str, Any], version: str) -> bool:
    """Tell whether the object is Ready for that version and its newest generation. Raises BenchFailed when stalled."""
    generation, status = obj["metadata"]["generation"], obj.get("status", {})
    if obj["spec"]["version"] != version or status.get("observedGeneration") != generation:
        return False
    conditions = {item["type"]: item for item in status["conditions"]}
    if "Stalled" in conditions:
        raise BenchFailed(f"the upgrade to {version} stalled: {conditions['Stalled']['message']}")
    return bool(conditions["Ready"]["status"] == "True" and conditions["Ready"]["observedGeneration"] == generation)


def parts(began: float, ended: float, told: Sequence[Event], stored: Sequence[Event]) -> dict[str, float]:
    """Give the seconds of each part.

    ``told`` are the events of the MeshUpgrade, ``stored`` those of Helm's release Secrets. A phase that has nothing to
    do has no status of its own: the operator's history says how long it took, which the part before it is free of.
    """
    starts = {TAKEN_UP: began, **dict(_starts(told, stored))}
    ordered = [(name, starts[name]) for name in PARTS if name in starts]
    ends = [at for _, at in ordered[1:]] + [ended]
    found = {name: end - start for (name, start), end in zip(ordered, ends, strict=True)}
    for phase in told[-1].obj["status"]["history"][0]["phases"]:
        if phase["name"] in PARTS and phase["name"] not in found:
            before = [name for name in PARTS[: PARTS.index(phase["name"])] if name in found][-1]
            found[phase["name"]] = phase["seconds"]
            found[before] -= phase["seconds"]
    return found


def _starts(told: Sequence[Event], stored: Sequence[Event]) -> Iterator[tuple[str, float]]:
    seen: set[str] = set()
    for event in told:
        status = event.obj.get("status", {})
        if status.get("observedGeneration") != event.obj["metadata"]["generation"]:
            continue
        part = HELM if status["phase"] == Phase.CONTROL_PLANE else status["phase"]
        part = part if part in PARTS else PLANNING
        if part not in seen and not (part == PLANNING and seen):
            seen.add(part)
            yield part, event.at
    for event in stored:
        # Helm has done its part when the revision is deployed; what is left is the wait for readiness.
        if event.obj["metadata"].get("labels", {}).get("status") == "deployed":
            yield READINESS, event.at
