"""The record of what is held off."""

from typing import Any

from meshupgrade.api.v1alpha1.names import HELD, HELD_RECORD
from meshupgrade.domain.merge import merge_patch
from meshupgrade.phases.crds.record import Record, held_metadata, read_record, released_metadata
from tests.unit.phases.works import make_work

OWNER = {"manager": "helm", "operation": "Apply", "apiVersion": "apps/v1"}


def obj(metadata: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": metadata}


def test_it_reads_as_it_was_written_and_goes_without_a_trace() -> None:
    record = Record.of(make_work(), replicas=2, owners=(OWNER,), labels={"openservicemesh.io/reconcile": "true"})
    held = held_metadata(record)
    assert held["labels"] == {HELD: "u1"}
    assert read_record(obj(held)) == record
    assert merge_patch(held, released_metadata()) == {"labels": {}, "annotations": {}}


def test_what_is_not_held_has_none() -> None:
    assert read_record(obj({"name": "n"})) is None
    assert read_record(obj({"labels": {"a": "b"}, "annotations": None})) is None


def test_one_that_nobody_can_read_still_names_its_owner() -> None:
    for text in ("", "{}", "no json", '{"uid": "u1", "owners": [], "more": 1}', "[]"):
        record = read_record(obj({"labels": {HELD: "u1"}, "annotations": {HELD_RECORD: text}}))
        assert record == Record("u1", "", 0, replicas=1)
