"""The main job: a MeshUpgrade brings a mesh to its version, on a real control plane and with the real Helm."""

import json
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.charts.crds import crds_of
from tests.cluster.bootstrap import Action, BootstrapStandIn
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Object, Operator, custom_resources, eventually

PHASE_CONDITIONS = (
    "PathValidated",
    "PreflightPassed",
    "CRDsApplied",
    "ControlPlaneUpgraded",
    "StorageMigrated",
    "MeshConfigPatched",
    "DataPlaneRestarted",
    "AddonsUpgraded",
)


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


def test_a_mesh_is_upgraded(in_use: Mesh, operator: Operator) -> None:
    before = custom_resources(in_use.cluster)
    pods = _meshed_pods(in_use)
    in_use.upgrade("v1.2.1", meshConfig={"patch": {"sidecar": {"sidecarImage": "flomesh/pipy:newer"}}})
    status = in_use.wait_ready()

    assert in_use.kubectl("wait", "--for=condition=Ready", "meshupgrade/mesh", "--timeout=5s").returncode == 0
    assert (status["currentVersion"], status["targetVersion"], status["hops"]) == ("1.2.1", "1.2.1", ["1.2.1"])
    conditions = in_use.conditions()
    assert set(PHASE_CONDITIONS) < set(conditions)
    assert {kind for kind in conditions if conditions[kind]["status"] == "Unknown"} == set()
    assert {"Reconciling", "Stalled"}.isdisjoint(conditions)
    assert conditions["Available"]["status"] == "True"
    entry = status["history"][0]
    assert (entry["from"], entry["version"], entry["state"], entry["revision"], entry["verified"]) == (
        "1.1.0", "1.2.1", "Completed", 2, True,
    )  # fmt: skip
    assert [revision["chart"] for revision in in_use.revisions()] == ["osm-edge-1.1.0", "osm-edge-1.2.1"]
    after = custom_resources(in_use.cluster)
    mesh_config = f"MeshConfig {in_use.namespace}/osm-mesh-config"
    assert after.pop(mesh_config) != before.pop(mesh_config)
    assert after == before, "custom resources survive, field by field"
    assert _meshed_pods(in_use) == pods, "a control plane upgrade restarts no workload"
    counted = status["dataPlane"]
    by_pods = {"total": 3, "current": 0, "outdated": 3, "unknown": 0, "unmanaged": 0, "uninjected": 0}
    assert {state: counted[state] for state in by_pods} == by_pods
    assert counted["workloads"] == {"total": 3, "current": 0, "outdated": 3, "unknown": 0, "excluded": 0}
    assert "restart" not in counted
    assert "finalizers" not in in_use.get()["metadata"]


def test_crds_are_merged_and_their_objects_migrated(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.2.1")
    in_use.wait_ready()
    split = _crd(in_use, "trafficsplits.split.smi-spec.io")
    served = {version["name"]: version["storage"] for version in split["spec"]["versions"] if version["served"]}
    assert served == {"v1alpha4": True, "v1alpha2": False, "v1alpha1": False}
    assert split["status"]["storedVersions"] == ["v1alpha4"]
    assert split["metadata"]["annotations"]["meshupgrade.io/written-by"] == "osm-edge/1.2.1"
    assert (
        _crd(in_use, "accesscontrols.policy.openservicemesh.io")["status"]["acceptedNames"]["kind"] == "AccessControl"
    )


def test_the_printer_columns_tell_the_story(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.2.1")
    in_use.wait_ready()
    header, row = in_use.kubectl("get", "mup").stdout.splitlines()
    assert header.split() == ["NAME", "MESH", "DESIRED", "CURRENT", "PHASE", "READY", "AGE"]
    assert row.split()[:6] == ["mesh", "osm-edge", "1.2.1", "1.2.1", "Completed", "True"]
    assert "the mesh runs 1.2.1" in in_use.kubectl("get", "meshupgrade", "-o", "wide").stdout


def test_with_the_mesh_own_bootstrap_at_work(mesh: Mesh, operator: Operator) -> None:
    """The bootstrap of each release brings its own CRDs and MeshConfig, and gates the controllers."""
    with BootstrapStandIn(mesh.cluster, [mesh.namespace]) as bootstrap:
        mesh.install("1.1.0", crds=False)
        eventually(lambda: _has_mesh_config(mesh), lambda: str(bootstrap.events))
        mesh.upgrade("1.2.1", meshConfig={"patch": {"observability": {"osmLogLevel": "warn"}}})
        mesh.wait_ready()
        assert not [event for event in bootstrap.events if event.action is Action.FAILED], bootstrap.events
    assert mesh.live_mesh_config()["spec"]["observability"]["osmLogLevel"] == "warn"


def test_the_mesh_config_is_patched_and_stays_so(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.1.1", meshConfig={"patch": {"sidecar": {"logLevel": "debug"}}})
    in_use.wait_ready()
    spec = in_use.live_mesh_config()["spec"]
    assert spec["sidecar"]["logLevel"] == "debug"
    assert spec["sidecar"]["sidecarImage"], "a merge patch leaves the rest"

    in_use.kubectl(
        "patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p", '{"spec":{"sidecar":{"logLevel":"error"}}}'
    )
    in_use.kubectl("annotate", "meshupgrade", "mesh", "meshupgrade.io/reconcile-requested-at=now")
    eventually(
        lambda: in_use.live_mesh_config()["spec"]["sidecar"]["logLevel"] == "debug",
        lambda: json.dumps(in_use.status()),
    )
    assert in_use.wait_ready()["lastHandledReconcileAt"] == "now"
    assert len(in_use.revisions()) == 2, "Helm had nothing to do"


def test_the_version_that_runs_needs_nothing(in_use: Mesh, operator: Operator) -> None:
    before = in_use.fingerprints()
    in_use.upgrade("1.1.0")
    status = in_use.wait_ready()
    conditions = in_use.conditions()
    assert conditions["ControlPlaneUpgraded"]["reason"] == "NothingToDo"
    assert conditions["PathValidated"]["reason"] == "NothingToDo"
    assert len(in_use.revisions()) == 1
    assert status["currentVersion"] == "1.1.0"
    changed = {name for name, version in in_use.fingerprints().items() if before.get(name) != version}
    assert {name.split()[0] for name in changed} <= {"CustomResourceDefinition"}, "only the mark of who wrote a CRD"


def test_values_reach_helm_by_the_policy(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.1.1", values={"osm": {"controllerLogLevel": "debug"}})
    in_use.wait_ready()
    in_use.upgrade("1.2.0", values={"osm": {"osmController": {"replicaCount": 2}}}, valuesPolicy="ResetThenReuse")
    in_use.wait_ready()
    assert _user_values(in_use)["osm"] == {"controllerLogLevel": "debug", "osmController": {"replicaCount": 2}}
    in_use.apply_objects([in_use.manifest(in_use.spec("1.2.1", values={"osm": {"enableReconciler": True}}))])
    in_use.kubectl(
        "patch",
        "meshupgrade",
        "mesh",
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/spec/valuesPolicy"}]',
        check=False,
    )
    status = in_use.wait_ready()
    assert _user_values(in_use)["osm"] == {"enableReconciler": True}
    assert "ValuesDropped" in [finding["name"] for finding in status["findings"]]


def test_a_release_that_helm_3_made(mesh: Mesh, operator: Operator) -> None:
    """Its objects were written client-side; 1.2 drops a port of a Service and gives its name to another."""
    mesh.install("1.1.0", helm3=True)
    mesh.upgrade("1.2.1")
    assert mesh.wait_ready()["currentVersion"] == "1.2.1"
    ports = json.loads(mesh.kubectl("get", "service", "osm-bootstrap", "-o", "json").stdout)["spec"]["ports"]
    assert sorted(port["name"] for port in ports) == ["crdconversion", "health"]


def test_from_an_oci_registry(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.2.1", chart={"repository": in_use.published.oci, "insecure": True})
    assert in_use.wait_ready()["currentVersion"] == "1.2.1"


def test_addons_are_compared_with_what_the_chart_asks_for(mesh: Mesh, operator: Operator) -> None:
    values = {"osm": {"deployPrometheus": True, "deployGrafana": True}}
    mesh.install("1.1.0", values)
    mesh.kubectl("set", "image", "deployment/osm-prometheus", "prometheus=prom/prometheus:edited")
    mesh.upgrade("1.2.1", values=values)
    mesh.wait_ready()
    addons = mesh.conditions()["AddonsUpgraded"]
    assert (addons["status"], addons["reason"]) == ("True", "Done")
    assert "prometheus runs" in addons["message"]
    assert "edited" not in addons["message"], "an edit by hand does not stop Helm, and is taken over"


@pytest.fixture
def another(in_use: Mesh) -> Iterator[Mesh]:
    """A second mesh, in a namespace of its own."""
    name = f"{in_use.namespace}-b"
    in_use.cluster.kubectl("create", "namespace", name)
    second = Mesh(in_use.cluster, name, in_use.published, in_use.repository, release="second")
    second.install("1.1.0", crds=False)
    yield second
    second.uninstall()
    in_use.cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_several_meshes_side_by_side(in_use: Mesh, another: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.2.1")
    another.upgrade("1.2.0")
    assert in_use.wait_ready()["currentVersion"] == "1.2.1"
    assert another.wait_ready()["currentVersion"] == "1.2.0"
    assert _user_values(another)["osm"]["meshName"] == "second", "the identity is carried over, though Reset"
    split = _crd(in_use, "trafficsplits.split.smi-spec.io")
    assert split["metadata"]["annotations"]["meshupgrade.io/written-by"] in ("osm-edge/1.2.1", "osm-edge/1.2.0")


def test_no_more_upgrades_at_once_than_allowed(
    in_use: Mesh, another: Mesh, start_operator: Callable[..., Operator]
) -> None:
    in_use.upgrade("1.2.1")
    another.upgrade("1.2.1")
    start_operator("--max-upgrades", "1")
    spans = []
    for mesh in (in_use, another):
        newest = mesh.wait_ready()["history"][0]
        spans.append((newest["startedTime"], newest["completionTime"]))
    first, second = sorted(spans)
    assert first[1] <= second[0], "the second one began when the first had ended"


def test_at_rest_nothing_is_written(in_use: Mesh, operator: Operator) -> None:
    in_use.upgrade("1.2.1")
    in_use.wait_ready()
    before, version = in_use.fingerprints(), in_use.get()["metadata"]["resourceVersion"]
    in_use.apply_objects([in_use.manifest(in_use.spec("1.2.1"))])
    in_use.kubectl("label", "meshupgrade", "mesh", "team=a")
    labelled = in_use.get()["metadata"]["resourceVersion"]
    assert labelled != version
    in_use.cluster.kubectl("create", "configmap", "marker", "--namespace", "default", "--dry-run=server")
    assert in_use.fingerprints() == before
    assert in_use.get()["metadata"]["resourceVersion"] == labelled


def _meshed_pods(mesh: Mesh) -> set[str]:
    listed = mesh.cluster.kubectl("get", "pods", "-A", "-l", "osm-proxy-uuid", "-o", "json").stdout
    return {item["metadata"]["uid"] for item in json.loads(listed)["items"]}


def _crd(mesh: Mesh, name: str) -> Object:
    crd: Object = json.loads(mesh.cluster.kubectl("get", "crd", name, "-o", "json").stdout)
    return crd


def _has_mesh_config(mesh: Mesh) -> bool:
    return mesh.kubectl("get", "meshconfig", "osm-mesh-config", check=False).returncode == 0


def _user_values(mesh: Mesh) -> Object:
    text = mesh.cluster.helm("get", "values", mesh.release, "--namespace", mesh.namespace, "-o", "yaml").stdout
    values: Object = yaml.safe_load(text)
    return values


def test_the_fixture_crds_are_those_the_operator_read(in_use: Mesh, operator: Operator) -> None:
    """The CRDs come out of the image that the rendered bootstrap names, and no other place."""
    in_use.upgrade("1.2.1")
    in_use.wait_ready()
    for shipped in crds_of("1.2.1"):
        live = _crd(in_use, shipped["metadata"]["name"])
        schemas = {version["name"]: version["schema"] for version in live["spec"]["versions"]}
        for version in shipped["spec"]["versions"]:
            assert schemas[version["name"]] == version["schema"]
