"""Restarting the data plane: a thousand workloads, by the operator and by kubectl in the same waves."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube
from meshupgrade.phases.data_plane.in_use import find_in_use
from meshupgrade.phases.shape import Tools
from tests.bench.recorder import BenchFailed
from tests.charts.publish import publish
from tests.cluster.chart_repository import serve_directory
from tests.cluster.cluster import Cluster
from tests.cluster.injector import InjectorStandIn
from tests.cluster.ports import DIRECT, LOOPBACK, free_ports
from tests.integration.harness import Mesh, Operator, install_crd
from tests.unit.phases.works import make_work

__all__ = ["FULL", "QUICK", "DataPlane", "Scale", "measure"]

Object = dict[str, Any]

MESH, VERSION = "osm-system", "1.2.1"
WAVES = 4
"""As many as maxUnavailable 25% makes; each is a quarter of the namespaces."""

FINDS = 5
"""How often the outdated workloads are looked for; the median counts."""

PATIENCE = 1800.0
"""Seconds that anything may take; a bound against hanging."""

REST = 3.0
"""Seconds after a restart for what the controllers still tidy up."""


@dataclass(frozen=True)
class Scale:
    """How much there is to restart; the namespaces are a multiple of the waves."""

    workloads: int
    replicas: int
    namespaces: int
    rounds: int


FULL, QUICK = Scale(1000, 5, 8, 1), Scale(8, 2, 4, 1)


@dataclass
class DataPlane:
    """What was measured; times in seconds, memory in MiB."""

    find: list[float] = field(default_factory=list)
    operator: list[float] = field(default_factory=list)
    kubectl: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """How far the operator's resident memory grew, at its highest, over what it had before."""

    requests: list[float] = field(default_factory=list)
    """Of the operator, by workload, from the change of the spec to Ready."""


def measure(console: Console, cluster: Cluster, scale: Scale, folder: Path) -> DataPlane:
    """Take the samples. Raises BenchFailed when something does not work."""
    taken = DataPlane()
    for number in range(scale.workloads * scale.replicas // 2500):
        cluster.add_node(f"more-{number}", cpu="256", memory="1Ti", pods="5000")
    published = publish(cluster.binaries.helm, cluster.registry, folder)
    with serve_directory(published.directory) as repository, InjectorStandIn(cluster, MESH):
        install_crd(cluster)
        cluster.kubectl("create", "namespace", MESH)
        mesh = Mesh(cluster, MESH, published, repository)
        mesh.install(VERSION)
        mesh.apply_objects([mesh.mesh_config(VERSION)])
        _populate(console, mesh, scale)
        for _ in range(FINDS):
            taken.find.append(asyncio.run(_find(cluster, scale)))
        console.print(f"data plane: outdated workloads found in {min(taken.find):.2f} s")
        port = free_ports(1)[0]
        with Operator(cluster, folder, "--metrics-port", str(port)) as operator:
            mesh.upgrade(VERSION)
            _until(lambda: _is_ready(mesh), mesh, "the mesh did not come to rest")
            for number in range(scale.rounds):
                _by_operator(console, mesh, scale, taken, operator, port, f"flomesh/pipy:operator-{number}")
                _by_kubectl(console, mesh, scale, taken, f"flomesh/pipy:kubectl-{number}")
    return taken


def _by_operator(
    console: Console, mesh: Mesh, scale: Scale, taken: DataPlane, operator: Operator, port: int, image: str
) -> None:
    memory = Memory(operator.process.pid)
    requests = _requests(port)
    began = time.monotonic()
    restart = {"restart": "WhenOutdated", "sidecarImage": image, "maxUnavailable": f"{100 // WAVES}%"}
    mesh.upgrade(VERSION, dataPlane={**restart, "timeout": "20m"}, suspend=False)
    _until(lambda: _is_ready(mesh), mesh, "the data plane was not restarted")
    taken.operator.append(time.monotonic() - began)
    taken.memory.append(memory.grown())
    taken.requests.append((_requests(port) - requests) / scale.workloads)
    console.print(f"data plane: operator {taken.operator[-1]:.1f} s")
    _all_run(mesh, scale, image)
    # At rest nothing of it is to get in the other side's way.
    mesh.upgrade(VERSION, dataPlane=None, suspend=True)
    time.sleep(REST)


def _by_kubectl(console: Console, mesh: Mesh, scale: Scale, taken: DataPlane, image: str) -> None:
    began = time.monotonic()
    patch = json.dumps({"spec": {"sidecar": {"sidecarImage": image}}})
    mesh.kubectl("patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p", patch)
    names = _namespaces(scale)
    size = len(names) // WAVES
    for wave in range(WAVES):
        for name in names[wave * size : (wave + 1) * size]:
            mesh.cluster.kubectl("rollout", "restart", "deployment", "--namespace", name)
        for name in names[wave * size : (wave + 1) * size]:
            mesh.cluster.kubectl("rollout", "status", "deployment", "--namespace", name)
    taken.kubectl.append(time.monotonic() - began)
    console.print(f"data plane: kubectl {taken.kubectl[-1]:.1f} s")
    _all_run(mesh, scale, image)
    time.sleep(REST)


class Memory:
    """The resident memory of a process from now on. Source: proc(5), clear_refs and VmHWM."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        (self._folder / "clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def grown(self) -> float:
        """Give by how many MiB it has been larger than at first, at the most."""
        return self._read("VmHWM") - self._before

    def _read(self, name: str) -> float:
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _populate(console: Console, mesh: Mesh, scale: Scale) -> None:
    names = _namespaces(scale)
    mesh.apply_objects([_namespace(name) for name in names])
    per_namespace = scale.workloads // len(names)
    for name in names:
        mesh.apply_objects([_deployment(name, number, scale.replicas) for number in range(per_namespace)])
    console.print(f"data plane: {scale.workloads} workloads with {scale.workloads * scale.replicas} Pods are made …")
    for name in names:
        mesh.cluster.kubectl("rollout", "status", "deployment", "--namespace", name)


async def _find(cluster: Cluster, scale: Scale) -> float:
    """Give the seconds that it takes to find what every workload runs."""
    access = await load_access(cluster.kubeconfig, None)
    async with Kube(access.configuration) as kube:
        work = make_work()
        work.namespace = MESH
        work.tools = Tools(kube=kube, helm=None, http=None, indexes=None, cache=Path())  # type: ignore[arg-type]
        await kube.server_version()
        began = time.monotonic()
        in_use = await find_in_use(work)
        took = time.monotonic() - began
    if len(in_use.workloads) != scale.workloads or in_use.status().total != scale.workloads * scale.replicas:
        raise BenchFailed(f"not all were found, but {in_use.status()}")
    return took


def _all_run(mesh: Mesh, scale: Scale, image: str) -> None:
    """See to it that every Pod came back with the new sidecar; a side that left some out is no side."""
    path = "{range .items[*]}{.spec.containers[*].image}{'\\n'}{end}"
    for name in _namespaces(scale):
        listed = mesh.cluster.kubectl(
            "get", "pods", "--namespace", name, "--field-selector", "status.phase=Running", "-o", f"jsonpath={path}"
        ).stdout.splitlines()
        living = [line for line in listed if line]
        if sum(image in line.split() for line in living) < scale.workloads // scale.namespaces * scale.replicas:
            raise BenchFailed(f"not all Pods in {name} run {image}")


def _requests(port: int) -> float:
    """Give how many API requests the operator has made so far, by its own metrics."""
    with DIRECT.open(f"http://{LOOPBACK}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(r"^meshupgrade_api_requests_total(?:\{[^}]*\})? ([0-9.e+]+)$", text, re.MULTILINE)
    if not found:
        raise BenchFailed("the operator's metrics do not tell of API requests")
    return sum(float(value) for value in found)


def _is_ready(mesh: Mesh) -> bool:
    obj = mesh.get()
    status = obj.get("status", {})
    ready = [item["status"] for item in status.get("conditions", []) if item["type"] == "Ready"]
    if any(item["type"] == "Stalled" for item in status.get("conditions", [])):
        raise BenchFailed(json.dumps(status.get("conditions"), indent=1))
    return status.get("observedGeneration") == obj["metadata"]["generation"] and ready == ["True"]


def _until(done: Callable[[], bool], mesh: Mesh, complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise BenchFailed(f"{complaint}: {json.dumps(mesh.status(), indent=1)}")
        time.sleep(0.2)


def _namespaces(scale: Scale) -> list[str]:
    return [f"apps-{number}" for number in range(scale.namespaces)]


def _namespace(name: str) -> Object:
    labels = {"openservicemesh.io/monitored-by": "osm"}
    annotations = {"openservicemesh.io/sidecar-injection": "enabled"}
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _deployment(namespace: str, number: int, replicas: int) -> Object:
    name = f"app-{number:03}"
    container = {"name": "app", "image": f"example.test/{name}:1", "resources": {"requests": {"cpu": "1m"}}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }
