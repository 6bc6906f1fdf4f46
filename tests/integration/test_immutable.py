"""ImmutableFieldChanged, accepted: just those objects are deleted and created, and their Pods go on serving."""

import json
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, eventually

ACCEPTED = {"acceptRisks": ["ImmutableFieldChanged"], "timeout": "60s"}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """The test brings CRDs in."""
    return own_cluster


def test_the_old_pods_serve_until_the_new_ones_do(mesh: Mesh, operator: Operator) -> None:
    mesh.install_in_use("1.2.1")
    mesh.kubectl("rollout", "status", "deployment", "--timeout=60s")
    before = {name: _uid(mesh, name) for name in ("osm-controller", "osm-injector")}
    old = _controller_pods(mesh)
    nodes = mesh.cluster.kubectl("get", "nodes", "-o", "name").stdout.split()
    mesh.cluster.kubectl("cordon", *nodes)
    mesh.upgrade("1.3.0", upgrade=ACCEPTED)
    eventually(lambda: "Pending" in _controller_pods(mesh).values(), lambda: json.dumps(mesh.status(), indent=1))
    assert old.items() <= _controller_pods(mesh).items(), "no Pod of the old Deployment is gone"
    assert len(_replica_sets(mesh)) == 1
    mesh.cluster.kubectl("uncordon", *nodes)
    mesh.wait_ready()
    told = mesh.conditions()["ControlPlaneUpgraded"]["message"]
    assert f"deleted and created again: Deployment {mesh.namespace}/osm-controller" in told
    assert _uid(mesh, "osm-controller") != before["osm-controller"]
    assert _uid(mesh, "osm-injector") == before["osm-injector"], "only what cannot be changed is made anew"
    assert _replica_sets(mesh) == {}
    eventually(lambda: not old.keys() & _controller_pods(mesh).keys(), lambda: str(_controller_pods(mesh)))


def _uid(mesh: Mesh, name: str) -> str:
    return mesh.kubectl("get", "deployment", name, "-o", "jsonpath={.metadata.uid}").stdout


def _controller_pods(mesh: Mesh) -> dict[str, str]:
    """Give the phase of each Pod of the controller, by name."""
    return {
        pod["metadata"]["name"]: pod["status"]["phase"]
        for pod in _listed(mesh, "pods")
        if pod["metadata"]["name"].startswith("osm-controller")
    }


def _replica_sets(mesh: Mesh) -> dict[str, str]:
    """Give the ReplicaSets that serve without their Deployment."""
    return {
        item["metadata"]["name"]: item["metadata"]["labels"]["meshupgrade.io/orphaned-by"]
        for item in _listed(mesh, "replicasets")
        if "meshupgrade.io/orphaned-by" in item["metadata"].get("labels", {})
    }


def _listed(mesh: Mesh, kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(mesh.kubectl("get", kind, "-o", "json").stdout)["items"]
    return items
