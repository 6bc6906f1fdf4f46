"""Objects of kinds whose CRD comes with the hop are checked against its schema."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.preflight.arriving import arrives, arriving_findings


def version(name: str, *, served: bool = True) -> dict[str, Any]:
    spec = {
        "type": "object",
        "required": ["host"],
        "properties": {"host": {"type": "string"}, "port": {"type": "integer"}},
    }
    return {
        "name": name,
        "served": served,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }


CRD = {
    "metadata": {"name": "egresses.policy.example.test"},
    "spec": {
        "group": "policy.example.test",
        "names": {"kind": "Egress"},
        "versions": [version("v1"), version("v1alpha1", served=False)],
    },
}


def egress(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "policy.example.test/v1", "kind": "Egress", "metadata": {"name": "e"}, "spec": spec}


@pytest.mark.parametrize(
    ("api_version", "kind", "arrives_now"),
    [
        ("policy.example.test/v1", "Egress", True),
        ("policy.example.test/v1alpha1", "Egress", False),
        ("policy.example.test/v2", "Egress", False),
        ("policy.example.test/v1", "Ingress", False),
        ("v1", "Egress", False),
    ],
)
def test_which_kinds_arrive(api_version: str, kind: str, arrives_now: bool) -> None:
    assert arrives(ObjectRef(api_version, kind, "e", "n"), [CRD]) == arrives_now


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (egress(host="a"), None),
        (egress(host="a", unknown=1), None),
        (egress(host=5), "spec.host"),
        (egress(port=1), "spec"),
    ],
)
def test_what_the_new_schema_refuses(obj: dict[str, Any], told: str | None) -> None:
    found = arriving_findings(ObjectRef.of(obj, "n"), obj, [CRD])
    assert len(found) == (told is not None)
    if told:
        assert (found[0].name, found[0].severity) == (FindingName.OBJECT_REJECTED, Severity.ERROR)
        assert (
            f"Egress n/e: the CRD egresses.policy.example.test of this version will refuse it: {told}"
            in found[0].message
        )


def test_another_kind_is_not_looked_at() -> None:
    assert arriving_findings(ObjectRef("v1", "Pod", "p"), {}, [CRD]) == []
