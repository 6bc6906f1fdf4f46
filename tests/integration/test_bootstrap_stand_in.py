"""The stand-in for osm-bootstrap: what it does to CRDs, to the MeshConfig and to the readiness of Pods."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.charts.images import push_image
from tests.cluster.api import Api
from tests.cluster.bootstrap import Action, BootstrapStandIn
from tests.cluster.cluster import Cluster
from tests.cluster.crd_installer import CRDS
from tests.cluster.pod_gate import CONFIG_LABEL

Object = dict[str, Any]

GROUP = "config.openservicemesh.io"
NAME = f"meshconfigs.{GROUP}"
RECONCILE = "openservicemesh.io/reconcile"


def crd(versions: dict[str, Object], stored: str, scope: str = "Namespaced") -> Object:
    """A MeshConfig CRD: the properties of spec by version."""
    listed = [
        {
            "name": name,
            "served": True,
            "storage": name == stored,
            "schema": {
                "openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {"type": "object", "properties": properties}},
                }
            },
        }
        for name, properties in versions.items()
    ]
    names = {"kind": "MeshConfig", "plural": "meshconfigs", "singular": "meshconfig", "listKind": "MeshConfigList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": GROUP, "names": names, "scope": scope, "versions": listed},
    }


TEXT = {"type": "string"}
OLD = crd({"v1alpha1": {"level": TEXT}}, stored="v1alpha1")
LARGER = crd({"v1alpha1": {"level": TEXT, "more": TEXT}}, stored="v1alpha1")
BOTH = crd({"v1alpha1": {"level": TEXT}, "v1alpha2": {"level": TEXT}}, stored="v1alpha2")
NEW = crd({"v1alpha2": {"level": TEXT, "more": TEXT}}, stored="v1alpha2")
WIDER = crd({"v1alpha1": {"level": TEXT}}, stored="v1alpha1", scope="Cluster")


class Mesh:
    """A mesh as its chart would render it, in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """Nothing is created yet."""
        self.cluster = cluster
        self.namespace = namespace

    def image(self, tag: str, source: Object, folder: str = "osm-crds") -> str:
        """Push an image with that CRD; its name."""
        files = {f"/{folder}/meshconfig.yaml": yaml.safe_dump(source).encode()}
        push_image(self.cluster.registry, self.namespace, tag, files)
        return f"{self.cluster.registry}/{self.namespace}:{tag}"

    def deploy(self, app: str, image: str, *, version: str = "v1.2.3", init: str = "", reconcile: bool = False) -> None:
        """Apply a Deployment in the shape of the charts; with `init` an init container carries the image."""
        labels = {"app": app, "app.kubernetes.io/version": version}
        container: Object = {"name": app, "image": "none" if init else image}
        container["args"] = [f"--enable-reconciler={str(reconcile).lower()}"]
        spec: Object = {"containers": [container], "terminationGracePeriodSeconds": 0}
        if init:
            spec["initContainers"] = [{"name": init, "image": image}]
        template = {"metadata": {"labels": labels}, "spec": spec}
        body = {"selector": {"matchLabels": {"app": app}}, "template": template}
        self.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app}, "spec": body})

    def preset(self, content: str = '{"level": "info"}') -> None:
        """Apply the ConfigMap with the presets."""
        data = {"preset-mesh-config.json": content}
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "preset-mesh-config"}, "data": data})

    def apply(self, body: Object) -> None:
        """kubectl apply in the mesh's namespace."""
        self.cluster.kubectl("apply", "--filename=-", f"--namespace={self.namespace}", input=json.dumps(body))

    def get(self, *what: str) -> Object:
        """One object, or a list with its items."""
        answer = self.cluster.kubectl(
            "get", *what, f"--namespace={self.namespace}", "--output=json", "--show-managed-fields"
        )
        found: Object = json.loads(answer.stdout)
        return found

    def wait_for_rollout(self, app: str) -> None:
        """Wait until the newest Pods of a Deployment are ready."""
        self.cluster.kubectl("rollout", "status", f"deployment/{app}", f"--namespace={self.namespace}", "--timeout=20s")

    def pod(self, app: str) -> Object:
        """The newest Pod of a Deployment, in a form that is easy to compare."""
        pods = self.get("pods", f"--selector=app={app}")["items"]
        return max(pods, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["resourceVersion"]))


def eventually(check: Callable[[], bool], what: str, seconds: float = 15) -> None:
    """Wait until `check()` holds; fails with `what` when it does not."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def mesh(cluster: Cluster, namespace: str) -> Iterator[Mesh]:
    """A mesh with its presets; its Deployments and the CRD are gone afterwards."""
    cluster.kubectl("delete", "crd", NAME, "--ignore-not-found")
    mesh = Mesh(cluster, namespace)
    mesh.preset()
    yield mesh
    cluster.kubectl("delete", "deployment", "--all", f"--namespace={namespace}")
    cluster.kubectl("delete", "crd", NAME, "--ignore-not-found")


def versions(found: Object) -> dict[str, tuple[bool, bool]]:
    """Served and stored, by version of a CRD."""
    return {one["name"]: (one["served"], one["storage"]) for one in found["spec"]["versions"]}


def test_crds_then_the_mesh_config_then_readiness(cluster: Cluster, mesh: Mesh, namespace: str) -> None:
    with BootstrapStandIn(cluster, [namespace]) as stand_in:
        mesh.deploy("osm-controller", "any")
        mesh.deploy("osm-injector", "any")
        eventually(lambda: mesh.pod("osm-controller").get("status", {}).get("phase") == "Running", "it runs unready")
        assert mesh.get("deployment", "osm-controller")["status"].get("readyReplicas", 0) == 0
        mesh.deploy("osm-bootstrap", mesh.image("1", BOTH))
        for app in ("osm-bootstrap", "osm-controller", "osm-injector"):
            mesh.wait_for_rollout(app)
        found = mesh.get("crd", NAME)
        assert found["metadata"]["labels"][RECONCILE] == "false"
        assert "kubectl.kubernetes.io/last-applied-configuration" in found["metadata"]["annotations"]
        created = [one for one in found["metadata"]["managedFields"] if not one.get("subresource")]
        assert [(one["manager"], one["operation"]) for one in created] == [("osm-bootstrap", "Update")]
        config = mesh.get(f"meshconfig.v1alpha2.{GROUP}", "osm-mesh-config")
        assert config["spec"] == {"level": "info"}
        actions = [event.action for event in stand_in.events]
        assert actions == [Action.CRD, Action.MESH_CONFIG, Action.READY]


def test_an_existing_crd_is_replaced_and_refusals_crash_the_pod(cluster: Cluster, mesh: Mesh, namespace: str) -> None:
    with BootstrapStandIn(cluster) as stand_in:
        mesh.deploy("osm-bootstrap", mesh.image("1", OLD))
        mesh.wait_for_rollout("osm-bootstrap")
        mesh.deploy("osm-bootstrap", mesh.image("2", BOTH))
        mesh.wait_for_rollout("osm-bootstrap")
        assert versions(mesh.get("crd", NAME)) == {"v1alpha1": (True, False), "v1alpha2": (True, True)}
        # v1alpha1 is in status.storedVersions, so the API server lets nobody drop it.
        mesh.deploy("osm-bootstrap", mesh.image("3", NEW))
        refused = stand_in.wait_for(Action.FAILED, "storedVersions")
        pod = mesh.get("pod", refused.pod)
        eventually(lambda: "CrashLoopBackOff" in json.dumps(mesh.get("pod", refused.pod)["status"]), "it crashes")
        pod = mesh.get("pod", refused.pod)["status"]["containerStatuses"][0]
        assert not pod["ready"]
        assert "storedVersions" in pod["lastState"]["terminated"]["message"]
        mesh.deploy("osm-bootstrap", mesh.image("4", WIDER))
        stand_in.wait_for(Action.FAILED, "scope")
        mesh.deploy("osm-bootstrap", f"{cluster.registry}/{namespace}:none")
        stand_in.wait_for(Action.FAILED, "cannot be pulled")
        # The one with a good image comes through, so nothing of the failures has stuck.
        mesh.deploy("osm-bootstrap", mesh.image("5", BOTH))
        mesh.wait_for_rollout("osm-bootstrap")


def test_later_fsm_releases_merge(cluster: Cluster, mesh: Mesh, namespace: str) -> None:
    source = (
        yaml.safe_dump(BOTH).replace(GROUP, "config.flomesh.io"),
        yaml.safe_dump(NEW).replace(GROUP, "config.flomesh.io"),
    )
    old, new = (yaml.safe_load(text) for text in source)
    with BootstrapStandIn(cluster, [namespace]) as stand_in:
        for tag, one in (("1", old), ("2", new)):
            mesh.deploy("fsm-bootstrap", mesh.image(tag, one, "fsm-crds"), version="v1.3.4")
            mesh.wait_for_rollout("fsm-bootstrap")
        assert stand_in.wait_for(Action.CRD, "merged")
    found = mesh.get("crd", "meshconfigs.config.flomesh.io")
    assert versions(found) == {"v1alpha2": (True, True), "v1alpha1": (True, False)}
    assert found["metadata"]["labels"]["flomesh.io/reconcile"] == "false"
    cluster.kubectl("delete", "crd", "meshconfigs.config.flomesh.io")


def test_older_releases_apply_in_an_init_container(cluster: Cluster, mesh: Mesh, namespace: str) -> None:
    init = "init-osm-bootstrap"
    with BootstrapStandIn(cluster, [namespace]) as stand_in:
        mesh.deploy("osm-bootstrap", mesh.image("1", OLD), init=init)
        mesh.wait_for_rollout("osm-bootstrap")
        managers = {one["manager"] for one in mesh.get("crd", NAME)["metadata"]["managedFields"]}
        assert "kubectl-client-side-apply" in managers
        mesh.deploy("osm-bootstrap", mesh.image("2", NEW), init=init)
        refused = stand_in.wait_for(Action.FAILED, "storedVersions")
        eventually(lambda: "CrashLoopBackOff" in json.dumps(mesh.get("pod", refused.pod)["status"]), "it crashes")
        status = mesh.get("pod", refused.pod)["status"]
        assert status["phase"] == "Pending"
        assert "waiting" in status["initContainerStatuses"][0]["state"]


def test_the_reconciler_puts_its_crds_back_until_its_pod_is_gone(cluster: Cluster, mesh: Mesh, namespace: str) -> None:
    api = Api(cluster.kubeconfig, cluster.ca)

    def change(to: Object) -> None:
        api.patch(f"{CRDS}/{NAME}", to, "application/apply-patch+yaml", fieldManager="somebody", force="true")

    with BootstrapStandIn(cluster, [namespace]) as stand_in:
        mesh.deploy("osm-bootstrap", mesh.image("1", OLD), reconcile=True)
        mesh.wait_for_rollout("osm-bootstrap")
        original = mesh.get("crd", NAME)
        assert original["metadata"]["labels"][RECONCILE] == "true"
        change(LARGER)
        stand_in.wait_for(Action.RESTORED, "restored")
        assert mesh.get("crd", NAME)["spec"] == original["spec"]
        # To put this one back would drop a version that is stored by now.
        change(BOTH)
        stand_in.wait_for(Action.FAILED, "storedVersions")
        cluster.kubectl("delete", "crd", NAME)
        stand_in.wait_for(Action.RESTORED, "created again")
        cluster.kubectl("delete", "deployment", "osm-bootstrap", f"--namespace={namespace}")
        eventually(lambda: not mesh.get("pods", "--selector=app=osm-bootstrap")["items"], "the Pod is gone")
        eventually(lambda: not stand_in.playing, "nobody plays it any more")
        before = len(stand_in.events)
        change(LARGER)
        assert mesh.get("crd", NAME)["spec"] != original["spec"]
    assert len(stand_in.events) == before


def test_kubectls_take_over_escapes_the_reconciler(cluster: Cluster, mesh: Mesh, namespace: str) -> None:
    with BootstrapStandIn(cluster, [namespace]) as stand_in:
        mesh.deploy("osm-bootstrap", mesh.image("1", OLD), reconcile=True)
        mesh.wait_for_rollout("osm-bootstrap")
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(BOTH))
        # Taken over with the annotation of the last client-side apply, and with it goes the label.
        assert RECONCILE not in mesh.get("crd", NAME)["metadata"].get("labels", {})
    assert not [event for event in stand_in.events if event.action is Action.RESTORED]
    assert set(versions(mesh.get("crd", NAME))) == {"v1alpha1", "v1alpha2"}


def test_only_its_namespaces_and_only_while_it_is_on(cluster: Cluster, mesh: Mesh, namespace: str) -> None:
    mesh.deploy("osm-controller", "any")
    mesh.wait_for_rollout("osm-controller")
    with BootstrapStandIn(cluster, ["somewhere-else"]):
        mesh.deploy("osm-injector", "any")
        mesh.wait_for_rollout("osm-injector")
    with BootstrapStandIn(cluster, [namespace]):
        mesh.deploy("osm-controller", "any", version="v1.2.4")
        eventually(lambda: "containerStatuses" in mesh.pod("osm-controller").get("status", {}), "it has started")
    mesh.wait_for_rollout("osm-controller")
    assert cluster.kubectl("get", "configmap", "--all-namespaces", f"--selector={CONFIG_LABEL}").stdout == ""
