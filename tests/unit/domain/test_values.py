"""Values: what Helm computes, what a reset loses, what must stay."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.domain.merge import leaf_paths, lookup, without_nulls
from meshupgrade.domain.values import (
    Path,
    carry_identity,
    coalesce_tables,
    coalesce_values,
    dropped_findings,
    from_pointer,
    identity_findings,
    merge_files,
    removed_paths,
    reused_defaults,
    to_pointer,
    user_values,
    without_path,
)
from tests.unit.domain.json_trees import objects, objects_without_nulls

Object = dict[str, Any]

IDENTITY = (("osm", "meshName"), ("osm", "osmNamespace"))


def _reuse(base: Object, over: Object) -> Object:
    return coalesce_tables(over, base)


# What Helm 4.3.1 itself makes of these is asked in tests/integration/test_helm_values.py.
@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({}, {}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": "x"}, {"a": ""}, {"a": ""}),
    ],
)
def test_every_merge_lays_one_over_the_other(base: Object, over: Object, result: Object) -> None:
    assert merge_files(base, over) == result
    assert coalesce_tables(over, base) == result
    assert coalesce_values(base, over) == result


@pytest.mark.parametrize(
    ("merge", "base", "over", "result"),
    [
        # Between files a null is a value like any other: it is for what comes below.
        (merge_files, {"a": 1, "b": {"c": 2}}, {"a": None, "b": {"c": None}}, {"a": None, "b": {"c": None}}),
        # On a release that is reused it takes away what that has, or, when that has nothing, the chart's own.
        (_reuse, {"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        (_reuse, {"b": 2}, {"a": None}, {"a": None, "b": 2}),
        (_reuse, {"a": None}, {"a": None}, {"a": None}),
        (_reuse, {"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        # On the chart it takes away, and what the chart itself sets to null is not there.
        (coalesce_values, {"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        (coalesce_values, {"a": None, "b": {"c": None, "d": 1}}, {}, {"b": {"d": 1}}),
        (coalesce_values, {"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
    ],
)
def test_nulls(merge: Callable[[Object, Object], Object], base: Object, over: Object, result: Object) -> None:
    assert merge(base, over) == result


@given(objects, objects)
def test_merges_change_neither_input(base: Object, over: Object) -> None:
    before = copy.deepcopy((base, over))
    merge_files(base, over)
    coalesce_tables(over, base)
    coalesce_values(base, over)
    assert (base, over) == before


@given(objects_without_nulls, objects_without_nulls)
def test_everything_laid_over_is_seen(base: Object, over: Object) -> None:
    for merged in (merge_files(base, over), coalesce_tables(over, base), coalesce_values(base, over)):
        for path in leaf_paths(over):
            value = lookup(over, path)
            if value != {}:
                assert lookup(merged, path) == value


@given(objects, objects)
def test_the_same_values_again_change_nothing_more(base: Object, over: Object) -> None:
    """A verified release is the next base, and must not come out as a change."""
    once = coalesce_tables(over, base)
    assert without_nulls(coalesce_tables(over, once)) == without_nulls(once)


SPEC = {"osm": {"image": {"tag": "1.3.0"}}}
LIVE = {"osm": {"image": {"registry": "r.example", "tag": "1.2.0"}, "enableEgress": True}}
BOTH = {"osm": {"image": {"registry": "r.example", "tag": "1.3.0"}, "enableEgress": True}}


@pytest.mark.parametrize(
    ("policy", "result"),
    [(ValuesPolicy.RESET, SPEC), (ValuesPolicy.REUSE, BOTH), (ValuesPolicy.RESET_THEN_REUSE, BOTH)],
)
def test_what_becomes_of_the_values_by_policy(policy: ValuesPolicy, result: Object) -> None:
    assert user_values(policy, SPEC, LIVE) == result


@pytest.mark.parametrize(
    ("before", "spec", "removed"),
    [
        ([("a",)], {"a": 1}, []),
        ([("a",)], {"a": None}, []),
        ([("a",)], {}, [("a",)]),
        ([("a", "b"), ("a", "c")], {"a": {"c": 1}}, [("a", "b")]),
        # The whole above it is set now, as something else.
        ([("a", "b")], {"a": 1}, []),
        ([("a", "b")], {"a": {}}, [("a", "b")]),
        # A part of it is.
        ([("a",)], {"a": {"b": 1}}, []),
    ],
)
def test_what_the_spec_no_longer_sets(before: list[Path], spec: Object, removed: list[Path]) -> None:
    assert removed_paths(before, spec) == removed


@pytest.mark.parametrize(
    ("tree", "path", "result"),
    [
        ({"a": 1, "b": 2}, ("a",), {"b": 2}),
        ({"a": {"b": 1}}, ("a", "b"), {}),
        ({"a": {"b": 1, "c": 2}}, ("a", "b"), {"a": {"c": 2}}),
        ({"a": {}}, ("a", "b"), {"a": {}}),
        ({"a": 1}, ("a", "b"), {"a": 1}),
        ({"a": 1}, ("b",), {"a": 1}),
    ],
)
def test_a_path_taken_away(tree: Object, path: Path, result: Object) -> None:
    before = copy.deepcopy(tree)
    assert without_path(tree, path) == result
    assert tree == before


def test_what_is_removed_goes_to_the_new_charts_own_value_also_when_it_had_got_into_the_reused_ones() -> None:
    defaults = {"level": "debug", "extra": "x", "kept": 1}
    reused = reused_defaults(defaults, {"mine": 2}, [("level",), ("extra",)], {"level": "error", "new": True})
    assert reused == {"level": "error", "kept": 1, "mine": 2}


@given(st.lists(st.text(), min_size=1).map(tuple))
def test_a_path_comes_back_from_its_pointer(path: Path) -> None:
    assert from_pointer(to_pointer(path)) == path


@pytest.mark.parametrize(
    ("spec", "live", "carried"),
    [
        # The live ones are added.
        ({}, {"osm": {"meshName": "blue", "osmNamespace": "n"}}, {"osm": {"meshName": "blue", "osmNamespace": "n"}}),
        ({"osm": {"a": 1}}, {"osm": {"meshName": "blue"}}, {"osm": {"a": 1, "meshName": "blue"}}),
        # What the spec names stays, even when it is null: that is for the comparison to refuse.
        ({"osm": {"meshName": "red"}}, {"osm": {"meshName": "blue"}}, {"osm": {"meshName": "red"}}),
        ({"osm": {"meshName": None}}, {"osm": {"meshName": "blue"}}, {"osm": {"meshName": None}}),
        # Nothing else of the live release is carried over.
        ({}, {"osm": {"enableEgress": True}, "other": 1}, {}),
        ({}, {}, {}),
    ],
)
def test_the_identity_of_the_live_release_is_carried_over(
    spec: dict[str, Any], live: dict[str, Any], carried: dict[str, Any]
) -> None:
    before = copy.deepcopy((spec, live))
    assert carry_identity(spec, live, IDENTITY) == carried
    assert (spec, live) == before


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({"meshName": "osm"}, {"meshName": "osm"}, []),
        ({"meshName": "osm"}, {"meshName": "blue"}, ["osm.meshName"]),
        ({"meshName": "osm"}, {}, ["osm.meshName"]),
        ({"meshName": "osm"}, {"meshName": ""}, ["osm.meshName"]),
        (
            {"meshName": "osm", "osmNamespace": "a"},
            {"meshName": "x", "osmNamespace": "b"},
            ["osm.meshName", "osm.osmNamespace"],
        ),
        # Empty and absent both mean the namespace of the release.
        ({"osmNamespace": ""}, {}, []),
        ({}, {"osmNamespace": ""}, []),
        ({"osmNamespace": ""}, {"osmNamespace": "a"}, ["osm.osmNamespace"]),
        # A release that knew no such value cannot lose it.
        ({}, {"meshName": "osm"}, []),
        ({"other": 1}, {"other": 2}, []),
    ],
)
def test_a_changed_identity_is_an_error(before: dict[str, Any], after: dict[str, Any], changed: list[str]) -> None:
    findings = identity_findings({"osm": before}, {"osm": after}, IDENTITY)
    assert [finding.message.split(" ")[0] for finding in findings] == changed
    for finding in findings:
        assert (finding.name, finding.severity) == (FindingName.IDENTITY_CHANGED, Severity.ERROR)


def test_lost_values_are_named_by_key() -> None:
    live = {"osm": {"image": {"registry": "r"}, "enableEgress": True, "tags": ["a"]}}
    after = {"osm": {"image": {"registry": "other"}}}
    (finding,) = dropped_findings(ValuesPolicy.RESET, live, after)
    assert (finding.name, finding.severity) == (FindingName.VALUES_DROPPED, Severity.WARNING)
    assert "osm.enableEgress, osm.tags;" in finding.message
    assert "registry" not in finding.message


@pytest.mark.parametrize("policy", [ValuesPolicy.REUSE, ValuesPolicy.RESET_THEN_REUSE])
def test_policies_that_keep_values_lose_none(policy: ValuesPolicy) -> None:
    assert dropped_findings(policy, {"a": 1}, {}) == []


@pytest.mark.parametrize("policy", [ValuesPolicy.REUSE, ValuesPolicy.RESET_THEN_REUSE])
def test_what_the_spec_no_longer_sets_is_told_when_the_release_has_it(policy: ValuesPolicy) -> None:
    (finding,) = dropped_findings(policy, {"a": {"b": 1}}, {}, [("a", "b"), ("gone",)])
    assert (finding.name, finding.severity) == (FindingName.VALUES_DROPPED, Severity.INFO)
    assert "a.b," in finding.message
    assert "gone" not in finding.message


@given(objects)
def test_the_same_values_lose_nothing(values: dict[str, Any]) -> None:
    assert dropped_findings(ValuesPolicy.RESET, values, values) == []


def test_many_lost_values_are_counted() -> None:
    live = {f"key{number:02}": number for number in range(13)}
    (finding,) = dropped_findings(ValuesPolicy.RESET, live, {})
    assert "key09 and 3 more" in finding.message
    assert "key10" not in finding.message


def test_long_keys_still_make_a_finding() -> None:
    live = {f"{number}" * 300: True for number in range(10)}
    (finding,) = dropped_findings(ValuesPolicy.RESET, live, {})
    assert finding.name is FindingName.VALUES_DROPPED


@given(
    st.dictionaries(
        st.sampled_from(["password", "token", "ca"]), st.sampled_from(["S3CR3T", "hunter-two"]), min_size=1
    ),
    st.booleans(),
)
def test_a_lost_value_is_never_shown(secrets: dict[str, str], nested: bool) -> None:
    live: dict[str, Any] = {"auth": secrets} if nested else dict(secrets)
    (finding,) = dropped_findings(ValuesPolicy.RESET, live, {})
    shown = finding.message + finding.remedy
    assert all(secret not in shown for secret in secrets.values())
    assert all(key in shown for key in secrets)
