"""MeshUpgrades as the engine sees them."""

from typing import Any

import pytest
from pydantic import ValidationError

from meshupgrade.api.v1alpha1.names import FINALIZER, RECONCILE_REQUESTED_AT
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.engine.objects import (
    fingerprint,
    has_finalizer,
    is_deleting,
    mesh_key,
    oldest_first,
    requested_at,
    spec_errors,
)
from meshupgrade.engine.queue import MeshKey
from tests.unit.engine.examples import mesh_upgrade


@pytest.mark.parametrize(
    ("mesh", "release"),
    [
        ({"distribution": "osm"}, "osm"),
        ({"distribution": "osm-edge"}, "osm"),
        ({"distribution": "fsm"}, "fsm"),
        ({"distribution": "osm", "name": "blue"}, "blue"),
        ({"distribution": "osm-edge", "name": "osm"}, "osm"),
        ({"distribution": "osm", "name": ""}, "osm"),
    ],
)
def test_the_mesh_is_the_release_in_the_namespace(mesh: dict[str, Any], release: str) -> None:
    assert mesh_key(mesh_upgrade(spec={"mesh": mesh})) == MeshKey("osm-system", release)


@pytest.mark.parametrize("spec", [{}, {"mesh": None}, {"mesh": {}}, {"mesh": {"distribution": "istio"}}])
def test_what_the_crd_would_not_let_in_is_no_mesh(spec: dict[str, Any]) -> None:
    assert mesh_key(mesh_upgrade(spec=spec)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"uid": "u2"},
        {"generation": 4},
        {"deletionTimestamp": "2026-05-02T00:00:00Z"},
        {"annotations": {RECONCILE_REQUESTED_AT: "now"}},
    ],
)
def test_what_matters_starts_a_run(change: dict[str, Any]) -> None:
    assert fingerprint(mesh_upgrade(**change)) != fingerprint(mesh_upgrade())


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "Completed"}},
        {"resourceVersion": "8"},
        {"managedFields": [{}]},
        {"finalizers": [FINALIZER]},
        {"labels": {"a": "b"}},
        {"annotations": {"a": "b"}},
    ],
)
def test_what_does_not_matter_starts_none(change: dict[str, Any]) -> None:
    assert fingerprint(mesh_upgrade(**change)) == fingerprint(mesh_upgrade())


@pytest.mark.parametrize(
    ("annotations", "request_"),
    [
        (None, None),
        ({}, None),
        ({RECONCILE_REQUESTED_AT: ""}, None),
        ({RECONCILE_REQUESTED_AT: "2026"}, "2026"),
        ({RECONCILE_REQUESTED_AT: "x" * 500}, "x" * 128),
    ],
)
def test_the_annotation_that_asks_for_a_run(annotations: dict[str, str] | None, request_: str | None) -> None:
    assert requested_at(mesh_upgrade(annotations=annotations)) == request_


def test_deletion_and_finalizer() -> None:
    assert not is_deleting(mesh_upgrade())
    assert is_deleting(mesh_upgrade(deletionTimestamp="2026-05-02T00:00:00Z"))
    assert not has_finalizer(mesh_upgrade())
    assert not has_finalizer(mesh_upgrade(finalizers=["other.example/x"]))
    assert has_finalizer(mesh_upgrade(finalizers=["other.example/x", FINALIZER]))


def test_the_oldest_comes_first_and_of_one_age_the_smaller_uid() -> None:
    objects = [
        mesh_upgrade(uid="b", creationTimestamp="2026-05-02T00:00:00Z"),
        mesh_upgrade(uid="c", creationTimestamp="2026-05-01T00:00:00Z"),
        mesh_upgrade(uid="a", creationTimestamp="2026-05-02T00:00:00Z"),
    ]
    assert [obj["metadata"]["uid"] for obj in oldest_first(objects)] == ["c", "a", "b"]


def test_errors_name_the_field_as_it_stands_in_the_manifest() -> None:
    with pytest.raises(ValidationError) as caught:
        MeshUpgradeSpec.model_validate(
            {"version": "1.2.3", "mesh": {"distribution": "osm"}, "valuesPolicy": "x", "upgrade": {"acceptRisks": [1]}}
        )
    text = spec_errors(caught.value)
    assert text.startswith("spec.valuesPolicy: Input should be 'Reset', 'Reuse' or 'ResetThenReuse'; ")
    assert "spec.upgrade.acceptRisks.0: " in text
    assert "http" not in text


def test_of_many_errors_the_first_are_told() -> None:
    with pytest.raises(ValidationError) as caught:
        MeshUpgradeSpec.model_validate(
            {"version": 1, "mesh": 1, "chart": 1, "values": 1, "upgrade": 1, "crds": 1, "meshConfig": 1}
        )
    assert spec_errors(caught.value).count("spec.") == 5
