"""Objects of the release that somebody changes by hand while the mesh is at rest."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Object, Operator, eventually
from tests.integration.hold import Rule, hold

VALUES = {"osm": {"deployGrafana": True}}
BUNDLE = base64.b64encode(b"injected").decode()


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


@pytest.fixture
def at_rest(mesh: Mesh, operator: Operator) -> Mesh:
    """A mesh with Grafana, an autoscaler and an injected CA bundle, looked after."""
    mesh.install("1.1.0", VALUES)
    mesh.apply_objects([mesh.mesh_config("1.1.0"), autoscaler(mesh, "osm-injector")])
    webhook = {"webhooks": [{"name": "osm-inject.k8s.io", "clientConfig": {"caBundle": BUNDLE}}]}
    mesh.kubectl("patch", "mutatingwebhookconfiguration", "osm-webhook-osm", "-p", json.dumps(webhook))
    eventually(lambda: replicas(mesh, "osm-injector") == 3, lambda: "the autoscaler does nothing")
    follow(mesh, "Warn")
    assert "Drifted" not in mesh.conditions()
    return mesh


def autoscaler(mesh: Mesh, target: str) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": target, "namespace": mesh.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": 3,
            "maxReplicas": 5,
        },
    }


def follow(mesh: Mesh, policy: str, **fields: Any) -> dict[str, Object]:
    """Apply the spec with that policy and give the conditions when the mesh is at rest."""
    mesh.upgrade("1.1.0", values=VALUES, driftPolicy=policy, interval="10s", **fields)
    mesh.wait_ready()
    return mesh.conditions()


def look(mesh: Mesh) -> dict[str, Object]:
    """Have the mesh looked at again, and give the conditions."""
    token = datetime.now(UTC).isoformat()
    mesh.kubectl("annotate", "--overwrite", "meshupgrade", mesh.name, f"meshupgrade.io/reconcile-requested-at={token}")
    eventually(
        lambda: mesh.status().get("lastHandledReconcileAt") == token and mesh.conditions()["Ready"]["status"] == "True",
        lambda: json.dumps(mesh.status(), indent=1),
    )
    return mesh.conditions()


def replicas(mesh: Mesh, name: str) -> int:
    return int(mesh.kubectl("get", "deployment", name, "-o", "jsonpath={.spec.replicas}").stdout)


def grafana_image(mesh: Mesh) -> str:
    path = "jsonpath={.spec.template.spec.containers[?(@.name=='grafana')].image}"
    return mesh.kubectl("get", "deployment", "osm-grafana", "-o", path).stdout


def label(mesh: Mesh, kind: str, name: str) -> str:
    return mesh.kubectl("get", kind, name, "-o", "jsonpath={.metadata.labels.app}").stdout


def bundle(mesh: Mesh) -> str:
    path = "jsonpath={.webhooks[0].clientConfig.caBundle}"
    return mesh.kubectl("get", "mutatingwebhookconfiguration", "osm-webhook-osm", "-o", path).stdout


def closed_window() -> Object:
    """A window that is open on the day before yesterday only."""
    day = (datetime.now(UTC) - timedelta(days=2)).strftime("%a")
    return {"days": [day], "start": "10:00", "end": "11:00", "timeZone": "UTC"}


def test_drift_is_told_and_put_back(at_rest: Mesh, operator: Operator, start_operator: Callable[..., Operator]) -> None:
    mesh, place = at_rest, at_rest.namespace
    image = grafana_image(mesh)
    mesh.kubectl("label", "service", "osm-controller", "team=ours")
    mesh.kubectl("set", "image", "deployment/osm-grafana", "grafana=edited:1")
    # A mesh at rest is looked at as often as spec.interval says, and when the operator starts.
    operator.stop()
    operator = start_operator()
    eventually(lambda: "Drifted" in mesh.conditions(), lambda: json.dumps(mesh.status(), indent=1))
    drifted = mesh.conditions()["Drifted"]
    assert (drifted["status"], drifted["reason"]) == ("True", "Drifted")
    assert drifted["message"] == (
        f"not as the release says: Deployment {place}/osm-grafana: "
        "spec.template.spec.containers[grafana].image (by kubectl-set)"
    )
    assert mesh.conditions()["Ready"]["status"] == "True"
    events = mesh.kubectl("get", "events.events.k8s.io", "-o", "json").stdout
    assert "Drifted" in {event["reason"] for event in json.loads(events)["items"]}

    mesh.kubectl("set", "image", "deployment/osm-grafana", f"grafana={image}")
    operator.stop()
    operator = start_operator()
    eventually(lambda: "Drifted" not in mesh.conditions(), lambda: json.dumps(mesh.status(), indent=1))

    mesh.kubectl("set", "image", "deployment/osm-grafana", "grafana=edited:2")
    mesh.kubectl("scale", "deployment/osm-controller", "--replicas=2")
    mesh.kubectl("label", "--overwrite", "deployment", "osm-injector", "app=mine")
    mesh.kubectl("label", "--overwrite", "mutatingwebhookconfiguration", "osm-webhook-osm", "app=mine")
    mesh.kubectl("annotate", "service", "osm-controller", "meta.helm.sh/release-name-")
    mesh.kubectl("delete", "service", "osm-injector")
    assert "Drifted" not in follow(mesh, "Ignore")
    before = mesh.fingerprints()
    waiting = follow(mesh, "Correct", upgrade={"windows": [closed_window()]})["Drifted"]
    for part in (
        f"Deployment {place}/osm-grafana: spec.template.spec.containers[grafana].image (by kubectl-set)",
        f"Deployment {place}/osm-controller: spec.replicas (by kubectl)",
        f"Deployment {place}/osm-injector: metadata.labels.app (by kubectl-label)",
        "MutatingWebhookConfiguration osm-webhook-osm: metadata.labels.app (by kubectl-label)",
        f"Service {place}/osm-controller: metadata.annotations[meta.helm.sh/release-name];",
        f"Service {place}/osm-injector is missing",
        "it is put back when a window of spec.upgrade.windows opens",
    ):
        assert part in waiting["message"]
    assert waiting["message"].count("; ") == 6, "and nothing besides"
    assert mesh.fingerprints() == before

    # A correction that dies half-way is gone on with.
    with hold(mesh.cluster, Rule("apps", "deployments", "UPDATE", name="osm-grafana"), "hold") as hanging:
        mesh.upgrade("1.1.0", values=VALUES, driftPolicy="Correct", interval="10s", upgrade={"windows": []})
        assert hanging.wait(60), operator.log()
        operator.kill()
        assert label(mesh, "service", "osm-injector") == "osm-injector"
        assert grafana_image(mesh) == "edited:2"
    start_operator()
    mesh.wait_ready()
    corrected = mesh.conditions()["Drifted"]
    assert (corrected["status"], corrected["reason"]) == ("False", "Corrected")
    assert corrected["message"].startswith("put back as the release says: ")
    assert (grafana_image(mesh), replicas(mesh, "osm-controller")) == (image, 1)
    assert label(mesh, "deployment", "osm-injector") == label(mesh, "service", "osm-injector") == "osm-injector"
    assert label(mesh, "mutatingwebhookconfiguration", "osm-webhook-osm") == "osm-injector"
    assert (replicas(mesh, "osm-injector"), bundle(mesh)) == (3, BUNDLE), "these belong to others"
    annotations = mesh.kubectl("get", "service", "osm-injector", "-o", "jsonpath={.metadata.annotations}").stdout
    assert json.loads(annotations)["meta.helm.sh/release-name"] == "osm"

    settled = {name: version for name, version in mesh.fingerprints().items() if not name.startswith("Pod ")}
    assert "Drifted" not in look(mesh)
    assert settled.items() <= mesh.fingerprints().items(), "what has not drifted is not written"

    mesh.upgrade("1.1.1", values=VALUES)
    assert mesh.wait_ready()["currentVersion"] == "1.1.1"
