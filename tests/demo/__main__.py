"""The demo. It ends with 0 only when everything it promises was seen."""

import json
import sys
import tempfile
from pathlib import Path

import yaml

from tests.charts.injected_workloads import Kind
from tests.charts.publish import publish
from tests.charts.workloads import NAMESPACES, sample_resources
from tests.cluster.bootstrap import BootstrapStandIn
from tests.cluster.chart_repository import serve_directory
from tests.cluster.cluster import Cluster
from tests.cluster.injector import InjectorStandIn
from tests.demo.screen import DemoFailed, Screen
from tests.integration.harness import Mesh, Object, Operator, custom_resources, eventually, install_crd

NAMESPACE = "osm-system"
SIDECAR = "flomesh/pipy:0.90.0-18"


def main() -> int:
    """Run the demo and give its exit code."""
    screen = Screen()
    try:
        with tempfile.TemporaryDirectory(prefix="meshupgrade-demo-") as folder:
            _demo(screen, Path(folder))
    except DemoFailed as failure:
        screen.console.print(f"[red bold]The demo failed:[/] {failure}")
        return 1
    screen.console.print("\n[green bold]All of it was seen.[/]")
    return 0


def _demo(screen: Screen, folder: Path) -> None:
    screen.step(
        "A control plane of its own: etcd, kube-apiserver, controller-manager, scheduler, an OCI registry; kwok's nodes"
    )
    with Cluster.start(folder / "cluster") as cluster:
        published = publish(cluster.binaries.helm, cluster.registry, folder / "charts")
        with (
            serve_directory(published.directory) as repository,
            BootstrapStandIn(cluster, [NAMESPACE]),
            InjectorStandIn(cluster, NAMESPACE),
        ):
            cluster.kubectl("create", "namespace", NAMESPACE)
            mesh = Mesh(cluster, NAMESPACE, published, repository, name="osm")
            _install(screen, mesh)
            with Operator(cluster, folder):
                before = custom_resources(cluster)
                _upgrade(screen, mesh, before)
                _refusal(screen, mesh, "1.3.0", "ImmutableFieldChanged")
                _refusal(screen, mesh, "1.1.1", "Downgrade")


def _install(screen: Screen, mesh: Mesh) -> None:
    screen.step(
        "A mesh at 1.1.0, as `osm install` makes it, with custom resources, and workloads with injected sidecars"
    )
    mesh.install("1.1.0", crds=False)
    eventually(lambda: mesh.kubectl("get", "meshconfig", "osm-mesh-config", check=False).returncode == 0, str)
    mesh.inject(kinds=[Kind.DEPLOYMENT, Kind.STATEFUL_SET, Kind.DAEMON_SET], deployments=3)
    mesh.apply_objects(sample_resources("1.1.0"))
    screen.command(f"helm list -n {NAMESPACE}", mesh.cluster.helm("list", "-n", NAMESPACE).stdout)
    install_crd(mesh.cluster)


def _upgrade(screen: Screen, mesh: Mesh, before: Object) -> None:
    screen.step("The operator runs; this is all that an admin does")
    restart = {"sidecarImage": SIDECAR, "restart": "WhenOutdated", "maxUnavailable": 3}
    spec = mesh.spec("1.2.1", dataPlane=restart)
    templates = _templates(mesh)
    screen.command("kubectl apply -f - <<EOF", yaml.safe_dump(mesh.manifest(spec), sort_keys=False) + "EOF")
    mesh.apply_objects([mesh.manifest(spec)])
    screen.follow(mesh.get, _ended)
    waited = mesh.kubectl("wait", "--for=condition=Ready", "meshupgrade/osm", "--timeout=10s", check=False)
    screen.command("kubectl wait --for=condition=Ready meshupgrade/osm", waited.stdout or waited.stderr)
    screen.command("kubectl get meshupgrade", mesh.kubectl("get", "meshupgrade").stdout)
    screen.command("kubectl get meshupgrade osm -o jsonpath={.status.conditions}", _conditions(mesh.get()))
    screen.command(f"helm history osm -n {NAMESPACE}", mesh.cluster.helm("history", "osm", "-n", NAMESPACE).stdout)

    after = custom_resources(mesh.cluster)
    kept = [name for name in before if not name.startswith("MeshConfig")]
    screen.seen("kubectl wait says that the upgrade is Ready", waited.returncode == 0)
    screen.seen("the release runs chart osm-edge-1.2.1", mesh.revisions()[-1]["chart"] == "osm-edge-1.2.1")
    screen.seen(f"all {len(kept)} custom resources are there, the same objects with the same content",
                bool(kept) and all(after.get(name) == before[name] for name in kept))  # fmt: skip
    image = mesh.live_mesh_config()["spec"]["sidecar"]["sidecarImage"]
    screen.seen(f"the MeshConfig was patched: {image}", image == SIDECAR)
    sidecars = mesh.sidecars()
    screen.seen(
        f"all {len(sidecars)} Pods of the mesh came back with that sidecar", set(sidecars.values()) == {SIDECAR}
    )
    changed = {name: generation - templates[name] for name, generation in _templates(mesh).items()}
    screen.seen(f"each of the {len(changed)} workloads was restarted once", set(changed.values()) == {1})


def _refusal(screen: Screen, mesh: Mesh, version: str, reason: str) -> None:
    screen.step(f"The same object set to {version}: refused, before anything is changed")
    before = mesh.fingerprints()
    mesh.upgrade(version)
    screen.follow(mesh.get, _ended)
    ready = mesh.conditions()["Ready"]
    screen.command("kubectl get meshupgrade -o wide", mesh.kubectl("get", "meshupgrade", "-o", "wide").stdout)
    waited = mesh.kubectl("wait", "--for=condition=Ready", "meshupgrade/osm", "--timeout=1s", check=False)
    screen.seen(
        f"Ready is False, with the reason {ready['reason']}", (ready["status"], ready["reason"]) == ("False", reason)
    )
    screen.seen("kubectl wait --for=condition=Ready does not succeed", waited.returncode != 0)
    screen.seen(
        f"none of the {len(before)} objects of the cluster was written, by resourceVersion",
        mesh.fingerprints() == before,
    )


def _templates(mesh: Mesh) -> dict[str, int]:
    """Give the generation of every workload of the mesh's namespaces: only a change of its spec moves it."""
    listed = mesh.cluster.kubectl("get", "deployments,statefulsets,daemonsets", "-A", "-o", "json").stdout
    return {
        f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}": item["metadata"]["generation"]
        for item in json.loads(listed)["items"]
        if item["metadata"]["namespace"] in NAMESPACES
    }


def _ended(obj: Object) -> bool:
    status = obj.get("status", {})
    current = status.get("observedGeneration") == obj["metadata"]["generation"]
    return current and status.get("phase") in ("Completed", "Refused", "Failed", "Invalid")


def _conditions(obj: Object) -> str:
    width = max(len(item["type"]) for item in obj["status"]["conditions"])
    return "\n".join(
        f"{item['type']:{width}}  {item['status']:7}  {item['reason']}" for item in obj["status"]["conditions"]
    )


if __name__ == "__main__":
    sys.exit(main())
