"""Which values changed, and whether two renderings differ in the preset alone."""

import json
from typing import Any

import pytest

from meshupgrade.phases.preflight.values_ignored import changed_paths, differing_settings, preset_alone
from tests.unit.phases.preflight.releases import deployment

Objects = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("before", "values", "changed"),
    [
        ({"a": 1}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2, "b": {"c": 3}}, [("a",), ("b", "c")]),
        ({"a": {"b": [1]}}, {"a": {"b": [1, 2]}}, [("a", "b")]),
        ({"a": 1}, {"a": None}, [("a",)]),
        ({}, {"a": None}, []),
    ],
)
def test_which_values_changed(before: Any, values: Any, changed: list[tuple[str, ...]]) -> None:
    assert changed_paths(before, values) == changed


def objects(preset: dict[str, Any], image: str = "a") -> Objects:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "preset-mesh-config"},
        "data": {"preset-mesh-config.json": json.dumps(preset)},
    }
    return [config, deployment("d", {"name": "c", "image": image})]


EGRESS = objects({"traffic": {"enableEgress": True}})
NO_EGRESS = {"traffic": {"enableEgress": False}}
UID_A, UID_B = "0c7d3a3e-3f1b-4b0e-9f5a-9e7f5a0c1d2e", "1c7d3a3e-3f1b-4b0e-9f5a-9e7f5a0c1d2e"


@pytest.mark.parametrize(
    ("new", "reverted", "alone", "settings"),
    [
        (EGRESS, objects(NO_EGRESS), True, [("traffic", "enableEgress")]),
        (EGRESS, objects({"traffic": {}}), True, [("traffic", "enableEgress")]),
        (EGRESS, objects(NO_EGRESS, image="b"), False, [("traffic", "enableEgress")]),
        (EGRESS, EGRESS, False, []),
        (EGRESS, objects({"traffic": {"enableEgress": True}}, image="b"), False, []),
        # fsm's preset has another one in every rendering.
        (objects({"uid": UID_A}), objects({"uid": UID_B}), False, []),
        # The old value does not render any more.
        (EGRESS, None, False, []),
        (None, None, False, []),
    ],
)
def test_what_two_renderings_differ_in(
    new: Objects | None, reverted: Objects | None, alone: bool, settings: list[tuple[str, ...]]
) -> None:
    assert (preset_alone(new, reverted), differing_settings(new, reverted)) == (alone, settings)
