"""The operator dies in the middle of a phase, and another one finishes the upgrade."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, custom_resources, eventually
from tests.integration.hold import Rule, hold

Start = Callable[..., Operator]

HELD = {
    "Preflight": Rule("apps", "deployments", "UPDATE", dry_run=True),
    "CRDs": Rule("apiextensions.k8s.io", "customresourcedefinitions", "UPDATE"),
    "ControlPlane": Rule("", "services", "UPDATE"),
    "MeshConfig": Rule("config.openservicemesh.io", "meshconfigs", "UPDATE"),
}
"""For each phase a request that it makes and that is held up until the operator is dead."""

LOG_LEVEL = {"observability": {"osmLogLevel": "debug"}}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


@pytest.mark.parametrize("phase", HELD)
def test_killed_in_a_phase(in_use: Mesh, start_operator: Start, phase: str) -> None:
    before = custom_resources(in_use.cluster)
    operator = start_operator()
    with hold(in_use.cluster, HELD[phase], f"hold-{in_use.namespace}") as hanging:
        in_use.upgrade("1.2.1", meshConfig={"patch": LOG_LEVEL})
        assert hanging.wait(60), operator.log()
        operator.kill()
        _no_helm(in_use.cluster)
        assert in_use.status()["phase"] != "Completed"
    _converges(in_use, start_operator, before)


def test_killed_while_the_control_plane_becomes_ready(in_use: Mesh, start_operator: Start) -> None:
    before = custom_resources(in_use.cluster)
    operator = start_operator()
    _schedulable(in_use.cluster, False)
    try:
        in_use.upgrade("1.2.1", meshConfig={"patch": LOG_LEVEL})
        eventually(lambda: len(in_use.revisions()) == 2, operator.log)
        eventually(lambda: "waiting for" in json.dumps(in_use.conditions()), operator.log)
        operator.kill()
    finally:
        _schedulable(in_use.cluster, True)
    _converges(in_use, start_operator, before)


def test_killed_at_any_moment(in_use: Mesh, start_operator: Start) -> None:
    """Killed again and again, a little later each time, until one run gets through."""
    before = custom_resources(in_use.cluster)
    in_use.upgrade("1.2.1", meshConfig={"patch": LOG_LEVEL})
    for step in range(8):
        operator = start_operator()
        time.sleep(0.25 * step)
        operator.kill()
        _no_helm(in_use.cluster)
    _converges(in_use, start_operator, before)


def test_a_graceful_end_leaves_no_child_and_no_pending_release(in_use: Mesh, start_operator: Start) -> None:
    before = custom_resources(in_use.cluster)
    operator = start_operator()
    with hold(in_use.cluster, HELD["ControlPlane"], f"hold-{in_use.namespace}") as hanging:
        in_use.upgrade("1.2.1", meshConfig={"patch": LOG_LEVEL})
        assert hanging.wait(60), operator.log()
        operator.process.terminate()
        _no_helm(in_use.cluster)
    assert operator.stop() == 0
    _converges(in_use, start_operator, before)


def _converges(mesh: Mesh, start_operator: Start, before: dict[str, object]) -> None:
    start_operator()
    status = mesh.wait_ready()
    assert status["currentVersion"] == "1.2.1"
    assert status["history"][0]["state"] == "Completed"
    assert [item["action"] for item in status["history"]] == ["Upgrade", "Adopt"]
    assert "finalizers" not in mesh.get()["metadata"]
    revisions = mesh.revisions()
    assert revisions[-1]["status"] == "deployed"
    assert revisions[-1]["chart"] == "osm-edge-1.2.1"
    assert not [revision for revision in revisions if revision["status"].startswith("pending")]
    after = custom_resources(mesh.cluster)
    kept = {name: content for name, content in after.items() if not name.startswith("MeshConfig")}
    assert kept == {name: content for name, content in before.items() if not name.startswith("MeshConfig")}
    assert mesh.live_mesh_config()["spec"]["observability"]["osmLogLevel"] == "debug"
    _no_helm(mesh.cluster)


def _no_helm(cluster: Cluster) -> None:
    """Wait until no Helm works on the cluster; the kernel takes a moment to end a child with its parent."""
    eventually(lambda: _helm_processes(cluster) == [], lambda: str(_helm_processes(cluster)), seconds=10)


def _helm_processes(cluster: Cluster) -> list[str]:
    """Give the command lines of Helm processes that work on this cluster."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(cluster.kubeconfig) in command and "helm upgrade" in command:
                found.append(command)
    return found


def _schedulable(cluster: Cluster, schedulable: bool) -> None:
    nodes = cluster.kubectl("get", "nodes", "-o", "name").stdout.split()
    for node in nodes:
        cluster.kubectl("uncordon" if schedulable else "cordon", node)
