"""Values: what Helm computes, what a reset loses, what must stay."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.domain.merge import leaf_paths, lookup
from meshupgrade.domain.values import carry_identity, dropped_findings, identity_findings, overlay, user_values
from tests.unit.domain.json_trees import objects, objects_without_nulls

IDENTITY = (("osm", "meshName"), ("osm", "osmNamespace"))


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
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": "x"}, {"a": ""}, {"a": ""}),
        ({"b": 2}, {"a": None}, {"b": 2}),
    ],
)
def test_overlay_is_what_helm_computes(base: dict[str, Any], over: dict[str, Any], result: dict[str, Any]) -> None:
    assert overlay(base, over) == result


@given(objects, objects)
def test_overlay_changes_neither_input(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((base, over))
    overlay(base, over)
    assert (base, over) == before


@given(objects_without_nulls, objects_without_nulls)
def test_everything_laid_over_is_seen(base: dict[str, Any], over: dict[str, Any]) -> None:
    merged = overlay(base, over)
    for path in leaf_paths(over):
        value = lookup(over, path)
        if value != {}:
            assert lookup(merged, path) == value


SPEC = {"osm": {"image": {"tag": "1.3.0"}}}
LIVE = {"osm": {"image": {"registry": "r.example", "tag": "1.2.0"}, "enableEgress": True}}
BOTH = {"osm": {"image": {"registry": "r.example", "tag": "1.3.0"}, "enableEgress": True}}


@pytest.mark.parametrize(
    ("policy", "result"),
    [(ValuesPolicy.RESET, SPEC), (ValuesPolicy.REUSE, BOTH), (ValuesPolicy.RESET_THEN_REUSE, BOTH)],
)
def test_what_becomes_of_the_values_by_policy(policy: ValuesPolicy, result: dict[str, Any]) -> None:
    assert user_values(policy, SPEC, LIVE) == result


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
