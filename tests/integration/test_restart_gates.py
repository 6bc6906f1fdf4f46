"""What holds a restart of the data plane up: a suspension, a window, an approval; and what brings one about at rest."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.charts.injected_workloads import Kind
from tests.charts.workloads import NAMESPACES
from tests.cluster.api import Api
from tests.cluster.cluster import Cluster
from tests.cluster.injector import InjectorStandIn
from tests.cluster.pod_gate import PodGate
from tests.integration.harness import Mesh, Operator, eventually

VERSION = "1.2.1"
NEWER, NEWEST = "flomesh/pipy:newer", "flomesh/pipy:newest"
ONE_BY_ONE = {"restart": "WhenOutdated", "maxUnavailable": 1, "timeout": "2m"}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


@pytest.fixture
def injected(mesh: Mesh, injector: InjectorStandIn) -> Mesh:
    """A mesh with four workloads."""
    mesh.inject_in_use(VERSION, kinds=[Kind.DEPLOYMENT], deployments=2, replicas=1)
    return mesh


def test_a_restart_stops_between_waves_and_goes_on(injected: Mesh, operator: Operator) -> None:
    restart = {**ONE_BY_ONE, "sidecarImage": NEWER}
    with PodGate(Api(injected.cluster.kubeconfig, injected.cluster.ca), ["deployment-1"], None):
        injected.upgrade(VERSION, dataPlane=restart)
        eventually(lambda: sum(_restarts(injected).values()) == 1, operator.log)
        injected.upgrade(VERSION, dataPlane=restart, suspend=True)
    injected.wait_phase("Suspended")
    told = injected.conditions()
    assert (told["Ready"]["status"], told["Ready"]["reason"]) == ("Unknown", "Suspended")
    assert told["DataPlaneRestarted"]["status"] == "Unknown"
    assert sum(_restarts(injected).values()) == 1, "no wave begins in a suspension"
    assert injected.status()["dataPlane"]["restart"]["restarted"] == 1
    assert "finalizers" not in injected.get()["metadata"]

    injected.upgrade(VERSION, dataPlane=restart, upgrade={"windows": [_closed()]})
    injected.wait_phase("OutsideWindow")
    assert "opens at" in injected.conditions()["Ready"]["message"]
    assert sum(_restarts(injected).values()) == 1, "nor outside of the windows"

    injected.upgrade(VERSION, dataPlane=restart)
    status = injected.wait_ready()
    assert set(_restarts(injected).values()) == {1}, "each once"
    assert set(injected.sidecars().values()) == {NEWER}
    assert status["dataPlane"]["workloads"]["current"] == 4
    assert status["dataPlane"]["restart"]["done"]
    assert [(item["action"], item["state"]) for item in status["history"]] == [
        ("Upgrade", "Completed"), ("Adopt", "Completed"),
    ]  # fmt: skip


def test_what_becomes_outdated_at_rest_is_restarted_once_that_is_approved(injected: Mesh, operator: Operator) -> None:
    spec: dict[str, Any] = {"dataPlane": ONE_BY_ONE, "interval": "10s", "upgrade": {"approval": "Manual"}}
    injected.upgrade(VERSION, **spec)
    injected.wait_ready()
    assert set(_restarts(injected).values()) == {0}, "all are current"
    patch = json.dumps({"spec": {"sidecar": {"sidecarImage": NEWEST}}})
    injected.kubectl("patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p", patch)
    injected.wait_phase("AwaitingApproval")
    plan = injected.status()["plan"]
    assert (plan["changes"], plan["dataPlane"], plan["waves"], plan["updated"]) == (True, 4, 4, 0)
    assert set(_restarts(injected).values()) == {0}
    injected.kubectl("annotate", "meshupgrade", "mesh", f"meshupgrade.io/approved-plan={plan['digest']}")
    injected.wait_ready()
    assert set(_restarts(injected).values()) == {1}
    assert set(injected.sidecars().values()) == {NEWEST}
    revisions = len(injected.revisions())
    assert revisions == 1, "Helm had nothing to do"


def _restarts(mesh: Mesh) -> dict[str, int]:
    """Give how often the template of each workload was changed since it was made."""
    listed = json.loads(mesh.cluster.kubectl("get", "deployments", "-A", "-o", "json").stdout)["items"]
    return {
        f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["metadata"]["generation"] - 1
        for item in listed
        if item["metadata"]["namespace"] in NAMESPACES
    }


def _closed() -> dict[str, Any]:
    """Give a window that is closed for some days."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    then = datetime.now(UTC) + timedelta(days=3)
    return {"days": [days[then.weekday()]], "start": "12:00", "end": "13:00", "timeZone": "UTC"}
