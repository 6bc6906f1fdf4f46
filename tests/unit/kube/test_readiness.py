"""Which workloads are ready."""

from typing import Any

import pytest

from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.readiness import Readiness, is_ready, kept_back, workload_refs


def workload(kind: str, spec: dict[str, Any], status: dict[str, Any] | None, generation: int = 2) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "w", "generation": generation},
        "spec": spec,
        **({} if status is None else {"status": status}),
    }


def replicas(updated: int, total: int, available: int, seen: int = 2) -> dict[str, Any]:
    # The API leaves out what is zero.
    counts = {"updatedReplicas": updated, "replicas": total, "availableReplicas": available, "observedGeneration": seen}
    return {name: count for name, count in counts.items() if count}


def daemons(desired: int, updated: int, available: int, seen: int = 2) -> dict[str, Any]:
    return {
        "desiredNumberScheduled": desired,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "observedGeneration": seen,
    }


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize(
    ("spec", "status", "ready"),
    [
        ({"replicas": 2}, replicas(2, 2, 2), True),
        ({}, replicas(1, 1, 1), True),
        ({"replicas": 2}, None, False),
        ({"replicas": 2}, {}, False),
        # Not all updated, one of before left over, not all available.
        ({"replicas": 2}, replicas(1, 2, 2), False),
        ({"replicas": 2}, replicas(2, 3, 2), False),
        ({"replicas": 2}, replicas(2, 2, 1), False),
        ({"replicas": 2}, replicas(2, 2, 0), False),
        # The controller has not seen the newest spec.
        ({"replicas": 2}, replicas(2, 2, 2, seen=1), False),
        # Scaled to nothing, and on the way there.
        ({"replicas": 0}, replicas(0, 0, 0), True),
        ({"replicas": 0}, replicas(0, 1, 1), False),
        ({"replicas": 0}, {}, False),
    ],
)
def test_replicas(kind: str, spec: dict[str, Any], status: dict[str, Any] | None, ready: bool) -> None:
    assert is_ready(workload(kind, spec, status)) is ready


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        (daemons(3, 3, 3), True),
        (daemons(3, 2, 3), False),
        (daemons(3, 3, 2), False),
        (daemons(3, 3, 3, seen=1), False),
        (daemons(0, 0, 0), True),
        ({}, False),
        (None, False),
    ],
)
def test_daemons(status: dict[str, Any] | None, ready: bool) -> None:
    assert is_ready(workload("DaemonSet", {}, status)) is ready


@pytest.mark.parametrize(
    ("kind", "strategy", "status", "kept", "ready"),
    [
        # Those below the partition stay as they are; what is rolled by a change of it may be more.
        ("StatefulSet", {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, replicas(1, 3, 3), 2, True),
        ("StatefulSet", {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, replicas(3, 3, 3), 2, True),
        ("StatefulSet", {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, replicas(0, 3, 3), 2, False),
        ("StatefulSet", {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, replicas(1, 3, 2), 2, False),
        ("StatefulSet", {"type": "RollingUpdate", "rollingUpdate": {"partition": 9}}, replicas(0, 3, 3), 9, True),
        ("StatefulSet", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}, replicas(2, 3, 3), 0, False),
        ("StatefulSet", {"type": "RollingUpdate"}, replicas(2, 3, 3), 0, False),
        ("StatefulSet", {"type": "OnDelete"}, replicas(0, 3, 3), None, True),
        ("StatefulSet", {"type": "OnDelete"}, replicas(0, 3, 2), None, False),
        ("StatefulSet", {"type": "OnDelete"}, replicas(0, 3, 3, seen=1), None, False),
        ("DaemonSet", {"type": "OnDelete"}, daemons(3, 0, 3), None, True),
        ("DaemonSet", {"type": "OnDelete"}, daemons(3, 3, 2), None, False),
        ("DaemonSet", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}, daemons(3, 2, 3), 0, False),
        ("Deployment", {}, replicas(3, 3, 3), 0, True),
    ],
)
def test_pods_that_no_rollout_replaces_need_not_be_updated(
    kind: str, strategy: dict[str, Any], status: dict[str, Any], kept: int | None, ready: bool
) -> None:
    found = workload(kind, {"replicas": 3, "updateStrategy": strategy}, status)
    assert kept_back(found) == kept
    assert is_ready(found) is ready


def test_workloads_of_a_manifest() -> None:
    objects = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "t", "namespace": "other"}},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "e"}},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}},
    ]
    assert workload_refs(objects, "osm-system") == [
        ObjectRef("apps/v1", "Deployment", "d", "osm-system"),
        ObjectRef("apps/v1", "StatefulSet", "t", "other"),
        ObjectRef("apps/v1", "DaemonSet", "e", "osm-system"),
    ]


@pytest.mark.parametrize(
    ("readiness", "ready", "summary"),
    [
        (Readiness(3, (), ()), True, "3 of 3 workloads ready"),
        (Readiness(0, (), ()), True, "0 of 0 workloads ready"),
        (Readiness(3, ({"metadata": {"name": "a"}},), ()), False, "2 of 3 workloads ready, waiting for a"),
        (Readiness(3, ({"metadata": {"name": "a"}},), ("b",)), False, "1 of 3 workloads ready, waiting for b, a"),
        (Readiness(1, (), ("b",)), False, "0 of 1 workloads ready, waiting for b"),
    ],
)
def test_readiness_in_words(readiness: Readiness, ready: bool, summary: str) -> None:
    assert readiness.ready is ready
    assert readiness.summary() == summary


@pytest.mark.parametrize(
    ("obj", "ref", "text"),
    [
        ({"name": "a", "namespace": "n"}, ObjectRef("v1", "Pod", "a", "n"), "Pod n/a"),
        ({"name": "a"}, ObjectRef("v1", "Pod", "a", "default"), "Pod default/a"),
        ({"name": "a", "namespace": ""}, ObjectRef("v1", "Pod", "a", "default"), "Pod default/a"),
    ],
)
def test_references(obj: dict[str, Any], ref: ObjectRef, text: str) -> None:
    assert ObjectRef.of({"apiVersion": "v1", "kind": "Pod", "metadata": obj}, "default") == ref
    assert str(ref) == text


def test_a_reference_to_what_is_in_no_namespace() -> None:
    ref = ObjectRef.of({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})
    assert ref.namespace is None
    assert str(ref) == "Namespace a"
