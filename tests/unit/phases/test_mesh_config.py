"""What a patch changes in a MeshConfig, and what of it is not kept."""

from typing import Any

import pytest

from meshupgrade.phases.mesh_config import _changes, _missing

SPEC = {"sidecar": {"logLevel": "error", "resources": {}}, "traffic": {"enableEgress": True}}


@pytest.mark.parametrize(
    ("patch", "changes"),
    [
        ({}, False),
        ({"sidecar": {"logLevel": "error"}}, False),
        ({"sidecar": {"logLevel": "debug"}}, True),
        ({"sidecar": {"new": 1}}, True),
        ({"sidecar": {"logLevel": None}}, True),
        ({"sidecar": {"absent": None}}, False),
        ({"sidecar": {"resources": {}}}, False),
    ],
)
def test_whether_a_patch_changes_anything(patch: dict[str, Any], changes: bool) -> None:
    assert _changes({"spec": SPEC}, patch) is changes


def test_a_mesh_config_may_be_empty() -> None:
    assert _changes({}, {"a": 1})
    assert not _changes({"spec": None}, {})


@pytest.mark.parametrize(
    ("spec", "patch", "missing"),
    [
        (SPEC, {"sidecar": {"logLevel": "error"}}, {}),
        (SPEC, {"sidecar": {"logLevel": "error", "misspelt": 1}}, {"sidecar": {"misspelt": 1}}),
        (SPEC, {"misspelt": {"a": 1}}, {"misspelt": {"a": 1}}),
        (SPEC, {"sidecar": {"logLevel": None}}, {"sidecar": {"logLevel": None}}),
        (None, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_what_of_a_patch_was_not_kept(spec: Any, patch: dict[str, Any], missing: dict[str, Any]) -> None:
    assert _missing(spec, patch) == missing
