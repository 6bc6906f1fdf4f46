"""The docs do what they say: their manifests are applied, their commands run against a real upgrade."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.injected_workloads import Kind
from tests.charts.publish import Published
from tests.charts.workloads import sample_resources
from tests.cluster.bootstrap import BootstrapStandIn
from tests.cluster.chart_repository import ChartRepository
from tests.cluster.cluster import Cluster
from tests.cluster.injector import InjectorStandIn
from tests.integration.harness import Mesh, Operator, install_approval_policy

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
GUIDE = DOCS / "guide-osm-edge.md"
INSTALL = DOCS / "install.md"
# Installing comes last, since its page ends with the deletion of all MeshUpgrades.
OTHERS = [*(page for page in sorted(DOCS.glob("*.md")) if page not in (GUIDE, INSTALL)), INSTALL]
BLOCK = re.compile(r"^```(sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NAMESPACE = "osm-system"
"""The mesh's default namespace, which the docs use."""

Block = tuple[str, str]


def blocks(page: Path) -> list[Block]:
    """Give the code blocks that the page wants to be used, in order, with their kind."""
    return BLOCK.findall(page.read_text())


def test_the_api_server_takes_each_manifest(cluster: Cluster, installed: None) -> None:
    manifests = [
        yaml.safe_load(body) for page in (README, GUIDE, *OTHERS) for kind, body in blocks(page) if kind == "yaml"
    ]
    upgrades = [obj for obj in manifests if obj["kind"] == "MeshUpgrade"]
    assert upgrades
    for obj in upgrades:
        # In a namespace that is there; the schema is the same everywhere.
        obj["metadata"]["namespace"] = "default"
        command = ("apply", "--dry-run=server", "--validate=strict", "-f", "-")
        assert "dry run" in cluster.kubectl(*command, input=yaml.safe_dump(obj)).stdout


class Reader:
    """Somebody who follows a page in a clone: saves each manifest where the page says, and runs each command."""

    def __init__(self, mesh: Mesh, folder: Path) -> None:
        self._mesh = mesh
        self._folder = folder
        self.output = ""
        (folder / "deploy").symlink_to(ROOT / "deploy")
        (folder / "overlay").mkdir()
        for name in ("ca.crt", "tls.crt", "tls.key"):
            (folder / name).write_text(f"what the reader has as {name}")

    def follow(self, page: Path, after_each: Callable[[], None] = lambda: None) -> None:
        for kind, body in blocks(page):
            if kind == "yaml":
                self._save(body)
            else:
                self._run(body)
                after_each()

    def _save(self, manifest: str) -> None:
        """Save the manifest with what differs here: where the charts and images are, and that they have no TLS."""
        obj = yaml.safe_load(manifest)
        if obj["kind"] == "Kustomization":
            (self._folder / "overlay" / "kustomization.yaml").write_text(manifest)
            return
        spec = obj["spec"]
        spec["chart"] = {"repository": self._mesh.repository.url}
        spec["crds"] = {"insecure": True}
        if image := spec.get("values", {}).get("osm", {}).get("image"):
            image["registry"] = f"{self._registry()}/{image['registry']}"
        (self._folder / "meshupgrade.yaml").write_text(yaml.safe_dump(obj))

    def _run(self, script: str) -> None:
        lines = script.replace("\\\n", " ").splitlines()
        # make would run the tests out of the tests, a unit test looks its targets up; Docker is not part of the rig.
        runnable = [_here(line) for line in lines if not line.startswith(("make ", "docker "))]
        answer = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(runnable)],
            cwd=self._folder, env=self._environment(), capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        status = self._mesh.kubectl("get", "meshupgrade", "-o", "yaml", check=False).stdout
        assert answer.returncode == 0, f"{script}\n{answer.stdout}{answer.stderr}\n{status}"
        self.output += answer.stdout

    def _registry(self) -> str:
        return self._mesh.published.oci.removeprefix("oci://").partition("/")[0]

    def _environment(self) -> dict[str, str]:
        environment = self._mesh.cluster.environment()
        binaries = self._mesh.cluster.binaries
        plugin = Path(sys.executable).parent
        path = [str(binaries.kubectl.parent), str(binaries.helm.parent), str(plugin), environment["PATH"]]
        return environment | {"PATH": os.pathsep.join(path), "PASSWORD": "a password of the reader"}


def _here(line: str) -> str:
    """Give the command for this place: installing is rendering, since the operator runs outside of the cluster."""
    # A wait in vain ends before the test does, so that the status can be shown.
    line = re.sub(r"--timeout=\d+m", "--timeout=90s", line)
    return re.sub(r"^kubectl apply --server-side -k (\S+)$", r"kubectl kustomize \1", line)


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """A cluster for each page, since the docs use the mesh's default namespace."""
    return own_cluster


@pytest.fixture
def osm(cluster: Cluster, published: Published, repository: ChartRepository, installed: None) -> Iterator[Mesh]:
    """The mesh that the docs speak of: osm-edge 1.1.0 under its default names, with workloads, and alive."""
    # Of what the docs install, this alone works without the operator's Pod.
    install_approval_policy(cluster)
    cluster.kubectl("create", "namespace", NAMESPACE)
    mesh = Mesh(cluster, NAMESPACE, published, repository, name="osm")
    with BootstrapStandIn(cluster, [NAMESPACE]), InjectorStandIn(cluster, NAMESPACE):
        mesh.install("1.1.0")
        mesh.kubectl("rollout", "status", "deployment", "--timeout=60s")
        mesh.inject(kinds=[Kind.DEPLOYMENT, Kind.DAEMON_SET], deployments=1)
        mesh.apply_objects(sample_resources("1.1.0"))
        yield mesh


@pytest.fixture
def reader(osm: Mesh, operator: Operator, tmp_path: Path) -> Reader:
    return Reader(osm, tmp_path)


def test_the_readme_upgrades_a_mesh(reader: Reader, osm: Mesh) -> None:
    reader.follow(README)

    shown = next(body for body in re.findall(r"```text\n(.*?)```", README.read_text(), re.DOTALL) if "NAME" in body)
    printed = [line.split() for line in reader.output.splitlines()]
    for line in shown.splitlines():
        # All but the last column, the age, which is as old as it is.
        assert line.split()[:-1] in [words[:-1] for words in printed]


def test_the_guide_can_be_followed(reader: Reader, osm: Mesh) -> None:
    before = _spec_of(osm, "trafficsplits", "bookstore", "bookstore-canary")
    seen: dict[str, Any] = {}

    reader.follow(GUIDE, after_each=lambda: seen.update(_looked_at(osm, seen)))

    assert seen["versions"] == ["1.1.0", "1.2.0", "1.2.1", "1.2.0"], "the guide ends by going back"
    assert 2 in seen["replicas"]
    assert "debug" in seen["log levels"]
    assert any("@sha256:" in image for image in seen["sidecars"])
    assert set(osm.sidecars().values()) == {image for image in seen["sidecars"] if "@sha256:" in image}
    assert "IdentityChanged" in reader.output
    assert {
        "osm-prometheus": "prom/prometheus:v2.19.1",
        "osm-grafana": "grafana/grafana:8.1.0",
        "osm-jaeger": "jaegertracing/all-in-one:1.26.0",
    } in seen["addons"]
    assert _spec_of(osm, "trafficsplits", "bookstore", "bookstore-canary") == before

    for page in OTHERS:
        reader.follow(page)


def _looked_at(osm: Mesh, seen: dict[str, Any]) -> dict[str, Any]:
    """Give what the mesh was seen to be so far, each change of it in its turn."""
    deployments = json.loads(osm.kubectl("get", "deployments", "-o", "json").stdout)["items"]
    by_name = {item["metadata"]["name"]: item["spec"] for item in deployments}
    config = _spec_of(osm, "meshconfigs", NAMESPACE, "osm-mesh-config")
    addons = ("osm-prometheus", "osm-grafana", "osm-jaeger")
    now = {
        "versions": osm.status().get("currentVersion", "1.1.0") if _has_object(osm) else "1.1.0",
        "replicas": by_name["osm-controller"]["replicas"],
        "log levels": config["observability"]["osmLogLevel"],
        "sidecars": config["sidecar"]["sidecarImage"],
        "addons": {
            name: by_name[name]["template"]["spec"]["containers"][0]["image"] for name in addons if name in by_name
        },
    }
    return {name: _appended(seen.get(name, []), value) for name, value in now.items()}


def _appended(values: list[Any], value: Any) -> list[Any]:
    return values if values and values[-1] == value else [*values, value]


def _has_object(osm: Mesh) -> bool:
    return osm.kubectl("get", "meshupgrade", "osm", check=False).returncode == 0


def _spec_of(osm: Mesh, kind: str, namespace: str, name: str) -> Any:
    return json.loads(osm.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json").stdout)["spec"]
