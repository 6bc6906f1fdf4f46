"""What goes wrong on the way is named, tried again, and given up after its budget; never left unsaid."""

import base64
import gzip
import json

import pytest

from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, eventually


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


def test_no_room_for_the_controller(in_use: Mesh, operator: Operator) -> None:
    """The guide's first case of troubleshooting: the upgrade times out, and the cause is in the Pod's events."""
    in_use.upgrade("1.2.6", upgrade={"timeout": "3s", "retries": 1})
    conditions = in_use.wait_stalled()
    assert conditions["Ready"]["reason"] == "AttemptsExhausted"
    assert "Gave up after 2 attempts" in conditions["Ready"]["message"]
    assert conditions["ControlPlaneUpgraded"]["status"] == "False"
    assert conditions["ControlPlaneUpgraded"]["reason"] == "InsufficientResources"
    assert "Insufficient cpu" in conditions["ControlPlaneUpgraded"]["message"]
    assert "osm-controller" in conditions["ControlPlaneUpgraded"]["message"]
    assert conditions["Available"]["status"] == "False"
    status = in_use.status()
    assert status["attempts"]["count"] == 2
    assert status["history"][0]["state"] == "Failed"
    assert "finalizers" not in in_use.get()["metadata"]

    in_use.upgrade("1.2.6", values={"osm": {"osmController": {"resource": {"requests": {"cpu": "10m"}}}}})
    assert in_use.wait_ready()["currentVersion"] == "1.2.6"


def test_a_new_spec_does_not_wait_for_a_hopeless_one(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.2.6", upgrade={"timeout": "10m"})
    eventually(lambda: "Insufficient cpu" in json.dumps(in_use.conditions()), operator.log)
    in_use.upgrade("1.2.6", values={"osm": {"osmController": {"resource": {"requests": {"cpu": "10m"}}}}})
    assert in_use.wait_ready()["currentVersion"] == "1.2.6"


def test_a_token_gives_a_fresh_budget(in_use: Mesh, operator: Operator) -> None:
    nodes = in_use.cluster.kubectl("get", "nodes", "-o", "name").stdout.split()
    in_use.cluster.kubectl("cordon", *nodes)
    in_use.upgrade("1.2.1", upgrade={"timeout": "2s", "retries": 0})
    in_use.wait_stalled()
    in_use.cluster.kubectl("uncordon", *nodes)
    in_use.kubectl("annotate", "meshupgrade", "mesh", "meshupgrade.io/reconcile-requested-at=1")
    entry = in_use.wait_ready()["history"][0]
    assert (entry["state"], entry["verified"], entry["revision"]) == ("Completed", True, 2)
    assert len(in_use.revisions()) == 2, "Helm was done; only its workloads were waited for"


def test_a_repository_that_does_not_answer_is_tried_again(in_use: Mesh, operator: Operator) -> None:
    in_use.repository.fail_with = 503
    before = in_use.fingerprints()
    in_use.upgrade("1.2.1")
    conditions = in_use.wait_retrying()
    assert conditions["Ready"]["status"] == "False"
    assert conditions["Ready"]["reason"] == "Retrying"
    assert conditions["Reconciling"]["status"] == "True"
    assert "Stalled" not in conditions
    assert in_use.fingerprints() == before
    in_use.repository.fail_with = None
    in_use.wait_ready()


def test_a_release_that_another_helm_left_pending(in_use: Mesh, operator: Operator) -> None:
    _set_release(in_use, 1, "pending-upgrade", "2001-02-03T04:05:06.123456789Z")
    before = in_use.fingerprints()
    in_use.upgrade("1.2.1")
    conditions = in_use.wait_stalled()
    assert conditions["Ready"]["reason"] == "ReleasePending"
    assert "helm rollback osm" in conditions["Ready"]["message"]
    assert in_use.fingerprints() == before, "a foreign release is never unlocked by us"


def test_a_helm_of_somebody_else_is_waited_for(in_use: Mesh, operator: Operator) -> None:
    _set_release(in_use, 1, "pending-upgrade", "2999-01-01T00:00:00Z")
    in_use.upgrade("1.2.1")
    conditions = in_use.wait_retrying()
    assert "another Helm operation is in progress" in conditions["Ready"]["message"]
    _set_release(in_use, 1, "deployed", "2001-02-03T04:05:06Z")
    in_use.wait_ready()


def test_a_failed_release_is_taken_up(in_use: Mesh, operator: Operator) -> None:
    """A helm upgrade by hand that the API refused half-way."""
    by_hand = in_use.cluster.helm(
        "upgrade", "osm", in_use.published.chart, "--repo", in_use.repository.url, "--version", "1.2.7",
        "--namespace", in_use.namespace, check=False,
    )  # fmt: skip
    assert by_hand.returncode != 0
    assert in_use.revisions()[-1]["status"] == "failed"
    in_use.upgrade("1.2.1")
    status = in_use.wait_ready()
    assert status["history"][0]["from"] == "1.1.0"
    assert in_use.revisions()[-1]["chart"] == "osm-edge-1.2.1"


def _set_release(mesh: Mesh, revision: int, status: str, since: str) -> None:
    """Make a stored revision look as another Helm leaves it."""
    name = f"sh.helm.release.v1.{mesh.release}.v{revision}"
    secret = json.loads(mesh.kubectl("get", "secret", name, "-o", "json").stdout)
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    release["info"] |= {"status": status, "last_deployed": since}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    patch = {"metadata": {"labels": {"status": status}}, "data": {"release": packed}}
    mesh.kubectl("patch", "secret", name, "--type=merge", "-p", json.dumps(patch))
