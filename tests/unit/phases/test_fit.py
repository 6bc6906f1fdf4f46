"""Whether Helm has anything to do."""

from typing import Any

import pytest

from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.phases.fit import desired_values, release_fits
from tests.unit.phases.works import make_release, make_work

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


def test_the_values_for_helm_are_the_specs_with_the_identity() -> None:
    live = make_release(config={"osm": {"meshName": "blue", "enableEgress": True}})
    assert desired_values(make_work({"values": {"a": 1}}, live=live)) == {"a": 1, "osm": {"meshName": "blue"}}
    assert desired_values(make_work({"values": {"a": 1}})) == {"a": 1}
