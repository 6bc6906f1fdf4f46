"""CRDs on a cluster where others write them as well: bootstraps, reconcilers, kubectl, other meshes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.charts.crds import crds_of
from tests.cluster.bootstrap import Action, BootstrapStandIn
from tests.cluster.cluster import Cluster
from tests.integration.harness import NO_FINALIZERS, Mesh, Operator, custom_resources, eventually
from tests.integration.hold import Rule, hold

Object = dict[str, Any]
Start = Callable[..., Operator]

CRD_WRITES = Rule("apiextensions.k8s.io", "customresourcedefinitions", "UPDATE")
LAST_CRD_WRITE = Rule(
    "apiextensions.k8s.io", "customresourcedefinitions", "UPDATE", name="trafficsplits.split.smi-spec.io"
)
DEPLOYMENT_WRITES = Rule("apps", "deployments", "UPDATE")
HELM_WRITES = Rule("apps", "deployments", "UPDATE", name="osm-controller")
CONFIG = "meshconfigs.config.openservicemesh.io"
SPLIT = "trafficsplits.split.smi-spec.io"
RECONCILE = "openservicemesh.io/reconcile"
EGRESS = "egresses.policy.openservicemesh.io"
SERVED = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "served", "namespace": "default", "labels": {"kubernetes.io/service-name": "served"}},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
}
STARTING = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "osm-bootstrap"},
    "spec": {
        "selector": {"matchLabels": {"app": "osm-bootstrap"}},
        "template": {
            "metadata": {"labels": {"app": "osm-bootstrap", "app.kubernetes.io/version": "1.0.0"}},
            "spec": {"nodeSelector": {"nowhere": "true"}, "containers": [{"name": "osm-bootstrap", "image": "none"}]},
        },
    },
}
"""The bootstrap of another mesh that never gets ready."""

RECONCILING = {"osm": {"enableReconciler": True}}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


@pytest.fixture
def another(mesh: Mesh) -> Mesh:
    """A second mesh, in a namespace of its own, not installed yet."""
    name = f"{mesh.namespace}-b"
    mesh.cluster.kubectl("create", "namespace", name)
    return Mesh(mesh.cluster, name, mesh.published, mesh.repository, release="second")


def test_an_old_bootstrap_with_its_reconciler_is_held_off(mesh: Mesh, start_operator: Start) -> None:
    with BootstrapStandIn(mesh.cluster) as stand_in:
        mesh.install("1.1.0", RECONCILING, crds=False)
        _rolled_out(mesh)
        mesh.use("1.1.0")
        before = custom_resources(mesh.cluster)
        assert _crd(mesh, SPLIT)["metadata"]["labels"][RECONCILE] == "true"
        operator = start_operator()
        with hold(mesh.cluster, DEPLOYMENT_WRITES, f"hold-{mesh.namespace}") as hanging:
            # The first write of a Deployment is the one that scales the bootstrap down.
            mesh.upgrade("1.2.1", values=RECONCILING)
            assert hanging.wait(60), operator.log()
            assert "v1alpha4" not in _versions(mesh, SPLIT), "no CRD changes before the bootstrap is held off"
        mesh.wait_ready()
        restored = [event for event in stand_in.events if event.action is Action.RESTORED]
        assert restored == []
    for crd in crds_of("1.2.1"):
        _serves(mesh, crd)
    assert _without_config(custom_resources(mesh.cluster)) == _without_config(before)
    assert not _held(mesh)
    bootstrap = _bootstrap(mesh)
    assert bootstrap["spec"]["replicas"] == 1
    assert _owners(bootstrap, "f:replicas") == ["helm"]
    assert _crd(mesh, SPLIT)["metadata"]["labels"][RECONCILE] == "true", "as the new bootstrap has set it"
    lease = _live_lease(mesh)
    assert not lease["spec"].get("holderIdentity")


def test_the_reconciler_of_an_older_mesh_leaves_the_new_crds_in_peace(
    mesh: Mesh, another: Mesh, start_operator: Start
) -> None:
    with BootstrapStandIn(mesh.cluster) as stand_in:
        mesh.install("1.1.0", crds=False)
        _rolled_out(mesh)
        another.install("1.1.0", RECONCILING, crds=False)
        _rolled_out(another)
        mesh.use("1.1.0")
        untouched = _bootstrap(another)["metadata"]["generation"]
        start_operator()
        mesh.upgrade("1.2.1")
        status = mesh.wait_ready()
        (warning,) = [finding for finding in status["findings"] if finding["name"] == "CRDWrittenBack"]
        assert warning["severity"] == "Warning"
        assert another.namespace in warning["message"]
        assert [event for event in stand_in.events if event.action is Action.RESTORED] == []
        assert _bootstrap(another)["metadata"]["generation"] == untouched
        for crd in crds_of("1.2.1"):
            _serves(mesh, crd)
        assert not _held(mesh)
        written = _live_lease(mesh)["metadata"]["resourceVersion"]
        another.upgrade("1.2.1", values=RECONCILING)
        another.wait_ready()
        assert _live_lease(mesh)["metadata"]["resourceVersion"] == written, "there was nothing to write"
        assert another.conditions()["CRDsApplied"]["reason"] == "NothingToDo"
        assert _crd(mesh, SPLIT)["metadata"]["labels"][RECONCILE] == "true"


def test_crds_are_taken_over_and_put_right(in_use: Mesh, operator: Operator) -> None:
    before = custom_resources(in_use.cluster)
    _patch(in_use, SPLIT, {"names": {"categories": ["old"]}, "preserveUnknownFields": False})
    in_use.cluster.kubectl("annotate", "crd", SPLIT, "kubectl.kubernetes.io/last-applied-configuration={}")
    _patch(in_use, CONFIG, {"conversion": _webhook("gone")})
    in_use.cluster.kubectl("apply", "-f", "-", input=json.dumps(SERVED))
    _patch(in_use, EGRESS, {"conversion": _webhook("served")})
    in_use.cluster.kubectl("apply", "--namespace=default", "-f", "-", input=json.dumps(STARTING))
    _lease(in_use, "somebody else")
    with hold(in_use.cluster, HELM_WRITES, f"hold-{in_use.namespace}") as hanging:
        in_use.upgrade("1.2.1")
        eventually(lambda: "somebody else" in json.dumps(in_use.conditions()), operator.log)
        assert set(_versions(in_use, SPLIT)) == {"v1alpha1", "v1alpha2"}, "nothing is written without the Lease"
        _lease(in_use, "")
        # A bootstrap that is just starting may write at any moment, so the CRDs are watched for a while.
        eventually(lambda: "v1alpha4" in _versions(in_use, SPLIT), operator.log)
        _write_back(in_use)
        assert hanging.wait(60), operator.log()
        split = _crd(in_use, SPLIT)
        assert {version["name"]: version["storage"] for version in split["spec"]["versions"]} == {
            "v1alpha4": False,
            "v1alpha2": True,
            "v1alpha1": False,
        }
        assert "categories" not in split["spec"]["names"]
        assert "kubectl.kubernetes.io/last-applied-configuration" not in split["metadata"]["annotations"]
        assert _crd(in_use, CONFIG)["spec"]["conversion"] == {"strategy": "None"}
        assert _crd(in_use, EGRESS)["spec"]["conversion"]["strategy"] == "Webhook"
        _write_back(in_use)
        assert "v1alpha4" not in _versions(in_use, SPLIT)
    in_use.wait_ready()
    applied = in_use.conditions()["CRDsApplied"]
    assert applied["status"] == "True"
    assert f"put right: {SPLIT} (by osm-bootstrap)" in applied["message"]
    for crd in crds_of("1.2.1"):
        _serves(in_use, crd)
    assert _without_config(custom_resources(in_use.cluster)) == _without_config(before)


def test_whatever_ends_the_operator_nothing_stays_held_off(in_use: Mesh, start_operator: Start) -> None:
    """Killed, or its object deleted, while bootstrap and CRDs are held off."""

    def held_then(act: Callable[[Operator], None], rule: Rule = CRD_WRITES) -> None:
        in_use.apply_objects(crds_of("1.1.0"), "--server-side", "--field-manager=osm-bootstrap", "--force-conflicts")
        operator = start_operator()
        with hold(in_use.cluster, rule, f"hold-{in_use.namespace}") as hanging:
            in_use.upgrade("1.2.1")
            assert hanging.wait(60), operator.log()
            bootstrap = _bootstrap(in_use)
            assert rule is HELM_WRITES or bootstrap["spec"]["replicas"] == 0
            assert bootstrap["metadata"]["labels"]["meshupgrade.io/held"] == in_use.get()["metadata"]["uid"]
            act(operator)
        operator.stop()

    def kill(operator: Operator) -> None:
        operator.kill()

    def delete(operator: Operator) -> None:
        in_use.kubectl("delete", "meshupgrade", "mesh", "--wait=false")
        eventually(lambda: _is_gone(in_use), operator.log)

    held_then(delete)
    _is_restored(in_use)

    held_then(kill)
    in_use.kubectl("delete", "meshupgrade", "mesh", "--wait=false")
    operator = start_operator()
    eventually(lambda: _is_gone(in_use), operator.log)
    operator.stop()
    _is_restored(in_use)

    held_then(kill)
    in_use.kubectl("patch", "meshupgrade", "mesh", "--type=merge", "-p", NO_FINALIZERS)
    in_use.kubectl("delete", "meshupgrade", "mesh")
    operator = start_operator()
    eventually(lambda: not _held(in_use), operator.log)
    operator.stop()
    _is_restored(in_use)

    held_then(kill, LAST_CRD_WRITE)
    held_then(kill, HELM_WRITES)
    start_operator()
    in_use.wait_ready()
    _is_restored(in_use)
    for crd in crds_of("1.2.1"):
        _serves(in_use, crd)


def _is_gone(mesh: Mesh) -> bool:
    return mesh.kubectl("get", "meshupgrade", "mesh", check=False).returncode != 0


def _is_restored(mesh: Mesh) -> None:
    assert not _held(mesh)
    bootstrap = _bootstrap(mesh)
    assert bootstrap["spec"]["replicas"] == 1
    assert _owners(bootstrap, "f:replicas") == ["helm"]


def _patch(mesh: Mesh, name: str, spec: Object) -> None:
    """Change the spec of a CRD as some other writer does."""
    patch = json.dumps({"spec": spec})
    mesh.cluster.kubectl("patch", "crd", name, "--type=merge", "--field-manager=osm-bootstrap", "-p", patch)


def _write_back(mesh: Mesh) -> None:
    """Write an old CRD, as an old bootstrap that starts does."""
    old = next(crd for crd in crds_of("1.1.0") if crd["metadata"]["name"] == SPLIT)
    mesh.apply_objects([old], "--server-side", "--force-conflicts", "--field-manager=osm-bootstrap")


def _webhook(service: str) -> Object:
    client = {"service": {"namespace": "default", "name": service, "path": "/convert"}}
    return {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}}


def _live_lease(mesh: Mesh) -> Object:
    place = ("meshupgrade-crds", "--namespace=kube-system")
    lease: Object = json.loads(mesh.cluster.kubectl("get", "lease", *place, "-o", "json").stdout)
    return lease


def _lease(mesh: Mesh, holder: str) -> None:
    """Hold, or give back, the Lease under which CRDs are written, as another operator does."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 600}
    metadata = {"name": "meshupgrade-crds", "namespace": "kube-system"}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    mesh.apply_objects([lease], "--server-side", "--force-conflicts")


def _rolled_out(mesh: Mesh) -> None:
    for name in ("osm-bootstrap", "osm-controller", "osm-injector"):
        mesh.kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")


def _crd(mesh: Mesh, name: str) -> Object:
    crd: Object = json.loads(mesh.cluster.kubectl("get", "crd", name, "-o", "json", "--show-managed-fields").stdout)
    return crd


def _versions(mesh: Mesh, name: str) -> dict[str, Object]:
    return {version["name"]: version for version in _crd(mesh, name)["spec"]["versions"]}


def _serves(mesh: Mesh, shipped: Object) -> None:
    """Make sure that a CRD serves what a release ships."""
    live = _versions(mesh, shipped["metadata"]["name"])
    for version in shipped["spec"]["versions"]:
        assert live[version["name"]]["served"]
        assert live[version["name"]]["schema"] == version["schema"]


def _bootstrap(mesh: Mesh) -> Object:
    text = mesh.kubectl("get", "deployment", "osm-bootstrap", "-o", "json", "--show-managed-fields").stdout
    deployment: Object = json.loads(text)
    return deployment


def _owners(obj: Object, field: str) -> list[str]:
    return [
        entry["manager"] for entry in obj["metadata"]["managedFields"] if field in entry["fieldsV1"].get("f:spec", {})
    ]


def _held(mesh: Mesh) -> list[str]:
    objects = mesh.cluster.kubectl("get", "deployments,crds", "-A", "-o", "json", "--show-managed-fields").stdout
    return [trace for trace in ("meshupgrade.io/held", "held-by-", "meshupgrade-fence") if trace in objects]


def _without_config(resources: dict[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in resources.items() if not name.startswith("MeshConfig")}
