"""Who may change a MeshUpgrade and who may approve one are two rights, in every way of writing to it."""

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.charts.releases import merge_patch
from tests.cluster.cluster import Cluster
from tests.integration.harness import Object, eventually, install_approval_policy, install_crd

POLICY = "meshupgrade-approval"
PLAN = "meshupgrade.io/approved-plan"
ROLLBACK = "meshupgrade.io/rollback-requested"
EDITORS = "mesh-editors"

Answer = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Person:
    """Somebody who uses kubectl in a namespace."""

    cluster: Cluster
    namespace: str
    name: str
    group: str = "people"

    def kubectl(self, *arguments: str, obj: Object | None = None) -> Answer:
        """Run kubectl as this person, with an object to read."""
        who = (f"--namespace={self.namespace}", f"--as={self.name}", f"--as-group={self.group}")
        return self.cluster.kubectl(*who, *arguments, input=yaml.safe_dump(obj) if obj else None, check=False)

    def may(self, verb: str, name: str) -> bool:
        """Tell whether RBAC gives the verb on a MeshUpgrade."""
        return self.kubectl("auth", "can-i", verb, f"meshupgrades.meshupgrade.io/{name}").stdout.strip() == "yes"


@dataclass(frozen=True)
class People:
    """Four sets of rights.

    The editor may create and change, the approver change and approve, the owner all of it; the limited one is an editor
    who may approve the object `granted`.
    """

    editor: Person
    approver: Person
    owner: Person
    limited: Person


@pytest.fixture(scope="module")
def people(cluster: Cluster) -> Iterator[People]:
    """The policy in force, and people with their rights in a namespace."""
    namespace = f"approval-{uuid.uuid4().hex[:8]}"
    people = People(
        editor=Person(cluster, namespace, "editor", EDITORS),
        approver=Person(cluster, namespace, "approver"),
        owner=Person(cluster, namespace, "owner", EDITORS),
        limited=Person(cluster, namespace, "limited", EDITORS),
    )
    install_crd(cluster)
    install_approval_policy(cluster)
    cluster.kubectl("create", "namespace", namespace)
    edit = [
        rule("meshupgrades", "get", "list", "watch", "create", "update", "patch"),
        rule("meshupgrades/status", "get", "patch"),
    ]
    grants = [
        role("editor", edit),
        binding("editor", "Role", "editor", "Group", EDITORS),
        # Granted as the message of a refusal says.
        binding("approver", "ClusterRole", "meshupgrade-approver", "User", "approver"),
        binding("owner", "ClusterRole", "meshupgrade-approver", "User", "owner"),
        role("limited", [rule("meshupgrades", "approve") | {"resourceNames": ["granted"]}]),
        binding("limited", "Role", "limited", "User", "limited"),
    ]
    cluster.kubectl("apply", f"--namespace={namespace}", "-f", "-", input=yaml.safe_dump_all(grants))
    probe = manifest("probe", annotations={PLAN: "sha256:0"})

    def in_force() -> bool:
        answer = people.editor.kubectl("create", "--dry-run=server", "-f", "-", obj=probe)
        known = people.editor.may("create", "probe") and people.approver.may("approve", "probe")
        return known and people.limited.may("approve", "granted") and POLICY in answer.stderr

    eventually(in_force, lambda: "the policy is not in force")
    yield people
    cluster.kubectl("delete", f"validatingadmissionpolicybinding/{POLICY}", f"validatingadmissionpolicy/{POLICY}")
    cluster.kubectl("delete", "clusterrole", "meshupgrade-approver")
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def waiting(people: People) -> Object:
    """A MeshUpgrade that asks for approval, with an approved plan and an accepted risk; no test changes it."""
    return people_made(people, "waiting")


def people_made(people: People, name: str) -> Object:
    """Create a MeshUpgrade as the owner does, by server-side apply, and give it as it is."""
    upgrade = {"approval": "Manual", "acceptRisks": ["Prerelease"]}
    obj = manifest(name, upgrade, {PLAN: "sha256:1"})
    answer = people.owner.kubectl("apply", "--server-side", "-f", "-", obj=obj)
    assert answer.returncode == 0, answer.stderr
    live = get(people, name)
    assert live["spec"]["upgrade"] == upgrade
    return live


def manifest(name: str, upgrade: Object | None = None, annotations: dict[str, str] | None = None) -> Object:
    spec: Object = {"version": "1.2.1", "mesh": {"distribution": "osm-edge"}}
    return {
        "apiVersion": "meshupgrade.io/v1alpha1",
        "kind": "MeshUpgrade",
        "metadata": {"name": name} | ({"annotations": annotations} if annotations else {}),
        "spec": spec | ({"upgrade": upgrade} if upgrade else {}),
    }


def rule(resource: str, *verbs: str) -> Object:
    return {"apiGroups": ["meshupgrade.io"], "resources": [resource], "verbs": list(verbs)}


def role(name: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": rules,
    }


def binding(name: str, kind: str, to: str, subject: str, who: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": to},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": subject, "name": who}],
    }


def get(people: People, name: str) -> Object:
    live: Object = json.loads(people.editor.kubectl("get", "meshupgrade", name, "-o", "json").stdout)
    return live


# The ways to write: each takes the person, the live object, and the merge patch that is wanted.
def merge(person: Person, live: Object, patch: Object, *options: str) -> Answer:
    name = live["metadata"]["name"]
    return person.kubectl("patch", "meshupgrade", name, "--type=merge", "-p", json.dumps(patch), *options)


def replace(person: Person, live: Object, patch: Object, *options: str) -> Answer:
    return person.kubectl("replace", "-f", "-", *options, obj=merge_patch(live, patch))


def apply(person: Person, live: Object, patch: Object, *options: str) -> Answer:
    return person.kubectl("apply", "-f", "-", *options, obj=merge_patch(as_written(live), patch))


def server_side(person: Person, live: Object, patch: Object, *options: str) -> Answer:
    return person.kubectl("apply", "--server-side", "-f", "-", *options, obj=merge_patch(as_written(live), patch))


def annotate(person: Person, live: Object, patch: Object, *options: str) -> Answer:
    wanted = [f"{key}={value}" for key, value in patch["metadata"]["annotations"].items()]
    return person.kubectl("annotate", "--overwrite", "meshupgrade", live["metadata"]["name"], *wanted, *options)


def as_written(live: Object) -> Object:
    """Give the object as it stands in the file of who applies it."""
    written = {key: deepcopy(live[key]) for key in ("apiVersion", "kind", "spec")}
    return written | {"metadata": {key: live["metadata"][key] for key in ("name", "annotations")}}


def upgrade(**fields: Any) -> Object:
    return {"spec": {"upgrade": fields}}


def annotated(key: str, value: str) -> Object:
    return {"metadata": {"annotations": {key: value}}}


EVERY_WAY = (merge, replace, apply, server_side)
# What client-side apply did not write itself, it does not take away.
REMOVALS = (merge, replace, server_side)
GATED: dict[str, tuple[Object, str, tuple[Callable[..., Answer], ...]]] = {
    "another plan": (annotated(PLAN, "sha256:2"), f"annotation {PLAN}", (*EVERY_WAY, annotate)),
    "a rollback": (annotated(ROLLBACK, "1"), f"annotation {ROLLBACK}", (*EVERY_WAY, annotate)),
    "one more risk": (
        upgrade(acceptRisks=["Prerelease", "BreakingChange"]),
        "BreakingChange to spec.upgrade.acceptRisks",
        EVERY_WAY,
    ),
    "another risk": (
        upgrade(acceptRisks=["BreakingChange", "FieldsPruned"]),
        "BreakingChange, FieldsPruned to spec.upgrade.acceptRisks",
        (merge,),
    ),
    "Automatic": (upgrade(approval="Automatic"), "spec.upgrade.approval from Manual", EVERY_WAY),
    "no approval": (upgrade(approval=None), "spec.upgrade.approval from Manual", REMOVALS),
    "nothing of upgrade": ({"spec": {"upgrade": None}}, "spec.upgrade.approval from Manual", (merge,)),
}


def assert_refused(answer: Answer, told: str, name: str, namespace: str) -> None:
    """The field, the verb, on what, and how it is granted are all in what kubectl prints."""
    assert answer.returncode != 0, answer.stdout
    assert f"'{POLICY}'" in answer.stderr
    wanted = f"{told} needs the verb approve on meshupgrades.meshupgrade.io {name} in namespace {namespace}; "
    assert wanted in answer.stderr
    assert answer.stderr.rstrip().endswith("by a RoleBinding to ClusterRole meshupgrade-approver")
    assert "Forbidden" in answer.stderr or "is forbidden" in answer.stderr


@pytest.mark.parametrize("change", GATED)
def test_what_approves_needs_the_verb(people: People, waiting: Object, change: str) -> None:
    patch, told, ways = GATED[change]
    name, namespace = waiting["metadata"]["name"], waiting["metadata"]["namespace"]
    for way in ways:
        assert_refused(way(people.editor, waiting, patch), told, name, namespace)
        # The control: the same command passes for whoever has the verb, so it is well-formed and changes something.
        allowed = way(people.approver, waiting, patch, "--dry-run=server", "-o", "json")
        assert allowed.returncode == 0, f"{way.__name__}: {allowed.stderr}"
        assert merge_patch(json.loads(allowed.stdout), patch) == json.loads(allowed.stdout), way.__name__
    assert get(people, name) == waiting


def test_an_editor_does_everything_else(people: People) -> None:
    live = people_made(people, "edited")
    changes: list[Object] = [
        {"spec": {"version": "1.2.2"}},
        {"spec": {"values": {"osm": {"deployGrafana": True}}}},
        annotated("meshupgrade.io/reconcile-requested-at", "now"),
        # The operator's own write to these objects, beside their status.
        {"metadata": {"finalizers": ["meshupgrade.io/upgrade-in-progress"]}},
        {"metadata": {"finalizers": []}},
        upgrade(acceptRisks=[]),
        {"metadata": {"annotations": {PLAN: ""}}},
        {"metadata": {"annotations": {PLAN: None, ROLLBACK: None}}},
    ]
    for patch in changes:
        answer = merge(people.editor, live, patch)
        assert answer.returncode == 0, f"{patch}: {answer.stderr}"
    live = get(people, "edited")
    assert live["spec"]["version"] == "1.2.2"
    assert live["spec"]["upgrade"] == {"approval": "Manual", "acceptRisks": []}
    assert PLAN not in live["metadata"]["annotations"]
    # What was taken back is not there to be kept.
    for patch in (annotated(PLAN, "sha256:1"), upgrade(acceptRisks=["Prerelease"])):
        assert POLICY in merge(people.editor, live, patch).stderr


@pytest.mark.parametrize("way", [replace, apply, server_side])
def test_what_is_kept_or_taken_back_passes_in_every_way(
    people: People, waiting: Object, way: Callable[..., Answer]
) -> None:
    back = {"metadata": {"annotations": {PLAN: ""}}, "spec": {"version": "1.2.2", "upgrade": {"acceptRisks": []}}}
    for patch in ({"spec": {"version": "1.2.2"}}, back):
        answer = way(people.editor, waiting, patch, "--dry-run=server", "-o", "json")
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["spec"]["version"] == "1.2.2"


def test_a_new_object_is_judged_as_well(people: People) -> None:
    def create(person: Person, obj: Object) -> Answer:
        return person.kubectl("create", "--dry-run=server", "-f", "-", obj=obj)

    namespace = people.editor.namespace
    for free in (manifest("new"), manifest("new", {"approval": "Automatic"}), manifest("new", {"approval": "Manual"})):
        answer = create(people.editor, free)
        assert answer.returncode == 0, answer.stderr
    gated = {
        "BreakingChange to spec.upgrade.acceptRisks": manifest("new", {"acceptRisks": ["BreakingChange"]}),
        f"annotation {PLAN}": manifest("new", annotations={PLAN: "sha256:1"}),
        f"annotation {ROLLBACK}": manifest("new", annotations={ROLLBACK: "1"}),
    }
    for told, obj in gated.items():
        assert_refused(create(people.editor, obj), told, "new", namespace)
        for option in ("--server-side", "--server-side=false"):
            applied = people.editor.kubectl("apply", option, "-f", "-", obj=obj)
            assert_refused(applied, told, "new", namespace)
        answer = create(people.owner, obj)
        assert answer.returncode == 0, answer.stderr
        # A name that the API server makes up is none that a grant can name.
        generated = merge_patch(obj, {"metadata": {"name": None, "generateName": "granted"}})
        assert POLICY in create(people.limited, generated).stderr
    assert "NotFound" in people.editor.kubectl("get", "meshupgrade", "new").stderr


def test_the_verb_can_be_given_for_one_object(people: People) -> None:
    granted, other = people_made(people, "granted"), people_made(people, "other")
    for patch, told, _ in GATED.values():
        refused = merge(people.limited, other, patch)
        assert_refused(refused, told, "other", people.editor.namespace)
        answer = merge(people.limited, granted, patch)
        assert answer.returncode == 0, answer.stderr
    assert get(people, "other") == other
    assert get(people, "granted")["metadata"]["annotations"] == {PLAN: "sha256:2", ROLLBACK: "1"}


def test_no_approval_comes_by_the_status(people: People) -> None:
    live = people_made(people, "by-status")
    patch = {**annotated(PLAN, "sha256:2"), **upgrade(approval="Automatic"), "status": {"phase": "Completed"}}
    answer = merge(people.editor, live, patch, "--subresource=status")
    assert answer.returncode == 0, answer.stderr
    after = get(people, "by-status")
    assert after["status"]["phase"] == "Completed"
    assert (after["metadata"]["annotations"], after["spec"]) == (live["metadata"]["annotations"], live["spec"])


def test_the_api_server_finds_no_fault_in_the_policy(people: People, cluster: Cluster) -> None:
    """Its type checker compares each expression with the CRD, and warns of fields that are not there."""

    def checked() -> Object | None:
        found = cluster.kubectl("get", "validatingadmissionpolicy", POLICY, "-o", "json").stdout
        status: Object = json.loads(found).get("status", {})
        return status.get("typeChecking")

    eventually(lambda: checked() is not None, lambda: "the policy was not checked")
    assert checked() == {}
