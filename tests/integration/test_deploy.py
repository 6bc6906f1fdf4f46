"""The shipped install: the API server takes it, its Pod is restricted, and its rights are enough and not more."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.injected_workloads import Kind, disruption_budget
from tests.charts.workloads import BOOKSTORE
from tests.cluster.cluster import Cluster
from tests.cluster.injector import InjectorStandIn
from tests.integration.harness import Mesh, Object, Operator, custom_resources, eventually

DEPLOY = Path("deploy/kustomize")
NAMESPACE = "meshupgrade-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:meshupgrade"

DENIED = [
    ("impersonate", "users", ""),
    ("impersonate", "groups", ""),
    ("impersonate", "serviceaccounts", "kube-system"),
    ("escalate", "clusterroles.rbac.authorization.k8s.io", ""),
    ("bind", "clusterroles.rbac.authorization.k8s.io", ""),
    ("create", "roles.rbac.authorization.k8s.io", "kube-system"),
    ("create", "rolebindings.rbac.authorization.k8s.io", "kube-system"),
    ("create", "serviceaccounts/token", "kube-system"),
    ("create", "namespaces", ""),
    ("delete", "namespaces", ""),
    ("delete", "customresourcedefinitions.apiextensions.k8s.io", ""),
    ("delete", "mutatingwebhookconfigurations.admissionregistration.k8s.io", ""),
    ("delete", "validatingwebhookconfigurations.admissionregistration.k8s.io", ""),
    ("create", "pods/exec", "kube-system"),
    ("delete", "pods", "kube-system"),
    ("get", "nodes/proxy", ""),
    ("patch", "nodes", ""),
    ("create", "meshupgrades.meshupgrade.io", "osm-system"),
    ("update", "meshupgrades.meshupgrade.io", "osm-system"),
    ("delete", "meshupgrades.meshupgrade.io", "osm-system"),
    ("approve", "meshupgrades.meshupgrade.io", "osm-system"),
    ("create", "validatingadmissionpolicies.admissionregistration.k8s.io", ""),
    ("approve", "certificatesigningrequests.certificates.k8s.io", ""),
    ("*", "*", ""),
]
"""Verb, resource and namespace of what the account must never be able to do."""


@pytest.fixture(scope="module")
def deployed(cluster: Cluster) -> Iterator[None]:
    """The default install, as docs/install.md words it."""
    cluster.kubectl("apply", "--server-side", "-k", str(DEPLOY))
    cluster.kubectl("wait", "--for=condition=Established", "crd/meshupgrades.meshupgrade.io")
    yield
    # The CRD stays for the other tests of this session.
    listed = "clusterrolebindings,clusterroles,validatingadmissionpolicybindings,validatingadmissionpolicies"
    cluster.kubectl("delete", listed, "--selector=app.kubernetes.io/part-of=meshupgrade")
    in_system = ("roles,rolebindings", "--namespace=kube-system")
    cluster.kubectl("delete", *in_system, "--selector=app.kubernetes.io/part-of=meshupgrade")
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")


@pytest.fixture
def account_kubeconfig(cluster: Cluster, deployed: None, tmp_path: Path) -> Path:
    """A kubeconfig with the token of the shipped ServiceAccount, so that exactly the shipped RBAC applies."""
    token = cluster.kubectl("create", "token", "meshupgrade", f"--namespace={NAMESPACE}", "--duration=1h").stdout
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token.strip()}} for user in config["users"]]
    path = tmp_path / "account.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def as_account(cluster: Cluster, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    return cluster.kubectl(f"--as={ACCOUNT}", *arguments, input=input, check=False)


def test_its_pod_is_scheduled_in_a_namespace_that_enforces_restricted(cluster: Cluster, deployed: None) -> None:
    labels = json.loads(cluster.kubectl("get", "namespace", NAMESPACE, "-o", "json").stdout)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"

    def pods() -> list[Object]:
        found = cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}", "-o", "json").stdout
        listed: list[Object] = json.loads(found)["items"]
        return [pod for pod in listed if pod["spec"].get("nodeName")]

    events = ("get", "events", f"--namespace={NAMESPACE}")
    eventually(lambda: len(pods()) == 1, lambda: cluster.kubectl(*events).stdout)
    (pod,) = pods()
    assert pod["spec"]["serviceAccountName"] == "meshupgrade"
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["terminationGracePeriodSeconds"] == 60


def test_the_namespace_takes_no_other_kind_of_pod(cluster: Cluster, deployed: None) -> None:
    """The control of the test above: the gate that the operator's Pod came through is shut for others."""
    run = ("run", "intruder", "--image=busybox", f"--namespace={NAMESPACE}", "--dry-run=server")
    refused = cluster.kubectl(*run, check=False)
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_a_second_apply_changes_nothing(cluster: Cluster, deployed: None) -> None:
    # Applied once more before it is compared: a server may only now have written what it defaults later.
    cluster.kubectl("apply", "--server-side", "-k", str(DEPLOY))
    assert cluster.kubectl("diff", "--server-side", "-k", str(DEPLOY), check=False).stdout == ""


def test_its_rights_are_enough_for_an_upgrade(
    cluster: Cluster, account_kubeconfig: Path, in_use: Mesh, start_operator: Callable[..., Operator]
) -> None:
    before = custom_resources(cluster)
    operator = start_operator(kubeconfig=account_kubeconfig)
    # The addons and the patch so that Helm creates objects, too, and every phase that writes has something to write.
    addons = {"osm": {"deployPrometheus": True, "deployGrafana": True}}
    patch = {"observability": {"osmLogLevel": "debug"}}
    in_use.upgrade("1.2.1", values=addons, meshConfig={"patch": patch})
    status = in_use.wait_ready()
    assert status["currentVersion"] == "1.2.1"
    assert status["history"][0]["verified"] is True
    assert in_use.revisions()[-1]["status"] == "deployed"
    assert "osm-prometheus" in in_use.kubectl("get", "deployments", "-o", "name").stdout
    assert custom_resources(cluster).keys() >= before.keys()
    assert "forbidden" not in operator.log().lower()


def test_its_rights_are_enough_to_restart_the_data_plane(
    account_kubeconfig: Path, mesh: Mesh, injector: InjectorStandIn, start_operator: Callable[..., Operator]
) -> None:
    kinds = [Kind.DEPLOYMENT, Kind.PARTITIONED, Kind.DAEMON_SET_ON_DELETE]
    mesh.inject_in_use("1.2.1", kinds=kinds, namespaces=[BOOKSTORE], deployments=1, replicas=1)
    mesh.apply_objects([disruption_budget(BOOKSTORE, "deployment-1", maxUnavailable=1)])
    operator = start_operator(kubeconfig=account_kubeconfig)
    mesh.upgrade("1.2.1", dataPlane={"restart": "WhenOutdated", "sidecarImage": "flomesh/pipy:new"})
    status = mesh.wait_ready()
    assert status["dataPlane"]["restart"]["restarted"] == 3, operator.log()
    assert set(mesh.sidecars().values()) == {"flomesh/pipy:new"}
    assert "forbidden" not in operator.log().lower()


def test_a_chart_that_grants_more_is_refused_before_anything_is_changed(
    cluster: Cluster, account_kubeconfig: Path, mesh: Mesh, start_operator: Callable[..., Operator]
) -> None:
    """Without grants.yaml the fixture chart is one that grants what the operator does not hold."""
    mesh.install("1.1.0")
    cluster.kubectl("delete", "clusterrolebinding", "meshupgrade-grants")
    try:
        eventually(
            lambda: as_account(cluster, "auth", "can-i", "get", "jobs.batch").stdout.strip() == "no",
            lambda: "the API server still honours a binding that is gone",
        )
        before = of_mesh(mesh)
        start_operator(kubeconfig=account_kubeconfig)
        mesh.upgrade("1.2.1")
        conditions = mesh.wait_stalled()
        assert conditions["Ready"]["status"] == "False"
        assert conditions["PreflightPassed"]["status"] == "False"
        assert "ClusterRole osm" in conditions["Ready"]["message"]
        assert "not currently held" in conditions["Ready"]["message"]
        assert of_mesh(mesh) == before
    finally:
        cluster.kubectl("apply", "--server-side", "-k", str(DEPLOY))


def of_mesh(mesh: Mesh) -> dict[str, str]:
    """Give the fingerprints of what is the mesh's: its namespace, its CRDs, its ClusterRole and binding."""
    return {
        key: version
        for key, version in mesh.fingerprints().items()
        if f" {mesh.namespace}/" in key
        or key.startswith("CustomResourceDefinition ")
        or key.endswith(f" /{mesh.release}")
    }


@pytest.mark.parametrize(("verb", "resource", "namespace"), DENIED)
def test_its_rights_are_not_more(cluster: Cluster, deployed: None, verb: str, resource: str, namespace: str) -> None:
    # Given as type/name, kubectl would take a subresource for the name of an object.
    kind, _, subresource = resource.partition("/")
    scope = [f"--subresource={subresource}"] if subresource else []
    scope += [f"--namespace={namespace}"] if namespace else []
    answer = as_account(cluster, "auth", "can-i", verb, kind, *scope)
    assert answer.stdout.strip() == "no", answer.stderr


def test_it_can_make_nobody_cluster_admin(cluster: Cluster, deployed: None) -> None:
    """It may write ClusterRoles and bindings, as the charts contain them, but only with rights of its own."""
    binding = ("create", "clusterrolebinding", "takeover", "--clusterrole=cluster-admin", f"--user={ACCOUNT}")
    role = ("create", "clusterrole", "takeover", "--verb=*", "--resource=*.*")
    for command in (binding, role):
        refused = as_account(cluster, *command, "--dry-run=server")
        assert refused.returncode != 0
        assert "attempting to grant RBAC permissions not currently held" in refused.stderr
    wider = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "meshupgrade-operator"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    }
    own = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-")
    refused = as_account(cluster, *own, input=json.dumps(wider))
    assert refused.returncode != 0
    assert "not currently held" in refused.stderr


def test_the_components_are_accepted_and_grant_what_they_say(cluster: Cluster, deployed: None, tmp_path: Path) -> None:
    components = sorted(path.name for path in (DEPLOY / "components").iterdir())
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [relative(DEPLOY / "base", tmp_path)],
        "components": [relative(DEPLOY / "components" / name, tmp_path) for name in components],
        "images": [{"name": "meshupgrade", "newName": "registry.example.org/meshupgrade", "newTag": "1.0.0"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "-k", str(tmp_path))
    built: list[dict[str, Any]] = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(tmp_path)).stdout))
    (deployment,) = [obj for obj in built if obj["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.org/meshupgrade:1.0.0"
    bound = {obj["roleRef"]["name"] for obj in built if obj["kind"] == "ClusterRoleBinding"}
    roles = {obj["metadata"]["name"] for obj in built if obj["kind"] == "ClusterRole"}
    assert roles - bound == {"meshupgrade-approver"}, "an admin binds it to people"
    assert bound <= roles


def relative(path: Path, start: Path) -> str:
    """Give the path as kustomize wants it: relative, from a folder without symbolic links in its name."""
    return os.path.relpath(path.resolve(), start.resolve())
