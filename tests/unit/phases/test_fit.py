"""Whether Helm has anything to do."""

import dataclasses
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.phases.fit import desired_defaults, desired_values, no_longer_set, release_fits
from tests.unit.phases.works import make_release, make_work


def finding() -> Finding:
    return Finding(name=FindingName.REFERENCE_INVALID, severity=Severity.ERROR, phase="Preflight", message="m")


NAMED = {"osm": {"meshName": "osm"}}


@pytest.mark.parametrize(
    ("spec", "live", "fits"),
    [
        ({}, None, False),
        ({}, make_release(), True),
        ({"version": "v1.2.3"}, make_release(), True),
        ({}, make_release(version="v1.2.3"), True),
        ({}, make_release(version="1.2.2"), False),
        ({}, make_release(version="1.2.4"), False),
        ({}, make_release(status=ReleaseStatus.FAILED), False),
        ({}, make_release(status=ReleaseStatus.PENDING_UPGRADE), False),
        # A newer revision was begun.
        ({}, make_release(revision=1), False),
        # Reset takes values away, and what spec.values says is there.
        ({}, make_release(config={"osm": {"enableEgress": True}}), False),
        ({"values": {"a": 1}}, make_release(config={"a": 1}), True),
        ({"values": {"a": 1}}, make_release(), False),
        ({"values": {"a": 1}}, make_release(config={"a": 2}), False),
        # The identity of the mesh that runs is carried over, so it is no difference.
        ({}, make_release(config=NAMED), True),
        ({"values": {"osm": {"meshName": "blue"}}}, make_release(config=NAMED), False),
        # Helm does not always store nulls.
        ({"values": {"a": 1, "b": None}}, make_release(config={"a": 1}), True),
        # The other policies keep what is there.
        ({"valuesPolicy": "Reuse"}, make_release(config={"a": 1}), True),
        ({"valuesPolicy": "ResetThenReuse", "values": {"b": 2}}, make_release(config={"a": 1, "b": 2}), True),
        ({"valuesPolicy": "ResetThenReuse", "values": {"b": 3}}, make_release(config={"a": 1, "b": 2}), False),
    ],
)
def test_whether_the_release_is_what_the_spec_asks_for(spec: dict[str, Any], live: Release | None, fits: bool) -> None:
    assert release_fits(make_work(spec, live=live)) is fits


def test_values_that_could_not_be_read_fit_nothing() -> None:
    work = make_work(live=make_release())
    assert release_fits(work)
    work.value_findings = [finding()]
    assert not release_fits(work)


@pytest.mark.parametrize("policy", ["Reuse", "ResetThenReuse"])
def test_what_is_reused_is_of_the_base_without_what_the_spec_sets_no_more(policy: str) -> None:
    live = make_release(config={"failed": 1})
    work = make_work({"valuesPolicy": policy, "values": {"a": 1}}, live=live)
    work.base = make_release(config={"a": 0, "mine": 2, "once": {"set": 3, "kept": 4}})
    work.values_set = ["/a", "/once/set", "/never"]
    assert no_longer_set(work) == [("once", "set"), ("never",)]
    assert desired_values(work) == {"a": 1, "mine": 2, "once": {"kept": 4}}


@pytest.mark.parametrize(
    ("policy", "defaults"),
    [("Reset", None), ("ResetThenReuse", None), ("Reuse", {"old": 1, "mine": 2, "level": "new"})],
)
def test_reuse_alone_replaces_the_charts_own_values(policy: str, defaults: dict[str, Any] | None) -> None:
    base = dataclasses.replace(make_release(config={"mine": 2}), defaults={"old": 1, "level": "old"})
    work = make_work({"valuesPolicy": policy}, live=base)
    work.values_set = ["/level"]
    assert desired_defaults(work, {"level": "new", "added": True}) == defaults


def test_a_mesh_that_is_installed_gets_the_name_of_the_release() -> None:
    blue = {"mesh": {"distribution": "fsm", "name": "blue"}}
    assert desired_values(make_work(blue, distribution=DistributionName.FSM)) == {"fsm": {"meshName": "blue"}}
    named = make_work({"values": {"osm": {"meshName": "red"}}})
    assert desired_values(named) == {"osm": {"meshName": "red"}}


def test_the_values_for_helm_are_the_specs_with_the_identity() -> None:
    live = make_release(config={"osm": {"meshName": "blue", "enableEgress": True}})
    assert desired_values(make_work({"values": {"a": 1}}, live=live)) == {"a": 1, "osm": {"meshName": "blue"}}
