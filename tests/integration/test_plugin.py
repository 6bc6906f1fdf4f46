"""`kubectl meshupgrade` against a real API server: what it reads, what it writes, and how it ends."""

import asyncio
import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from meshupgrade.cli.plugin.main import run
from meshupgrade.cli.plugin.options import Where
from meshupgrade.cli.plugin.session import connect
from meshupgrade.cli.plugin.upgrades import annotate, find_one
from meshupgrade.domain.state import State
from meshupgrade.kube.errors import Conflict
from tests.cluster.cluster import Cluster
from tests.integration.harness import PATIENCE, Mesh, Operator, eventually, install_approval_policy, install_crd
from tests.unit.cli.plugin import examples

PROGRAM = Path(sys.executable).with_name("kubectl-meshupgrade")
COMPLETER = Path(sys.executable).with_name("kubectl_complete-meshupgrade")
PLAN = "meshupgrade.io/approved-plan"
ROLLBACK = "meshupgrade.io/rollback-requested"
CANARY = "canary-4711-of-a-secret"
ANSI = re.compile(r"\x1b")

Answer = subprocess.CompletedProcess[str]


class Plugin:
    """The plugin as kubectl runs it, with a kubeconfig whose context names a namespace."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, token: str | None = None) -> None:
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        for context in config["contexts"]:
            context["context"]["namespace"] = namespace
        if token is not None:
            config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        self._path = folder / f"kubeconfig-{namespace}-{token is not None}"
        self._path.write_text(yaml.safe_dump(config))
        path = os.pathsep.join([str(cluster.binaries.helm.parent), str(PROGRAM.parent), os.environ["PATH"]])
        self.environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "KUBECONFIG": str(self._path)}

    def __call__(self, *arguments: str, stdin: str = "") -> Answer:
        """Run a command as its process would: in this one, since to start one takes longer than all that it does."""
        streams = [io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8") for text in (stdin, "", "")]
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.multiple(sys, stdin=streams[0], stdout=streams[1], stderr=streams[2]),
        ):
            code = run(arguments)
        output, errors = (_text(stream) for stream in streams[1:])
        assert not ANSI.search(output)
        return subprocess.CompletedProcess(arguments, code, output, errors)

    def output(self, *arguments: str, code: int = 0, stdin: str = "") -> str:
        """Run it, see it end with that exit code, and give its output."""
        answer = self(*arguments, stdin=stdin)
        assert answer.returncode == code, answer.stdout + answer.stderr
        return answer.stdout

    def error(self, *arguments: str) -> str:
        """Run it, see it fail, and give what it says."""
        answer = self(*arguments)
        assert answer.returncode == 1, answer.stdout + answer.stderr
        return answer.stderr


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


@pytest.fixture
def plugin(cluster: Cluster, installed: None, namespace: str, tmp_path: Path) -> Plugin:
    return Plugin(cluster, namespace, tmp_path)


def put(cluster: Cluster, namespace: str, state: State, name: str = "osm", **fields: Any) -> None:
    """Create a MeshUpgrade, and write the status of a state as the operator would."""
    obj = examples.live(state, **fields)
    obj["metadata"] = {"name": name, "namespace": namespace}
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump({key: obj[key] for key in obj if key != "status"}))
    write_status(cluster, namespace, obj["status"], name)


def write_status(cluster: Cluster, namespace: str, status: dict[str, Any], name: str = "osm") -> None:
    """Write a status, made to speak of the first generation."""
    for condition in status["conditions"]:
        condition["observedGeneration"] = 1
    patch = json.dumps({"status": {**status, "observedGeneration": 1}})
    patching = ("patch", "meshupgrade", name, f"--namespace={namespace}", "--subresource=status", "--type=merge")
    cluster.kubectl(*patching, "-p", patch)


def annotation(cluster: Cluster, namespace: str, key: str) -> str | None:
    live = json.loads(cluster.kubectl("get", "meshupgrade", "osm", "-n", namespace, "-o", "json").stdout)
    value: str | None = live["metadata"].get("annotations", {}).get(key)
    return value


def test_what_is_there_is_shown(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    assert f"namespace {namespace} has no MeshUpgrade" in plugin.error("status")
    put(cluster, namespace, State.FAILED, available_versions=examples.VERSIONS)

    assert f"{namespace}/osm  osm-edge" in plugin.output("status")
    assert "all attempts failed" in plugin.output("why", "mup/osm")
    assert re.search(r"2\s+Upgrade\s+1.1.0 → 1.2.0\s+Completed\s+yes", plugin.output("history"))
    assert re.search(r"2.0.0\s+no\s+BreakingChange", plugin.output("versions"))
    assert f"{namespace}/osm has no plan yet" in plugin.error("plan")
    # kubectl finds it by its name, and asks the other one for what could come next.
    kubectl = subprocess.run(
        [cluster.binaries.kubectl, "meshupgrade", "status"], env=plugin.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert f"{namespace}/osm" in kubectl.stdout, kubectl.stderr
    completed = subprocess.run(
        [COMPLETER, "why", "o"], env=plugin.environment, capture_output=True, text=True, check=True
    )
    assert completed.stdout.split() == ["osm", ":4"]

    put(cluster, namespace, State.REFUSED, "second")
    assert "has 2 MeshUpgrades; name one of them: osm, second" in plugin.error("status")
    assert examples.ERROR.remedy in plugin.output("why", "second")
    assert f"namespace {namespace} has no MeshUpgrade third" in plugin.error("why", "third")
    everywhere = plugin.output("status", "-A")
    assert f"{namespace}/osm" in everywhere
    assert f"{namespace}/second" in everywhere
    assert "namespace default has no MeshUpgrade" in plugin.error("status", "-n", "default")
    assert "either a name or --all-namespaces" in plugin.error("status", "osm", "-A")


def test_a_watch_into_a_pipe_is_a_line_for_each_change(
    plugin: Plugin, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    put(cluster, namespace, State.RUNNING)
    log = tmp_path / "watch.log"
    with log.open("w") as stream:
        watching = subprocess.Popen(
            [PROGRAM, "status", "-w"], env=plugin.environment, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        for number, state in enumerate((State.RUNNING, State.RETRYING, State.COMPLETED), 1):
            status = examples.live(state)["status"]
            write_status(cluster, namespace, status)
            # A change that tells nothing new is no line.
            cluster.kubectl("annotate", "meshupgrade", "osm", "-n", namespace, f"count={number}", "--overwrite")
            eventually(lambda number=number: len(log.read_text().splitlines()) == number, log.read_text)  # type: ignore[misc]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130
    finally:
        if watching.poll() is None:
            watching.kill()
            watching.wait()
    assert [line.split()[5] for line in log.read_text().splitlines()][-1].startswith("Ready=True")


def test_a_plan_is_approved_by_its_digest_and_by_nobody_who_may_not(own_cluster: Cluster, tmp_path: Path) -> None:
    cluster, namespace = own_cluster, "default"
    admin = Plugin(cluster, namespace, tmp_path)
    if not cluster.existing:
        assert "the CRD of MeshUpgrade is not installed" in admin.error("status")
    install_crd(cluster)
    install_approval_policy(cluster)
    put(cluster, namespace, State.AWAITING_APPROVAL)
    editor = Plugin(cluster, namespace, tmp_path, token=_editor(cluster, namespace))

    assert "and not sha256:other" in admin.error("approve", "--digest", "sha256:other", "--yes")
    assert "give --yes" in admin.error("approve")
    eventually(lambda: "verbs patch and approve" in editor("approve", "--yes").stderr, lambda: "an editor may approve")
    asyncio.run(_changed_meanwhile(cluster, namespace))
    assert annotation(cluster, namespace, PLAN) is None
    shown = admin.output("approve", "--yes", "--digest", "sha256:d1")
    assert "CRDs 3" in shown
    assert annotation(cluster, namespace, PLAN) == "sha256:d1"
    assert "approved already" in admin.output("approve")

    # Who may not read Secrets gets the summary of the plan.
    summary = editor("plan")
    assert (summary.returncode, "Changes: CRDs 3" in summary.stdout) == (2, True)
    assert "you may not read" in summary.stderr
    assert "you may not do that" in editor.error("status", "-A")
    # Who may not look at the Pods of the mesh gets what the operator counted.
    shown = editor.output("status")
    assert "Data plane  5 Pods: 3 current" in shown
    assert "The sidecars are those that the operator counted: " in shown
    assert "forbidden" in json.loads(editor.output("status", "--output", "json"))

    put(cluster, namespace, State.FAILED)
    assert "does not wait for approval: it is Failed" in admin.error("approve", "--yes")
    assert "verbs patch and approve" in editor.error("rollback", "--yes")
    assert "revision 3 was never verified" in admin.error("rollback", "--to-revision", "3", "--yes")
    shown = admin.output("rollback", "--yes")
    assert "1.1.0 → 1.2.0, revision 2" in shown
    assert "✗ CRDs" in shown
    assert annotation(cluster, namespace, ROLLBACK) == "2"
    assert "was asked for already" in admin.error("rollback", "--yes")


async def _changed_meanwhile(cluster: Cluster, namespace: str) -> None:
    """See that what was decided on one state of an object is not written onto another one."""
    async with connect(Where(namespace, cluster.kubeconfig)) as session:
        seen = await find_one(session, "osm")
        cluster.kubectl("annotate", "meshupgrade", "osm", "-n", namespace, "somebody=else")
        with pytest.raises(Conflict):
            await annotate(session, seen, PLAN, "sha256:d1")


def _editor(cluster: Cluster, namespace: str) -> str:
    """Give the token of an account that may change MeshUpgrades of one namespace, and no more."""
    cluster.kubectl("create", "serviceaccount", "editor", "-n", namespace)
    rights = ("--verb=get,list,watch,update,patch", "--resource=meshupgrades.meshupgrade.io")
    cluster.kubectl("create", "role", "editor", "-n", namespace, *rights)
    bound = ("--role=editor", f"--serviceaccount={namespace}:editor")
    cluster.kubectl("create", "rolebinding", "editor", "-n", namespace, *bound)
    return cluster.kubectl("create", "token", "editor", "-n", namespace).stdout.strip()


def test_from_a_plan_to_its_end(plugin: Plugin, in_use: Mesh, operator: Operator, tmp_path: Path) -> None:
    mesh = in_use
    more = json.dumps({"token": CANARY, "osm": {"tracing": {"address": CANARY}}})
    mesh.kubectl("create", "secret", "generic", "more", f"--from-literal=values.yaml={more}")
    values = {"osm": {"osmController": {"replicaCount": 2}}, "own": f"{CANARY}-inline"}
    spec = mesh.spec(
        "1.2.1", values=values, valuesFrom=[{"kind": "Secret", "name": "more"}], upgrade={"approval": "Manual"}
    )
    manifest = tmp_path / "meshupgrade.yaml"
    manifest.write_text(yaml.safe_dump(mesh.manifest(spec)))

    before = mesh.fingerprints()
    foreseen = plugin.output("plan", "-f", str(manifest), code=2)
    assert mesh.fingerprints() == before, "a preview writes nothing"
    assert "1.1.0 → 1.2.1" in foreseen
    assert CANARY not in foreseen.replace(f"{CANARY}-inline", "")
    refused = yaml.safe_dump(mesh.manifest(spec | {"version": "1.0.0"}))
    answer = plugin("plan", "-f", "-", stdin=refused)
    assert (answer.returncode, "Downgrade" in answer.stdout) == (1, True), answer.stderr

    mesh.cluster.kubectl("apply", "-f", str(manifest))
    mesh.wait_phase("AwaitingApproval")
    shown = plugin.output("plan", code=2)
    assert _without_digest(shown) == _without_digest(foreseen)
    data = json.loads(plugin.output("plan", "-o", "json", code=2))
    digest = mesh.status()["plan"]["digest"]
    assert (data["digest"], yaml.safe_load(plugin.output("plan", "-o", "yaml", code=2))) == (digest, data)

    plugin.output("approve", "--digest", digest, "--yes")
    mesh.wait_ready()
    shown = plugin.output("status")
    assert "8/8" in shown
    # The MeshConfig keeps the sidecar of before, and the injector's default is another init container.
    row = r"^bookstore\s+Deployment\s+bookstore-v1\s+1\s+0\s+1\s+0\s+outdated \(init container\)$"
    assert re.search(row, shown, re.MULTILINE)
    data = json.loads(plugin.output("status", "--output", "json"))
    assert [(one["namespace"], one["name"], one["state"]) for one in data["workloads"]] == [
        ("bookbuyer", "bookbuyer", "outdated"),
        ("bookstore", "bookstore-v1", "outdated"),
        ("bookstore", "bookstore-v2", "outdated"),
    ]
    assert data["status"]["dataPlane"]["outdated"] == 3
    assert "Ready: the mesh runs" in plugin.output("why")
    assert re.search(r"Upgrade\s+1.1.0 → 1.2.1\s+Completed\s+yes", plugin.output("history"))
    assert re.search(r"1.2.1\s+current, target\s+yes", plugin.output("versions"))
    assert "nothing is due" in plugin.output("plan")

    bundle = tmp_path / "report.tar.gz"
    plugin.output("report", "-o", str(bundle))
    assert bundle.stat().st_mode & 0o077 == 0
    parts = _read_bundle(bundle)
    names = ("events", "helm-revisions", "meshupgrade", "pods", "versions", "workloads")
    assert {f"meshupgrade-report/{name}.yaml" for name in names} <= set(parts)
    assert "osm-controller" in parts["meshupgrade-report/workloads.yaml"]
    assert not [path for path, text in parts.items() if CANARY in text or _encoded(CANARY) in text]

    assert "1.2.1 → 1.1.0" in plugin.output("rollback", "--yes")
    eventually(lambda: mesh.status().get("lastHandledRollback") == "1", lambda: json.dumps(mesh.status(), indent=1))
    # The bootstrap of 1.1.0 would replace the CRDs in which objects are stored by now.
    why = plugin.output("why")
    assert "RolledBack RollbackRefused: the bootstrap of 1.1.0 could not start again" in why
    assert "Nothing was rolled back." in why


def _without_digest(text: str) -> list[str]:
    """Give the lines of a plan but for the one with the time at which it was made, and the estimate."""
    return [line for line in text.splitlines() if not line.startswith(("Digest ", "It will take"))]


def _read_bundle(path: Path) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        members: Sequence[tarfile.TarInfo] = archive.getmembers()
        streams = {member.name: archive.extractfile(member) for member in members}
        return {name: stream.read().decode() for name, stream in streams.items() if stream is not None}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()[:-4]
