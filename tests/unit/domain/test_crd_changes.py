"""What counts as a CRD that somebody wrote back."""

import copy
from typing import Any

import pytest

from meshupgrade.domain.crd_changes import ExpectedCRD, was_written_back

SPEC: dict[str, Any] = {
    "names": {"kind": "MeshConfig"},
    "conversion": {"strategy": "None"},
    "versions": [
        {"name": "v2", "served": True, "storage": False, "schema": {"description": "new"}},
        {"name": "v1", "served": True, "storage": True, "schema": {"description": "kept"}},
    ],
}
EXPECTED = ExpectedCRD(SPEC, frozenset({"v2"}))


def live(**changes: Any) -> dict[str, Any]:
    return {"spec": copy.deepcopy(SPEC) | changes}


@pytest.mark.parametrize(
    ("obj", "back"),
    [
        (live(), False),
        (live(versions=SPEC["versions"][:1]), False),
        (live(versions=list(reversed(SPEC["versions"]))), False),
        (live(versions=[SPEC["versions"][0] | {"storage": True}]), False),
        (live(versions=SPEC["versions"][1:]), True),
        (live(versions=[SPEC["versions"][0] | {"schema": {"description": "old"}}]), True),
        (live(versions=[SPEC["versions"][0] | {"served": False}]), True),
        (live(names={"kind": "MeshConfig", "shortNames": ["mc"]}), True),
        (live(conversion={"strategy": "Webhook"}), False),
    ],
)
def test_a_version_that_must_stay_or_the_names_changed(obj: dict[str, Any], back: bool) -> None:
    assert was_written_back(EXPECTED, obj) is back
