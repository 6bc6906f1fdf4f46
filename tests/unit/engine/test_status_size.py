"""The bound on the size of a status, and what is left out first."""

import copy
import json
from typing import Any

import jsonschema

from meshupgrade.api.v1alpha1.conditions import ConditionType
from meshupgrade.api.v1alpha1.findings import MAX_MESSAGE, MAX_REMEDY
from meshupgrade.api.v1alpha1.schema import structural_schema
from meshupgrade.api.v1alpha1.status import MAX_AVAILABLE, MAX_FINDINGS, MAX_HISTORY, MeshUpgradeStatus
from meshupgrade.engine.report.attempt import MAX_VALUES_SET_BYTES
from meshupgrade.engine.status_size import MAX_STATUS, bounded

AT = "2026-05-04T03:02:01Z"
VERSION = "1.22.333-rc.1"
DIGEST = "sha256:" + "a" * 64
HOPS = 12
"""More than the minors of any mesh so far."""


def size(content: Any) -> int:
    return len(json.dumps(content, separators=(",", ":")))


def largest() -> dict[str, Any]:
    """Give a status with every list full and every text as long as the operator makes it."""
    return {
        "observedGeneration": 7,
        "phase": "ControlPlane",
        "hops": [VERSION] * HOPS,
        "conditions": [
            {"type": kind, "status": "True", "reason": "r" * 40, "message": "m" * 4000, "observedGeneration": 7,
             "lastTransitionTime": AT}
            for kind in ConditionType
        ],
        "findings": [
            {"name": "ObjectRejected", "severity": "Error", "phase": "Preflight", "message": "m" * MAX_MESSAGE,
             "remedy": "r" * MAX_REMEDY}
            for _ in range(MAX_FINDINGS)
        ],
        "availableVersions": [
            {"version": VERSION, "allowed": False, "reason": "OutOfRange", "message": "m" * 256}
            for _ in range(MAX_AVAILABLE)
        ],
        "attempts": {"inputDigest": DIGEST, "count": 3, "message": "m" * 4000, "reason": "r", "remediation": "Held"},
        "plan": {"digest": DIGEST, "createdAt": AT, "changes": True, "current": VERSION, "inputs": DIGEST,
                 "hops": [VERSION] * HOPS, "charts": [DIGEST] * HOPS},
        "dataPlane": {"total": 5000, "unmanagedOwners": ["o" * 330] * 20,
                      "restart": {"target": "t" * 160, "total": 1000, "failed": ["f" * 300] * 10, "soakUntil": AT}},
        "valuesSet": ["/" + "v" * 99] * (MAX_VALUES_SET_BYTES // 100),
        "history": [
            {"action": "Upgrade", "version": VERSION, "from": VERSION, "revision": number, "verified": True,
             "chartDigest": DIGEST, "crdDigest": DIGEST, "inputDigest": DIGEST, "authorities": ["a" * 64] * 4,
             "state": "Completed", "message": "m" * 1024, "startedTime": AT, "completionTime": AT,
             "phases": [*[{"name": "ControlPlane", "seconds": 123.45}] * 7, {"name": "MeshConfig", "seconds": 1.5}],
             "meshConfigSnapshot": "s" * 63, "acceptedRisks": ["ImmutableFieldChanged"]}
            for number in range(MAX_HISTORY)
        ],
    }  # fmt: skip


def test_the_largest_status_is_within_the_bound() -> None:
    before = largest()
    kept = copy.deepcopy(before)
    assert size(before) > 3 * MAX_STATUS
    after = bounded(before)
    assert before == kept, "what is given is not changed"
    assert size(after) <= MAX_STATUS
    jsonschema.validate(after, structural_schema(MeshUpgradeStatus))
    for key in ("version", "revision", "verified", "state", "inputDigest", "meshConfigSnapshot"):
        assert [entry[key] for entry in after["history"]] == [entry[key] for entry in before["history"]]
    for key in ("attempts", "plan", "valuesSet", "hops", "dataPlane"):
        assert after[key] == before[key], "what a run needs stays"
    assert all("MeshConfig" in [phase["name"] for phase in entry["phases"]] for entry in after["history"])
    assert [item["type"] for item in after["conditions"]] == list(ConditionType)


def test_what_fits_is_left_as_it_is() -> None:
    small = {**largest(), "conditions": [], "findings": [], "availableVersions": [], "history": []}
    assert bounded(small) == small


def test_no_more_is_left_out_than_has_to_be() -> None:
    content = {**largest(), "findings": [], "history": largest()["history"][:5], "conditions": []}
    content["availableVersions"] *= 4
    assert size(content) > MAX_STATUS
    after = bounded(content)
    assert after["history"] == content["history"]
    assert all("message" in item and item["message"] == "" for item in after["availableVersions"])
