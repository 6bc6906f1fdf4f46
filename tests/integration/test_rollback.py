"""When the attempts are used up the release goes back to its last verified revision: once, and never in a loop."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.bootstrap import Action, BootstrapStandIn
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, custom_resources, eventually
from tests.integration.hold import Rule, hold

QUICK = {"timeout": "3s", "retries": 1}
MUCH_CPU = {"osm": {"osmController": {"resource": {"requests": {"cpu": "4000"}, "limits": {"cpu": "4000"}}}}}
LESS_CPU = {"osm": {"osmController": {"resource": {"requests": {"cpu": "10m"}}}}}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


@pytest.fixture
def newer(mesh: Mesh) -> Mesh:
    """A mesh at 1.2.1, whose bootstrap stores everything in the versions of 1.2.6 too."""
    mesh.install_in_use("1.2.1")
    return mesh


def test_a_failed_upgrade_is_rolled_back_once(newer: Mesh, start_operator: Callable[..., Operator]) -> None:
    before = custom_resources(newer.cluster)
    operator = start_operator()
    newer.upgrade("1.2.6", upgrade=QUICK)
    conditions = newer.wait_stalled()
    assert conditions["Ready"]["reason"] == conditions["Stalled"]["reason"] == "RolledBack"
    assert "Insufficient cpu" in conditions["Ready"]["message"]
    assert conditions["RolledBack"]["status"] == "True"
    assert conditions["Available"]["status"] == "True"
    status = newer.status()
    assert (status["phase"], status["currentVersion"], status["attempts"]["remediation"]) == (
        "RolledBack", "1.2.1", "Done",
    )  # fmt: skip
    told = [(item["action"], item["version"], item["state"], item.get("revision")) for item in status["history"]]
    assert told == [
        ("Rollback", "1.2.1", "Completed", 3),
        ("Upgrade", "1.2.6", "RolledBack", None),
        ("Upgrade", "1.2.6", "Failed", None),
        ("Adopt", "1.2.1", "Completed", 1),
    ]
    assert all("Insufficient cpu" in item["message"] for item in status["history"][1:3])
    assert all(item["phases"] and item["chartDigest"] and item["inputDigest"] for item in status["history"][1:3])
    assert [item["chart"] for item in newer.revisions()] == ["osm-edge-1.2.1", "osm-edge-1.2.6", "osm-edge-1.2.1"]
    assert custom_resources(newer.cluster) == before
    assert "finalizers" not in newer.get()["metadata"]

    operator.stop()
    rested = newer.get()["metadata"]["resourceVersion"]
    operator = start_operator()
    newer.kubectl("label", "meshupgrade", "mesh", "looked=at")
    time.sleep(2)
    assert len(newer.revisions()) == 3, "neither a restart nor an event makes it try again"
    assert newer.status() == status, rested

    newer.upgrade("1.2.6", upgrade=QUICK, values=LESS_CPU)
    status = newer.wait_ready()
    assert "RolledBack" not in newer.conditions()
    assert [item["action"] for item in status["history"]][:2] == ["Upgrade", "Rollback"]
    assert status["history"][0]["verified"]


def test_the_old_bootstrap_starts_after_a_rollback(mesh: Mesh, operator: Operator) -> None:
    """It replaces the CRDs that the new release brought by its own, and lives with what is stored."""
    with BootstrapStandIn(mesh.cluster, [mesh.namespace]) as bootstrap:
        mesh.install("1.3.0", crds=False)
        bootstrap.wait_for(Action.READY)
        mesh.use("1.3.0")
        mesh.kubectl("rollout", "status", "deployment", "--timeout=60s")
        before = custom_resources(mesh.cluster)
        mesh.upgrade("2.0.0", upgrade={**QUICK, "retries": 0, "acceptRisks": ["BreakingChange"]}, values=MUCH_CPU)
        eventually(lambda: mesh.status().get("phase") == "RolledBack", lambda: json.dumps(mesh.status(), indent=1))
        assert not [event for event in bootstrap.events if event.action is Action.FAILED], bootstrap.events
        assert mesh.conditions()["Available"]["status"] == "True"
        images = mesh.kubectl("get", "pods", "-l", "app=osm-bootstrap", "-o", "yaml").stdout
        assert ":1.3.0" in images
        assert ":2.0.0" not in images
        assert custom_resources(mesh.cluster) == before


def test_what_is_held_stays_for_inspection(newer: Mesh, operator: Operator) -> None:
    newer.upgrade("1.2.6", upgrade={**QUICK, "onFailure": "Hold"})
    conditions = newer.wait_stalled()
    assert conditions["Ready"]["reason"] == "AttemptsExhausted"
    assert "onFailure is Hold" in conditions["Ready"]["message"]
    assert newer.status()["attempts"]["remediation"] == "Held"
    assert newer.revisions()[-1]["chart"] == "osm-edge-1.2.6"
    assert "RolledBack" not in conditions

    newer.upgrade("1.2.6", upgrade={**QUICK, "onFailure": "Rollback", "retries": 0})
    eventually(lambda: newer.status().get("phase") == "RolledBack", lambda: json.dumps(newer.status(), indent=1))
    assert newer.revisions()[-1]["chart"] == "osm-edge-1.2.1", "what was verified before both"


def test_killed_in_the_rollback(newer: Mesh, start_operator: Callable[..., Operator]) -> None:
    operator = start_operator()
    with contextlib.ExitStack() as until_killed:
        with _rollback_begins(newer, operator):
            rule, name = Rule("apps", "deployments", "UPDATE"), f"hold-{newer.namespace}"
            hanging = until_killed.enter_context(hold(newer.cluster, rule, name))
        assert hanging.wait(60), operator.log()
        operator.kill()
    assert newer.revisions()[-1]["status"] == "pending-rollback"
    start_operator()
    eventually(lambda: newer.status().get("phase") == "RolledBack", lambda: json.dumps(newer.status(), indent=1))
    revisions = newer.revisions()
    assert revisions[-1]["status"] == "deployed"
    assert revisions[-1]["chart"] == "osm-edge-1.2.1"
    assert len(revisions) <= 4, "at most one revision more than undisturbed"
    assert newer.conditions()["Available"]["status"] == "True"
    assert [item["action"] for item in newer.status()["history"]] == ["Rollback", "Upgrade", "Adopt"]


def test_a_rollback_that_fails_ends_there(newer: Mesh, operator: Operator) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": newer.namespace}}
    with _rollback_begins(newer, operator):
        # What the old release needs is not there any more.
        newer.apply_objects([{**quota, "spec": {"hard": {"pods": "0"}}}])
        newer.kubectl("delete", "pods", "--all", "--wait=false")
    eventually(lambda: newer.status().get("phase") == "Failed", lambda: json.dumps(newer.status(), indent=1))
    conditions = newer.conditions()
    assert conditions["Stalled"]["reason"] == "RollbackFailed"
    assert conditions["RolledBack"]["status"] == "False"
    assert conditions["RolledBack"]["reason"] == "Quota"
    revisions = len(newer.revisions())
    newer.kubectl("label", "meshupgrade", "mesh", "looked=at")
    time.sleep(2)
    assert len(newer.revisions()) == revisions


@contextlib.contextmanager
def _rollback_begins(mesh: Mesh, operator: Operator) -> Iterator[None]:
    """Fail an upgrade, and hold its rollback where Helm is about to write the first of it."""
    rule = Rule("", "secrets", "CREATE", name="sh.helm.release.v1.osm.v3")
    with hold(mesh.cluster, rule, f"begin-{mesh.namespace}") as hanging:
        mesh.upgrade("1.2.6", upgrade={**QUICK, "retries": 0})
        assert hanging.wait(60), operator.log()
        yield
