"""ValuesIgnored: a changed value that reaches only the defaults of a MeshConfig that is there already.

What a value reaches is seen by rendering the chart with the value as it is and as it was, which is done only when
values changed.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.domain.merge import dotted, leaf_paths, lookup, with_value
from meshupgrade.domain.values import without_path
from meshupgrade.helm.errors import RenderError
from meshupgrade.phases.mesh_config import plan_mesh_config
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding, together
from meshupgrade.phases.preset import PRESET, is_generated, preset_of
from meshupgrade.phases.shape import Work

__all__ = ["CHECK", "changed_paths", "differing_settings", "preset_alone"]

FEW = 4
"""How many changed values are looked at one by one when together they reach more than the preset."""

_MISSING = object()
Path = tuple[str, ...]
Objects = Sequence[Mapping[str, Any]]


async def check(work: Work) -> list[Finding]:
    """Find the changed values that an upgrade does nothing with."""
    if work.live is None:
        return []
    before, request = work.live.values(), work.need_target().request
    changed = changed_paths(before, request.values)
    planned = await plan_mesh_config(work) if changed else None
    if planned is None or planned.live is None:
        return []
    wanted = planned.spec
    new, whole = await together(
        _render(work, request.values), _render(work, _reverted(request.values, changed, before))
    )
    settings = differing_settings(new, whole)
    ignored: dict[Path, list[Path]] = {}
    if preset_alone(new, whole):
        ignored = dict.fromkeys(changed, settings)
    elif settings and len(changed) <= FEW:
        each = await together(*(_render(work, _reverted(request.values, [path], before)) for path in changed))
        ignored = {
            path: differing_settings(new, one)
            for path, one in zip(changed, each, strict=True)
            if preset_alone(new, one)
        }
    preset = preset_of(new or ())
    unset = sorted({
        setting
        for settings in ignored.values()
        for setting in settings
        if lookup(wanted, setting, _MISSING) != lookup(preset, setting, _MISSING)
    })  # fmt: skip
    if not unset:
        return []
    kept = [dotted(path) for path, settings in ignored.items() if set(settings) & set(unset)]
    return [
        finding(
            FindingName.VALUES_IGNORED,
            Severity.WARNING,
            f"these values changed and reach only the defaults of the MeshConfig, which exists already, so an upgrade "
            f"does nothing with them: {enumerate_some(kept)}",
            f"Set what they stand for by spec.meshConfig.patch: {enumerate_some([dotted(path) for path in unset])}; or "
            "set spec.meshConfig.defaults to Merge, which brings in what nobody changed in the MeshConfig.",
        )
    ]


def changed_paths(before: Mapping[str, Any], values: Mapping[str, Any]) -> list[Path]:
    """Give the paths of the user's values that differ from what the templates of the release before saw."""
    return [path for path in leaf_paths(values) if lookup(values, path) != lookup(before, path)]


def differing_settings(new: Objects | None, other: Objects | None) -> list[Path]:
    """Give the settings of the MeshConfig's defaults that differ between two renderings; none when one is missing."""
    one, two = preset_of(new or ()), preset_of(other or ())
    if not two:
        return []
    return [path for path in leaf_paths(one) if _differs(lookup(one, path), lookup(two, path, _MISSING))]


def preset_alone(new: Objects | None, other: Objects | None) -> bool:
    """Tell whether two renderings differ in the defaults of the MeshConfig and nothing else."""
    return bool(differing_settings(new, other)) and _without_preset(new or ()) == _without_preset(other or ())


def _reverted(values: Mapping[str, Any], paths: Sequence[Path], before: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values with those at the paths as they were."""
    reverted = dict(values)
    for path in paths:
        value = lookup(before, path, _MISSING)
        reverted = without_path(reverted, path) if value is _MISSING else with_value(reverted, path, value)
    return reverted


async def _render(work: Work, values: Mapping[str, Any]) -> Objects | None:
    """Give what the chart renders with these values; None when it does not, as with an old value not valid any more."""
    request = dataclasses.replace(work.need_target().request, values=values)
    try:
        return await work.tools.helm.render(request, await work.tools.kube.server_version())
    except RenderError:
        return None


def _differs(one: Any, other: Any) -> bool:
    return bool(one != other) and not (is_generated(one) and is_generated(other))


def _without_preset(objects: Objects) -> list[Mapping[str, Any]]:
    return [obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) != ("ConfigMap", PRESET)]


CHECK = Check(
    (FindingName.VALUES_IGNORED,), "the values that only make a new MeshConfig", check, Severity.WARNING, timeout=30.0
)
