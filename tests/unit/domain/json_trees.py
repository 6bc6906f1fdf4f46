"""Strategies for plain JSON."""

from typing import Any

from hypothesis import strategies as st

__all__ = ["keys", "leaves", "objects", "objects_without_nulls", "values"]

# Few keys, so that two trees often share some.
keys = st.sampled_from(["a", "b", "c", "meshName", "image"])
leaves = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "x", "y"]))


def _values(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(keys, inner, max_size=3)),
        max_leaves=8,
    )


values = _values(leaves)
objects = st.dictionaries(keys, values, max_size=4)
objects_without_nulls = st.dictionaries(keys, _values(leaves.filter(lambda leaf: leaf is not None)), max_size=4)
