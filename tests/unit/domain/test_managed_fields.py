"""Ownership of fields, handed over without a change of their values."""

import copy
from typing import Any

from meshupgrade.domain.managed_fields import identity, last_writer, owners, with_owner, without_manager

REPLICAS = ("spec", "replicas")
HELM = {"manager": "helm", "operation": "Apply", "apiVersion": "apps/v1"}
SCALE = {"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "subresource": "scale"}


def entry(owner: dict[str, str], fields: dict[str, Any]) -> dict[str, Any]:
    return {**owner, "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields}


MANAGED = [
    entry(HELM, {"f:spec": {"f:replicas": {}, "f:template": {}}}),
    entry(SCALE, {"f:spec": {"f:replicas": {}}}),
    entry({**HELM, "manager": "other"}, {"f:spec": {"f:paused": {}}}),
]


def test_owners_of_one_field() -> None:
    assert owners(MANAGED, REPLICAS) == [HELM, SCALE]
    assert owners(MANAGED, ("spec", "selector")) == []
    assert owners([{"manager": "empty"}], REPLICAS) == []


def test_a_manager_leaves_and_the_others_stay_as_they_are() -> None:
    assert without_manager(MANAGED, "helm") == MANAGED[1:]


def test_an_owner_comes_back_to_the_entry_that_it_has_or_to_a_new_one() -> None:
    before = [entry(HELM, {"f:spec": {"f:template": {}}})]
    kept = copy.deepcopy(before)
    again = with_owner(with_owner(before, HELM, REPLICAS), SCALE, REPLICAS)
    assert owners(again, REPLICAS) == [HELM, SCALE]
    assert again[0]["fieldsV1"] == {"f:spec": {"f:template": {}, "f:replicas": {}}}
    assert identity(again[1]) == SCALE
    assert before == kept


def test_who_wrote_last() -> None:
    path = ("spec", "template")
    managed = [
        {**entry({"manager": "helm"}, {"f:spec": {"f:template": {"f:spec": {}}}}), "time": "2026-01-01T00:00:00Z"},
        {**entry({"manager": "healer"}, {"f:spec": {"f:template": {}}}), "time": "2026-01-02T00:00:00Z"},
        {**entry({"manager": "scaler"}, {"f:spec": {"f:replicas": {}}}), "time": "2026-01-03T00:00:00Z"},
        {**entry({"manager": "meshupgrade"}, {"f:spec": {"f:template": {}}}), "time": "2026-01-04T00:00:00Z"},
    ]
    assert last_writer(managed, path, without="meshupgrade") == "healer"
    assert last_writer(managed[:1], path, without="meshupgrade") == "helm"
    assert last_writer(managed[3:], path, without="meshupgrade") == ""
