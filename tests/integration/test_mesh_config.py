"""The MeshConfig through upgrades: new defaults merged, the sidecar's image set, and all of it taken back."""

import asyncio
import base64
import contextlib
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.phases.mesh_config.write import write_mesh_config
from meshupgrade.phases.shape import SnapshotPlace, Tools
from tests.charts.releases import release
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Object, Operator, eventually
from tests.integration.hold import Rule, hold
from tests.integration.test_plans import BROKEN, SELECTOR, listing
from tests.unit.phases.works import make_work

MERGE = {"defaults": "Merge"}
MINE = "mine/pipy:1@sha256:00"
STORED = "meshupgrade.io/snapshot-of"


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


def test_new_defaults_are_merged_after_the_last_hop_and_taken_back(
    in_use: Mesh, operator: Operator, tmp_path: Path
) -> None:
    with listing(in_use, tmp_path / "charts", without=BROKEN) as repository:
        _merges_and_goes_back(in_use, {"chart": {"repository": repository.url}, "upgrade": SELECTOR})


def _merges_and_goes_back(in_use: Mesh, fields: Object) -> None:
    old, hop, new = (release(version).sidecar_image for version in ("1.1.0", "1.2.1", "1.3.0"))
    drivers = in_use.live_mesh_config()["spec"]["sidecar"]["sidecarDrivers"]
    _patch(in_use, sidecar={"logLevel": "debug", "sidecarImage": MINE, "sidecarDrivers": [
        *drivers, {"sidecarName": "own", "sidecarImage": "own:1"},
    ]})  # fmt: skip
    before = in_use.live_mesh_config()["spec"]
    in_use.upgrade("1.3.0", meshConfig=MERGE, **fields)
    status = in_use.wait_ready()
    assert [entry["version"] for entry in status["history"]] == ["1.3.0", "1.2.1", "1.1.0"]

    merged = _live(in_use)
    sidecar = merged["spec"]["sidecar"]
    assert sidecar["logLevel"] == "debug", "changed here, and its default did not change"
    assert sidecar["sidecarImage"] == MINE, "changed here, and its default changed too"
    assert [(item["sidecarName"], item["sidecarImage"]) for item in sidecar["sidecarDrivers"]] == [
        ("pipy", new), ("own", "own:1"),
    ]  # fmt: skip
    assert sidecar["localProxyMode"] == "Localhost"
    assert merged["spec"]["featureFlags"]["enableAccessControlPolicy"] is True, "new in 1.2.0"
    assert merged["spec"]["traffic"] == {**before["traffic"], "networkInterfaceExclusionList": []}
    (conflict,) = [item for item in status["findings"] if item["name"] == "MeshConfigConflict"]
    assert conflict["severity"] == "Warning"
    for value in ("sidecar.sidecarImage is ", MINE, old, new):
        assert value in conflict["message"]
    assert hop not in conflict["message"], "the MeshConfig skips the hops on the way"
    told = in_use.conditions()["MeshConfigPatched"]["message"]
    assert "sidecar.sidecarDrivers" in told.partition("; other than")[0]
    assert "sidecar.logLevel" in told.partition("; other than")[2]

    # What fits is not written.
    _ask_again(in_use, "1")
    assert _live(in_use)["metadata"] == merged["metadata"]
    assert in_use.conditions()["MeshConfigPatched"]["reason"] == "NothingToDo"

    # Back to the hop, whose defaults the MeshConfig never had, so that it gets those of before.
    _patch(in_use, sidecar={"configResyncInterval": "7s"})
    in_use.upgrade("1.2.1", meshConfig=MERGE, **fields)
    assert in_use.wait_ready()["history"][0]["action"] == "Rollback"
    before["sidecar"] |= {"configResyncInterval": "7s", "localProxyMode": "Localhost"}
    assert _live(in_use)["spec"] == before

    # Up again: it is judged by what it was made by, and not by the hop.
    in_use.upgrade("1.3.0", meshConfig=MERGE, **fields)
    in_use.wait_ready()
    merged["spec"]["sidecar"]["configResyncInterval"] = "7s"
    assert _live(in_use)["spec"] == merged["spec"]
    names = [entry.get("meshConfigSnapshot") for entry in in_use.status()["history"]]
    assert [bool(name) for name in names] == [True, True, True, False, False]
    assert sorted(_snapshots(in_use)) == sorted(name for name in names if name)


def test_the_image_of_the_sidecar(in_use: Mesh, operator: Operator) -> None:
    sidecar = in_use.live_mesh_config()["spec"]["sidecar"]
    in_use.upgrade("1.1.0", dataPlane={"sidecarImage": MINE}, interval="10s")
    in_use.wait_ready()
    live = in_use.live_mesh_config()
    driver = {**sidecar["sidecarDrivers"][0], "sidecarImage": MINE}
    assert live["spec"]["sidecar"] == {**sidecar, "sidecarImage": MINE, "sidecarDrivers": [driver]}
    assert "NotDigestPinned" not in [
        item["name"] for item in in_use.status()["findings"] if "sidecarImage" in item["message"]
    ]
    _ask_again(in_use, "1")
    assert in_use.live_mesh_config()["metadata"] == live["metadata"]

    # Put back when somebody changes it; that is no attempt.
    _patch(in_use, sidecar={"sidecarImage": "theirs:1"})
    eventually(
        lambda: in_use.live_mesh_config()["spec"]["sidecar"]["sidecarImage"] == MINE,
        lambda: json.dumps(in_use.status(), indent=1),
    )
    (snapshot,) = _snapshots(in_use).values()
    assert snapshot["before"]["sidecar"] == sidecar


REFUSED: dict[str, Object] = {
    # The CRD of this version has the field, and says what it may be; that of now does not have it.
    "localProxyMode": {"meshConfig": {"patch": {"sidecar": {"localProxyMode": "Nowhere"}}}},
    "sidecar.misspelt": {"meshConfig": {"patch": {"sidecar": {"misspelt": 1}}}},
    "spec.dataPlane.sidecarImage": {
        "meshConfig": {"patch": {"sidecar": {"sidecarImage": "a:1"}}},
        "dataPlane": {"sidecarImage": "b:1"},
    },
}


def test_what_cannot_be_is_refused_before_anything_is_written(in_use: Mesh, operator: Operator) -> None:
    before = in_use.fingerprints()
    for told, fields in REFUSED.items():
        in_use.apply_objects([in_use.manifest(in_use.spec("1.2.1", **fields))])
        ready = in_use.wait_stalled()["Ready"]
        assert ready["reason"] == "MeshConfigPatchInvalid"
        assert told in ready["message"]
    assert in_use.fingerprints() == before


def test_what_a_merge_opens_is_known_before(in_use: Mesh, operator: Operator) -> None:
    assert in_use.live_mesh_config()["spec"]["traffic"]["enableEgress"] is False
    egress = {"values": {"osm": {"enableEgress": True}}, "mode": "Plan"}
    keep = _planned_findings(in_use, egress)
    merge = _planned_findings(in_use, {**egress, "meshConfig": MERGE})
    patched = _planned_findings(
        in_use, {**egress, "meshConfig": {**MERGE, "patch": {"traffic": {"enableEgress": False}}}}
    )
    assert [each.get("MeshConfigOpened", {}).get("severity") for each in (keep, merge, patched)] == [
        None, "Warning", None,
    ]  # fmt: skip
    opened = merge["MeshConfigOpened"]
    assert "traffic.enableEgress is false and becomes true" in opened["message"]
    assert '{"traffic": {"enableEgress": false}}' in opened["remedy"]


def _planned_findings(mesh: Mesh, fields: Object) -> dict[str, Object]:
    """Give the findings of a plan by their names."""
    mesh.upgrade("1.2.1", **fields)
    mesh.wait_phase("Planned")
    return {item["name"]: item for item in mesh.status()["findings"]}


def test_a_requested_rollback_takes_back_what_the_upgrade_changed(in_use: Mesh, operator: Operator) -> None:
    before = in_use.live_mesh_config()["spec"]
    changes = {**MERGE, "patch": {"observability": {"osmLogLevel": "debug"}}}
    in_use.upgrade("1.1.1", meshConfig=changes)
    in_use.wait_ready()
    upgraded = in_use.live_mesh_config()["spec"]
    assert upgraded["sidecar"]["sidecarImage"] == release("1.1.1").sidecar_image
    _patch(in_use, sidecar={"logLevel": "warn", "sidecarImage": "theirs:1"})
    told = _roll_back(in_use, "1")
    sidecar = {**before["sidecar"], "logLevel": "warn", "sidecarImage": "theirs:1"}
    assert in_use.live_mesh_config()["spec"] == {**before, "sidecar": sidecar}
    assert "has again what it had before: observability.osmLogLevel, sidecar.sidecarDrivers" in told
    assert "changed meanwhile: sidecar.sidecarImage" in told

    # And forth: what the rollback changed is taken back, which is the upgrade.
    _roll_back(in_use, "2")
    upgraded["sidecar"] |= {"logLevel": "warn", "sidecarImage": "theirs:1"}
    assert in_use.live_mesh_config()["spec"] == upgraded

    # Back again by the spec, and without the snapshot: that is told before, and the MeshConfig stays.
    in_use.kubectl("delete", "secrets", "-l", STORED)
    in_use.upgrade("1.1.0", meshConfig=changes, mode="Plan")
    in_use.wait_phase("Planned")
    (lost,) = [item for item in in_use.status()["findings"] if item["name"] == "MeshConfigSnapshotMissing"]
    assert lost["severity"] == "Warning"
    in_use.upgrade("1.1.0", meshConfig=changes, mode="Apply")
    assert in_use.wait_ready()["currentVersion"] == "1.1.0"
    assert in_use.live_mesh_config()["spec"] == upgraded


def test_killed_around_the_patch(in_use: Mesh, start_operator: Callable[..., Operator]) -> None:
    """Between snapshot and patch, then between patch and status: what was before is never what was patched."""
    before, status = in_use.live_mesh_config()["spec"], Rule("meshupgrade.io", "meshupgrades/status", "UPDATE")
    patches = Rule("config.openservicemesh.io", "meshconfigs", "UPDATE")
    operator = start_operator()
    with hold(in_use.cluster, patches, f"patch-{in_use.namespace}") as hanging:
        in_use.upgrade("1.1.1", meshConfig=MERGE)
        assert hanging.wait(60), operator.log()
        operator.kill()
    (name,) = _snapshots(in_use)
    assert in_use.status()["history"][0]["meshConfigSnapshot"] == name

    with contextlib.ExitStack() as until_killed:
        with hold(in_use.cluster, patches, f"patch-{in_use.namespace}") as hanging:
            operator = start_operator()
            eventually(lambda: hanging.is_set() or in_use.live_mesh_config()["spec"] != before, operator.log)
            held = until_killed.enter_context(hold(in_use.cluster, status, f"status-{in_use.namespace}"))
        # The patch of before may have come through after its writer's end: then there is nothing left to be held.
        assert not hanging.is_set() or held.wait(60), operator.log()
        operator.kill()
    after = in_use.live_mesh_config()["spec"]
    assert after["sidecar"]["sidecarImage"] == release("1.1.1").sidecar_image

    start_operator()
    in_use.wait_ready()
    assert in_use.live_mesh_config()["spec"] == after
    assert in_use.status()["history"][0]["meshConfigSnapshot"] == name
    assert _snapshots(in_use) == {name: {"before": before, "after": after}}

    # The version before, named by the spec: planned, and taken back but for what was changed since.
    _patch(in_use, traffic={"enableEgress": True})
    in_use.upgrade("1.1.0", meshConfig=MERGE, mode="Plan")
    in_use.wait_phase("Planned")
    plan = _plan(in_use)
    assert "MeshConfigSnapshotMissing" not in [item["name"] for item in in_use.status()["findings"]]
    assert {each["phase"]: each["reversible"] for each in plan["reversibility"]}["MeshConfig"] is True
    assert [value["path"] for value in plan["meshConfig"]] == ["sidecar.sidecarDrivers", "sidecar.sidecarImage"]
    in_use.upgrade("1.1.0", meshConfig=MERGE, mode="Apply")
    eventually(
        lambda: (in_use.status()["phase"], in_use.status()["history"][0]["action"]) == ("Completed", "Rollback"),
        lambda: json.dumps(in_use.status(), indent=1),
    )
    before["traffic"]["enableEgress"] = True
    assert in_use.live_mesh_config()["spec"] == before
    assert in_use.status()["currentVersion"] == "1.1.0"


async def test_somebody_writes_at_the_same_time(in_use: Mesh) -> None:
    """Nothing is overwritten that was not seen, and the snapshot has what they wrote on both sides."""
    before = in_use.live_mesh_config()["spec"]
    access = await load_access(in_use.cluster.kubeconfig, None)
    async with Kube(access.configuration) as kube:
        writers = [{"logLevel": "warn"}, {"configResyncInterval": "9s"}]

        async def they_write(_: str) -> None:
            if writers:
                await asyncio.to_thread(_patch, in_use, sidecar=writers.pop(0))

        work = make_work(
            {
                "meshConfig": {
                    "patch": {"sidecar": {"maxDataPlaneConnections": 7, "enablePrivilegedInitContainer": True}}
                }
            }
        )
        work.tools = Tools(kube=kube, helm=None, http=None, indexes=None, cache=None)  # type: ignore[arg-type]
        work.namespace = in_use.namespace
        owner = ObjectRef("v1", "ConfigMap", "preset-mesh-config", in_use.namespace)
        work.uid = (await kube.get(owner))["metadata"]["uid"]
        work.snapshot = SnapshotPlace("snapshot", owner, frozenset(), they_write)
        written = await write_mesh_config(work)
        assert written is not None
        assert written[1]
        # What was patched already is not what was before, when the same attempt writes once more.
        await asyncio.to_thread(_patch, in_use, sidecar={"enablePrivilegedInitContainer": False})
        once_more = await write_mesh_config(work)
        assert once_more is not None
        assert once_more[1]
        again = await write_mesh_config(work)
        assert again is not None
        assert not again[1]
        # Undone twice is as good as once; what was written meanwhile stays.
        back = replace(work, undo=["snapshot"], snapshot=None)
        await write_mesh_config(back, with_spec=False)
        await write_mesh_config(back, with_spec=False)
    theirs = {**before["sidecar"], "logLevel": "warn", "configResyncInterval": "9s"}
    (snapshot,) = _snapshots(in_use).values()
    assert snapshot["before"]["sidecar"] == theirs
    assert snapshot["after"]["sidecar"] == {
        **theirs,
        "maxDataPlaneConnections": 7,
        "enablePrivilegedInitContainer": True,
    }
    assert in_use.live_mesh_config()["spec"]["sidecar"] == theirs


def _live(mesh: Mesh) -> Object:
    """Give the MeshConfig in the version of 1.2 and later."""
    name = "meshconfigs.v1alpha2.config.openservicemesh.io/osm-mesh-config"
    live: Object = json.loads(mesh.kubectl("get", name, "-o", "json").stdout)
    return live


def _patch(mesh: Mesh, **spec: Any) -> None:
    """Change the MeshConfig as people do."""
    mesh.kubectl("patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p", json.dumps({"spec": spec}))


def _ask_again(mesh: Mesh, token: str) -> None:
    """Have the mesh looked at, and wait until that is done."""
    mesh.kubectl("annotate", "meshupgrade", mesh.name, f"meshupgrade.io/reconcile-requested-at={token}", "--overwrite")
    eventually(
        lambda: mesh.status().get("lastHandledReconcileAt") == token
        and mesh.conditions()["Ready"]["status"] == "True",
        lambda: json.dumps(mesh.status(), indent=1),
    )  # fmt: skip


def _roll_back(mesh: Mesh, revision: str) -> str:
    """Ask for a rollback, wait for it, and give what is told of it."""
    mesh.kubectl("annotate", "meshupgrade", mesh.name, f"meshupgrade.io/rollback-requested={revision}", "--overwrite")
    eventually(
        lambda: mesh.status().get("lastHandledRollback") == revision and mesh.status()["phase"] == "RolledBack",
        lambda: json.dumps(mesh.status(), indent=1),
    )
    told: str = mesh.conditions()["RolledBack"]["message"]
    return told


def _plan(mesh: Mesh) -> Object:
    secret = json.loads(mesh.kubectl("get", "secret", mesh.status()["plan"]["secret"], "-o", "json").stdout)
    plan: Object = json.loads(gzip.decompress(base64.b64decode(secret["data"]["plan.json.gz"])))
    return plan


def _snapshots(mesh: Mesh) -> dict[str, Object]:
    """Give the snapshots of the MeshConfig by the names of their Secrets."""
    listed = json.loads(mesh.kubectl("get", "secrets", "-l", STORED, "-o", "json").stdout)["items"]
    return {
        item["metadata"]["name"]: json.loads(gzip.decompress(base64.b64decode(item["data"]["mesh-config.json.gz"])))
        for item in listed
    }
