"""What `plan` shows: all that an upgrade would do, hop by hop, as a diff that a person can read."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from meshupgrade.api.v1alpha1.findings import Finding, Severity
from meshupgrade.api.v1alpha1.plan import (
    CRDAction,
    ObjectAction,
    Plan,
    PlannedCRD,
    PlannedHop,
    PlannedImage,
    PlannedObject,
    PlannedRestart,
    PlannedValue,
    Reversibility,
    SchemaChange,
)
from meshupgrade.cli.plugin.words import duration, finding_lines, step, when
from meshupgrade.domain.words import amount

__all__ = ["findings_lines", "plan_lines", "reversibility_lines"]

SHOWN_PATHS = 20
"""Fields of one object that are shown; -o yaml has them all."""

SIGNS = {
    ObjectAction.CREATE: ("+", "green"),
    ObjectAction.UPDATE: ("~", "yellow"),
    ObjectAction.RECREATE: ("-/+", "magenta"),
    ObjectAction.DELETE: ("-", "red"),
}
DONE = {
    ObjectAction.CREATE: "created",
    ObjectAction.UPDATE: "updated",
    ObjectAction.RECREATE: "deleted and created again",
    ObjectAction.DELETE: "deleted",
}
CRD_SIGNS = {
    CRDAction.CREATE: ("+", "green"),
    CRDAction.CHANGE: ("~", "yellow"),
    CRDAction.CHANGE_SCOPE: ("-/+", "magenta"),
}
SCHEMA_STYLES = {SchemaChange.ADDITIVE: "green", SchemaChange.TIGHTENING: "yellow", SchemaChange.DROPPING: "red"}


def plan_lines(plan: Plan, accepted: frozenset[str]) -> list[Text]:
    """Give the plan in lines; ``accepted`` are the names of the accepted Risks."""
    return list(_plan(plan, accepted))


def findings_lines(findings: Sequence[Finding], accepted: frozenset[str]) -> list[Text]:
    """Give the findings, the heaviest first, each with its remedy; nothing when there are none."""
    weights = list(Severity)
    ordered = sorted(findings, key=lambda finding: weights.index(finding.severity))
    lines = [line for finding in ordered for line in finding_lines(finding, accepted)]
    return [_heading("Findings"), *lines] if lines else []


def reversibility_lines(phases: Sequence[Reversibility]) -> list[Text]:
    """Say of each phase whether a rollback takes back what it did."""
    if not phases:
        return []
    lines = [
        Text.assemble("  ", ("✓ ", "green") if item.reversible else ("✗ ", "red"), f"{item.phase}: {item.note}")
        for item in phases
    ]
    return [_heading("What a rollback takes back"), *lines]


def _plan(plan: Plan, accepted: frozenset[str]) -> Iterator[Text]:
    hops = f", {len(plan.hops)} hops" if len(plan.hops) > 1 else ""
    way = step(plan.current, plan.target) if plan.current else f"install {plan.target}"
    yield Text.assemble("Plan for mesh ", (f"{plan.namespace}/{plan.mesh}", "bold"), ": ", (way, "bold"), hops)
    yield Text(f"Digest {plan.digest}   made {when(plan.created_at)}", style="dim")
    yield from findings_lines(plan.findings, accepted)
    if not plan.changes():
        yield Text("Nothing would change.")
        return
    for number, hop in enumerate(plan.hops, 1):
        if hop.changes():
            yield from _hop(hop, number, len(plan.hops))
    yield from _section("MeshConfig", [_value(value) for value in plan.mesh_config], "")
    if plan.data_plane is not None and plan.data_plane.workloads:
        yield from _section("Data plane", _restart(plan.data_plane), "")
    yield from _section("Addons", _images(plan.addons), "")
    yield from _section("Interrupted meanwhile", [Text(text) for text in plan.interruptions], "")
    yield from reversibility_lines(plan.reversibility)
    if plan.estimate_seconds is not None:
        yield Text(f"It will take about {duration(plan.estimate_seconds)}, by the history of this mesh.")


def _hop(hop: PlannedHop, number: int, total: int) -> Iterator[Text]:
    which = f"Hop {number}/{total}" if total > 1 else "Hop"
    yield _heading(f"{which}: {step(hop.previous, hop.version)}")
    yield Text(f"  chart {hop.chart} {hop.chart_digest}", style="dim")
    if hop.crd_digest:
        yield Text(f"  CRDs out of image {hop.crd_digest}", style="dim")
    yield from _section("CRDs", [line for crd in hop.crds for line in _crd(crd)])
    counts = [f"{count} {DONE[action]}" for action in ObjectAction if (count := _count(hop.objects, action))]
    yield from _section(f"Objects ({', '.join(counts)})", [line for item in hop.objects for line in _object(item)])
    yield from _section("Images", _images(hop.images))
    yield from _section("Values", [_value(value) for value in hop.values])
    yield from _section("Objects stored anew, of", [Text(name) for name in hop.storage])
    yield from _section("Pods replaced, of", [Text(name) for name in hop.restarts])
    yield from _section("Rendered anew each time, so not in the digest", [Text(name) for name in hop.random])


def _images(images: Sequence[PlannedImage]) -> list[Text]:
    return [
        Text(f"{item.workload} {item.container}: {item.before or 'none'} → {item.after or 'none'}") for item in images
    ]


def _restart(restart: PlannedRestart) -> list[Text]:
    first = f", namespace {restart.canary} first" if restart.canary else ""
    waves = f"{amount(restart.waves, 'wave')} of at most {restart.wave_size}"
    be = "is" if restart.workloads == 1 else "are"
    return [Text(f"{amount(restart.workloads, 'workload')} {be} restarted, in {waves}{first}"), *_names(restart)]


def _names(restart: PlannedRestart) -> Iterator[Text]:
    yield from (Text(name, style="dim") for name in restart.names[:SHOWN_PATHS])
    if restart.workloads > SHOWN_PATHS:
        yield Text(f"and {restart.workloads - SHOWN_PATHS} more: -o yaml has their names", style="dim")


def _crd(crd: PlannedCRD) -> Iterator[Text]:
    stored = ""
    if crd.stored_after and crd.stored_before != crd.stored_after:
        stored = f"  stored version {step(crd.stored_before, crd.stored_after)}"
    scope = "  scope changes: deleted and created again, with its objects" * (crd.action is CRDAction.CHANGE_SCOPE)
    yield Text.assemble(CRD_SIGNS[crd.action], f" {crd.name}{stored}{scope}")
    for version in crd.versions:
        if version.added:
            yield Text.assemble("    ", ("+", "green"), f" version {version.name}")
        for kind, fields in version.changes.items():
            yield Text.assemble(f"    {version.name} ", (kind.lower(), SCHEMA_STYLES[kind]), f": {_some(fields)}")
    if crd.fields:
        yield Text(f"    also: {_some(crd.fields)}", style="dim")


def _object(item: PlannedObject) -> Iterator[Text]:
    again = "  (deleted and created again)" * (item.action is ObjectAction.RECREATE)
    yield Text.assemble(SIGNS[item.action], f" {item.object}{again}")
    yield from (Text(f"      {path}", style="dim") for path in item.paths[:SHOWN_PATHS])
    if len(item.paths) > SHOWN_PATHS:
        yield Text(f"      and {len(item.paths) - SHOWN_PATHS} more fields: -o yaml has them all", style="dim")


def _value(value: PlannedValue) -> Text:
    if value.secret:
        return Text.assemble(("~", "yellow"), f" {value.path}: secret, not shown")
    if "before" not in value.model_fields_set or value.before is None:
        return Text.assemble(("+", "green"), f" {value.path}: {_json(value.after)}")
    if "after" not in value.model_fields_set or value.after is None:
        return Text.assemble(("-", "red"), f" {value.path}: was {_json(value.before)}")
    return Text.assemble(("~", "yellow"), f" {value.path}: {_json(value.before)} → {_json(value.after)}")


def _section(title: str, lines: Sequence[Text], indent: str = "  ") -> Iterator[Text]:
    if lines:
        yield Text(f"{indent}{title}", style="bold")
        yield from (Text.assemble(f"{indent}  ", line) for line in lines)


def _heading(text: str) -> Text:
    return Text(text, style="bold underline")


def _count(objects: Sequence[PlannedObject], action: ObjectAction) -> int:
    return sum(item.action is action for item in objects)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN_PATHS} more" if len(names) > SHOWN_PATHS else ""
    return ", ".join(names[:SHOWN_PATHS]) + rest


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
