"""What is told of a MeshConfig."""

import json
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.domain.structural_schema import EVERYTHING
from meshupgrade.domain.three_way import MISSING, Difference
from meshupgrade.phases.mesh_config.planned import Planned
from meshupgrade.phases.mesh_config.told import differing, opened_findings, patched_by
from tests.unit.phases.works import make_work

EGRESS, PERMISSIVE = ("traffic", "enableEgress"), ("traffic", "enablePermissiveTrafficPolicyMode")


def planned(before: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **fields: Any) -> Planned:
    return Planned(live={}, before=before or {}, spec=spec or {}, schema=EVERYTHING, **fields)


def test_what_lets_traffic_pass_is_told_with_the_patch_that_keeps_it() -> None:
    switches = [Difference(EGRESS, False, False, True), Difference(PERMISSIVE, MISSING, MISSING, True)]
    (found,) = opened_findings(planned(opened=switches))
    assert (found.name, found.severity) == (FindingName.MESH_CONFIG_OPENED, Severity.WARNING)
    assert "traffic.enableEgress is false and becomes true" in found.message
    assert "traffic.enablePermissiveTrafficPolicyMode is not set and becomes true" in found.message
    patch = found.remedy.partition("spec.meshConfig.patch: ")[2].partition("; ")[0]
    assert json.loads(patch) == {"traffic": {"enableEgress": False, "enablePermissiveTrafficPolicyMode": False}}
    assert opened_findings(planned()) == []


@pytest.mark.parametrize(
    ("undone", "told"),
    [
        ([], "patched by meshupgrade: a.x, b, list"),
        (["b"], "patched by meshupgrade: a.x, list"),
        # A part that comes back as a whole, and one item of a list, which changes as a whole.
        (["a", "list[pipy].image"], "patched by meshupgrade: b"),
        (["a.x", "b", "list"], "patched by meshupgrade"),
        (["a.xy", "bb"], "patched by meshupgrade: a.x, b, list"),
    ],
)
def test_what_was_taken_back_is_told_once(undone: list[str], told: str) -> None:
    before, after = {"a": {"x": 1}, "b": 1, "list": [1]}, {"a": {"x": 2}, "b": 2, "list": [2]}
    assert patched_by(planned(before, after, undone=undone)) == told


@pytest.mark.parametrize(
    ("defaults", "count", "told"),
    [
        ("Keep", 0, ""),
        ("Keep", 3, "; other than the release's defaults: f0, f1, f2"),
        ("Keep", 20, "; other than the release's defaults: 20 fields, such as f0, f1, f2"),
        ("Merge", 9, "; other than the release's defaults: f0, f1, f2, f3, f4, f5, f6, f7 and 1 more"),
    ],
)
def test_few_fields_are_named_where_nobody_asked_for_the_defaults(defaults: str, count: int, told: str) -> None:
    paths = [(f"f{number}",) for number in range(count)]
    assert differing(make_work({"meshConfig": {"defaults": defaults}}), planned(differing=paths)) == told
