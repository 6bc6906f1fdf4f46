"""What preflight finds on a real API server: one mesh that has everything wrong with it, and single objects."""

import base64
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube
from meshupgrade.kube.errors import KindNotServed
from meshupgrade.phases.preflight import capacity, objects
from meshupgrade.phases.preflight.check import run_checks
from meshupgrade.phases.preflight.dry_run import Answer, try_hooks, try_objects
from meshupgrade.phases.preflight.refusals import is_immutable
from meshupgrade.phases.shape import Target, Tools, Work
from tests.charts.publish import Published
from tests.cluster.chart_repository import serve_directory
from tests.cluster.cluster import Cluster
from tests.cluster.credentials import write_kubeconfig
from tests.integration.harness import Mesh, Object, Operator, eventually, install_crd
from tests.integration.hold import Rule, hold
from tests.unit.phases.preflight.releases import rendered
from tests.unit.phases.works import make_work

NAMESPACE = "osm-system"
IMAGE = '.spec.template.spec.containers[name="osm-pipy-repo"].image'


@pytest.fixture(scope="module")
def cluster(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all: it holds a webhook that never answers and a mesh that nobody should have."""
    with Cluster.start(tmp_path_factory.mktemp("preflight"), progress=lambda _: None) as running:
        install_crd(running)
        yield running


@pytest.fixture(scope="module")
def bad(cluster: Cluster, published: Published) -> Iterator[Mesh]:
    """A mesh in use whose Pods, certificate, images and owners are all worth a word."""
    with serve_directory(published.broken_directory) as repository:
        cluster.kubectl("create", "namespace", NAMESPACE)
        mesh = Mesh(cluster, NAMESPACE, published, repository)
        mesh.install_in_use("1.1.0")
        mesh.kubectl("set", "image", "deployment/osm-controller", "osm-pipy-repo=edited:1")
        mesh.apply_objects([autoscaler("osm-injector"), authority(datetime.now(UTC) + timedelta(days=10, hours=1))])
        nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"no": "node"}}}}}
        mesh.kubectl("patch", "deployment", "osm-bootstrap", "-p", json.dumps(nowhere))
        eventually(lambda: replicas(mesh, "osm-injector") == 3, lambda: "the autoscaler does nothing")
        mesh.kubectl("rollout", "status", "deployment/osm-controller")
        mesh.apply_objects([silent_webhook()])
        yield mesh


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    access = await load_access(cluster.kubeconfig, None)
    async with Kube(access.configuration) as client:
        yield client


def autoscaler(target: str) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": target, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": 3,
            "maxReplicas": 5,
        },
    }


def authority(end: datetime) -> Object:
    """The Secret of the mesh's authority, with a key that nobody may ever see."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "osm-ca.openservicemesh.io")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, end - timedelta(days=3650), end)
    signed = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "osm-ca-bundle", "namespace": NAMESPACE},
        "data": {"ca.crt": base64.b64encode(pem).decode(), "private.key": base64.b64encode(b"hunter2").decode()},
    }


def silent_webhook() -> Object:
    """An admission webhook that every Service of the mesh has to pass and nobody answers."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "silent"},
        "webhooks": [
            {
                "name": "silent.example.test",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 1,
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["services"]}],
            }
        ],
    }


def replicas(mesh: Mesh, name: str) -> int:
    return int(mesh.kubectl("get", "deployment", name, "-o", "jsonpath={.spec.replicas}").stdout)


def events_of(mesh: Mesh) -> list[Object]:
    selector = f"--field-selector=regarding.name={mesh.name}"
    listed = mesh.kubectl("get", "events.events.k8s.io", selector, "-o", "json").stdout
    events: list[Object] = json.loads(listed)["items"]
    return events


def test_everything_that_is_wrong_is_found_at_once(cluster: Cluster, bad: Mesh, tmp_path: Path) -> None:
    """Errors, warnings and remarks in one refused upgrade, each also an event, and nothing is changed."""
    values = {
        "osm": {
            "image": {"tag": "1.2.0"},
            "enableEgress": True,
            "osmController": {"resource": {"requests": {"cpu": "4000"}, "limits": {"cpu": "4000"}}},
        }
    }
    before = bad.fingerprints()
    with Operator(cluster, tmp_path) as operator:
        bad.upgrade("1.2.1", values=values)
        conditions = bad.wait_stalled()
        assert conditions["Ready"]["reason"] == "ObjectRejected", operator.log()
        status = bad.status()
        told = {(finding["name"], finding["severity"]): finding for finding in status["findings"]}
        expected = {
            ("ObjectRejected", "Error"): "silent.example.test",
            ("FieldConflict", "Warning"): "",
            ("ValuesIgnored", "Warning"): "osm.enableEgress",
            ("ImageVersionMismatch", "Warning"): "1.2.0 in container osm-controller",
            ("SidecarImageStale", "Warning"): "flomesh/pipy:0.70.0-51",
            ("InsufficientCapacity", "Warning"): "a Pod of osm-controller asks for 4000 CPU",
            ("ControlPlaneUnhealthy", "Warning"): "osm-bootstrap",
            ("CertificateExpiring", "Warning"): "in 10 days",
            ("NotDigestPinned", "Info"): "osm-edge-controller",
        }
        assert set(expected) <= set(told)
        for key, said in expected.items():
            assert said in told[key]["message"], told[key]
            assert told[key]["remedy"]
        assert "traffic.enableEgress" in told["ValuesIgnored", "Warning"]["remedy"]
        conflicts = " ".join(item["message"] for item in status["findings"] if item["name"] == "FieldConflict")
        assert "kubectl-set set fields to something else than the chart does" in conflicts
        assert f"Deployment {NAMESPACE}/osm-controller {IMAGE}" in conflicts
        assert "Deployment osm-injector from 3 to 1" in conflicts
        assert "hunter2" not in json.dumps(status)

        listed = events_of(bad)
        assert {event["reason"] for event in listed} == {name for name, severity in told if severity != "Info"}
        assert {event["type"] for event in listed} == {"Warning"}
        assert bad.fingerprints() == before

        bad.kubectl("annotate", "meshupgrade", bad.name, "meshupgrade.io/reconcile-requested-at=again")
        eventually(lambda: bad.status().get("lastHandledReconcileAt") == "again", operator.log)
        assert bad.wait_stalled()["Ready"]["reason"] == "ObjectRejected"
        assert len(events_of(bad)) == len(listed), "what is known is not told again"


def test_a_stored_release_of_kinds_that_are_gone(cluster: Cluster, bad: Mesh, tmp_path: Path) -> None:
    """What an older Kubernetes still served stands in the release that runs."""
    secret = json.loads(bad.kubectl("get", "secret", "sh.helm.release.v1.osm.v1", "-o", "json").stdout)
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    release["manifest"] += (
        "---\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\n"
        f"metadata: {{name: osm-controller-pdb, namespace: {NAMESPACE}}}\nspec: {{minAvailable: 1}}\n"
    )
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    bad.kubectl("patch", "secret", "sh.helm.release.v1.osm.v1", "-p", json.dumps({"data": {"release": packed}}))
    before = bad.fingerprints()
    with Operator(cluster, tmp_path):
        bad.upgrade("1.2.1")
        ready = bad.wait_stalled()["Ready"]
    assert ready["reason"] == "RemovedAPIs"
    assert "the release that runs holds" in ready["message"]
    assert "PodDisruptionBudget (policy/v1beta1)" in ready["message"]
    assert "mapkubeapis" in ready["message"]
    assert bad.fingerprints() == before


def work_of(kube: Kube, namespace: str) -> Work:
    work = make_work()
    work.tools = Tools(kube, *cast("tuple[Any, Any, Any, Any]", (None,) * 4))
    work.namespace = namespace
    return work


def deployment(name: str, **template: Any) -> Object:
    labels = {"app": name}
    pod = {"containers": [{"name": "c", "image": "a:1", **template}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def job(name: str, image: str, **metadata: Any) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **metadata},
        "spec": {"template": {"spec": pod}},
    }


async def test_hooks_are_tried_as_helm_makes_them(kube: Kube, cluster: Cluster, namespace: str) -> None:
    """One that is left over from its last run is no obstacle; hooks of other events are not looked at."""
    for obj in (job("kept", "a:1"),):
        cluster.kubectl("apply", f"--namespace={namespace}", "-f", "-", input=json.dumps(obj))
    wrong = job("wrong", "a:1")
    wrong["spec"]["completions"] = -1
    unserved = {"apiVersion": "batch/v1beta1", "kind": "Job", "metadata": {"name": "old"}}
    release = rendered(
        hooks=[
            {"events": ["pre-upgrade"], "manifest": json.dumps(job("kept", "a:2"))},
            {"events": ["post-upgrade"], "manifest": json.dumps(wrong)},
            {"events": ["pre-upgrade"], "manifest": json.dumps(unserved)},
            {"events": ["post-delete"], "manifest": json.dumps(wrong)},
        ]
    )
    answers = await try_hooks(work_of(kube, namespace), release, ("pre-upgrade", "post-upgrade"))
    assert [(answer.ref.name, answer.error is None) for answer in answers] == [
        ("kept", True),
        ("wrong", False),
        ("old", False),
    ]
    assert isinstance(answers[2].error, KindNotServed)


async def test_what_may_be_deleted_to_be_made_again(kube: Kube, cluster: Cluster, namespace: str) -> None:
    """Only what nothing but an immutable field keeps from being taken; never what stores something."""
    claim: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    for obj in (deployment("moved"), deployment("broken"), deployment("token"), job("done", "a:1"), claim):
        cluster.kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", input=json.dumps(obj))
    moved, broken, token = deployment("moved"), deployment("broken"), deployment("token")
    moved["spec"]["selector"]["matchLabels"] = moved["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    broken["spec"]["selector"]["matchLabels"] = {"app": "other"}
    token["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "value": 5}]
    grown = {**claim, "spec": {**claim["spec"], "resources": {"requests": {"storage": "2Gi"}}}}
    work = work_of(kube, namespace)
    release = rendered(moved, broken, token, job("done", "a:2"), grown)
    work.target = Target(Path(), "", cast("Any", None), release, (), "")
    answers: list[Answer] = await try_objects(work, release)
    refused = {answer.ref.name: answer for answer in answers if answer.error is not None}
    assert set(refused) == {"moved", "broken", "token", "done", "data"}
    assert {name for name, one in refused.items() if one.error and is_immutable(one.ref, one.error)} == {
        "moved",
        "done",
    }
    found = {finding.message.partition(":")[0]: finding for finding in await run_checks([objects.CHECK], work)}
    by_name = {name.rpartition("/")[2]: finding for name, finding in found.items()}
    assert by_name["moved"].name is FindingName.IMMUTABLE_FIELD_CHANGED
    assert by_name["broken"].name is FindingName.OBJECT_REJECTED
    assert by_name["data"].name is FindingName.OBJECT_REJECTED
    assert by_name["token"].message.endswith("expected string, got another type")


async def test_a_check_without_the_right_to_look_is_a_finding(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.kubectl("create", "serviceaccount", "weak", f"--namespace={namespace}")
    token = cluster.kubectl("create", "token", "weak", f"--namespace={namespace}").stdout.strip()
    ca = tmp_path / "ca.crt"
    config = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json").stdout)["clusters"][0]["cluster"]
    ca.write_bytes(base64.b64decode(config["certificate-authority-data"]))
    access = await load_access(write_kubeconfig(tmp_path / "weak", config["server"], ca, token), None)
    async with Kube(access.configuration) as kube:
        work = work_of(kube, namespace)
        work.target = Target(Path(), "", cast("Any", None), rendered(deployment("d")), (), "")
        (found,) = await run_checks([capacity.CHECK], work)
    assert (found.name, found.severity) == (FindingName.FORBIDDEN, Severity.WARNING)
    assert "nodes is forbidden" in found.message
    assert "InsufficientCapacity cannot be ruled out" in found.message


@pytest.fixture
def mesh(own_cluster: Cluster, published: Published) -> Iterator[Mesh]:
    """A mesh in a cluster of its own, with an autoscaler, a certificate authority and a manual edit."""
    install_crd(own_cluster)
    with serve_directory(published.directory) as repository:
        own_cluster.kubectl("create", "namespace", NAMESPACE)
        mesh = Mesh(own_cluster, NAMESPACE, published, repository)
        mesh.install_in_use("1.1.0")
        mesh.apply_objects([autoscaler("osm-injector"), authority(datetime(2049, 1, 1, tzinfo=UTC))])
        mesh.kubectl("set", "image", "deployment/osm-controller", "osm-pipy-repo=edited:1")
        eventually(lambda: replicas(mesh, "osm-injector") == 3, lambda: "the autoscaler does nothing")
        yield mesh


def test_what_others_own(mesh: Mesh, tmp_path: Path) -> None:
    """Helm's forced apply sets replicas back to the chart's; they are put back, and a manual edit is not.

    Then somebody makes another certificate authority during an upgrade: that is told, and no rollback is tried.
    """
    with Operator(mesh.cluster, tmp_path) as operator:
        mesh.upgrade("1.1.1")
        status = mesh.wait_ready()
        shown = mesh.kubectl("get", "deployment", "osm-injector", "-o", "json", "--show-managed-fields")
        live = json.loads(shown.stdout)
        assert live["spec"]["replicas"] == 3
        owners = {
            entry["manager"] for entry in live["metadata"]["managedFields"] if entry.get("subresource") == "scale"
        }
        assert "meshupgrade" in owners, "put back by us, and not only after a while by the autoscaler"
        assert "edited:1" not in mesh.kubectl("get", "deployment", "osm-controller", "-o", "yaml").stdout
        assert "FieldConflict" in {finding["name"] for finding in status["findings"]}
        before = status["history"][0]["authorities"]
        assert len(before) == 1

        with hold(mesh.cluster, Rule("apps", "deployments", "UPDATE"), "hold") as hanging:
            mesh.upgrade("1.2.0", upgrade={"retries": 0})
            assert hanging.wait(60), operator.log()
            mesh.apply_objects([authority(datetime(2050, 1, 1, tzinfo=UTC))])
        ready = mesh.wait_stalled()["Ready"]
        assert (
            "the certificate of the mesh's authority in Secret osm-system/osm-ca-bundle is not the one"
            in ready["message"]
        )
        assert before[0][:16] in ready["message"]
        status = mesh.status()
        assert (status["attempts"]["reason"], status["attempts"]["remediation"]) == ("AuthorityChanged", "Held")
        assert status["history"][0]["authorities"] == before
        assert "hunter2" not in operator.log() + json.dumps(status)

        mesh.kubectl("annotate", "meshupgrade", mesh.name, "meshupgrade.io/reconcile-requested-at=accepted")
        assert mesh.wait_ready()["currentVersion"] == "1.2.0"
