"""Helm values: what Helm computes out of several, what the upgrade passes, what it would lose, what must stay.

The merges are those of helm.sh/helm/v4: ``merge_files`` is loader.MergeMaps, ``coalesce_tables`` and
``coalesce_values`` are util.CoalesceTables and util.CoalesceValues, quirks with nulls included.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.merge import dotted, leaf_paths, lookup, with_value

_MISSING = object()

Path = tuple[str, ...]


def merge_files(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Give what Helm makes of two values files: objects are merged, everything else, null too, is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below: Any = merged.get(key)
        tables = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = merge_files(below, value) if tables else value
    return merged


def coalesce_tables(over: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Give what Helm makes of new values and those of the release that it reuses.

    A null takes away what the base has, and stays where the base has nothing, so that it takes away the chart's own.
    """
    merged = {}
    for key, value in over.items():
        below: Any = base.get(key)
        if value is None and below is not None:
            continue
        tables = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = coalesce_tables(value, below) if tables else value
    return merged | {key: value for key, value in base.items() if key not in over}


def coalesce_values(defaults: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values that the templates see: the user's over those of a chart, subcharts not looked at."""
    merged = {}
    for key, value in config.items():
        if key not in defaults:
            merged[key] = value
            continue
        if value is None:
            continue
        below = defaults[key]
        tables = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = coalesce_tables(value, _without_nulls(below)) if tables else value
    rest = {key: value for key, value in defaults.items() if key not in config and value is not None}
    return merged | {key: _without_nulls(value) for key, value in rest.items()}


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def carry_identity(
    values: Mapping[str, Any], live: Mapping[str, Any], identity: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Give the values with the live release's identity values added where the spec names none.

    The meshes' own guide warns never to change them, and Reset would (osm #2826).
    """
    carried = dict(values)
    for path in identity:
        if lookup(values, path, _MISSING) is _MISSING and (value := lookup(live, path, _MISSING)) is not _MISSING:
            carried = with_value(carried, path, value)
    return carried


def user_values(policy: ValuesPolicy, spec_values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Give the user's values that the release is to have, out of the spec's and those of the release it starts from.

    They are what Helm stores as its config.
    """
    return dict(spec_values) if policy is ValuesPolicy.RESET else coalesce_tables(spec_values, base)


def reused_defaults(
    defaults: Mapping[str, Any],
    config: Mapping[str, Any],
    removed: Iterable[Path],
    new_defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """Give what ``helm upgrade --reuse-values`` puts in the place of the new chart's own values.

    That is all that the templates of the old release saw. A path that the spec no longer sets goes to the new chart's
    own value: in a release that was itself made so, it stands in the old chart's values too.
    """
    reused = coalesce_values(defaults, config)
    for path in removed:
        value = lookup(new_defaults, path, _MISSING)
        reused = without_path(reused, path) if value is _MISSING else with_value(reused, path, value)
    return reused


def without_path(tree: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Give the tree without what stands at the path, and without the objects that are empty then."""
    head, *rest = path
    copy = dict(tree)
    if not rest:
        copy.pop(head, None)
    elif isinstance(copy.get(head), Mapping):
        copy[head] = without_path(copy[head], rest)
        if not copy[head] and tree[head]:
            del copy[head]
    return copy


def removed_paths(before: Iterable[Path], spec_values: Mapping[str, Any]) -> list[Path]:
    """Give the paths that the spec once set and does not set any more, neither as a whole nor in part."""
    return [path for path in before if _is_unset(spec_values, path)]


def _is_unset(values: Mapping[str, Any], path: Path) -> bool:
    node: Any = values
    for key in path:
        if not isinstance(node, Mapping):
            return False
        if key not in node:
            return True
        node = node[key]
    return False


def to_pointer(path: Path) -> str:
    """Give a path as a JSON pointer, since keys may hold dots. Source: RFC 6901, section 3."""
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in path)


def from_pointer(pointer: str) -> Path:
    """Give the path of a JSON pointer."""
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:])


def identity_findings(
    before: Mapping[str, Any], after: Mapping[str, Any], identity: Sequence[Sequence[str]]
) -> list[Finding]:
    """Compare the identity values of the release that runs with those of the new one, both as computed by Helm."""
    findings = []
    for path in identity:
        old, new = lookup(before, path), lookup(after, path)
        if old is not None and (old or None) != (new or None):
            findings.append(
                Finding(
                    name=FindingName.IDENTITY_CHANGED,
                    severity=Severity.ERROR,
                    phase=Phase.PREFLIGHT,
                    message=f"{dotted(path)} would change from {old!r} to {new!r}; that makes another mesh, "
                    "and leaves every meshed workload without a control plane",
                    remedy=f"Take {dotted(path)} out of spec.values, or set it to {old!r}.",
                )
            )
    return findings


def dropped_findings(
    policy: ValuesPolicy, live: Mapping[str, Any], after: Mapping[str, Any], removed: Sequence[Path] = ()
) -> list[Finding]:
    """Name the user's values of the live release that the new one would no longer have; by key, never by value.

    With a policy that keeps values only those are lost that the spec once set (``removed``): that is told, and meant.
    """
    if policy is not ValuesPolicy.RESET:
        gone = [path for path in removed if lookup(live, path, _MISSING) is not _MISSING]
        return [_removed_finding(gone)] if gone else []
    lost = [path for path in leaf_paths(live) if lookup(after, path, _MISSING) is _MISSING]
    if not lost:
        return []
    return [
        Finding(
            name=FindingName.VALUES_DROPPED,
            severity=Severity.WARNING,
            phase=Phase.PREFLIGHT,
            message=f"the release that runs sets values that spec.values does not: {_shown(lost)}; "
            "with valuesPolicy Reset they go back to the chart's defaults",
            remedy="Add them to spec.values, or set spec.valuesPolicy to ResetThenReuse.",
        )
    ]


def _removed_finding(removed: Sequence[Path]) -> Finding:
    return Finding(
        name=FindingName.VALUES_DROPPED,
        severity=Severity.INFO,
        phase=Phase.PREFLIGHT,
        message=f"the spec no longer sets {_shown(removed)}, which it set in the last verified release: they go back "
        "to the chart's defaults",
        remedy="Add them to spec.values again to keep them.",
    )


def _shown(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 10} more" if len(paths) > 10 else ""
    return ", ".join(dotted(path) for path in paths[:10]) + more
