"""Images of Prometheus, Grafana and Jaeger: by a value of the chart where it has one, else on the Deployment."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.charts import addons
from tests.charts.crds import crds_of
from tests.charts.publish import Published
from tests.cluster.api import Api
from tests.cluster.bootstrap_program import write_status
from tests.cluster.chart_repository import ChartRepository, serve_directory
from tests.cluster.cluster import Cluster
from tests.cluster.pod_gate import PodGate
from tests.cluster.pod_status import unpullable
from tests.integration.harness import Mesh, Object, Operator, eventually
from tests.integration.hold import Rule, hold

FIXED, LATER_FIXED = "grafana/grafana:8.2.2", "grafana/grafana:8.3.0"
ALL = {"osm": {"deployPrometheus": True, "deployGrafana": True, "deployJaeger": True}}
DIGEST = "sha256:" + "7" * 64
WANTED = {
    "prometheus": {"image": "registry.example/prom/prometheus:v2.45.0"},
    "grafana": {"image": "registry.example/grafana:9.0.0"},
    "jaeger": {"image": f"registry.example:5000/jaeger:1.50@{DIGEST}"},
}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


@pytest.fixture
def repository(published: Published, shared_cluster: Cluster, tmp_path: Path) -> Iterator[ChartRepository]:
    """1.1.0 with a value for each addon, and releases with none for Grafana."""
    folder, helm = tmp_path / "repository", shared_cluster.binaries.helm
    folder.mkdir()
    shutil.copy(published.directory / "osm-edge-1.1.0.tgz", folder)
    addons.package(folder, helm, shared_cluster.registry, "1.2.2", FIXED)
    addons.package(folder, helm, shared_cluster.registry, "1.2.3", LATER_FIXED)
    addons.index(folder, helm)
    with serve_directory(folder) as served:
        yield served


def images(mesh: Mesh) -> dict[str, str]:
    """Give the images of the addons by container."""
    listed = json.loads(mesh.kubectl("get", "deployments", "-o", "json").stdout)["items"]
    containers = [one for item in listed for one in item["spec"]["template"]["spec"]["containers"]]
    return {one["name"]: one["image"] for one in containers if one["name"] in WANTED}


def wanted(**other: str) -> dict[str, str]:
    return {name: addon["image"] for name, addon in WANTED.items()} | other


def grafana(mesh: Mesh) -> Object:
    found: Object = json.loads(mesh.kubectl("get", "deployment", "osm-grafana", "-o", "json").stdout)
    return found


def values(mesh: Mesh) -> dict[str, Any]:
    """Give the user's values of the release."""
    text = mesh.cluster.helm("get", "values", mesh.release, "--namespace", mesh.namespace, "-o", "json").stdout
    root: dict[str, Any] = json.loads(text)["osm"]
    return root


def findings(mesh: Mesh) -> dict[str, str]:
    return {finding["name"]: finding["message"] for finding in mesh.status().get("findings", [])}


def bring(mesh: Mesh, version: str, named: dict[str, Any], **fields: Any) -> None:
    """Have the mesh at the version with these addons."""
    mesh.upgrade(version, values=ALL, addons=named, interval="10s", **fields)
    mesh.wait_ready()
    assert mesh.conditions()["AddonsUpgraded"]["status"] == "True"
    assert "Drifted" not in mesh.conditions()


def look(mesh: Mesh) -> dict[str, Object]:
    """Have the mesh looked at again, and give the conditions."""
    token = datetime.now(UTC).isoformat()
    mesh.kubectl("annotate", "--overwrite", "meshupgrade", mesh.name, f"meshupgrade.io/reconcile-requested-at={token}")
    eventually(
        lambda: mesh.status().get("lastHandledReconcileAt") == token and mesh.conditions()["Ready"]["status"] == "True",
        lambda: json.dumps(mesh.status(), indent=1),
    )
    return mesh.conditions()


def test_images_are_set_by_value_or_on_the_deployment(
    mesh: Mesh, operator: Operator, start_operator: Callable[..., Operator]
) -> None:
    mesh.install("1.1.0", ALL)
    mesh.apply_objects([mesh.mesh_config("1.1.0")])
    mesh.kubectl("set", "image", "deployment/osm-grafana", "grafana=by-hand:1")
    bring(mesh, "1.2.2", WANTED)
    assert images(mesh) == wanted()
    root = values(mesh)
    assert root["prometheus"] == {"image": WANTED["prometheus"]["image"]}
    assert root["tracing"] == {
        "image": {"registry": "registry.example:5000", "name": "jaeger", "tag": f"1.50@{DIGEST}"}
    }
    assert "grafana" not in root
    message = mesh.conditions()["AddonsUpgraded"]["message"]
    assert f"grafana runs {WANTED['grafana']['image']}" in message
    assert "AddonMissing" not in findings(mesh)

    # At rest nothing is written, and nothing has drifted.
    before = mesh.fingerprints()
    assert "Drifted" not in look(mesh)
    after = mesh.fingerprints()
    assert {name for name in before if "Deployment" in name and before[name] != after[name]} == set()
    assert len(mesh.revisions()) == 2

    # The next Helm upgrade keeps what is a value; what it brings back is set again, and nobody is warned of ourselves.
    bring(mesh, "1.2.3", WANTED)
    assert images(mesh) == wanted()
    assert values(mesh)["prometheus"] == {"image": WANTED["prometheus"]["image"]}
    assert "meshupgrade" not in findings(mesh).get("FieldConflict", "")
    assert mesh.status()["history"][0]["version"] == "1.2.3"

    # A value alone is a matter for Helm, a Deployment's image is not; both are planned.
    other = {**WANTED, "prometheus": {"image": "other/prometheus:1"}}
    bring(mesh, "1.2.3", other)
    assert images(mesh) == wanted(prometheus="other/prometheus:1")
    assert len(mesh.revisions()) == 4
    other = {**other, "grafana": {"image": "other/grafana:1"}}
    mesh.upgrade("1.2.3", values=ALL, addons=other, mode="Plan")
    mesh.wait_phase("Planned")
    assert mesh.status()["plan"]["changes"] is True
    assert images(mesh)["grafana"] == WANTED["grafana"]["image"]
    bring(mesh, "1.2.3", other, mode="Apply")
    assert images(mesh) == wanted(prometheus="other/prometheus:1", grafana="other/grafana:1")
    assert len(mesh.revisions()) == 4

    # What somebody changes then is drift, of either kind.
    for name in ("prometheus", "grafana"):
        mesh.kubectl("set", "image", f"deployment/osm-{name}", f"{name}=edited:1")
    operator.stop()
    operator = start_operator()
    eventually(lambda: "Drifted" in mesh.conditions(), lambda: json.dumps(mesh.status(), indent=1))
    drifted = mesh.conditions()
    for name in ("prometheus", "grafana"):
        told = f"osm-{name}: spec.template.spec.containers[{name}].image (by kubectl-set)"
        assert told in drifted["Drifted"]["message"]
    assert drifted["AddonsUpgraded"]["status"] == "False"
    assert (images(mesh)["prometheus"], images(mesh)["grafana"]) == ("edited:1", "edited:1")
    mesh.upgrade("1.2.3", values=ALL, addons=other, driftPolicy="Correct")
    mesh.wait_ready()
    assert mesh.conditions()["Drifted"]["reason"] == "Corrected"
    assert images(mesh) == wanted(prometheus="other/prometheus:1", grafana="other/grafana:1")

    # Wanted no more: what the chart has comes back.
    bring(mesh, "1.2.3", {"prometheus": None, "grafana": None, "jaeger": WANTED["jaeger"]}, driftPolicy="Warn")
    assert images(mesh) == wanted(prometheus="prom/prometheus:v2.34.0", grafana=LATER_FIXED)
    assert "meshupgrade.io/addon-image" not in grafana(mesh)["metadata"]["annotations"]


def test_a_missing_addon_a_failing_one_and_crashes(
    mesh: Mesh, operator: Operator, start_operator: Callable[..., Operator]
) -> None:
    only = {"osm": {"deployGrafana": True}}
    mesh.apply_objects(crds_of("1.2.1"), "--server-side")
    mesh.install("1.2.2", only, crds=False)
    mesh.apply_objects([mesh.mesh_config("1.2.1")])
    api = Api(mesh.cluster.kubeconfig, mesh.cluster.ca)

    def upgrade(image: str, **fields: Any) -> None:
        named = {"grafana": {"image": image}, "jaeger": WANTED["jaeger"]}
        mesh.upgrade("1.2.2", values=only, addons=named, **fields)

    def new_pods(image: str) -> list[Object]:
        pods = json.loads(mesh.kubectl("get", "pods", "--selector=app=osm-grafana", "-o", "json").stdout)["items"]
        return [pod for pod in pods if pod["spec"]["containers"][0]["image"] == image]

    with PodGate(api, ["osm-grafana"], [mesh.namespace]):
        upgrade("no-such:1", upgrade={"timeout": "4s", "retries": 0})
        eventually(lambda: bool(new_pods("no-such:1")), lambda: json.dumps(mesh.status(), indent=1))
        for pod in new_pods("no-such:1"):
            write_status(api, pod, unpullable(pod, "grafana", "not found"))
        conditions = mesh.wait_stalled()
        failed = conditions["AddonsUpgraded"]
        assert (failed["status"], failed["reason"]) == ("False", "ImagePull")
        assert "osm-grafana" in failed["message"]
        assert "the image no-such:1 of container grafana cannot be pulled" in failed["message"]
        assert "Set spec.addons.grafana.image to an image that exists" in failed["message"]
        assert conditions["ControlPlaneUpgraded"]["status"] == "True"
        assert len(mesh.revisions()) == 2, "jaeger's image is a value of the chart; nothing is rolled back for an addon"

        # An operator that dies while the write is under way, and while its Pods come up.
        with hold(mesh.cluster, Rule("apps", "deployments", "UPDATE", name="osm-grafana"), "hold") as hanging:
            upgrade("good:1", upgrade={"timeout": "60s", "retries": 2})
            assert hanging.wait(60), operator.log()
            operator.kill()
        assert grafana(mesh)["spec"]["template"]["spec"]["containers"][0]["image"] == "no-such:1"
        second = start_operator()
        eventually(lambda: bool(new_pods("good:1")), lambda: json.dumps(mesh.status(), indent=1))
        generation = grafana(mesh)["metadata"]["generation"]
        second.kill()
        start_operator()
        mesh.wait_phase("Addons")
        eventually(
            lambda: "waiting for osm-grafana" in mesh.conditions()["AddonsUpgraded"]["message"],
            lambda: json.dumps(mesh.status(), indent=1),
        )
        assert mesh.conditions()["Ready"]["status"] != "True"
    status = mesh.wait_ready()
    assert grafana(mesh)["metadata"]["generation"] == generation, "it is set once"
    assert [entry["state"] for entry in status["history"]] == ["Completed", "Failed", "Completed"]
    told = mesh.conditions()["AddonsUpgraded"]
    assert told["status"] == "True"
    assert "the release has no jaeger" in told["message"]
    assert findings(mesh)["AddonMissing"] == "spec.addons.jaeger names an image, and the release has no jaeger"
