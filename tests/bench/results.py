"""From samples to rows: medians, ratios, and the targets they are held against."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.data_plane import DataPlane
from tests.bench.sides import Sample
from tests.bench.timeline import PARTS, PLANNING

__all__ = ["COLD", "Row", "as_json", "data_plane_rows", "rows", "show"]

HELM, HELM_NO_WAIT = "helm", "helm without --wait"
BY_HAND, BY_HAND_CHANGED = "by hand", "by hand, changed CRDs"
OURS, OURS_CHANGED, COLD = "operator", "operator, changed CRDs", "operator, cold caches"

Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class Row:
    """One result, with what it is to stay below; None where there is no target."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def within(self) -> bool | None:
        """Whether the target is met."""
        return None if self.target is None else self.value <= self.target


def rows(samples: Samples, memory: Mapping[str, float]) -> list[Row]:
    """Give the results. Ratios are of medians, so that they say the same on any machine."""
    took = {side: statistics.median(sample.seconds for sample in taken) for side, taken in samples.items()}
    planning = statistics.median(sample.parts[PLANNING] for sample in samples[OURS])
    outside = {side: statistics.median(sample.outside() for sample in taken) for side, taken in samples.items()}
    return [
        Row("upgrade.ratio_to_helm", took[OURS] / took[HELM], "", 1.5),
        Row("upgrade.ratio_to_helm.changed_crds", took[OURS_CHANGED] / took[HELM], "", 1.5),
        Row("upgrade.ratio_to_by_hand", took[OURS] / took[BY_HAND], "", 1.0),
        Row("upgrade.ratio_to_by_hand.changed_crds", took[OURS_CHANGED] / took[BY_HAND_CHANGED], "", 1.0),
        Row("upgrade.ratio_to_helm.cold_caches", took[COLD] / took[HELM], ""),
        Row("preflight.ratio_to_helm_upgrade", planning / took[HELM_NO_WAIT], "", 1.0),
        Row("upgrade.seconds_outside_rollout", outside[OURS], "s"),
        Row("upgrade.seconds_outside_rollout.changed_crds", outside[OURS_CHANGED], "s"),
        Row("memory.rest_mib", memory["rss"], "MiB", 100.0),
        Row("memory.rest_pss_mib", memory["pss"], "MiB"),
    ]


def data_plane_rows(taken: DataPlane) -> list[Row]:
    """Give the results of the restarts."""
    middle = statistics.median
    return [
        Row("data_plane.find_seconds", middle(taken.find), "s", 2.0),
        Row("data_plane.restart.ratio_to_kubectl", middle(taken.operator) / middle(taken.kubectl), "", 1.2),
        Row("data_plane.restart.memory_growth_mib", max(taken.memory), "MiB", 50.0),
        Row("data_plane.restart.requests_by_workload", max(taken.requests), "", 4.0),
    ]


def as_json(
    samples: Samples, restarts: DataPlane | None, results: Sequence[Row], versions: Mapping[str, str]
) -> dict[str, Any]:
    """Give everything for .bench/results.json: rows, medians and each sample; times are in seconds."""
    return {
        "versions": dict(versions),
        "rows": {
            row.name: {"value": round(row.value, 4), "unit": row.unit, "target": row.target, "within": row.within}
            for row in results
        },
        "sides": {
            side: {
                "median": round(statistics.median(sample.seconds for sample in taken), 4),
                "medianParts": {name: round(value, 4) for name, value in _median_parts(taken).items()},
                "samples": [_sample(sample) for sample in taken],
            }
            for side, taken in samples.items()
        },
        "dataPlane": dataclasses.asdict(restarts) if restarts is not None else {},
    }


def show(console: Console, samples: Samples, results: Sequence[Row]) -> None:
    """Print the sides, the parts of the operator's upgrade, and the rows."""
    if samples:
        _show_upgrades(console, samples)
    table = Table("row", "value", "at most", "", title="Results")
    for row in results:
        mark = {None: "", True: "[green]✔[/]", False: "[red bold]above target[/]"}[row.within]
        table.add_row(row.name, f"{row.value:.2f} {row.unit}".strip(), f"{row.target:g}" if row.target else "", mark)
    console.print(table)


def _show_upgrades(console: Console, samples: Samples) -> None:
    sides = Table("side", "samples", "median s", "fastest", "slowest", "outside of rollout", title="One upgrade")
    for side, taken in samples.items():
        took = [sample.seconds for sample in taken]
        outside = statistics.median(sample.outside() for sample in taken)
        numbers = (statistics.median(took), min(took), max(took), outside)
        sides.add_row(side, str(len(taken)), *(f"{number:.2f}" for number in numbers))
    by_side = {side: _median_parts(samples[side]) for side in (OURS, OURS_CHANGED, COLD)}
    phases = Table("part", *by_side, title="The operator's upgrade, median seconds")
    for name in PARTS:
        phases.add_row(name, *(f"{parts[name]:.3f}" if name in parts else "" for parts in by_side.values()))
    console.print(sides)
    console.print(phases)


def _median_parts(taken: Sequence[Sample]) -> dict[str, float]:
    return {
        name: statistics.median(found)
        for name in PARTS
        if (found := [sample.parts[name] for sample in taken if name in sample.parts])
    }


def _sample(sample: Sample) -> dict[str, Any]:
    shown: dict[str, Any] = {"seconds": round(sample.seconds, 4), "rollout": round(sample.rollout, 4)}
    if sample.parts:
        shown["parts"] = {name: round(value, 4) for name, value in sample.parts.items()}
    return shown
