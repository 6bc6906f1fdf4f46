"""Fixtures for tests on a real control plane: one cluster for all of them, a namespace for each."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.charts.publish import Published, publish
from tests.cluster.chart_repository import ChartRepository, serve_directory
from tests.cluster.cluster import Cluster
from tests.cluster.injector import InjectorStandIn
from tests.integration.harness import Mesh, Operator, install_crd


@pytest.fixture(scope="session")
def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that lives as long as the session."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def progress(line: str) -> None:
        # The first build takes minutes, and captured output is shown only when something fails.
        with capture.global_and_fixture_disabled():
            print(line, flush=True)

    with Cluster.start(tmp_path_factory.mktemp("cluster"), progress=progress) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(shared_cluster: Cluster) -> Cluster:
    """The cluster of a test: the shared one, where each test works in namespaces of its own and undoes the rest.

    A module whose tests bring CRDs in asks for one of its own by a fixture of this name that gives ``own_cluster``:
    to start a cluster takes less time than the API server takes to end a CRD.
    """
    return shared_cluster


@pytest.fixture
def own_cluster(shared_cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster for one test."""
    if shared_cluster.existing:
        yield shared_cluster
        return
    with Cluster.start(tmp_path / "cluster", progress=lambda _: None) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace that takes Pods; it is deleted afterwards, without waiting for the end of that."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    deadline = time.monotonic() + 10
    while cluster.kubectl("get", "serviceaccount", "default", f"--namespace={name}", check=False).returncode:
        assert time.monotonic() < deadline, f"namespace {name} got no default ServiceAccount"
        time.sleep(0.05)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def published(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The fixture mesh: its charts and the images with its CRDs."""
    return publish(shared_cluster.binaries.helm, shared_cluster.registry, tmp_path_factory.mktemp("charts"))


@pytest.fixture
def installed(cluster: Cluster) -> None:
    """The CRD of MeshUpgrade, as a user installs it."""
    install_crd(cluster)


@pytest.fixture
def repository(published: Published) -> Iterator[ChartRepository]:
    """A chart repository over HTTP, broken releases included."""
    with serve_directory(published.broken_directory) as served:
        yield served


@pytest.fixture
def mesh(
    cluster: Cluster,
    shared_cluster: Cluster,
    namespace: str,
    published: Published,
    repository: ChartRepository,
    installed: None,
) -> Iterator[Mesh]:
    """A mesh that is not installed yet."""
    mesh = Mesh(cluster, namespace, published, repository)
    yield mesh
    if cluster is shared_cluster:
        mesh.uninstall()


@pytest.fixture
def in_use(mesh: Mesh) -> Mesh:
    """A mesh at 1.1.0 with a MeshConfig, custom resources and meshed workloads."""
    mesh.install_in_use("1.1.0")
    return mesh


@pytest.fixture
def injector(mesh: Mesh) -> Iterator[InjectorStandIn]:
    """The injector of the mesh, which may be installed later; new Pods of the mesh get a sidecar from it."""
    with InjectorStandIn(mesh.cluster, mesh.namespace, mesh=mesh.release) as running:
        yield running


@pytest.fixture
def start_operator(cluster: Cluster, installed: None, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Start operator processes; those that still run are ended afterwards."""
    started: list[Operator] = []

    def start(*arguments: str, kubeconfig: Path | None = None) -> Operator:
        operator = Operator(cluster, tmp_path, *arguments, kubeconfig=kubeconfig)
        started.append(operator)
        return operator.__enter__()

    yield start
    for operator in started:
        operator.stop()


@pytest.fixture
def operator(start_operator: Callable[..., Operator]) -> Operator:
    """A running operator."""
    return start_operator()
