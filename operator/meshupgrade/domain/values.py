"""Helm values: what the upgrade passes, what it would lose, what must stay."""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.merge import dotted, leaf_paths, lookup, with_value

_MISSING = object()


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values that Helm computes from a base and what is laid over it.

    Objects are merged and everything else replaced; a null in ``over`` takes the key away, as Helm does
    (Helm's documentation, "Values files": deleting a default key).
    """
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = overlay(merged[key], value)
        else:
            merged[key] = value
    return merged


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


def user_values(policy: ValuesPolicy, spec_values: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Give the user's values that the release is to have at the end, which is what Helm stores as its config."""
    if policy is ValuesPolicy.RESET:
        return dict(spec_values)
    return overlay(live, spec_values)


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


def dropped_findings(policy: ValuesPolicy, live: Mapping[str, Any], after: Mapping[str, Any]) -> list[Finding]:
    """Name the user's values of the live release that the new one would no longer have; by key, never by value."""
    if policy is not ValuesPolicy.RESET:
        return []
    lost = [dotted(path) for path in leaf_paths(live) if lookup(after, path, _MISSING) is _MISSING]
    if not lost:
        return []
    shown = ", ".join(lost[:10]) + (f" and {len(lost) - 10} more" if len(lost) > 10 else "")
    return [
        Finding(
            name=FindingName.VALUES_DROPPED,
            severity=Severity.WARNING,
            phase=Phase.PREFLIGHT,
            message=f"the release that runs sets values that spec.values does not: {shown}; "
            "with valuesPolicy Reset they go back to the chart's defaults",
            remedy="Add them to spec.values, or set spec.valuesPolicy to ResetThenReuse.",
        )
    ]
