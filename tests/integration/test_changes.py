"""A spec is edited, an object is deleted, or another one made, while an upgrade runs or after it."""

import json

import pytest

from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, custom_resources, eventually
from tests.integration.hold import Rule, hold

HELM = Rule("", "services", "UPDATE")
"""What Helm alone writes; Deployments are also held off, while CRDs change."""


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


def test_a_spec_edited_in_the_middle_is_taken_up_after_the_hop(in_use: Mesh, operator: Operator) -> None:
    with hold(in_use.cluster, HELM, "hold") as hanging:
        in_use.upgrade("1.2.0")
        assert hanging.wait(60), operator.log()
        in_use.upgrade("1.2.1")
        assert in_use.status()["observedGeneration"] == 1
    status = in_use.wait_ready()
    assert (status["observedGeneration"], status["currentVersion"]) == (2, "1.2.1")
    assert [(entry["action"], entry["version"]) for entry in status["history"]] == [
        ("Upgrade", "1.2.1"), ("Upgrade", "1.2.0"), ("Adopt", "1.1.0"),
    ]  # fmt: skip
    assert {entry["state"] for entry in status["history"]} == {"Completed"}
    assert [revision["chart"] for revision in in_use.revisions()][1:] == ["osm-edge-1.2.0", "osm-edge-1.2.1"]


def test_a_spec_that_changes_all_the_time(in_use: Mesh, operator: Operator) -> None:
    for number in range(12):
        in_use.upgrade("1.2.1", values={"osm": {"osmController": {"replicaCount": 1 + number % 2}}})
    status = in_use.wait_ready()
    assert status["observedGeneration"] == in_use.get()["metadata"]["generation"]
    assert not [revision for revision in in_use.revisions() if revision["status"] not in ("superseded", "deployed")]


def test_deleted_in_the_middle(in_use: Mesh, operator: Operator) -> None:
    """Helm is ended, the release is left workable, and nothing of the mesh is removed."""
    before = set(in_use.fingerprints())
    resources = custom_resources(in_use.cluster)
    with hold(in_use.cluster, HELM, "hold") as hanging:
        in_use.upgrade("1.2.1")
        assert hanging.wait(60), operator.log()
        in_use.kubectl("delete", "meshupgrade", "mesh", "--wait=false")
        eventually(lambda: in_use.kubectl("get", "meshupgrade", "mesh", check=False).returncode != 0, operator.log)
    assert in_use.revisions()[-1]["status"] == "failed"
    kept = {name for name in before if not name.startswith(("Pod ", "ReplicaSet "))}
    assert kept <= set(in_use.fingerprints())
    assert in_use.kubectl("get", "deployment", "osm-bootstrap", "-o", "jsonpath={.spec.replicas}").stdout == "1"
    assert custom_resources(in_use.cluster) == resources

    in_use.upgrade("1.2.1")
    in_use.wait_ready()


def test_deleted_at_rest(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.2.1")
    in_use.wait_ready()
    before = in_use.fingerprints()
    in_use.kubectl("delete", "meshupgrade", "mesh", "--timeout=20s")
    assert in_use.fingerprints() == before


def test_deleted_without_an_operator(in_use: Mesh) -> None:
    in_use.upgrade("1.2.1")
    in_use.kubectl("delete", "meshupgrade", "mesh", "--timeout=20s")


def test_a_second_object_for_the_same_mesh(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.1.1")
    in_use.wait_ready()
    second = in_use.manifest(in_use.spec("1.2.1"), "second")
    in_use.apply_objects([second])
    ready = in_use.wait_stalled("second")["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "DuplicateMeshUpgrade")
    assert "mesh" in ready["message"]
    assert in_use.status()["currentVersion"] == "1.1.1"

    in_use.kubectl("delete", "meshupgrade", "mesh")
    eventually(lambda: in_use.status("second").get("phase") == "Completed", lambda: json.dumps(in_use.status("second")))
    assert in_use.revisions()[-1]["chart"] == "osm-edge-1.2.1"
