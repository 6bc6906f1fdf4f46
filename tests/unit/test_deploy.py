"""What ships, checked without a cluster: the manifests, the Dockerfile, and what docs/install.md says of them."""

import json
import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement

from meshupgrade import __version__
from meshupgrade.api.v1alpha1 import names
from meshupgrade.api.v1alpha1.names import GROUP, PLURAL
from meshupgrade.api.v1alpha1.schema import structural_schema
from meshupgrade.api.v1alpha1.spec import UpgradeSpec
from meshupgrade.cli.main import app
from meshupgrade.helm.process import GRACE
from tests.charts.generator import chart_files
from tests.charts.releases import releases

Object = dict[str, Any]

ROOT = Path(__file__).parents[2]
KUSTOMIZE = ROOT / "deploy/kustomize"
APPROVAL = KUSTOMIZE / "components/approval"
FOR_PEOPLE = {"meshupgrade-approver"}
"""The roles that an admin binds; all others are the operator's."""
MANIFESTS = sorted(path for path in KUSTOMIZE.rglob("*.yaml") if path.name != "kustomization.yaml")
MESH_GROUPS = re.compile(
    r"(.+\.)?flomesh\.io|(config|policy)\.openservicemesh\.io|(access|specs|split)\.smi-spec\.io|multicluster\.x-k8s\.io"
    r"|gateway\.networking\.k8s\.io"
)
HELM_MODULE = "tests/cluster/go/helm"


def objects(kind: str, folder: Path = KUSTOMIZE) -> list[Object]:
    loaded = [obj for path in MANIFESTS if path.is_relative_to(folder) for obj in yaml.safe_load_all(path.read_text())]
    return [obj for obj in loaded if obj["kind"] == kind]


def rules(folder: Path = KUSTOMIZE) -> list[Object]:
    return [rule for role in objects("ClusterRole", folder) for rule in role["rules"]]


def deployment() -> Object:
    (found,) = objects("Deployment")
    return found


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continuation lines joined, comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(words[0], words[1].strip()) for line in joined.splitlines() if len(words := line.split(None, 1)) == 2]


def last(instruction: str) -> str:
    return [arguments for name, arguments in instructions() if name == instruction][-1]


def test_every_manifest_is_part_of_the_kustomization_beside_it() -> None:
    for path in KUSTOMIZE.rglob("kustomization.yaml"):
        listed = yaml.safe_load(path.read_text())["resources"]
        present = {str(file.relative_to(path.parent)) for file in MANIFESTS if file.is_relative_to(path.parent)}
        if path.parent != KUSTOMIZE:
            assert {name for name in listed if name.endswith(".yaml")} == present
        assert all((path.parent / name).exists() for name in listed)


def test_the_crd_is_not_copied() -> None:
    assert objects("CustomResourceDefinition") == []
    listed = yaml.safe_load((ROOT / "crds/Kustomization").read_text())["resources"]
    assert listed == sorted(path.name for path in (ROOT / "crds").glob("*.yaml"))


def test_every_role_is_bound_to_the_operators_account_and_nothing_else_is() -> None:
    (account,) = objects("ServiceAccount")
    names = {"name": account["metadata"]["name"], "namespace": account["metadata"]["namespace"]}
    bindings = objects("ClusterRoleBinding")
    assert all(binding["subjects"] == [{"kind": "ServiceAccount", **names}] for binding in bindings)
    assert [binding["roleRef"]["name"] for binding in bindings] == [
        name for role in objects("ClusterRole") if (name := role["metadata"]["name"]) not in FOR_PEOPLE
    ]
    assert deployment()["spec"]["template"]["spec"]["serviceAccountName"] == names["name"]


@pytest.mark.parametrize("rule", rules(), ids=json.dumps)
def test_no_rule_is_a_way_around_the_others(rule: Object) -> None:
    assert not {"*", "escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
    assert "*" not in rule.get("apiGroups", [])
    if "*" in rule.get("resources", []):
        assert all(MESH_GROUPS.fullmatch(group) for group in rule["apiGroups"])


def test_its_own_objects_are_never_made_or_deleted_by_the_operator() -> None:
    roles = [role for role in objects("ClusterRole") if role["metadata"]["name"] not in FOR_PEOPLE]
    held = [rule for role in roles for rule in role["rules"]]
    own = {verb for rule in held if GROUP in rule.get("apiGroups", []) for verb in rule["verbs"]}
    assert own == {"get", "list", "watch", "patch"}


def test_the_default_install_says_who_may_approve() -> None:
    listed = yaml.safe_load((KUSTOMIZE / "kustomization.yaml").read_text())
    assert [KUSTOMIZE / path for path in listed["components"]] == [APPROVAL]
    (policy,) = objects("ValidatingAdmissionPolicy")
    (binding,) = objects("ValidatingAdmissionPolicyBinding")
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    assert policy["spec"]["failurePolicy"] == "Fail"
    # The operator's own writes of the status, many in an upgrade, are none of its business.
    (matched,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert (matched["apiGroups"], matched["apiVersions"], matched["resources"]) == ([GROUP], ["*"], [PLURAL])
    (role,) = objects("ClusterRole", APPROVAL)
    (rule,) = role["rules"]
    assert (rule["apiGroups"], rule["resources"]) == ([GROUP], [PLURAL])
    assert {"get", "patch", "update", "approve"} <= set(rule["verbs"])
    # An aggregated role would give the verb to every admin or editor of a namespace.
    assert not [label for label in role["metadata"]["labels"] if label.startswith("rbac.authorization.k8s.io/")]


def test_the_approval_policy_names_what_is_there() -> None:
    """A name that the operator does not read would be gated in vain, and the right one be free."""
    expressions = json.dumps(objects("ValidatingAdmissionPolicy"))
    annotations = set(re.findall(r"nnotations\[\?'([^']+)'\]", expressions))
    assert annotations == {names.APPROVED_PLAN, names.ROLLBACK_REQUESTED}
    fields = set(re.findall(r"\?spec\.\?upgrade\.\?(\w+)", expressions))
    assert fields == {"acceptRisks", "approval"}
    assert fields <= structural_schema(UpgradeSpec)["properties"].keys()
    assert set(re.findall(r"ClusterRole ([a-z-]+)", expressions)) == FOR_PEOPLE


def test_every_right_that_a_chart_grants_is_held() -> None:
    held = rules(KUSTOMIZE / "base")
    for release in releases():
        files = chart_files(release, "registry.example:5000")
        role = next(
            part for part in files["templates/rbac.yaml"].decode().split("---") if "kind: ClusterRole\n" in part
        )
        for rule in yaml.safe_load("rules:" + role.partition("rules:")[2])["rules"]:
            for group, resource, verb in triples(rule):
                assert any(covers(one, group, resource, verb) for one in held), (group, resource, verb)


def triples(rule: Object) -> Iterator[tuple[str, str, str]]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                yield group, resource, verb


def covers(rule: Object, group: str, resource: str, verb: str) -> bool:
    resources = rule.get("resources", [])
    return group in rule.get("apiGroups", []) and (resource in resources or "*" in resources) and verb in rule["verbs"]


def test_the_install_page_names_every_right() -> None:
    page = (ROOT / "docs/install.md").read_text()
    for role in objects("ClusterRole"):
        _, found, section = page.partition(f"### `{role['metadata']['name']}`")
        assert found, role["metadata"]["name"]
        section = section.partition("\n#")[0]
        for rule in role["rules"]:
            named = [*rule.get("resources", []), *rule.get("nonResourceURLs", [])]
            # A rule for whole groups is named by its groups.
            named = rule["apiGroups"] if named == ["*"] else named
            assert [name for name in named if f"`{name}`" not in section] == []


def test_the_pod_is_restricted_and_stops_in_peace() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # Helm's own grace, and as much again for what the operator writes before and after.
    assert pod["terminationGracePeriodSeconds"] >= 2 * GRACE
    assert deployment()["spec"]["replicas"] == 1
    assert deployment()["spec"]["strategy"] == {"type": "Recreate"}


def test_image_and_deployment_agree() -> None:
    spec = deployment()["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == f"meshupgrade:{__version__}"
    command = json.loads(last("CMD"))
    assert container["args"] == [*command, "--pause-switch=meshupgrade-system/meshupgrade-pause"]
    user, group = last("USER").split(":")
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (int(user), int(group))
    assert container["volumeMounts"] == [{"name": "work", "mountPath": last("WORKDIR")}]


def test_the_arguments_are_ones_that_the_command_line_takes() -> None:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    subcommand, *arguments = container["args"]
    group = typer.main.get_group(app)
    command = group.commands[subcommand]
    parameters = command.make_context(subcommand, list(arguments)).params
    assert parameters["work_dir"] == Path("/work")
    assert container["ports"] == [{"name": "metrics", "containerPort": parameters["metrics_port"]}]


def test_base_images_are_arguments_with_pinned_defaults() -> None:
    defaults = dict(arguments.split("=", 1) for name, arguments in instructions() if name == "ARG" and "=" in arguments)
    stages = [arguments.split()[0] for name, arguments in instructions() if name == "FROM"]
    assert set(stages) == {f"${{{name}}}" for name in defaults}
    assert stages[-1] == "${BASE_IMAGE}"
    for image in defaults.values():
        assert re.search(r":\d+\.\d+", image), image
    # An older toolchain would download the one that go.mod names, past what the image pins.
    (wanted,) = re.findall(r"^go (\d+)\.(\d+)", (ROOT / HELM_MODULE / "go.mod").read_text(), re.MULTILINE)
    (given,) = re.findall(r":(\d+)\.(\d+)", defaults["GO_IMAGE"])
    assert (int(given[0]), int(given[1])) >= (int(wanted[0]), int(wanted[1]))


def test_the_image_runs_as_somebody_else_than_root_under_an_init() -> None:
    assert last("USER").split(":")[0] not in ("", "0", "root")
    assert json.loads(last("ENTRYPOINT")) == ["tini", "--", "meshupgrade"]


def test_nothing_comes_into_the_image_without_a_checksum() -> None:
    assert not [arguments for name, arguments in instructions() if name == "ADD"]
    commands = [arguments for name, arguments in instructions() if name == "RUN"]
    assert not re.search(r"curl|wget|https?://", " ".join(commands))
    installs = [part for command in commands for part in command.split("&&") if re.search(r"pip (install|wheel)", part)]
    assert len(installs) == 4
    # Either every file has its hash in a lock, or it is our own wheel, without what it needs.
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs)
    assert any("-mod=readonly" in command and "helm.sh/helm/v4/cmd/helm" in command for command in commands)
    assert "helm.sh/helm/v4/cmd/helm" in (ROOT / HELM_MODULE / "go.mod").read_text()


def test_what_builds_the_wheel_is_complete() -> None:
    """The names that the Dockerfile takes out of the lock are hatchling and all that it needs."""
    needed, waiting = set(), ["hatchling"]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": "", "python_version": "3.11"})
            if applies and requirement.name not in needed:
                waiting.append(requirement.name)
    (taken,) = re.findall(r"/\^\(([a-z|-]+)\)==/", (ROOT / "Dockerfile").read_text())
    assert set(taken.split("|")) == needed
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE))
    assert needed <= locked


def test_the_build_context_is_what_the_image_copies() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for name, arguments in instructions():
        words = shlex.split(arguments)
        if name == "COPY" and not words[0].startswith("--from"):
            copied.update(words[:-1])
    assert copied == kept
    assert all((ROOT / path).exists() for path in copied)
