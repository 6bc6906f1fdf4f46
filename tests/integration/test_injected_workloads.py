"""The workloads that the injector stand-in injects: each kind is replaced on the rig as on real nodes."""

import json
import subprocess

from tests.charts.injected_workloads import Kind, disruption_budget
from tests.charts.releases import release
from tests.charts.workloads import BOOKBUYER, BOOKSTORE
from tests.cluster.injector import InjectorStandIn
from tests.integration.harness import Mesh, eventually

OLD = release("1.1.0").sidecar_image
NEW = "flomesh/pipy:new"
DIGEST = f"sha256:{'a' * 64}"


def outdated(mesh: Mesh) -> set[str]:
    """The workloads of bookstore with a Pod that does not run the new sidecar, without what a Pod's name ends with."""
    names = [name.partition("/")[2] for name, image in mesh.sidecars().items() if image != NEW]
    return {next(str(kind) for kind in sorted(Kind, reverse=True) if name.startswith(kind)) for name in names}


def test_every_kind_of_workload_is_replaced_in_its_own_way(mesh: Mesh, injector: InjectorStandIn) -> None:
    injector.digests = {NEW: DIGEST}
    mesh.inject_in_use("1.1.0")
    assert set(mesh.sidecars().values()) == {OLD}
    assert {name.partition("/")[0] for name in mesh.sidecars()} == {BOOKSTORE, BOOKBUYER}
    phases = {pod["metadata"]["name"].rpartition("-")[0]: pod["status"]["phase"] for pod in mesh.meshed_pods()}
    assert (phases["job-finished"], phases["job-running"]) == ("Succeeded", "Running")
    injector.image = NEW
    for kind in ("deployment", "statefulset", "daemonset"):
        for namespace in (BOOKSTORE, BOOKBUYER):
            mesh.cluster.kubectl("rollout", "restart", kind, f"--namespace={namespace}", check=False)
    stays = {
        Kind.PARTITIONED, Kind.STATEFUL_SET_ON_DELETE, Kind.DAEMON_SET_ON_DELETE,
        Kind.FINISHED_JOB, Kind.RUNNING_JOB, Kind.BARE_POD, Kind.ROLLOUT,
    }  # fmt: skip
    eventually(lambda: outdated(mesh) == stays, lambda: f"{outdated(mesh)} are outdated, and not {stays}")
    sidecars = mesh.sidecars()
    assert sidecars[f"{BOOKSTORE}/partitioned-0"] == OLD
    eventually(lambda: mesh.sidecars().get(f"{BOOKSTORE}/partitioned-1") == NEW, lambda: "the partition is not rolled")


def evict(mesh: Mesh, pod: str) -> subprocess.CompletedProcess[str]:
    """Ask for the eviction of a Pod of bookstore, as kubectl drain does."""
    metadata = {"name": pod, "namespace": BOOKSTORE}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{BOOKSTORE}/pods/{pod}/eviction"
    return mesh.cluster.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction), check=False)


def test_evictions_and_budgets(mesh: Mesh, injector: InjectorStandIn) -> None:
    kinds = (Kind.STATEFUL_SET_ON_DELETE, Kind.DAEMON_SET_ON_DELETE)
    mesh.inject_in_use("1.1.0", kinds=kinds, namespaces=[BOOKSTORE])
    budget = disruption_budget(BOOKSTORE, Kind.STATEFUL_SET_ON_DELETE.value, maxUnavailable=0)
    mesh.apply_objects([budget])
    get = ("get", "pdb", Kind.STATEFUL_SET_ON_DELETE, f"--namespace={BOOKSTORE}", "-o", "json")

    def allowed() -> int:
        status = json.loads(mesh.cluster.kubectl(*get).stdout).get("status", {})
        return status.get("disruptionsAllowed", -1) if status.get("observedGeneration") else -1

    eventually(lambda: allowed() == 0, lambda: "the budget is not computed")
    injector.image, injector.digests = NEW, {NEW: DIGEST}
    refused = evict(mesh, "stateful-on-delete-0")
    assert "disruption budget" in refused.stderr
    mesh.apply_objects([{**budget, "spec": {**budget["spec"], "maxUnavailable": 1}}])
    eventually(lambda: allowed() == 1, lambda: "the budget is not computed")
    assert evict(mesh, "stateful-on-delete-0").returncode == 0
    (daemon,) = [pod["metadata"]["name"] for pod in mesh.meshed_pods() if pod["metadata"]["name"].startswith("daemon")]
    assert evict(mesh, daemon).returncode == 0
    wanted = {"stateful-on-delete-0": NEW, "stateful-on-delete-1": OLD, "daemon-on-delete": NEW}

    def found() -> dict[str, str]:
        return {
            name if name.startswith("stateful") else name.rpartition("-")[0]: image
            for name, image in ((name.partition("/")[2], image) for name, image in mesh.sidecars().items())
        }

    eventually(lambda: found() == wanted, lambda: f"{found()}, not {wanted}")

    def ids() -> dict[str, str]:
        return {
            pod["metadata"]["name"]: status["imageID"]
            for pod in mesh.meshed_pods()
            for status in pod["status"].get("containerStatuses", [])
            if status["name"] == "sidecar" and pod["metadata"]["name"].startswith("stateful")
        }

    known = {"stateful-on-delete-0": f"flomesh/pipy@{DIGEST}", "stateful-on-delete-1": ""}
    eventually(lambda: ids() == known, lambda: f"{ids()}, not {known}")
    injector.image = f"flomesh/pipy:1@{DIGEST}"
    assert evict(mesh, "stateful-on-delete-1").returncode == 0
    mesh.set_image_id(BOOKSTORE, "stateful-on-delete-0", "sidecar", "other@sha256:b")
    known = {"stateful-on-delete-0": "other@sha256:b", "stateful-on-delete-1": f"flomesh/pipy@{DIGEST}"}
    eventually(lambda: ids() == known, lambda: f"{ids()}, not {known}")
