"""What is told of a MeshConfig: findings before anything is written, and how the phase ended."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import FIELD_MANAGER
from meshupgrade.api.v1alpha1.plan import PlannedValue
from meshupgrade.api.v1alpha1.spec import MeshConfigDefaults
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.merge import dotted, leaf_paths, lookup, with_value
from meshupgrade.domain.mesh_config import clash
from meshupgrade.domain.plans import value_changes
from meshupgrade.domain.schema_validation import Validator
from meshupgrade.domain.structural_schema import Path as SchemaPath
from meshupgrade.domain.structural_schema import told_path
from meshupgrade.domain.three_way import MISSING, shown_path
from meshupgrade.kube.errors import ApiStatusError
from meshupgrade.phases.mesh_config.planned import Planned, image_fields
from meshupgrade.phases.shape import Work

__all__ = [
    "changes_of",
    "conflict_findings",
    "differing",
    "invalid",
    "listed",
    "lost_finding",
    "opened_findings",
    "patched_by",
    "schema_findings",
    "spec_findings",
    "taken_back",
    "unknown_fields",
    "violations_of",
]

MOST_PATHS, MOST_KEPT, MOST_CONFLICTS, MOST_VALUE = 8, 3, 10, 80

PATCH_REMEDY = "Correct spec.meshConfig.patch; it is a JSON merge patch on the spec of the MeshConfig."


def spec_findings(work: Work, planned: Planned | None) -> list[Finding]:
    """Give what can be told of the spec alone: two of its fields that say different images."""
    patch, image = work.spec.mesh_config.patch, work.spec.data_plane.sidecar_image
    other = clash(planned.before if planned else {}, patch, image, image_fields(work.distribution)) if image else None
    if other is None:
        return []
    return [
        _finding(
            FindingName.MESH_CONFIG_PATCH_INVALID,
            Severity.ERROR,
            f"spec.meshConfig.patch.{other} and spec.dataPlane.sidecarImage name different images for the sidecar",
            f"Take {other} out of spec.meshConfig.patch, or spec.dataPlane.sidecarImage out of the spec.",
        )
    ]


def schema_findings(planned: Planned) -> list[Finding]:
    """Give what the schema to come has against the MeshConfig to be, but for what is in it already, word for word."""
    if unknown := unknown_fields(planned):
        return [
            _finding(
                FindingName.MESH_CONFIG_PATCH_INVALID,
                Severity.ERROR,
                f"the CRD of the MeshConfig has no fields for this part of spec.meshConfig.patch: {listed(unknown)}",
                PATCH_REMEDY,
            )
        ]
    told = [text for path, text in violations_of(planned) if _at(planned.spec, path) != _at(planned.before, path)]
    if not told:
        return []
    return [
        _finding(
            FindingName.MESH_CONFIG_PATCH_INVALID,
            Severity.ERROR,
            f"the MeshConfig as it is to be does not fit the CRD of this version: {listed(told)}",
            PATCH_REMEDY,
        )
    ]


def violations_of(planned: Planned) -> list[tuple[SchemaPath, str]]:
    """Give what the schema to come has against the MeshConfig to be: where in its spec, and what is told of it."""
    return [
        (one.path[1:], f"{told_path(one.path)}: {one.text}")
        for one in Validator(planned.schema).violations({"spec": planned.spec})
        if one.path[:1] == ("spec",)
    ]


def conflict_findings(planned: Planned) -> list[Finding]:
    """Give the finding for fields that somebody changed and that have a new default, and for defaults not known."""
    if planned.blind:
        return [
            _finding(
                FindingName.MESH_CONFIG_CONFLICT,
                Severity.WARNING,
                "the release that the MeshConfig was made by is not stored any more, so it cannot be told which of its "
                f"fields still have their defaults: all of it stays, and these fields differ from the new defaults: "
                f"{listed([shown_path(path) for path in planned.differing]) or 'none'}",
                "Set by spec.meshConfig.patch what is to change.",
            )
        ]
    if not planned.conflicts:
        return []
    told = [
        f"{shown_path(one.path)} is {_value(one.live)}, its default was {_value(one.base)} and is {_value(one.new)} now"
        for one in planned.conflicts[:MOST_CONFLICTS]
    ]
    more = f" and {len(planned.conflicts) - len(told)} more" if len(planned.conflicts) > len(told) else ""
    return [
        _finding(
            FindingName.MESH_CONFIG_CONFLICT,
            Severity.WARNING,
            f"these fields of the MeshConfig were changed, and their defaults change as well; they stay as they are: "
            f"{'; '.join(told)}{more}",
            "Look at each; set by spec.meshConfig.patch those that are to have another value.",
        )
    ]


def opened_findings(planned: Planned) -> list[Finding]:
    """Give the finding for new defaults that let traffic pass which the MeshConfig of before holds back."""
    if not planned.opened:
        return []
    keep: dict[str, Any] = {}
    for one in planned.opened:
        keep = with_value(keep, one.path, False)
    told = [f"{shown_path(one.path)} is {_value(one.live)} and becomes {_value(one.new)}" for one in planned.opened]
    return [
        _finding(
            FindingName.MESH_CONFIG_OPENED,
            Severity.WARNING,
            "the new defaults that spec.meshConfig.defaults Merge brings let traffic pass which the MeshConfig holds "
            f"back now: {'; '.join(told)}",
            f"To keep it as it is, add this to spec.meshConfig.patch: {json.dumps(keep)}; to have the new defaults "
            "without this being told, set them there.",
        )
    ]


def lost_finding(names: Sequence[str]) -> Finding:
    """Give the finding for snapshots that are not there any more."""
    return Finding(
        name=FindingName.MESH_CONFIG_SNAPSHOT_MISSING,
        severity=Severity.WARNING,
        phase=Phase.MESH_CONFIG,
        message=f"the MeshConfig of before cannot be told any more, since its snapshot is gone: {listed(names)}; what "
        "these attempts changed in it stays",
        remedy="Set by spec.meshConfig.patch what is to be as it was.",
    )


def invalid(error: ApiStatusError) -> Finding:
    """Give the finding for what the API server refuses."""
    return _finding(
        FindingName.MESH_CONFIG_PATCH_INVALID,
        Severity.ERROR,
        f"the API server refuses the MeshConfig as it is to be: {error.message}",
        PATCH_REMEDY,
    )


def unknown_fields(planned: Planned) -> list[str]:
    """Give the fields of spec.meshConfig.patch that the MeshConfig does not have."""
    return [dotted(path) for path in leaf_paths(planned.unknown)]


def changes_of(planned: Planned) -> list[PlannedValue]:
    """Give the fields that change; of what the chart makes up in each rendering the path alone."""
    changes = value_changes(planned.before, planned.spec)
    made_up = {dotted(path) for path in planned.generated}
    return [PlannedValue(path=one.path) if one.path in made_up else one for one in changes]


def patched_by(planned: Planned) -> str:
    """Give what to say of a write; the fields that have again what they had are named by taken_back."""
    paths = [one.path for one in changes_of(planned)]
    own = [path for path in paths if not any(_within(path, other) for other in planned.undone)]
    return f"patched by {FIELD_MANAGER}" + (f": {listed(own)}" if own else "")


def differing(work: Work, planned: Planned) -> str:
    """Give the end of a message that names fields that differ from the release's defaults, and not by the spec.

    With Keep nobody asked for these defaults: a few are named, and how many there are.
    """
    paths = [shown_path(path) for path in planned.differing]
    if not paths:
        return ""
    if work.spec.mesh_config.defaults is MeshConfigDefaults.KEEP and len(paths) > MOST_KEPT:
        return f"; other than the release's defaults: {len(paths)} fields, such as {', '.join(paths[:MOST_KEPT])}"
    return f"; other than the release's defaults: {listed(paths)}"


def taken_back(planned: Planned) -> str:
    """Give the part of a message that tells of what was taken back, and what was not."""
    told = f"; the MeshConfig has again what it had before: {listed(planned.undone)}" if planned.undone else ""
    if planned.stays:
        told += f"; left as it is, since it was changed meanwhile: {listed(planned.stays)}"
    if planned.lost:
        told += f"; the MeshConfig is not put back where its snapshot is gone: {listed(planned.lost)}"
    return told


def listed(items: Sequence[str]) -> str:
    """Give the first of the items, and how many more there are."""
    more = f" and {len(items) - MOST_PATHS} more" if len(items) > MOST_PATHS else ""
    return ", ".join(items[:MOST_PATHS]) + more


def _within(path: str, other: str) -> bool:
    """Tell whether one of two paths is the other, or a part of it; the items of a list are parts of it."""
    return path == other or other.startswith((f"{path}.", f"{path}[")) or path.startswith((f"{other}.", f"{other}["))


def _value(value: Any) -> str:
    if value is MISSING:
        return "not set"
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]}…"


def _at(tree: Any, path: SchemaPath) -> Any:
    for step in path:
        if isinstance(step, int) and isinstance(tree, list) and step < len(tree):
            tree = tree[step]
        elif isinstance(step, str) and isinstance(tree, Mapping):
            tree = lookup(tree, (step,), MISSING)
        else:
            return MISSING
    return tree


def _finding(name: FindingName, severity: Severity, message: str, remedy: str) -> Finding:
    return Finding(name=name, severity=severity, phase=Phase.MESH_CONFIG, message=message[:2000], remedy=remedy)
