"""Which Pods count, and what becomes of them in the status."""

from datetime import UTC, datetime
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.names import RESTARTED_FOR
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.api.v1alpha1.status import DataPlaneStatus, WorkloadCounts
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.sidecars import Images, SidecarState
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.in_use import MAX_OWNERS, InUse, PodUse, WorkloadUse
from meshupgrade.phases.data_plane.pods import Owner, asks_for_injection, controller_of, record_of

FACTS = load_distribution(DistributionName.OSM_EDGE)
INJECTION = FACTS.sidecar.injection_annotation
LABEL = FACTS.sidecar.pod_label
CURRENT, OUTDATED, UNKNOWN = SidecarState.CURRENT, SidecarState.OUTDATED, SidecarState.UNKNOWN


def pod(annotations: dict[str, str] | None = None, *, injected: bool = True, **status: Any) -> dict[str, Any]:
    metadata = {
        "name": "web-1", "namespace": "shop", "uid": "u1", "creationTimestamp": "2026-03-01T12:00:00Z",
        "labels": {LABEL: "p1"} if injected else {}, "annotations": annotations or {},
    }  # fmt: skip
    names = ["app", "sidecar"] if injected else ["app"]
    return {"metadata": metadata, "spec": {"containers": [{"name": name, "image": "x:1"} for name in names]},
            "status": status}  # fmt: skip


def test_a_pod_is_kept_in_short() -> None:
    conditions = [{"type": name, "status": "True"} for name in ("Initialized", "Ready")]
    record = record_of(pod({RESTARTED_FOR: "t1"}, conditions=conditions), FACTS, asked=True)
    assert record is not None
    assert (record.namespace, record.name, record.uid) == ("shop", "web-1", "u1")
    assert record.created == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (record.ready, record.restarted_for, record.is_uninjected) == (True, "t1", False)
    unready = record_of(pod(conditions=[{"type": "Ready", "status": "False"}]), FACTS, asked=True)
    assert unready is not None
    assert not unready.ready


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_finished_pods_do_not_count(phase: str) -> None:
    assert record_of(pod(phase=phase), FACTS, asked=True) is None


def test_pods_that_are_being_deleted_do_not_count() -> None:
    leaving = pod()
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T12:01:00Z"
    assert record_of(leaving, FACTS, asked=True) is None


@pytest.mark.parametrize(
    ("annotations", "asked", "kept"),
    [
        # It has lost its sidecar: the injector was broken when we restarted it.
        ({RESTARTED_FOR: "t1"}, True, "lost"),
        ({RESTARTED_FOR: "t1", INJECTION: "enabled"}, False, "lost"),
        # It was taken out of the mesh meanwhile.
        ({RESTARTED_FOR: "t1", INJECTION: "disabled"}, True, None),
        ({RESTARTED_FOR: "t1"}, False, None),
        ({}, True, "uninjected"),
        ({}, False, None),
    ],
)
def test_a_pod_without_a_sidecar(annotations: dict[str, str], asked: bool, kept: str | None) -> None:
    record = record_of(pod(annotations, injected=False), FACTS, asked=asked)
    found = None if record is None else "uninjected" if record.is_uninjected else "lost"
    assert found == kept


@pytest.mark.parametrize(
    ("name", "annotations", "asks"),
    [
        ("shop", {INJECTION: "enabled"}, True),
        ("shop", {INJECTION: "disabled"}, False),
        ("shop", None, False),
        ("osm-system", {INJECTION: "enabled"}, False),
    ],
)
def test_what_a_namespace_asks_for(name: str, annotations: dict[str, str] | None, asks: bool) -> None:
    metadata = {"name": name} | ({"annotations": annotations} if annotations is not None else {})
    assert asks_for_injection(metadata, FACTS, "osm-system") is asks


@pytest.mark.parametrize(
    ("api_version", "kind", "managed"),
    [
        ("apps/v1", "Deployment", True),
        ("apps/v1", "StatefulSet", True),
        ("apps/v1", "DaemonSet", True),
        ("apps/v1", "ReplicaSet", False),
        # Other projects have kinds of these names, which restart in other ways.
        ("apps.kruise.io/v1beta1", "StatefulSet", False),
        ("batch/v1", "Job", False),
        ("argoproj.io/v1alpha1", "Rollout", False),
    ],
)
def test_which_owners_are_workloads(api_version: str, kind: str, managed: bool) -> None:
    ref = Owner(api_version, kind, "web", "u1").workload("shop")
    assert ref == (ObjectRef("apps/v1", kind, "web", "shop") if managed else None)


def test_only_the_controller_owns() -> None:
    owners = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1"},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "b", "uid": "2", "controller": True},
    ]
    assert controller_of({"ownerReferences": owners}) == Owner("apps/v1", "ReplicaSet", "b", "2")
    assert controller_of({"ownerReferences": owners[:1]}) is None
    assert controller_of({}) is None


def use(name: str, *states: SidecarState) -> WorkloadUse:
    return WorkloadUse(ObjectRef("apps/v1", "Deployment", name, "shop"), tuple(map(pod_use, states)))


def pod_use(state: SidecarState) -> PodUse:
    return PodUse("shop", "p", "u", state, "", datetime(2026, 3, 1, tzinfo=UTC), ready=True)


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ([CURRENT, CURRENT], CURRENT),
        ([CURRENT, UNKNOWN], UNKNOWN),
        ([UNKNOWN, OUTDATED, CURRENT], OUTDATED),
    ],
)
def test_a_workload_is_what_the_worst_of_its_pods_is(states: list[SidecarState], worst: SidecarState) -> None:
    assert use("web", *states).state is worst


def test_everything_is_counted() -> None:
    uses = [use("a", CURRENT, CURRENT), use("b", CURRENT, OUTDATED), use("c", UNKNOWN)]
    jobs = {f"Job shop/j{number:02}": (pod_use(UNKNOWN), pod_use(OUTDATED)) for number in reversed(range(30))}
    in_use = InUse(Images("x:1", None), {one.ref: one for one in uses}, unmanaged=jobs, uninjected=4)
    assert in_use.status() == DataPlaneStatus(
        total=65,
        current=3,
        outdated=31,
        unknown=31,
        unmanaged=60,
        uninjected=4,
        workloads=WorkloadCounts(total=3, current=1, outdated=1, unknown=1),
        unmanaged_owners=[f"Job shop/j{number:02}" for number in range(MAX_OWNERS)],
    )
