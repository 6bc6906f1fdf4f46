"""Which workloads run which sidecar, on a real API server: real Pods, as the injector made them, and their owners."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshupgrade.domain.sidecars import SidecarState
from meshupgrade.engine.status import now
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.phases.data_plane.in_use import InUse, find_in_use, find_pods_of
from meshupgrade.phases.shape import Tools, Work
from tests.charts.injected_workloads import Kind
from tests.charts.workloads import BOOKBUYER, BOOKSTORE
from tests.cluster.cluster import Cluster
from tests.cluster.injector import InjectorStandIn
from tests.cluster.ports import DIRECT, LOOPBACK, free_ports
from tests.integration.harness import MESHUPGRADE, PATIENCE, Mesh, Operator, eventually
from tests.unit.phases.works import make_work

CURRENT, OUTDATED, UNKNOWN = SidecarState.CURRENT, SidecarState.OUTDATED, SidecarState.UNKNOWN
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
RESTARTED_FOR = "meshupgrade.io/restarted-for"
DEPLOYMENT = "deployment-1"


@pytest.fixture
async def work(mesh: Mesh) -> AsyncIterator[Work]:
    """A run that only looks."""
    access = await load_access(mesh.cluster.kubeconfig, None)
    async with Kube(access.configuration) as kube:
        work = make_work()
        work.namespace = mesh.namespace
        work.tools = Tools(kube=kube, helm=None, http=None, indexes=None, cache=Path())  # type: ignore[arg-type]
        yield work


def set_images(mesh: Mesh, **images: str) -> None:
    """Set fields of the MeshConfig's sidecar."""
    patch = json.dumps({"spec": {"sidecar": images}})
    mesh.kubectl("patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p", patch)


def restart(mesh: Mesh, kind: str, name: str, namespace: str = BOOKSTORE, annotation: str = "test/restarted") -> None:
    """Give a workload new Pods, and wait until only they are left."""
    value = str(
        mesh.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "jsonpath={.metadata.generation}").stdout
    )
    patch = {"spec": {"template": {"metadata": {"annotations": {annotation: value}}}}}
    mesh.cluster.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch))
    mesh.cluster.kubectl("rollout", "status", kind, name, "-n", namespace, f"--timeout={PATIENCE:.0f}s")
    eventually(lambda: len(pods_of(mesh, name, namespace)) == 2, lambda: str(pods_of(mesh, name, namespace)))


def pods_of(mesh: Mesh, name: str, namespace: str = BOOKSTORE) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in mesh.meshed_pods()
        if pod["metadata"]["namespace"] == namespace and pod["metadata"]["labels"].get("app") == name
    ]


def states(found: InUse) -> dict[str, str]:
    """Give the state of each workload, by namespace and name."""
    return {f"{ref.namespace}/{ref.name}": str(use.state) for ref, use in found.workloads.items()}


async def live(work: Work, kind: str, name: str, namespace: str = BOOKSTORE) -> dict[str, Any]:
    return await work.tools.kube.get(ObjectRef("apps/v1", kind, name, namespace))


async def test_every_pod_counts_for_what_would_bring_it_back(mesh: Mesh, injector: InjectorStandIn, work: Work) -> None:
    mesh.inject_in_use("1.1.0")
    mesh.cluster.kubectl("run", "outside", "--image=app:1", f"--namespace={mesh.namespace}")
    await work.tools.kube.server_version()
    found = await find_in_use(work)

    workloads = [
        f"{BOOKBUYER}/deployment-1", f"{BOOKBUYER}/deployment-2", f"{BOOKSTORE}/daemon",
        f"{BOOKSTORE}/daemon-on-delete", f"{BOOKSTORE}/deployment-1", f"{BOOKSTORE}/deployment-2",
        f"{BOOKSTORE}/opted-out", f"{BOOKSTORE}/partitioned", f"{BOOKSTORE}/stateful",
        f"{BOOKSTORE}/stateful-on-delete",
    ]  # fmt: skip
    assert states(found) == dict.fromkeys(sorted(workloads), "current")
    # A Job that is over is no use of the mesh (sail-operator #839).
    unmanaged = {owner: len(pods) for owner, pods in found.unmanaged.items()}
    assert unmanaged == {
        f"Job {BOOKSTORE}/job-running": 1,
        f"Pod {BOOKSTORE}/bare": 1,
        f"Rollout {BOOKSTORE}/rollout": 2,
    }
    counted = found.status()
    assert counted.total == counted.current == sum(len(use.pods) for use in found.workloads.values()) + 4
    assert (counted.outdated, counted.unknown, counted.uninjected, counted.unmanaged) == (0, 0, 0, 4)
    assert (counted.workloads.total, counted.workloads.current) == (10, 10)
    assert set(found.namespaces) == {BOOKSTORE, BOOKBUYER}
    assert all(pod.ready and not pod.restarted_for for use in found.workloads.values() for pod in use.pods)

    # Far fewer requests than workloads, and one for those of one workload.
    before = work.tools.kube.requests
    await find_in_use(work)
    assert work.tools.kube.requests - before <= 3 + 1 + 2 * 3
    for kind, name in (("Deployment", DEPLOYMENT), ("StatefulSet", "stateful"), ("DaemonSet", "daemon")):
        workload = await live(work, kind, name)
        before = work.tools.kube.requests
        use = await find_pods_of(work, workload, found.images)
        assert work.tools.kube.requests - before == 1
        assert use == found.workloads[use.ref]
    # A Deployment that takes over a ReplicaSet of another name is looked for in the ReplicaSet's owner.
    await _adopted(work, found)

    # What is injected from now on is another sidecar; then another init container.
    set_images(mesh, sidecarImage="flomesh/pipy:new")
    found = await find_in_use(work)
    assert set(states(found).values()) == {"outdated"}
    assert found.status().outdated == counted.total
    restart(mesh, "deployment", DEPLOYMENT)
    restart(mesh, "statefulset", "stateful")
    found = await find_in_use(work)
    assert {name for name, state in states(found).items() if state == "current"} == {
        f"{BOOKSTORE}/{DEPLOYMENT}",
        f"{BOOKSTORE}/stateful",
    }
    assert (await find_pods_of(work, await live(work, "Deployment", DEPLOYMENT), found.images)).state is CURRENT
    set_images(mesh, initContainerImage="flomesh/init:new")
    assert set(states(await find_in_use(work)).values()) == {"outdated"}


async def _adopted(work: Work, found: InUse) -> None:
    """Orphan the ReplicaSet of a Deployment, and let one of another name take it over."""
    workload = await live(work, "Deployment", "deployment-2")
    pods = {pod.uid for pod in found.workloads[ObjectRef.of(workload)].pods}
    await work.tools.kube.delete(ObjectRef.of(workload), uid=workload["metadata"]["uid"], propagation="Orphan")
    metadata = {"name": "adopter", "namespace": BOOKSTORE}
    made = await work.tools.kube.create({**workload, "metadata": metadata, "status": {}})
    for _ in range(int(PATIENCE / 0.1)):
        use = await find_pods_of(work, made, found.images)
        if {pod.uid for pod in use.pods} == pods:
            break
        await asyncio.sleep(0.1)
    again = await find_in_use(work)
    assert {pod.uid for pod in use.pods} == pods == {pod.uid for pod in again.workloads[use.ref].pods}


async def test_what_cannot_be_told_or_is_lost_is_not_current(mesh: Mesh, injector: InjectorStandIn, work: Work) -> None:
    injector.digests = {"flomesh/pipy:1": A}
    mesh.install("1.1.0")
    mesh.apply_objects([mesh.mesh_config("1.1.0")])
    set_images(mesh, sidecarImage="flomesh/pipy:1")
    mesh.inject(kinds=[Kind.DEPLOYMENT, Kind.BARE_POD], namespaces=[BOOKSTORE], replicas=2)
    assert states(await find_in_use(work)) == {
        f"{BOOKSTORE}/{name}": "current" for name in (DEPLOYMENT, "deployment-2")
    }

    # By digest where one is known, whatever the tag.
    for image, state in ((f"flomesh/pipy@{A}", "current"), (f"docker.io/flomesh/pipy:1@{B}", "outdated")):
        set_images(mesh, sidecarImage=image)
        assert set(states(await find_in_use(work)).values()) == {state}
    # A tag that was moved: only what the youngest Pod runs is current.
    set_images(mesh, sidecarImage="flomesh/pipy:1")
    injector.digests = {"flomesh/pipy:1": B}
    # Kubernetes dates Pods by the second.
    youngest = max(pod["metadata"]["creationTimestamp"] for pod in mesh.meshed_pods())
    eventually(lambda: now().strftime("%Y-%m-%dT%H:%M:%SZ") > youngest, lambda: f"it is not after {youngest} yet")
    restart(mesh, "deployment", DEPLOYMENT)
    found = await find_in_use(work)
    assert states(found) == {f"{BOOKSTORE}/{DEPLOYMENT}": "current", f"{BOOKSTORE}/deployment-2": "unknown"}
    assert found.status().unknown == 3
    other = await find_pods_of(work, await live(work, "Deployment", "deployment-2"), found.images)
    assert other.state is UNKNOWN

    # The injector is broken: what we restart loses its sidecar, what is new never gets one.
    injector.skipping = True
    restart(mesh, "deployment", DEPLOYMENT, annotation=RESTARTED_FOR)
    restart(mesh, "deployment", "deployment-2")
    found = await find_in_use(work)
    assert states(found) == {f"{BOOKSTORE}/{DEPLOYMENT}": "outdated"}
    assert found.status().uninjected == 2
    workload = await live(work, "Deployment", DEPLOYMENT)
    assert (await find_pods_of(work, workload, found.images)).state is OUTDATED
    # Nobody asks for a sidecar any more.
    mesh.cluster.kubectl("annotate", "namespace", BOOKSTORE, "openservicemesh.io/sidecar-injection=no", "--overwrite")
    found = await find_in_use(work)
    assert (states(found), found.status().uninjected) == ({}, 0)
    assert (await find_pods_of(work, workload, found.images)).pods == ()

    # Without a MeshConfig's word the injector's own default counts; without that nobody knows.
    set_images(mesh, sidecarImage="", sidecarClass="")
    default = (await find_in_use(work)).images
    assert default.sidecar is not None
    mesh.kubectl("delete", "deployment", "osm-injector")
    found = await find_in_use(work)
    assert (found.images.sidecar, found.images.init) == (None, None)
    assert [pod.state for pods in found.unmanaged.values() for pod in pods] == [UNKNOWN]


def test_the_operator_tells_it_in_status_and_metrics(
    mesh: Mesh, injector: InjectorStandIn, start_operator: Callable[..., Operator], cluster: Cluster
) -> None:
    mesh.inject_in_use("1.1.0", kinds=[Kind.DEPLOYMENT, Kind.RUNNING_JOB], namespaces=[BOOKSTORE], deployments=3)
    set_images(mesh, sidecarImage="flomesh/pipy:new")
    restart(mesh, "deployment", DEPLOYMENT)
    port = free_ports(1)[0]
    start_operator("--metrics-port", str(port))
    mesh.upgrade("1.1.0")
    counted = mesh.wait_ready()["dataPlane"]
    assert {key: counted[key] for key in ("total", "current", "outdated", "unknown", "unmanaged", "uninjected")} == {
        "total": 7, "current": 2, "outdated": 5, "unknown": 0, "unmanaged": 1, "uninjected": 0,
    }  # fmt: skip
    assert counted["workloads"]["outdated"] == 2
    assert counted["unmanagedOwners"] == [f"Job {BOOKSTORE}/job-running"]

    # As the status that is written last.
    eventually(lambda: told(port, mesh).get("outdated") == 5, lambda: str(told(port, mesh)))
    assert told(port, mesh) == {"current": 2, "outdated": 5, "unknown": 0, "unmanaged": 1, "uninjected": 0}

    arguments = [f"--kubeconfig={cluster.kubeconfig}", f"--helm={cluster.binaries.helm}", f"--metrics-port={port}"]
    second = subprocess.run(
        [MESHUPGRADE, "run", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert second.returncode == 2
    assert f"port {port} cannot be had" in second.stderr
    assert "--metrics-port" in second.stderr

    mesh.kubectl("delete", "meshupgrade", mesh.name)
    eventually(lambda: not told(port, mesh), lambda: str(told(port, mesh)))


def told(port: int, mesh: Mesh) -> dict[str, float]:
    """Give what the metrics tell of the Pods of the mesh."""
    with DIRECT.open(f"http://{LOOPBACK}:{port}/metrics", timeout=PATIENCE) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
    assert next(sample.value for sample in samples if sample.name == "meshupgrade_api_requests_total") > 0
    return {
        sample.labels["state"]: sample.value
        for sample in samples
        if sample.name == "meshupgrade_data_plane_pods" and sample.labels["namespace"] == mesh.namespace
    }
