"""The rig itself: it starts, it stops, and nothing of it stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.charts.images import push_image
from tests.cluster import components
from tests.cluster.chart_repository import ChartRepository, serve_directory
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ChildFailed, RigError
from tests.cluster.holder import ROOT
from tests.cluster.image_files import ImageUnavailable, read_folder
from tests.cluster.process_identity import start_time, still_runs

PROGRAMS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "registry"}

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and the parent-death signal")


def eventually(check: Callable[[], bool], what: str, seconds: float = 15) -> None:
    """Wait until `check()` holds; fails with `what` when it does not."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    """The process ids of the children of a process."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in found]


def test_a_second_cluster_runs_beside_the_first_and_goes_without_a_trace(cluster: Cluster, tmp_path: Path) -> None:
    with Cluster.start(tmp_path / "second", roomy_node=False) as second:
        assert second.server != cluster.server
        assert second.registry != cluster.registry
        assert set(second.pids) == PROGRAMS
        second.kubectl("create", "namespace", "only-here")
        assert cluster.kubectl("get", "namespace", "only-here", check=False).returncode != 0
        assert second.kubectl("get", "nodes").stdout == ""
        running = {pid: start_time(pid) for pid in second.pids.values()}
    assert not [pid for pid, started in running.items() if still_runs(pid, started or "")]


def test_a_temporary_workdir_goes_with_its_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(components, "start_apiserver", lambda *_: pytest.fail("not this far"))
    with pytest.raises(pytest.fail.Exception):
        Cluster.start()
    assert list(tmp_path.iterdir()) == []


@linux
def test_a_failed_start_leaves_nothing_running_and_shows_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = set(children(os.getpid()))
    monkeypatch.setattr(components, "SERVICE_RANGE", "10.0.0.0/99")
    with pytest.raises(ChildFailed, match=r"kube-apiserver ended with code(?s:.)*service-cluster-ip-range"):
        Cluster.start(tmp_path)
    assert set(children(os.getpid())) <= before


@linux
def test_killing_the_holder_kills_its_cluster(tmp_path: Path) -> None:
    script = (
        "import json, signal, sys; from pathlib import Path; from tests.cluster.cluster import Cluster;"
        "c = Cluster.start(Path(sys.argv[1]), roomy_node=False);"
        "print(json.dumps(c.pids), flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        running = {pid: start_time(pid) for pid in pids.values()}
        process.send_signal(signal.SIGKILL)
    assert set(pids) == PROGRAMS
    eventually(lambda: not any(still_runs(pid, started or "") for pid, started in running.items()), "all gone")


def test_up_and_down_from_the_shell(tmp_path: Path) -> None:
    folder = tmp_path / "up"

    def rig(command: str) -> str:
        full = [sys.executable, "-m", "tests.cluster", command, f"--folder={folder}"]
        return subprocess.run(full, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout

    assert f"KUBECONFIG={folder}/kubeconfig" in rig("up")
    holder = next(iter(json.loads((folder / "state.json").read_text())["processes"]))
    assert "runs already" in rig("up")
    rig("down")
    assert start_time(int(holder)) is None
    assert not folder.exists()
    assert "no cluster" in rig("down")


def test_an_existing_cluster_is_named_and_used_but_not_simulated(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLUSTER", "existing")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    said: list[str] = []
    with Cluster.start(tmp_path, progress=said.append) as existing:
        assert said == [f"using the existing cluster of context rig at {cluster.server}"]
        assert existing.existing
        assert set(existing.pids) == {"registry"}
        assert existing.kubectl("get", "node", "roomy", "--output=name").stdout == "node/roomy\n"
        with pytest.raises(RigError):
            existing.add_node("one-more")


def test_pods_run_on_simulated_nodes_until_the_room_is_used_up(cluster: Cluster, namespace: str) -> None:
    cluster.add_node(f"tiny-{namespace}", cpu="100m")
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": f"tiny-{namespace}"},
        "containers": [{"name": "a", "image": "a", "resources": {"requests": {"cpu": "60m"}}}],
    }
    for name in ("first", "second"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
        cluster.kubectl("apply", "--filename=-", input=json.dumps(pod))
    cluster.kubectl("wait", "pod/first", f"--namespace={namespace}", "--for=condition=Ready", "--timeout=10s")

    def message() -> str:
        path = '--output=jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}'
        return cluster.kubectl("get", "pod", "second", f"--namespace={namespace}", path).stdout

    eventually(lambda: "Insufficient cpu" in message(), "the scheduler says Insufficient cpu")
    cluster.kubectl("delete", "node", f"tiny-{namespace}")


def test_jobs_complete_and_the_client_reads_them(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "job", "once", "--image=any", f"--namespace={namespace}")
    cluster.kubectl("wait", "job/once", f"--namespace={namespace}", "--for=condition=Complete", "--timeout=10s")
    jobs = cluster.client().resources.get(api_version="batch/v1", kind="Job")
    assert jobs.get(name="once", namespace=namespace).status.succeeded == 1


@pytest.fixture
def chart(cluster: Cluster, tmp_path: Path) -> Path:
    """A packaged chart with one ConfigMap, in a folder with its index."""
    source = tmp_path / "source" / "tiny"
    (source / "templates").mkdir(parents=True)
    (source / "Chart.yaml").write_text('{apiVersion: v2, name: tiny, version: 1.0.0, kubeVersion: ">=1.30.0"}')
    (source / "templates" / "one.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: tiny}}")
    packages = tmp_path / "packages"
    cluster.helm("package", str(source), f"--destination={packages}")
    cluster.helm("repo", "index", str(packages))
    return packages / "tiny-1.0.0.tgz"


def test_a_chart_is_installed_from_the_registry(cluster: Cluster, namespace: str, chart: Path) -> None:
    cluster.helm("push", str(chart), f"oci://{cluster.registry}/charts", "--plain-http")
    source = f"oci://{cluster.registry}/charts/tiny"
    cluster.helm("install", "tiny", source, "--plain-http", "--version=1.0.0", f"--namespace={namespace}")
    assert cluster.kubectl("get", "configmap", "tiny", f"--namespace={namespace}").returncode == 0


@pytest.fixture
def repository(chart: Path) -> Iterator[ChartRepository]:
    """The chart's folder, served."""
    with serve_directory(chart.parent) as running:
        yield running


def test_a_chart_is_installed_from_the_repository(
    cluster: Cluster, namespace: str, repository: ChartRepository
) -> None:
    cluster.helm("install", "tiny", "tiny", f"--repo={repository.url}", f"--namespace={namespace}")
    assert repository.requests == ["/index.yaml", "/tiny-1.0.0.tgz"]


def test_the_repository_misbehaves_on_demand(repository: ChartRepository) -> None:
    url = f"{repository.url}/index.yaml"
    repository.fail_with = 503
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(url)
    repository.unreachable = True
    with pytest.raises(ConnectionError):
        urllib.request.urlopen(url)
    repository.fail_with, repository.unreachable = None, False
    assert b"tiny" in urllib.request.urlopen(url).read()
    repository.close()
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url)


def test_files_are_read_out_of_images(cluster: Cluster) -> None:
    files = {"/osm-crds/a.yaml": b"a", "/osm-crds/b.yaml": b"b", "/osm-crds/deeper/c.yaml": b"c", "/bin/d": b"d"}
    push_image(cluster.registry, "flomesh/files", "1", files, index=True)
    wanted = {"a.yaml": b"a", "b.yaml": b"b"}
    assert read_folder(f"{cluster.registry}/flomesh/files:1", "osm-crds", cluster.registry) == wanted
    assert read_folder("flomesh/files:1", "osm-crds", cluster.registry) == wanted
    with pytest.raises(ImageUnavailable, match=r"flomesh/files:2 .*404"):
        read_folder("flomesh/files:2", "osm-crds", cluster.registry)
