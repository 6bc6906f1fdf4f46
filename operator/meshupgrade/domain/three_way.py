"""The three-way merge of defaults: what a release gave before, what lives, and what the new release gives.

A field that still has the default of before takes the new one. A field that was changed stays; when its default
changed as well, to something else, that is a conflict, and still stays. That a key is not there counts as a value: a
default that is gone is taken out where nobody changed it, and what somebody took out stays out. A null is as if the
key were not there, as the API server has it.

Lists are taken whole, but for lists of objects that all have a name: these are merged object by object.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshupgrade.domain.merge import dotted, same, without_nulls

__all__ = [
    "MISSING",
    "Difference",
    "Merged",
    "Path",
    "differences",
    "merge_defaults",
    "name_of",
    "patch_between",
    "shown_path",
]

Path = tuple[str, ...]


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Any = _Missing()
"""Stands for a key that is not there."""

NAMES = ("name", "sidecarName", "plugin")
"""The keys that name an object in a list: sidecarDrivers, pluginChains and clusterSet.properties of the meshes."""


@dataclass(frozen=True)
class Difference:
    """A field of which the three do not agree; MISSING where it is not there."""

    path: Path
    base: Any
    live: Any
    new: Any


@dataclass
class Merged:
    """What comes of a merge."""

    result: dict[str, Any] = field(default_factory=dict)
    taken: list[Difference] = field(default_factory=list)
    """Nobody changed them: they take the new default."""

    kept: list[Difference] = field(default_factory=list)
    """Changed here, while the default stayed as it was."""

    conflicts: list[Difference] = field(default_factory=list)
    """Changed here, and the default to something else: what lives stays."""


def merge_defaults(
    base: Mapping[str, Any], live: Mapping[str, Any], new: Mapping[str, Any], generated: Collection[Path] = ()
) -> Merged:
    """Merge the new defaults into what lives; none of the three is changed.

    ``generated`` are fields whose defaults are made up at random in each rendering: what lives stays, and is no change.
    """
    merged = Merged()
    merge = _Merge(merged, frozenset(generated))
    merged.result = merge.mapping(without_nulls(base), without_nulls(live), without_nulls(new), ())
    return merged


def patch_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Give the JSON merge patch that makes ``after`` out of ``before``; there must be no nulls in ``after``."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key, MISSING)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if inner := patch_between(old, value):
                patch[key] = inner
        elif not same(old, value):
            patch[key] = value
    return patch


def differences(live: Mapping[str, Any], new: Mapping[str, Any], generated: Collection[Path] = ()) -> list[Path]:
    """Give the paths of the defaults that something else lives in the place of."""
    merged = merge_defaults(new, live, new, generated)
    return [one.path for one in merged.kept if one.new is not MISSING]


def shown_path(path: Iterable[str]) -> str:
    """Give a path as people write it, such as sidecar.sidecarDrivers[pipy].sidecarImage."""
    return dotted(tuple(path)).replace(".[", "[")


class _Merge:
    def __init__(self, merged: Merged, generated: frozenset[Path]) -> None:
        self._told = merged
        self._generated = generated

    def mapping(
        self, base: Mapping[str, Any], live: Mapping[str, Any], new: Mapping[str, Any], path: Path
    ) -> dict[str, Any]:
        """Merge key by key, in the order of what lives."""
        result = {}
        for key in [*live, *(key for key in new if key not in live)]:
            value = self._value(
                base.get(key, MISSING), live.get(key, MISSING), new.get(key, MISSING), (*path, str(key))
            )
            if value is not MISSING:
                result[key] = value
        return result

    def _value(self, base: Any, live: Any, new: Any, path: Path) -> Any:
        if path in self._generated:
            return new if live is MISSING and base is MISSING else live
        if isinstance(live, Mapping) and isinstance(new, Mapping):
            return self.mapping(base if isinstance(base, Mapping) else {}, live, new, path)
        if isinstance(live, Mapping) and isinstance(base, Mapping) and new is MISSING:
            left = self.mapping(base, live, {}, path)
            return left if left or (same(live, {}) and not same(base, {})) else MISSING
        if same(live, new):
            return live
        if same(base, live):
            self._told.taken.append(Difference(path, base, live, new))
            return new
        if isinstance(live, list) and isinstance(new, list):
            lists = (base if isinstance(base, list) else [], live, new)
            if name := name_of(*lists):
                return self._items([{item[name]: item for item in items} for items in lists], path)
        (self._told.kept if same(base, new) else self._told.conflicts).append(Difference(path, base, live, new))
        return live

    def _items(self, lists: Sequence[Mapping[str, Any]], path: Path) -> list[Any]:
        base, live, new = lists
        found = []
        for name in [*live, *(name for name in new if name not in live)]:
            value = self._value(
                base.get(name, MISSING), live.get(name, MISSING), new.get(name, MISSING), (*path, f"[{name}]")
            )
            if value is not MISSING:
                found.append(value)
        return found


def name_of(*lists: Sequence[Any]) -> str | None:
    """Give the key by which all the objects of the lists are named, each once in its list; None when there is none."""
    for name in NAMES:
        named = all(isinstance(item, Mapping) and isinstance(item.get(name), str) for items in lists for item in items)
        if named and all(len({item[name] for item in items}) == len(items) for items in lists):
            return name if any(lists) else None
    return None
