"""Ranges, hops, plans, approval, windows, suspension and going back, as an admin meets them."""

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import yaml

from tests.cluster.chart_repository import ChartRepository, serve_directory
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, eventually

BROKEN = ("1.2.6", "1.2.7", "1.2.8", "1.2.9")
SELECTOR = {"path": "Stepwise", "acceptRisks": ["ImmutableFieldChanged"]}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


@contextmanager
def listing(mesh: Mesh, folder: Path, *, without: tuple[str, ...]) -> Iterator[ChartRepository]:
    """Serve the same charts, some of them not listed."""
    copytree(mesh.published.broken_directory, folder, dirs_exist_ok=True)
    unlist(folder, without)
    with serve_directory(folder) as repository:
        yield repository


def unlist(folder: Path, versions: tuple[str, ...]) -> None:
    index = yaml.safe_load((folder / "index.yaml").read_text())
    for name, entries in index["entries"].items():
        index["entries"][name] = [entry for entry in entries if entry["version"].removeprefix("v") not in versions]
    (folder / "index.yaml").write_text(yaml.safe_dump(index))


def the_plan(mesh: Mesh) -> dict[str, Any]:
    """Give the whole plan out of its Secret."""
    name = mesh.status()["plan"]["secret"]
    secret = json.loads(mesh.kubectl("get", "secret", name, "-o", "json").stdout)
    plan: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(secret["data"]["plan.json.gz"])))
    return plan


def annotate(mesh: Mesh, *annotations: str) -> None:
    mesh.kubectl("annotate", "--overwrite", "meshupgrade", mesh.name, *annotations)


def previewed(mesh: Mesh, manifest: dict[str, Any]) -> dict[str, Any]:
    """Give the plan of a manifest that is not applied, as the kubectl plugin makes it."""
    program = Path(sys.executable).with_name("kubectl-meshupgrade")
    path = os.pathsep.join([str(mesh.cluster.binaries.helm.parent), os.environ["PATH"]])
    answer = subprocess.run(
        [program, "plan", "-f", "-", "-o", "json"], input=yaml.safe_dump(manifest), text=True, check=False,
        capture_output=True, timeout=120, env={**mesh.cluster.environment(), "PATH": path},
    )  # fmt: skip
    assert answer.returncode == 2, answer.stdout + answer.stderr
    plan: dict[str, Any] = json.loads(answer.stdout)
    return plan


def plans(mesh: Mesh) -> list[str]:
    found = mesh.kubectl("get", "secrets", "--selector=meshupgrade.io/plan-of", "-o", "name").stdout.split()
    return [name.removeprefix("secret/") for name in found]


def test_a_range_takes_the_newest_that_the_policy_allows(mesh: Mesh, operator: Operator, tmp_path: Path) -> None:
    mesh.install_in_use("1.1.0")
    folder = tmp_path / "charts"
    with listing(mesh, folder, without=(*BROKEN, "1.2.1")) as repository:
        fields: dict[str, Any] = {"chart": {"repository": repository.url}, "interval": "10s"}
        mesh.upgrade("1.x <1.3", **fields)
        status = mesh.wait_ready()
        assert (status["targetVersion"], status["currentVersion"], status["hops"]) == ("1.2.0", "1.2.0", ["1.2.0"])
        judged = {item["version"]: (item["allowed"], item.get("reason")) for item in status["availableVersions"]}
        assert judged["1.3.0"] == (False, "OutOfRange")
        assert judged["2.0.0"] == (False, "OutOfRange")

        # A newer one appears, and is taken within the interval.
        whole = yaml.safe_load((mesh.published.broken_directory / "index.yaml").read_text())
        (folder / "index.yaml").write_text(yaml.safe_dump(whole))
        unlist(folder, BROKEN)
        eventually(lambda: mesh.status().get("currentVersion") == "1.2.1", operator.log, seconds=40)
        assert mesh.wait_ready()["targetVersion"] == "1.2.1"
        assert [entry["version"] for entry in mesh.status()["history"]] == ["1.2.1", "1.2.0", "1.1.0"]

        mesh.upgrade(">=2", **fields)
        ready = mesh.wait_stalled()["Ready"]
        assert ready["reason"] == "NoVersionAllowed"
        assert "2.0.0" in ready["message"]
        assert "BreakingChange" in ready["message"]
        assert mesh.status()["currentVersion"] == "1.2.1"


def test_stepwise_walks_the_minors_and_plans_all_of_them_first(mesh: Mesh, operator: Operator, tmp_path: Path) -> None:
    mesh.install_in_use("1.1.0")
    before = mesh.fingerprints()
    # The newest patch of 1.2 asks for a Kubernetes that does not exist: the whole path is refused, before anything.
    mesh.upgrade("1.3.0", upgrade=SELECTOR)
    ready = mesh.wait_stalled()["Ready"]
    assert ready["reason"] in ("KubernetesTooOld", "KubernetesTooNew")
    assert mesh.fingerprints() == before

    with listing(mesh, tmp_path / "charts", without=BROKEN) as repository:
        mesh.upgrade("1.3.0", chart={"repository": repository.url}, upgrade={"path": "Stepwise", "acceptRisks": None})
        # The first hop is fine; the second has to delete a Deployment, which is known before the first begins.
        ready = mesh.wait_stalled()["Ready"]
        assert ready["reason"] == "ImmutableFieldChanged"
        assert "hop to 1.3.0: " in ready["message"]
        assert mesh.fingerprints() == before
        assert mesh.status()["hops"] == ["1.2.1", "1.3.0"]

        mesh.upgrade("1.3.0", chart={"repository": repository.url}, upgrade=SELECTOR)
        assert mesh.wait_ready()["currentVersion"] == "1.3.0"
    told = [(entry["version"], entry["from"], entry["state"]) for entry in mesh.status()["history"]]
    assert told == [
        ("1.3.0", "1.2.1", "Completed"),
        ("1.2.1", "1.1.0", "Completed"),
        ("1.1.0", "1.1.0", "Completed"),
    ]
    assert [item["chart"] for item in mesh.revisions()] == ["osm-edge-1.1.0", "osm-edge-1.2.1", "osm-edge-1.3.0"]


def test_a_plan_is_made_and_waits_for_approval(mesh: Mesh, operator: Operator, tmp_path: Path) -> None:
    mesh.install_in_use("1.1.0")
    before = mesh.fingerprints()
    with listing(mesh, tmp_path / "charts", without=BROKEN) as repository:
        fields: dict[str, Any] = {"chart": {"repository": repository.url}, "values": {"osm": {"enableEgress": True}}}
        mesh.upgrade("1.3.0", mode="Plan", upgrade=SELECTOR, **fields)
        mesh.wait_phase("Planned")
        conditions, summary = mesh.conditions(), mesh.status()["plan"]
        assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("Unknown", "Planned")
        assert not {"Reconciling", "Stalled"} & set(conditions)
        assert (summary["hops"], summary["changes"], summary["current"]) == (["1.2.1", "1.3.0"], True, "1.1.0")
        after = {key: version for key, version in mesh.fingerprints().items() if "meshupgrade-plan" not in key}
        assert after == before, "Plan mode writes nothing but the plan"

        plan = the_plan(mesh)
        first, second = plan["hops"]
        changes = {crd["name"]: crd for crd in first["crds"]}
        assert changes["accesscontrols.policy.openservicemesh.io"]["action"] == "Create"
        assert changes["meshconfigs.config.openservicemesh.io"]["storedBefore"] == "v1alpha1"
        assert {"path": "osm.enableEgress", "after": True, "secret": False} in first["values"]
        images = {(image["workload"], image["container"]): image for image in first["images"]}
        controller = images["Deployment mesh-1/osm-controller".replace("mesh-1", mesh.namespace), "osm-controller"]
        assert controller["before"].endswith(":1.1.0")
        assert controller["after"].endswith(":1.2.1")
        recreated = [change["object"] for change in second["objects"] if change["action"] == "Recreate"]
        assert recreated == [f"Deployment {mesh.namespace}/osm-controller"]
        assert any("sidecar" in text for text in plan["interruptions"])
        assert {item["phase"]: item["reversible"] for item in plan["reversibility"]}["CRDs"] is False

        # The same input gives the same digest, by another run and by another spec that asks for the same.
        annotate(mesh, "meshupgrade.io/reconcile-requested-at=1")
        eventually(lambda: mesh.status().get("lastHandledReconcileAt") == "1", operator.log)
        mesh.wait_phase("Planned")
        assert mesh.status()["plan"]["digest"] == summary["digest"]
        assert plans(mesh) == [summary["secret"]]

        mesh.upgrade("1.3.0", mode="Apply", upgrade={**SELECTOR, "approval": "Manual"}, **fields)
        mesh.wait_phase("AwaitingApproval")
        ready = mesh.conditions()["Ready"]
        assert (ready["status"], ready["reason"]) == ("Unknown", "AwaitingApproval")
        assert f"meshupgrade.io/approved-plan={summary['digest']}" in ready["message"]
        assert mesh.status()["plan"]["digest"] == summary["digest"]

        # What is approved is that plan, and no other.
        mesh.upgrade("1.2.1", upgrade={"path": "Stepwise", "approval": "Manual", "acceptRisks": None}, **fields)
        eventually(lambda: mesh.status()["plan"]["hops"] == ["1.2.1"], operator.log)
        annotate(mesh, f"meshupgrade.io/approved-plan={summary['digest']}")
        eventually(lambda: "has moved" in json.dumps(mesh.conditions()), operator.log)
        assert (mesh.status()["currentVersion"], len(mesh.revisions())) == ("1.1.0", 1)


def test_an_approved_path_goes_through_all_its_hops(mesh: Mesh, operator: Operator, tmp_path: Path) -> None:
    mesh.install_in_use("1.1.0")
    with listing(mesh, tmp_path / "charts", without=BROKEN) as repository:
        mesh.upgrade("1.3.0", chart={"repository": repository.url}, upgrade={**SELECTOR, "approval": "Manual"})
        mesh.wait_phase("AwaitingApproval")
        assert len(mesh.revisions()) == 1
        annotate(mesh, f"meshupgrade.io/approved-plan={mesh.status()['plan']['digest']}")
        assert mesh.wait_ready()["currentVersion"] == "1.3.0"
    assert [item["chart"] for item in mesh.revisions()] == ["osm-edge-1.1.0", "osm-edge-1.2.1", "osm-edge-1.3.0"]


def test_windows_and_suspension(mesh: Mesh, operator: Operator) -> None:
    mesh.install_in_use("1.2.0")
    now = datetime.now(UTC)
    later = f"{now + timedelta(hours=2):%H:%M}", f"{now + timedelta(hours=3):%H:%M}"
    mesh.upgrade("1.2.1", upgrade={"windows": [{"start": later[0], "end": later[1]}]})
    mesh.wait_phase("OutsideWindow")
    ready = mesh.conditions()["Ready"]
    assert (ready["status"], ready["reason"]) == ("Unknown", "OutsideWindow")
    assert f"T{later[0]}:00Z" in ready["message"]
    assert len(mesh.revisions()) == 1

    mesh.upgrade("1.2.1", suspend=True)
    mesh.wait_phase("Suspended")
    status = mesh.status()
    assert status["observedGeneration"] == mesh.get()["metadata"]["generation"]
    assert mesh.conditions()["Ready"]["reason"] == "Suspended"

    opened = f"{now - timedelta(hours=1):%H:%M}", later[1]
    mesh.upgrade("1.2.1", suspend=False, upgrade={"windows": [{"start": opened[0], "end": opened[1]}]})
    assert mesh.wait_ready()["currentVersion"] == "1.2.1"


def test_going_back_by_version_and_by_token(mesh: Mesh, operator: Operator) -> None:
    mesh.install_in_use("1.2.0")
    mesh.upgrade("1.2.1", values={"osm": {"enableEgress": True}})
    mesh.wait_ready()
    mesh.upgrade("1.1.0")
    ready = mesh.wait_stalled()["Ready"]
    assert (ready["reason"], "Only 1.2.0, which was verified" in ready["message"]) == ("Downgrade", True), ready
    # As a reverted commit does it: version and values of before.
    mesh.upgrade("1.2.0")
    status = mesh.wait_ready()
    assert status["currentVersion"] == "1.2.0"
    newest = status["history"][0]
    assert (newest["action"], newest["version"], newest["from"], newest["state"]) == (
        "Rollback", "1.2.0", "1.2.1", "Completed",
    )  # fmt: skip
    assert newest["verified"]
    assert [item["chart"] for item in mesh.revisions()] == ["osm-edge-1.2.0", "osm-edge-1.2.1", "osm-edge-1.2.0"]
    assert "finalizers" not in mesh.get()["metadata"]

    # Any other lower version is a downgrade.
    mesh.upgrade("1.1.0")
    assert mesh.wait_stalled()["Ready"]["reason"] == "Downgrade"

    mesh.upgrade("1.2.1")
    mesh.wait_ready()
    annotate(mesh, "meshupgrade.io/rollback-requested=77")
    eventually(lambda: mesh.conditions().get("RolledBack", {}).get("reason") == "RollbackRefused", operator.log)
    assert "3 (1.2.0)" in mesh.conditions()["RolledBack"]["message"]
    assert mesh.status()["currentVersion"] == "1.2.1"

    annotate(mesh, "meshupgrade.io/rollback-requested=3")
    conditions = mesh.wait_stalled()
    assert conditions["Ready"]["reason"] == "RolledBack"
    assert "was requested" in conditions["Ready"]["message"]
    assert mesh.status()["currentVersion"] == "1.2.0"
    rested = len(mesh.revisions())
    annotate(mesh, "meshupgrade.io/rollback-requested=3")
    mesh.upgrade("1.2.1", interval="11m")
    assert mesh.wait_ready()["currentVersion"] == "1.2.1"
    assert len(mesh.revisions()) == rested + 1

    # With values of its own: Ready is not told before it has them.
    spec = mesh.spec("1.2.0", values={"osm": {"enableEgress": True}})
    foreseen = previewed(mesh, mesh.manifest(spec))
    mesh.apply_objects([mesh.manifest(spec)])
    eventually(lambda: mesh.status().get("plan", {}).get("digest") == foreseen["digest"], operator.log)
    mesh.wait_ready()
    values = mesh.cluster.helm("get", "values", "osm", "--namespace", mesh.namespace, "-o", "json").stdout
    assert json.loads(values)["osm"]["enableEgress"] is True
    assert [item["action"] for item in mesh.status()["history"]][:2] == ["Upgrade", "Rollback"]


def test_a_pause_for_all_meshes(mesh: Mesh, start_operator: Callable[..., Operator]) -> None:
    mesh.install_in_use("1.2.0")
    switch = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "pause", "namespace": mesh.namespace},
        "data": {"paused": "true"},
    }
    mesh.apply_objects([switch])
    operator = start_operator("--pause-switch", f"{mesh.namespace}/pause", "--max-upgrades", "1")
    mesh.upgrade("1.2.1")
    mesh.wait_phase("Suspended")
    assert f"ConfigMap {mesh.namespace}/pause" in mesh.conditions()["Ready"]["message"]
    assert len(mesh.revisions()) == 1
    mesh.kubectl("delete", "configmap", "pause")
    annotate(mesh, "meshupgrade.io/reconcile-requested-at=1")
    assert mesh.wait_ready()["currentVersion"] == "1.2.1"
    assert "Traceback" not in operator.log()


def test_a_spec_that_changes_all_the_time_never_starts_two_helms(mesh: Mesh, operator: Operator) -> None:
    mesh.install_in_use("1.2.0")
    for number in range(12):
        mesh.upgrade("1.2.1" if number % 2 else "1.2.0", values={"osm": {"maxDataPlaneConnections": number}})
    mesh.upgrade("1.2.1", values={"osm": {"maxDataPlaneConnections": 99}})
    status = mesh.wait_ready()
    assert (status["currentVersion"], status["targetVersion"]) == ("1.2.1", "1.2.1")
    revisions = mesh.revisions()
    # Had two of them run at once, one would have found the other's pending release, and failed.
    assert {item["status"] for item in revisions} == {"superseded", "deployed"}
    assert revisions[-1]["status"] == "deployed"
    assert "Traceback" not in operator.log()


def test_killed_while_going_back(mesh: Mesh, start_operator: Callable[..., Operator]) -> None:
    mesh.install_in_use("1.2.0")
    operator = start_operator()
    mesh.upgrade("1.2.1")
    mesh.wait_ready()
    mesh.upgrade("1.2.0")
    mesh.wait_phase("ControlPlane")
    operator.kill()
    operator = start_operator()
    status = mesh.wait_ready()
    assert status["currentVersion"] == "1.2.0"
    assert status["history"][0]["verified"]
    assert {item["status"] for item in mesh.revisions()} <= {"superseded", "deployed", "failed"}
    assert "finalizers" not in mesh.get()["metadata"]
    assert "Traceback" not in operator.log()


def test_killed_in_a_hop(mesh: Mesh, start_operator: Callable[..., Operator], tmp_path: Path) -> None:
    mesh.install_in_use("1.1.0")
    operator = start_operator()
    with listing(mesh, tmp_path / "charts", without=BROKEN) as repository:
        mesh.upgrade("1.3.0", chart={"repository": repository.url}, upgrade={**SELECTOR, "approval": "Manual"})
        mesh.wait_phase("AwaitingApproval")
        annotate(mesh, f"meshupgrade.io/approved-plan={mesh.status()['plan']['digest']}")
        mesh.wait_phase("ControlPlane")
        operator.kill()
        start_operator()
        # What was approved is gone on with, and the hop that was left is verified before the next one begins.
        assert mesh.wait_ready()["currentVersion"] == "1.3.0"
    done = [entry for entry in mesh.status()["history"] if entry["state"] == "Completed"]
    assert [(entry["version"], entry["verified"]) for entry in done] == [
        ("1.3.0", True),
        ("1.2.1", True),
        ("1.1.0", True),
    ]
    assert done[1]["completionTime"] <= done[0]["startedTime"]
