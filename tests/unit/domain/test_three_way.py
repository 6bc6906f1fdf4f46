"""The three-way merge of defaults: what is taken, what stays, and what is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.merge import leaf_paths, lookup, merge_patch, same, without_nulls
from meshupgrade.domain.three_way import MISSING, differences, merge_defaults, patch_between, shown_path
from tests.unit.domain.json_trees import leaves, objects, objects_without_nulls

A, B = "0c7d3a3e-3f1b-4b0e-9f5a-9e7f5a0c1d2e", "1c7d3a3e-3f1b-4b0e-9f5a-9e7f5a0c1d2e"


def drivers(**images: str) -> dict[str, Any]:
    return {"drivers": [{"sidecarName": name, "image": image, "port": 6060} for name, image in images.items()]}


@pytest.mark.parametrize(
    ("base", "live", "new", "result", "taken", "kept", "conflicts"),
    [
        # Untouched: the new default, whatever its type.
        ({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, ["a"], [], []),
        ({"a": "x"}, {"a": "x"}, {"a": False}, {"a": False}, ["a"], [], []),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 1, "c": 9}}, {"a": {"b": 2, "c": 1}}, {"a": {"b": 2, "c": 9}},
         ["a.b"], ["a.c"], []),
        # JSON has no 1 that is true.
        ({"a": True}, {"a": 1}, {"a": 2}, {"a": 1}, [], [], ["a"]),
        # Changed here: it stays, and is a conflict only when the default changed as well, to something else.
        ({"a": 1}, {"a": 9}, {"a": 1}, {"a": 9}, [], ["a"], []),
        ({"a": 1}, {"a": 9}, {"a": 2}, {"a": 9}, [], [], ["a"]),
        ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}, [], [], []),
        # Keys that come and go.
        ({}, {}, {"a": 1}, {"a": 1}, ["a"], [], []),
        ({"a": 1}, {"a": 1}, {}, {}, ["a"], [], []),
        ({"a": 1}, {"a": 9}, {}, {"a": 9}, [], [], ["a"]),
        ({}, {"a": 9}, {}, {"a": 9}, [], ["a"], []),
        ({}, {"a": 9}, {"a": 1}, {"a": 9}, [], [], ["a"]),
        ({"a": 1}, {}, {"a": 1}, {}, [], ["a"], []),
        ({"a": 1}, {}, {"a": 2}, {}, [], [], ["a"]),
        ({"a": 1}, {}, {}, {}, [], [], []),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, {}, {}, ["a.b"], [], []),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 1, "c": 9}}, {}, {"a": {"c": 9}}, ["a.b"], [], ["a.c"]),
        ({"a": {}}, {"a": {}}, {}, {}, [], [], []),
        ({"a": {"b": 1}}, {"a": {}}, {}, {"a": {}}, [], [], []),
        # A part that somebody took out stays out as a whole, new fields of it too.
        ({"a": {"b": 1}}, {}, {"a": {"b": 1, "c": 1}}, {}, [], [], ["a"]),
        # Another kind of value in its place.
        ({"a": 1}, {"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}, ["a"], [], []),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, {"a": 1}, {"a": 1}, ["a"], [], []),
        ({"a": 1}, {"a": {"b": 9}}, {"a": {"b": 1, "c": 1}}, {"a": {"b": 9, "c": 1}}, ["a.c"], [], ["a.b"]),
        # A null is nothing.
        ({"a": None}, {}, {"a": 1}, {"a": 1}, ["a"], [], []),
        ({"a": 1}, {"a": 1}, {"a": None}, {}, ["a"], [], []),
        ({"a": None}, {"a": 9}, {}, {"a": 9}, [], ["a"], []),
        # Lists as a whole …
        ({"a": [1]}, {"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}, ["a"], [], []),
        ({"a": [1]}, {"a": [1, 9]}, {"a": [1, 2]}, {"a": [1, 9]}, [], [], ["a"]),
        ({"a": []}, {"a": [9]}, {"a": []}, {"a": [9]}, [], ["a"], []),
        ({"a": [{"b": 1}]}, {"a": [{"b": 9}]}, {"a": [{"b": 2}]}, {"a": [{"b": 9}]}, [], [], ["a"]),
        ({"a": [{"name": "x"}] * 2}, {"a": [{"name": "y"}]}, {"a": []}, {"a": [{"name": "y"}]}, [], [], ["a"]),
        # … but for lists of objects with names.
        (drivers(pipy="1", envoy="1"), drivers(pipy="1", envoy="9"), drivers(pipy="2", envoy="1"),
         drivers(pipy="2", envoy="9"), ["drivers[pipy].image"], ["drivers[envoy].image"], []),
        (drivers(pipy="1"), drivers(pipy="9"), drivers(pipy="2"), drivers(pipy="9"), [], [],
         ["drivers[pipy].image"]),
        (drivers(pipy="1"), drivers(mine="9", pipy="1"), drivers(pipy="2", envoy="2"),
         drivers(mine="9", pipy="2", envoy="2"), ["drivers[pipy].image", "drivers[envoy]"], ["drivers[mine]"], []),
        (drivers(pipy="1", envoy="1"), drivers(pipy="9", envoy="1"), drivers(pipy="1"), drivers(pipy="9"),
         ["drivers[envoy].sidecarName", "drivers[envoy].image", "drivers[envoy].port"], ["drivers[pipy].image"], []),
        (drivers(pipy="1", envoy="1"), drivers(pipy="9"), drivers(pipy="1", envoy="2"), drivers(pipy="9"),
         [], ["drivers[pipy].image"], ["drivers[envoy]"]),
    ],
)  # fmt: skip
def test_what_becomes_of_a_field(
    base: Any, live: Any, new: Any, result: Any, taken: list[str], kept: list[str], conflicts: list[str]
) -> None:
    merged = merge_defaults(base, live, new)
    assert same(merged.result, result)
    told = [[shown_path(one.path) for one in some] for some in (merged.taken, merged.kept, merged.conflicts)]
    assert told == [taken, kept, conflicts]


def test_a_conflict_is_told_with_all_three_values() -> None:
    (one,) = merge_defaults({"a": 1}, {}, {"a": 2}).conflicts
    assert (one.base, one.live, one.new) == (1, MISSING, 2)


@pytest.mark.parametrize(
    ("base", "live", "new", "result"),
    [
        # As of an installation: base and live are the same rendering, the new one another.
        ({"uid": A}, {"uid": A}, {"uid": B}, {"uid": A}),
        ({"uid": B}, {"uid": A}, {"uid": B}, {"uid": A}),
        ({"uid": B}, {"uid": "mine"}, {"uid": A}, {"uid": "mine"}),
        ({"uid": B}, {}, {"uid": A}, {}),
        ({}, {}, {"uid": A}, {"uid": A}),
        ({}, {"uid": A}, {"uid": B}, {"uid": A}),
    ],
)
def test_what_is_made_up_at_random_stays_and_is_not_told(base: Any, live: Any, new: Any, result: Any) -> None:
    path = ("set", "uid")
    merged = merge_defaults({"set": base}, {"set": live}, {"set": new}, [path])
    assert merged.result == {"set": result}
    assert merged.taken == merged.kept == merged.conflicts == []


def test_which_defaults_something_else_lives_in_the_place_of() -> None:
    live = {"a": 1, "b": 9, "own": 1, "set": {"uid": A}, **drivers(pipy="9")}
    new = {"a": 1, "b": 2, "c": 3, "set": {"uid": B}, **drivers(pipy="2")}
    paths = differences(live, new, [("set", "uid")])
    assert [shown_path(path) for path in paths] == ["b", "drivers[pipy].image", "c"]


@given(objects, objects)
def test_where_nobody_changed_anything_the_new_defaults_are_all(base: Any, new: Any) -> None:
    assert same(merge_defaults(base, base, new).result, without_nulls(new))


@given(objects, objects)
def test_where_the_defaults_stay_all_stays(base: Any, live: Any) -> None:
    merged = merge_defaults(base, live, base)
    assert same(merged.result, without_nulls(live))
    assert merged.taken == merged.conflicts == []


named_lists = st.fixed_dictionaries(
    {
        "list": st.dictionaries(
            st.sampled_from(["p", "q", "r"]), st.dictionaries(st.sampled_from("xyz"), leaves, max_size=2), max_size=3
        ).map(lambda items: [{**item, "sidecarName": name} for name, item in items.items()])
    }
)
trees = st.one_of(objects, named_lists)


@given(trees, trees, trees)
def test_what_was_merged_is_not_merged_again(base: Any, live: Any, new: Any) -> None:
    first = merge_defaults(base, live, new)
    again = merge_defaults(base, first.result, new)
    assert same(again.result, first.result)
    assert again.taken == []
    assert same(merge_defaults(new, first.result, new).result, first.result)


@given(trees, trees, trees)
def test_no_change_of_a_person_is_lost(base: Any, live: Any, new: Any) -> None:
    before, seen, result = without_nulls(base), without_nulls(live), merge_defaults(base, live, new).result
    for path in leaf_paths(seen):
        value = lookup(seen, path)
        # A list of objects with names is looked at object by object by the table, and an empty object says nothing.
        if isinstance(value, (list, dict)) or same(lookup(before, path, MISSING), value):
            continue
        assert same(lookup(result, path, MISSING), value)


@given(objects, objects_without_nulls)
def test_a_patch_makes_the_one_out_of_the_other(before: Any, after: Any) -> None:
    assert same(merge_patch(before, patch_between(before, after)), after)


@given(objects_without_nulls)
def test_nothing_is_patched_without_a_difference(tree: Any) -> None:
    assert patch_between(tree, tree) == {}
