"""A report has nothing in it that could be a secret."""

import json

import pytest

from meshupgrade.api.v1alpha1.plan import Plan, PlannedHop, PlannedValue
from meshupgrade.cli.plugin import redaction
from meshupgrade.domain.state import State
from tests.unit.cli.plugin import examples

CANARY = "canary-4711-secret"
POD = {
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "n", "annotations": {"a": CANARY}, "managedFields": [{"x": CANARY}]},
    "spec": {
        "nodeName": "node",
        "containers": [
            {"name": "c", "image": "reg/c:1", "env": [{"name": "A", "value": CANARY}], "args": [CANARY],
             "command": [CANARY], "resources": {"limits": {"cpu": "1"}}}
        ],
        "volumes": [{"name": CANARY}],
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "c", "image": "reg/c:1", "restartCount": 3, "ready": False,
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": f"log: {CANARY}"}},
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            }
        ],
    },
}  # fmt: skip


def test_a_pod_is_told_without_environment_arguments_and_last_words() -> None:
    facts = redaction.pod_facts(POD)
    assert CANARY not in json.dumps(facts)
    container = facts["status"]["containers"][0]
    assert container["lastState"] == {"terminated": {"exitCode": 1, "reason": "Error"}}
    assert container["state"] == {"waiting": {"reason": "CrashLoopBackOff"}}
    assert facts["containers"] == [{"name": "c", "image": "reg/c:1", "resources": {"limits": {"cpu": "1"}}}]


def test_so_is_a_deployment() -> None:
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "d", "annotations": {"a": CANARY}},
        "spec": {"replicas": 2, "template": {"spec": POD["spec"], "metadata": {"annotations": {"b": CANARY}}}},
        "status": {"readyReplicas": 1, "conditions": [{"type": "Available", "status": "False", "message": "m"}]},
    }
    facts = redaction.workload_facts(deployment)
    assert CANARY not in json.dumps(facts)
    assert facts["status"] == {
        "readyReplicas": 1,
        "conditions": [{"type": "Available", "status": "False", "message": "m"}],
    }


def test_of_values_the_types_are_left() -> None:
    obj = examples.live(State.COMPLETED)
    obj["spec"]["values"] = {
        "osm": {"password": CANARY, "replicas": 3, "debug": True, "none": None, "list": [CANARY, 1.5]}
    }
    obj["spec"]["meshConfig"] = {"patch": {"token": CANARY}}
    obj["spec"]["chart"] = {"repository": f"https://charts.example/osm?token={CANARY}"}
    obj["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": CANARY,
        "example.com/other": CANARY,
        "meshupgrade.io/approved-plan": "sha256:1",
    }
    facts = redaction.upgrade_facts(obj)
    assert CANARY not in json.dumps(facts)
    assert facts["spec"]["values"] == {
        "osm": {
            "password": "<string>",
            "replicas": "<number>",
            "debug": True,
            "none": None,
            "list": ["<string>", "<number>"],
        }
    }
    assert facts["spec"]["chart"]["repository"] == "https://charts.example/osm"
    assert facts["metadata"]["annotations"] == {
        "example.com/other": "<string>",
        "meshupgrade.io/approved-plan": "sha256:1",
    }


def test_a_plan_has_no_values() -> None:
    value = PlannedValue(path="osm.x", before=CANARY, after=CANARY)
    hop = PlannedHop(version="1", previous="0", chart="c", chart_digest="d", values=[value])
    plan = Plan(
        created_at=examples.AT, namespace="n", mesh="m", current="0", target="1", hops=[hop], mesh_config=[value]
    )
    text = json.dumps(redaction.plan_facts(plan))
    assert CANARY not in text
    assert "osm.x" in text


@pytest.mark.parametrize("where", ["values", "patch"])
def test_what_a_message_quotes_of_the_spec_is_masked(where: str) -> None:
    obj = examples.live(State.FAILED)
    obj["spec"] |= {"values": {"a": CANARY}} if where == "values" else {"meshConfig": {"patch": {"a": CANARY}}}
    scrubbed = redaction.scrub([{"message": f"helm: cannot take {CANARY!r}"}, {"other": "left"}], obj)
    assert CANARY not in json.dumps(scrubbed)
    assert scrubbed[1] == {"other": "left"}


def test_images_and_names_are_left_though_values_name_them() -> None:
    obj = examples.live(State.FAILED)
    obj["spec"]["values"] = {"osm": {"image": {"registry": "registry.example/mesh"}, "osmNamespace": "osm-system"}}
    tree = [{"image": "registry.example/mesh/osm-controller:1", "message": "in osm-system"}]
    assert redaction.scrub(tree, obj) == tree
