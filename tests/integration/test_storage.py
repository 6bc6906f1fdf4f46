"""Phase Storage of an upgrade, with the mesh's own bootstraps at work, and what etcd holds afterwards."""

import json
from collections.abc import Callable

import pytest

from tests.cluster.bootstrap import Action, BootstrapStandIn
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Object, Operator, custom_resources, eventually
from tests.integration.hold import Rule, hold
from tests.integration.stored import stored_versions

SPLITS = "trafficsplits.split.smi-spec.io"
BREAKING = {"acceptRisks": ["BreakingChange", "ImmutableFieldChanged"]}


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """Each test brings CRDs in."""
    return own_cluster


def test_old_and_new_bootstraps_start(mesh: Mesh, operator: Operator) -> None:
    """The mesh's own bootstraps replace CRDs, and are refused while objects may be stored in what they lack."""
    with BootstrapStandIn(mesh.cluster, [mesh.namespace]) as stand_in:
        mesh.install("1.1.0", crds=False)
        stand_in.wait_for(Action.READY)
        mesh.use("1.1.0")
        before = custom_resources(mesh.cluster)
        mesh.upgrade("1.2.1")
        status = mesh.wait_ready()
        told = {item["type"]: item for item in status["conditions"]}["StorageMigrated"]
        assert told["reason"] == "Done"
        assert told["message"].startswith(
            "3 objects are stored in the version of this release, 3 were rewritten for it"
        )
        assert "storageMigration" not in status
        assert all(len(versions) == 1 for versions in _stored(mesh.cluster).values())
        assert stored_versions(mesh.cluster, SPLITS) == {"v1alpha4": 2}
        # From here the way back is open, since 1.2.1 knows what is stored.
        mesh.upgrade("1.2.6", upgrade={"timeout": "3s", "retries": 0})
        eventually(lambda: mesh.status().get("phase") == "RolledBack", lambda: json.dumps(mesh.status(), indent=1))
        assert mesh.revisions()[-1]["chart"] == "osm-edge-1.2.1"
        # The next release drops v1alpha2 of TrafficSplit and v1alpha1 of MeshConfig.
        mesh.upgrade("2.0.0", upgrade=BREAKING)
        status = mesh.wait_ready()
        assert not [item for item in status["findings"] if item["name"] == "RollbackBlocked"]
        after = custom_resources(mesh.cluster)
        assert {name for name in before if "Mesh" not in name} == {name for name in after if "Mesh" not in name}
        assert not [event for event in stand_in.events if event.action is Action.FAILED]


def test_a_rollback_that_could_not_start_is_not_tried(in_use: Mesh, operator: Operator) -> None:
    """1.2.6 never becomes ready, and stores objects in versions that the bootstrap of 1.1.0 does not know."""
    in_use.upgrade("1.2.6", upgrade={"timeout": "2s", "retries": 1})
    message = in_use.wait_stalled()["Ready"]["message"]
    # Said of the second attempt too, when the CRDs that live are not those of 1.1.0 any more.
    assert "Gave up after 2 attempts" in message
    assert "a rollback could not start" in message
    assert (
        "trafficsplits.split.smi-spec.io will store objects in v1alpha4, which is not in v1alpha1, v1alpha2" in message
    )
    assert in_use.revisions()[-1]["chart"] == "osm-edge-1.2.6"


def test_what_the_new_bootstrap_drops_is_rewritten_before_it_starts(mesh: Mesh, operator: Operator) -> None:
    with BootstrapStandIn(mesh.cluster, [mesh.namespace]) as stand_in:
        mesh.install("1.1.0", crds=False)
        stand_in.wait_for(Action.READY)
        mesh.use("1.1.0")
        mesh.apply_objects([egress(number) for number in range(12)])
        before = mesh.fingerprints()
        mesh.upgrade("2.0.0", upgrade=BREAKING, crds={"migrateStorage": False})
        assert mesh.wait_stalled()["Ready"]["reason"] == "StoredVersionDropped"
        (message,) = [item["message"] for item in mesh.status()["findings"] if item["name"] == "FieldsPruned"]
        assert message.startswith("12 stored objects are to lose fields that the CRDs of this version do not have: ")
        assert "Egress bookbuyer/old-00 (spec.ipAddresses)" in message
        assert " and 2 more" in message
        assert "10.0.0.1" not in message
        assert mesh.fingerprints() == before
        mesh.upgrade("2.0.0", upgrade={"acceptRisks": [*BREAKING["acceptRisks"], "FieldsPruned"]})
        status = mesh.wait_ready()
        assert status["history"][0]["acceptedRisks"]
        assert not [event for event in stand_in.events if event.action is Action.FAILED]
    assert stored_versions(mesh.cluster, SPLITS) == {"v1alpha4": 2}
    assert all(len(versions) == 1 for versions in _stored(mesh.cluster).values())


def test_migrated_later_and_killed_meanwhile(in_use: Mesh, start_operator: Callable[..., Operator]) -> None:
    before = custom_resources(in_use.cluster)
    operator = start_operator()
    in_use.upgrade("1.2.1", crds={"migrateStorage": False})
    in_use.wait_ready()
    told = in_use.conditions()["StorageMigrated"]
    assert (told["status"], told["reason"]) == ("False", "ReportedOnly")
    assert "trafficsplits.split.smi-spec.io (v1alpha2; v1alpha4 is wanted)" in told["message"]
    assert stored_versions(in_use.cluster, SPLITS) == {"v1alpha2": 2}
    with hold(in_use.cluster, Rule("split.smi-spec.io", "trafficsplits", "UPDATE"), "hold-splits") as hanging:
        in_use.upgrade("1.2.1", crds={"migrateStorage": True})
        assert hanging.wait(60), operator.log()
        operator.kill()
        assert in_use.status().get("phase") == "Storage"
    start_operator()
    status = in_use.wait_ready()
    assert in_use.conditions()["StorageMigrated"]["reason"] == "Done"
    assert "storageMigration" not in status
    assert stored_versions(in_use.cluster, SPLITS) == {"v1alpha4": 2}
    assert all(len(versions) == 1 for versions in _stored(in_use.cluster).values())
    after = custom_resources(in_use.cluster)
    assert {name: after[name] for name in before if "MeshConfig" not in name} == {
        name: one for name, one in before.items() if "MeshConfig" not in name
    }


def egress(number: int) -> Object:
    return {
        "apiVersion": "policy.openservicemesh.io/v1alpha1",
        "kind": "Egress",
        "metadata": {"name": f"old-{number:02}", "namespace": "bookbuyer"},
        "spec": {
            "sources": [{"kind": "ServiceAccount", "name": "bookbuyer", "namespace": "bookbuyer"}],
            "ports": [{"number": 443, "protocol": "https"}],
            "ipAddresses": ["10.0.0.1/32"],
        },
    }


def _stored(cluster: Cluster) -> dict[str, list[str]]:
    """storedVersions of the CRDs of the mesh."""
    listed = json.loads(cluster.kubectl("get", "crds", "-o", "json").stdout)["items"]
    return {one["metadata"]["name"]: one["status"]["storedVersions"] for one in listed}
