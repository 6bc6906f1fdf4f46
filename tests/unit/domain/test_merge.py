"""JSON merge patch by the cases of its RFC, and the small tools for trees of values."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.merge import dotted, leaf_paths, lookup, merge_patch, with_value, without_nulls
from tests.unit.domain.json_trees import keys, objects, objects_without_nulls, values

paths = st.lists(keys, min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        # RFC 7386, appendix A, in its order.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_does_what_the_rfc_lists(original: Any, patch: Any, result: Any) -> None:
    assert merge_patch(original, patch) == result


@given(values, values)
def test_a_patch_that_was_applied_changes_nothing_more(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(values, values)
def test_a_patch_changes_neither_of_its_inputs(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    merge_patch(target, patch)
    assert (target, patch) == before


@given(objects, objects_without_nulls)
def test_a_patch_without_nulls_takes_no_key_away(target: dict[str, Any], patch: dict[str, Any]) -> None:
    assert set(merge_patch(target, patch)) == set(target) | set(patch)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ([], {"osm": {"meshName": "osm", "image": None}}),
        (["osm"], {"meshName": "osm", "image": None}),
        (["osm", "meshName"], "osm"),
        (["osm", "image"], None),
        (["osm", "nothing"], "default"),
        (["nothing", "meshName"], "default"),
        (["osm", "meshName", "deeper"], "default"),
        (["osm", "image", "tag"], "default"),
    ],
)
def test_lookup_tells_a_null_from_nothing(path: list[str], found: Any) -> None:
    assert lookup({"osm": {"meshName": "osm", "image": None}}, path, "default") == found


@given(objects, paths, values)
def test_what_is_put_at_a_path_stands_there(tree: dict[str, Any], path: list[str], value: Any) -> None:
    before = copy.deepcopy(tree)
    changed = with_value(tree, path, value)
    assert lookup(changed, path, "nothing") == value
    assert tree == before
    assert {key: changed[key] for key in changed if key != path[0]} == {
        key: tree[key] for key in tree if key != path[0]
    }


def test_a_value_at_a_path_leaves_its_neighbours() -> None:
    tree = {"osm": {"meshName": "a", "image": {"tag": "1"}}}
    assert with_value(tree, ["osm", "image", "registry"], "r") == {
        "osm": {"meshName": "a", "image": {"tag": "1", "registry": "r"}}
    }


def test_leaves_are_what_holds_no_further_object() -> None:
    tree = {"a": {"b": 1, "c": {}}, "d": [{"e": 1}], "f": None, "g": {"h": {"i": False}}}
    assert [dotted(path) for path in leaf_paths(tree)] == ["a.b", "a.c", "d", "f", "g.h.i"]


@given(objects)
def test_every_leaf_can_be_looked_up(tree: dict[str, Any]) -> None:
    assert all(lookup(tree, path, ...) is not ... for path in leaf_paths(tree))


@given(objects)
def test_without_nulls_no_object_has_one_and_all_else_stays(tree: dict[str, Any]) -> None:
    cleaned = without_nulls(tree)
    kept = [path for path in leaf_paths(tree) if lookup(tree, path) is not None]
    assert all(lookup(cleaned, path) == lookup(tree, path) for path in kept)
    assert all(lookup(cleaned, path) is not None for path in leaf_paths(cleaned))
