"""Where the spec of a CRD differs from the one that is wanted, in words for people."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["crd_differences"]

MOST = 3
"""How many differences of one CRD are told; the schema of a new release may have hundreds."""


def crd_differences(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> str:
    """Say what the spec of a live CRD lacks or has otherwise than the wanted spec; None is a CRD that is not there."""
    if live is None:
        return "is not there"
    found = list(_spec(live, wanted))
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return f"{', '.join(found[:MOST])}{more}"


def _spec(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    before = {version["name"]: version for version in live["versions"]}
    after = {version["name"]: version for version in wanted["versions"]}
    yield from (f"lacks version {name}" for name in sorted(after) if name not in before)
    yield from (f"has version {name}, which is to go" for name in sorted(before) if name not in after)
    for key in sorted({*live, *wanted} - {"versions"}):
        yield from _differences({key: live.get(key)}, {key: wanted.get(key)}, "")
    for name in sorted({*before} & {*after}):
        yield from _differences(before[name], after[name], f"version {name}: ")


def _differences(live: Any, wanted: Any, path: str) -> Iterator[str]:
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        joint = "" if not path or path.endswith(" ") else "."
        for key in sorted({*live, *wanted}):
            place = f"{path}{joint}{key}"
            if live.get(key) is None and wanted.get(key) is not None:
                yield f"lacks {place}"
            elif wanted.get(key) is None and live.get(key) is not None:
                yield f"has {place}"
            else:
                yield from _differences(live.get(key), wanted.get(key), place)
    elif live != wanted:
        yield f"has another {path}"
