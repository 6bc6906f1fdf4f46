"""What the tests of the operator share: the operator as a process, and a mesh that it works on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from tests.charts.crds import crds_of, stored_api_version
from tests.charts.injected_workloads import injected_workloads
from tests.charts.publish import Published
from tests.charts.releases import merge_patch
from tests.charts.workloads import NAMESPACES, meshed_workloads, sample_resources
from tests.cluster.chart_repository import ChartRepository
from tests.cluster.cluster import Cluster

Object = dict[str, Any]

CRD_FOLDER = Path(__file__).parents[2] / "crds"
APPROVAL_FOLDER = Path(__file__).parents[2] / "deploy/kustomize/components/approval"
MESHUPGRADE = Path(sys.executable).with_name("meshupgrade")
WORKLOADS = "poddisruptionbudgets,deployments,statefulsets,daemonsets,jobs,replicasets,pods"
NO_FINALIZERS = '{"metadata":{"finalizers":null}}'
PATIENCE = 60.0
"""Seconds that anything of a test may take; a bound against hanging, never a measure."""


class Operator:
    """The operator as a process of its own, as a user runs it."""

    def __init__(self, cluster: Cluster, folder: Path, *arguments: str, kubeconfig: Path | None = None) -> None:
        self.log_path = folder / f"operator-{time.monotonic_ns()}.log"
        self._log = self.log_path.open("w")
        command = [str(MESHUPGRADE), "run", "--kubeconfig", str(kubeconfig or cluster.kubeconfig)]
        # Several run on one machine; the last of an option counts.
        command += ["--helm", str(cluster.binaries.helm), "--metrics-port", "0", *arguments]
        environment = {**os.environ, "TMPDIR": str(folder)}
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> Self:
        eventually(
            lambda: "watches" in self.log() or self.process.poll() is not None,
            lambda: f"the operator did not start:\n{self.log()}",
        )
        assert self.process.poll() is None, f"the operator ended:\n{self.log()}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        """Give what it has written so far."""
        return self.log_path.read_text()

    def stop(self) -> int:
        """End it as Kubernetes does, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self._log.close()

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._log.close()


@dataclass
class Mesh:
    """A fixture mesh in a namespace, and the MeshUpgrade for it."""

    cluster: Cluster
    namespace: str
    published: Published
    repository: ChartRepository
    release: str = "osm"
    name: str = "mesh"

    def install(
        self, version: str = "1.1.0", values: Mapping[str, Any] | None = None, *, crds: bool = True, helm3: bool = False
    ) -> None:
        """Install the release as `osm install` does; the CRDs are there, as its bootstrap would have made them.

        With ``helm3`` its objects are written client-side, as Helm 3 did it.
        """
        if crds:
            self.apply_objects(crds_of(version), "--server-side", "--field-manager=osm-bootstrap", "--force-conflicts")
        own = {"osm": {"meshName": self.release}} if self.release != "osm" else {}
        self.cluster.helm(
            "install", self.release, self.published.chart, "--repo", self.repository.url, "--version", version,
            "--namespace", self.namespace, "--values", "-", *(["--server-side=false"] if helm3 else []),
            input=json.dumps(merge_patch(own, values or {})),
        )  # fmt: skip

    def install_in_use(self, version: str) -> None:
        """Install it with a MeshConfig, custom resources and meshed workloads."""
        self.install(version)
        self.use(version)
        self.apply_objects([self.mesh_config(version)])

    def use(self, version: str) -> None:
        """Put custom resources and meshed workloads into the mesh."""
        self.apply_objects(meshed_workloads(version, self.cluster.registry, self.release))
        self.apply_objects(sample_resources(version))

    def inject_in_use(self, version: str, **options: Any) -> None:
        """Install it with a MeshConfig and workloads that the injector gives their sidecars, and wait for their Pods.

        The fixture ``injector`` has to be there. The options are those of ``injected_workloads``.
        """
        self.install(version)
        self.apply_objects([self.mesh_config(version)])
        self.inject(**options)

    def inject(self, **options: Any) -> None:
        """Put workloads that the injector gives their sidecars into the mesh, and wait for their Pods."""
        workloads = injected_workloads(self.cluster.registry, self.release, **options)
        self.apply_objects(workloads)
        wanted = sum(_pods_of(one) for one in workloads)
        eventually(
            lambda: sum(_runs(pod) for pod in self.meshed_pods()) >= wanted,
            lambda: f"not {wanted} Pods run: {json.dumps([pod.get('status') for pod in self.meshed_pods()], indent=1)}",
        )

    def meshed_pods(self) -> list[Object]:
        """Give the Pods in the namespaces of the mesh, except those that are about to go."""
        pods = json.loads(self.cluster.kubectl("get", "pods", "-A", "-o", "json").stdout)["items"]
        namespaces = self._meshed_namespaces()
        return [
            pod
            for pod in pods
            if pod["metadata"]["namespace"] in namespaces and "deletionTimestamp" not in pod["metadata"]
        ]

    def sidecars(self) -> dict[str, str]:
        """Give the image of the sidecar of each of these Pods, empty for none, by ``namespace/name``."""
        return {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": next(
                (one["image"] for one in pod["spec"]["containers"] if one["name"] == "sidecar"), ""
            )
            for pod in self.meshed_pods()
        }

    def set_image_id(self, namespace: str, pod: str, container: str, image_id: str) -> None:
        """Have a running Pod report that image id for a container; it is lost when the Pod finishes."""
        get = ("get", "pod", pod, "-o", "json", f"--namespace={namespace}")
        statuses = json.loads(self.cluster.kubectl(*get).stdout)["status"]["containerStatuses"]
        at = [one["name"] for one in statuses].index(container)
        patch = [{"op": "replace", "path": f"/status/containerStatuses/{at}/imageID", "value": image_id}]
        self.cluster.kubectl(
            "patch", "pod", pod, f"--namespace={namespace}", "--subresource=status", "--type=json", "-p",
            json.dumps(patch),
        )  # fmt: skip

    def uninstall(self) -> None:
        """Take the mesh away: its MeshUpgrades, the release with what is cluster-scoped, the workloads, the CRDs."""
        self.kubectl("delete", "meshupgrades", "--all", "--wait=false", check=False)
        self.kubectl("patch", "meshupgrade", self.name, "--type=merge", "-p", NO_FINALIZERS, check=False)
        self.cluster.helm("uninstall", self.release, "--namespace", self.namespace, "--no-hooks", check=False)
        meshed = self._meshed_namespaces()
        for name in {*NAMESPACES, *meshed}:
            self.cluster.kubectl("--namespace", name, "delete", WORKLOADS, "--all", "--timeout=30s", check=False)
        if meshed:
            # Out of the mesh, and without what a test has annotated them with.
            bare = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in meshed]
            self.cluster.kubectl("replace", "-f", "-", input=yaml.safe_dump_all(bare))
        if crds := [name for name in self._mesh_crds() if not name.startswith("meshupgrades.")]:
            self.cluster.kubectl("delete", "crd", *crds)

    def spec(self, version: str, **fields: Any) -> Object:
        """Give a spec for the fixture repository, with short times."""
        spec: Object = {
            "version": version,
            "mesh": {"distribution": "osm-edge"} | ({"name": self.release} if self.release != "osm" else {}),
            "chart": {"repository": self.repository.url},
            "crds": {"insecure": True},
            "upgrade": {"timeout": "30s"},
        }
        merged: Object = merge_patch(spec, fields)
        return merged

    def manifest(self, spec: Object, name: str | None = None) -> Object:
        """Give the MeshUpgrade with that spec."""
        return {
            "apiVersion": "meshupgrade.io/v1alpha1",
            "kind": "MeshUpgrade",
            "metadata": {"name": name or self.name, "namespace": self.namespace},
            "spec": spec,
        }

    def upgrade(self, version: str, **fields: Any) -> None:
        """Apply the MeshUpgrade, as an admin does."""
        self.apply_objects([self.manifest(self.spec(version, **fields))])

    def apply_objects(self, objects: Sequence[Mapping[str, Any]], *options: str) -> None:
        """Apply manifests with kubectl."""
        self.cluster.kubectl("apply", *options, "-f", "-", input=yaml.safe_dump_all([dict(obj) for obj in objects]))

    def kubectl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace of the mesh."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, check=check)

    def get(self, name: str | None = None) -> Object:
        """Give the live MeshUpgrade."""
        obj: Object = json.loads(self.kubectl("get", "meshupgrade", name or self.name, "-o", "json").stdout)
        return obj

    def status(self, name: str | None = None) -> Object:
        """Give its status."""
        status: Object = self.get(name).get("status", {})
        return status

    def conditions(self, name: str | None = None) -> dict[str, Object]:
        """Give its conditions by type."""
        return {condition["type"]: condition for condition in self.status(name).get("conditions", [])}

    def wait_ready(self) -> Object:
        """Wait until the upgrade is Ready for the newest generation, as `kubectl wait` does, and give the status."""
        self._wait(lambda obj: _condition(obj, "Ready") == "True")
        return self.status()

    def wait_stalled(self, name: str | None = None) -> dict[str, Object]:
        """Wait until it is Stalled, and give the conditions."""
        self._wait(lambda obj: _condition(obj, "Stalled") == "True", name)
        return self.conditions(name)

    def wait_retrying(self) -> dict[str, Object]:
        """Wait until an attempt failed and another one is due, and give the conditions."""
        self._wait(lambda obj: obj["status"].get("phase") == "Retrying")
        return self.conditions()

    def wait_phase(self, phase: str) -> None:
        """Wait until a phase runs, or ran."""
        self._wait(lambda obj: obj["status"].get("phase") == phase)

    def mesh_config(self, version: str) -> Object:
        """Give a MeshConfig as the release's bootstrap makes it out of the preset."""
        preset = self.kubectl("get", "configmap", "preset-mesh-config", "-o", "json").stdout
        return {
            "apiVersion": stored_api_version("MeshConfig", version),
            "kind": "MeshConfig",
            "metadata": {"name": "osm-mesh-config", "namespace": self.namespace},
            "spec": json.loads(json.loads(preset)["data"]["preset-mesh-config.json"]),
        }

    def live_mesh_config(self) -> Object:
        """Give the MeshConfig that lives."""
        live: Object = json.loads(self.kubectl("get", "meshconfig", "osm-mesh-config", "-o", "json").stdout)
        return live

    def revisions(self) -> list[Object]:
        """Give the history of the Helm release, oldest first."""
        listed: list[Object] = json.loads(
            self.cluster.helm("history", self.release, "--namespace", self.namespace, "-o", "json").stdout
        )
        return listed

    def fingerprints(self) -> dict[str, str]:
        """Give the resourceVersion of everything but the MeshUpgrade itself, Events and Leases."""
        kinds = (
            "deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,"
            "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,"
            "customresourcedefinitions,namespaces"
        )
        crds = [crd for crd in self._mesh_crds() if not crd.startswith("meshupgrades.")]
        listed = json.loads(self.cluster.kubectl("get", ",".join([kinds, *crds]), "-A", "-o", "json").stdout)
        return {
            f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": item["metadata"][
                "resourceVersion"
            ]
            for item in listed["items"]
            if item["metadata"].get("namespace") not in ("kube-system", "kube-public", "kube-node-lease")
        }

    def _meshed_namespaces(self) -> list[str]:
        selector = f"--selector=openservicemesh.io/monitored-by={self.release}"
        names = self.cluster.kubectl("get", "namespaces", selector, "-o", "name").stdout.split()
        return [name.rpartition("/")[2] for name in names]

    def _mesh_crds(self) -> list[str]:
        names = self.cluster.kubectl("get", "crds", "-o", "name").stdout.split()
        return [name.rpartition("/")[2] for name in names]

    def _wait(self, done: Callable[[Object], bool], name: str | None = None) -> None:
        def current() -> bool:
            obj = self.get(name)
            seen = obj.get("status", {}).get("observedGeneration") == obj["metadata"]["generation"]
            return seen and done(obj)

        eventually(current, lambda: json.dumps(self.status(name), indent=1))


def install_crd(cluster: Cluster) -> None:
    """Install the CRD of MeshUpgrade, as a user does."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRD_FOLDER / "meshupgrade.io_meshupgrades.yaml"))
    # kubectl fails on a CRD that is so new that it has no status yet.
    wait = ("wait", "--for=condition=Established", "crd/meshupgrades.meshupgrade.io")
    eventually(
        lambda: cluster.kubectl(*wait, check=False).returncode == 0, lambda: "the CRD of MeshUpgrade is not served"
    )


def install_approval_policy(cluster: Cluster) -> None:
    """Install who may approve, as the default install does; the API server takes a moment to act on it."""
    cluster.kubectl("apply", "--server-side", "-k", str(APPROVAL_FOLDER))


def eventually(done: Callable[[], bool], complaint: Callable[[], str], seconds: float = PATIENCE) -> None:
    """Wait until something is so; fail with the complaint when it never is."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(complaint())
        time.sleep(0.1)


def custom_resources(cluster: Cluster) -> dict[str, Any]:
    """Give the content of all custom resources of the mesh, without what the API server keeps about them."""
    names = cluster.kubectl("get", "crds", "-o", "name").stdout.split()
    kinds = [name.rpartition("/")[2] for name in names if "meshupgrade" not in name]
    listed = json.loads(cluster.kubectl("get", ",".join(kinds), "-A", "-o", "json").stdout)["items"] if kinds else []
    return {
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": (
            item["metadata"]["uid"],
            item.get("spec"),
        )
        for item in listed
    }


def _pods_of(workload: Mapping[str, Any]) -> int:
    kind = workload["kind"]
    return 0 if kind == "Namespace" else int(workload["spec"].get("replicas", 1))


def _runs(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready or pod["status"].get("phase") == "Succeeded"


def _condition(obj: Object, kind: str) -> str | None:
    found: list[str] = [item["status"] for item in obj["status"].get("conditions", []) if item["type"] == kind]
    return found[0] if found else None
