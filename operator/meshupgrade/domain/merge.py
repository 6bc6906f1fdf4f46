"""Merges of plain JSON objects."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Give the target with the JSON merge patch applied; neither is changed. Source: RFC 7386, section 2."""
    if not isinstance(patch, Mapping):
        return patch
    base = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merge_patch(base.get(key), value)
    return base


def lookup(tree: Mapping[str, Any], path: Sequence[str], default: Any = None) -> Any:
    """Give what stands at the path, or the default when nothing does."""
    node: Any = tree
    for key in path:
        if not isinstance(node, Mapping) or key not in node:
            return default
        node = node[key]
    return node


def with_value(tree: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Give the tree with the value at the path; the tree itself is not changed."""
    copy = dict(tree)
    head, *rest = path
    inner = copy.get(head)
    copy[head] = with_value(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value
    return copy


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON trees are equal: as in JSON, and unlike in Python, true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def leaf_paths(tree: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every leaf; an empty object and a list count as leaves."""
    for key, value in tree.items():
        path = (*prefix, str(key))
        if isinstance(value, Mapping) and value:
            yield from leaf_paths(value, path)
        else:
            yield path


def dotted(path: Sequence[str]) -> str:
    """Give a path as people write it."""
    return ".".join(path)


def without_nulls(tree: Any) -> Any:
    """Give the tree without keys whose value is null, which Helm does not always store."""
    if not isinstance(tree, Mapping):
        return tree
    return {key: without_nulls(value) for key, value in tree.items() if value is not None}
