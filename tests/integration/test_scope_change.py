"""A release changes the scope of CRDs: their objects are brought over, all of them, or the upgrade is refused.

The rig's garbage collector is the real one. It knows a new CRD, and the scope of a changed one, only after half a
minute, so that the tests share a cluster and there are few of them.
"""

import contextlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import yaml

from tests.charts.crds import crds_of
from tests.charts.publish import Published
from tests.charts.workloads import BOOKBUYER, BOOKSTORE
from tests.cluster.chart_repository import serve_directory
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, eventually, install_crd
from tests.integration.hold import Rule, hold

Object = dict[str, Any]
Start = Callable[..., Operator]

GROUP = "policy.openservicemesh.io"
API_VERSION = f"{GROUP}/v1alpha1"
ACCESS_CONTROLS = f"accesscontrols.{GROUP}"
EGRESSES, NOTE_BYTES = 210, 4500
"""More than a page of objects, and more than a Secret of random text."""

FORMER = "meshupgrade.io/former-namespace"
RULES = (
    Rule("", "secrets", "CREATE"),
    Rule(GROUP, "egresses", "DELETE"),
    Rule("apiextensions.k8s.io", "customresourcedefinitions", "DELETE"),
    Rule("apiextensions.k8s.io", "customresourcedefinitions", "CREATE"),
    Rule(GROUP, "egresses", "CREATE"),
    Rule(GROUP, "ingressbackends/status", "UPDATE"),
)
"""Each step of a change, by a request that it makes: the operator is killed in every one of them."""


@pytest.fixture(scope="module")
def cluster(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.start(tmp_path_factory.mktemp("scope"), progress=lambda _: None) as running:
        install_crd(running)
        yield running


@pytest.fixture(scope="module")
def in_use(cluster: Cluster, published: Published) -> Iterator[Mesh]:
    """A mesh at 1.1.0, beside another one, with CRDs in both scopes and many objects."""
    with serve_directory(published.broken_directory) as repository:
        cluster.kubectl("create", "namespace", "osm-system")
        mesh = Mesh(cluster, "osm-system", published, repository)
        mesh.apply_objects([_access_control_crd("Cluster")])
        mesh.install_in_use("1.1.0")
        mesh.apply_objects([_namespace("other-mesh"), _other_controller()])
        cluster.kubectl("create", "-f", "-", input=yaml.safe_dump_all(_objects()))
        for name, owner in (("second", "first"), ("third", "first")):
            _own(cluster, f"accesscontrol/{name}", None, _reference(cluster, "AccessControl", owner, None))
        _own(cluster, "egress/note-0", BOOKSTORE, _reference(cluster, "Namespace", BOOKSTORE, None))
        _own(cluster, "egress/note-1", BOOKSTORE, _reference(cluster, "ServiceAccount", "default", BOOKSTORE))
        _own(cluster, "configmap/dependent", BOOKSTORE, _reference(cluster, "Egress", "note-2", BOOKSTORE))
        cluster.kubectl(
            "patch", "ingressbackend", "bookstore-ingress", f"--namespace={BOOKSTORE}", "--subresource=status",
            "--type=merge", "-p", json.dumps({"status": {"currentStatus": "committed", "reason": "all is well"}}),
        )  # fmt: skip
        yield mesh


@pytest.fixture(scope="module")
def target(in_use: Mesh) -> Object:
    """What is asked for: Egress and IngressBackend become cluster-scoped, AccessControl namespaced."""
    crds = [*crds_of("1.1.1"), _access_control_crd("Namespaced")]
    for crd in crds:
        if crd["spec"]["names"]["kind"] in ("Egress", "IngressBackend"):
            crd["spec"]["scope"] = "Cluster"
    content = {"crds.yaml": yaml.safe_dump_all(crds)}
    in_use.apply_objects([_object("v1", "ConfigMap", "crds-of-the-release", in_use.namespace, data=content)])
    return {"source": "ConfigMap", "configMapRef": {"name": "crds-of-the-release"}}


def test_what_cannot_be_brought_over_is_refused(in_use: Mesh, target: Object, operator: Operator) -> None:
    held = _object(API_VERSION, "Egress", "held", BOOKBUYER, spec=_egress("held"))
    held["metadata"]["finalizers"] = ["example.org/cleanup"]
    twin = _object(API_VERSION, "Egress", "note-7", BOOKBUYER, spec=_egress("twin"))
    in_use.apply_objects([held, twin])
    before = in_use.fingerprints()

    in_use.upgrade("1.1.1", crds=target, upgrade={"acceptRisks": ["CRDImmutableChange"]})
    in_use.wait_stalled()
    blocked = [item for item in in_use.status()["findings"] if item["name"] == "ScopeChangeBlocked"]
    told = "\n".join(f"{item['message']} {item['remedy']}" for item in blocked)
    assert in_use.conditions()["Ready"]["reason"] == "ScopeChangeBlocked"
    assert f"1 object with finalizers could not be deleted: {BOOKBUYER}/held (example.org/cleanup)" in told
    assert f"note-7 (in {BOOKBUYER}, {BOOKSTORE})" in told
    assert "nothing tells the namespace that 2 objects should go to: first, second" in told
    assert f'Set spec.crds.namespaces["{ACCESS_CONTROLS}"]' in told

    in_use.upgrade("1.1.1", crds={**target, "namespaces": {ACCESS_CONTROLS: "nowhere"}})
    in_use.wait_stalled()
    assert "namespace nowhere is not there" in json.dumps(in_use.status()["findings"])
    assert in_use.fingerprints() == before

    in_use.kubectl("patch", "egress/held", f"--namespace={BOOKBUYER}", "--type=merge", "-p", _NO_FINALIZERS)
    in_use.cluster.kubectl("delete", "egress", "held", "note-7", f"--namespace={BOOKBUYER}")
    in_use.upgrade("1.1.1", crds={**target, "namespaces": {ACCESS_CONTROLS: BOOKBUYER}}, upgrade={"acceptRisks": []})
    eventually(lambda: in_use.conditions().get("Ready", {}).get("reason") == "CRDImmutableChange", operator.log)
    told = json.dumps([item for item in in_use.status()["findings"] if item["name"] == "CRDImmutableChange"])
    assert f"{EGRESSES + 1} objects of it will be exported into Secrets of namespace osm-system" in told
    assert f"in namespace {BOOKBUYER} (2), {BOOKSTORE} (1)" in told
    assert "owner references that cannot be kept: 1" in told
    in_use.kubectl("delete", "meshupgrade", "mesh")


def test_killed_at_every_step_and_nothing_is_lost(in_use: Mesh, target: Object, start_operator: Start) -> None:
    cluster = in_use.cluster
    before = _content(cluster)
    in_use.upgrade(
        "1.1.1",
        crds={**target, "namespaces": {ACCESS_CONTROLS: BOOKBUYER}},
        upgrade={"acceptRisks": ["CRDImmutableChange"], "timeout": "60s"},
    )
    for number, rule in enumerate(RULES):
        operator = start_operator()
        with hold(cluster, rule, f"hold-{number}") as hanging:
            assert hanging.wait(90), operator.log()
            if rule.operation == "DELETE" and rule.group == GROUP:
                # All is exported, nothing is deleted: what somebody writes now must be in the export as well.
                _write_late(in_use, before)
                assert _replicas(cluster, "other-mesh") == {"osm-controller": 0}
            operator.kill()
    with _closed_to(cluster, "accesscontrols"):
        operator = start_operator()
        # The mesh's own webhook answers only when its controller runs, which is therefore restored before the end.
        eventually(lambda: _replicas(cluster, "other-mesh") == {"osm-controller": 2}, operator.log)
    in_use.wait_ready()

    after = _content(cluster)
    assert {name: content for name, (_, content) in after.items()} == _expected(before)
    assert {uid for uid, _ in after.values()}.isdisjoint(uid for uid, _ in before.values())
    _owners_are_kept(cluster)
    assert cluster.kubectl("get", "configmap", "dependent", f"--namespace={BOOKSTORE}").returncode == 0
    assert in_use.kubectl("get", "secrets", "-l", "meshupgrade.io/export-set", "-o", "name").stdout == ""
    assert _replicas(cluster, "other-mesh") == {"osm-controller": 2}
    assert set(_replicas(cluster, "osm-system").values()) == {1}
    assert "meshupgrade.io/held" not in cluster.kubectl("get", "deployments", "-A", "-o", "yaml").stdout


@contextlib.contextmanager
def _closed_to(cluster: Cluster, plural: str) -> Iterator[None]:
    """Let nothing of a kind be created, since the webhook that is to be asked does not answer."""
    webhook = {
        "name": "validator.meshupgrade.test",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{"apiGroups": [GROUP], "apiVersions": ["*"], "resources": [plural], "operations": ["CREATE"]}],
    }
    kind = "ValidatingWebhookConfiguration"
    configuration = _object("admissionregistration.k8s.io/v1", kind, "unanswered", None, webhooks=[webhook])
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump(configuration))
    try:
        yield
    finally:
        cluster.kubectl("delete", kind, "unanswered")


def _write_late(mesh: Mesh, before: dict[str, tuple[str, Object]]) -> None:
    """Change an object and create one, as if the stopped controllers had not been all that writes."""
    cluster = mesh.cluster
    late = _object(API_VERSION, "Egress", "late", BOOKSTORE, spec=_egress("late"))
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump(late))
    cluster.kubectl("label", "egress", "note-9", f"--namespace={BOOKSTORE}", "changed=late")
    before[f"Egress {BOOKSTORE}/late"] = ("", {**before[f"Egress {BOOKSTORE}/note-9"][1], "spec": late["spec"]})
    before[f"Egress {BOOKSTORE}/late"][1]["labels"] = {}
    before[f"Egress {BOOKSTORE}/late"][1]["annotations"] = {}
    before[f"Egress {BOOKSTORE}/note-9"][1]["labels"] = {"changed": "late"}


def _expected(before: dict[str, tuple[str, Object]]) -> dict[str, Object]:
    """Give what must be there after the change, by kind, new namespace and name."""
    expected = {}
    for key, (_, content) in before.items():
        kind, _, place = key.partition(" ")
        namespace, _, name = place.partition("/")
        annotations = dict(content["annotations"])
        if kind == "AccessControl":
            namespace = annotations.pop(FORMER, BOOKBUYER)
        else:
            annotations[FORMER], namespace = namespace, ""
        expected[f"{kind} {namespace}/{name}"] = {**content, "annotations": annotations}
    return expected


def _owners_are_kept(cluster: Cluster) -> None:
    # kubectl remembers what was namespaced, unless it is asked for all that there is.
    cluster.kubectl("api-resources", f"--api-group={GROUP}")
    first, second, third = (
        _get(cluster, f"accesscontrol/{name}", namespace)["metadata"]
        for name, namespace in (("first", BOOKBUYER), ("second", BOOKBUYER), ("third", BOOKSTORE))
    )
    assert [owner["uid"] for owner in second["ownerReferences"]] == [first["uid"]]
    assert "ownerReferences" not in third, "its owner is in another namespace now"
    (owner,) = _get(cluster, "egress/note-0", None)["metadata"]["ownerReferences"]
    assert owner["uid"] == _get(cluster, f"namespace/{BOOKSTORE}", None)["metadata"]["uid"]
    assert "ownerReferences" not in _get(cluster, "egress/note-1", None)["metadata"]


def _content(cluster: Cluster) -> dict[str, tuple[str, Object]]:
    """Give uid and content of all objects of the CRDs that change, by kind, namespace and name."""
    found = {}
    for plural in ("egresses", "ingressbackends", "accesscontrols"):
        listed = json.loads(cluster.kubectl("get", "--raw", f"/apis/{API_VERSION}/{plural}").stdout)
        for item in listed["items"]:
            metadata = item["metadata"]
            content = {key: metadata.get(key, {}) for key in ("labels", "annotations")}
            content |= {key: item.get(key) for key in ("spec", "status")}
            found[f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = (metadata["uid"], content)
    return found


def _objects() -> Sequence[Object]:
    egresses = []
    for number in range(EGRESSES):
        egress = _object(API_VERSION, "Egress", f"note-{number}", BOOKSTORE, spec=_egress(f"note-{number}"))
        # Random, so that it stays long when it is packed.
        egress["metadata"]["annotations"] = {"example.org/note": secrets.token_urlsafe(NOTE_BYTES)}
        egresses.append(egress)
    spec = {"backends": [{"name": "store", "port": {"number": 80, "protocol": "http"}}], "sources": []}
    controls = [_object(API_VERSION, "AccessControl", name, None, spec=spec) for name in ("first", "second", "third")]
    controls[2]["metadata"]["annotations"] = {FORMER: BOOKSTORE}
    return [*egresses, *controls, _object("v1", "ConfigMap", "dependent", BOOKSTORE, data={})]


def _egress(name: str) -> Object:
    return {
        "sources": [{"kind": "ServiceAccount", "name": name, "namespace": BOOKSTORE}],
        "hosts": [f"{name}.example.org"],
        "ports": [{"number": 443, "protocol": "https"}],
    }


def _access_control_crd(scope: str) -> Object:
    crd = next(crd for crd in crds_of("1.2.0") if crd["spec"]["names"]["kind"] == "AccessControl")
    crd["spec"]["scope"] = scope
    return crd


def _other_controller() -> Object:
    """The controller of another mesh, of which nothing else is needed."""
    labels = {"app": "osm-controller"}
    pod = {"containers": [{"name": "osm-controller", "image": "registry.example.org/osm-controller:1.0.0"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return _object("apps/v1", "Deployment", "osm-controller", "other-mesh", spec=spec)


def _namespace(name: str) -> Object:
    return _object("v1", "Namespace", name, None)


def _object(api_version: str, kind: str, name: str, namespace: str | None, **content: Any) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def _reference(cluster: Cluster, kind: str, name: str, namespace: str | None) -> Object:
    owner = _get(cluster, f"{kind.lower()}/{name}", namespace)
    return {"apiVersion": owner["apiVersion"], "kind": kind, "name": name, "uid": owner["metadata"]["uid"]}


def _own(cluster: Cluster, named: str, namespace: str | None, owner: Object) -> None:
    place = [f"--namespace={namespace}"] if namespace else []
    patch = json.dumps({"metadata": {"ownerReferences": [owner]}})
    cluster.kubectl("patch", named, *place, "--type=merge", "-p", patch)


def _get(cluster: Cluster, named: str, namespace: str | None) -> Object:
    place = [f"--namespace={namespace}"] if namespace else []
    obj: Object = json.loads(cluster.kubectl("get", named, *place, "-o", "json").stdout)
    return obj


def _replicas(cluster: Cluster, namespace: str) -> dict[str, int]:
    listed = json.loads(cluster.kubectl("get", "deployments", f"--namespace={namespace}", "-o", "json").stdout)
    return {item["metadata"]["name"]: item["spec"]["replicas"] for item in listed["items"]}


_NO_FINALIZERS = '{"metadata":{"finalizers":null}}'
