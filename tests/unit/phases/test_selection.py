"""Which workloads are restarted for a target, by what the cluster shows of them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.status import RestartStatus
from meshupgrade.domain.sidecars import Images, SidecarState
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.in_use import InUse, PodUse, WorkloadUse
from meshupgrade.phases.data_plane.live import Live
from meshupgrade.phases.data_plane.proof import pod_like
from meshupgrade.phases.data_plane.selection import Selection, select
from tests.unit.phases.works import make_work

INJECTION = "openservicemesh.io/sidecar-injection"
TARGET = "1.2.3-abcdef12"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE, AFTER = NOON.replace(hour=11), NOON.replace(hour=13)
CURRENT, OUTDATED, UNKNOWN = SidecarState.CURRENT, SidecarState.OUTDATED, SidecarState.UNKNOWN
OPEN = RestartStatus(target=TARGET)
DONE = RestartStatus(target=TARGET, done=True)


def pod(state: SidecarState, restarted_for: str = "", created: datetime = BEFORE) -> PodUse:
    return PodUse("shop", "a-1", "u1", state, restarted_for, created, ready=True)


def workload(
    name: str = "a",
    namespace: str = "shop",
    *,
    marked: str = "",
    ready: bool = True,
    strategy: str = "RollingUpdate",
    **fields: Any,
) -> dict[str, Any]:
    annotations = {"meshupgrade.io/restarted-for": marked, "meshupgrade.io/restarted-at": "2026-01-01T12:00:00Z"}
    template = {"metadata": {"annotations": annotations if marked else {}, **fields.pop("template", {})}, "spec": {}}
    spec = {"template": template, "selector": {}, "replicas": 1, "updateStrategy": {"type": strategy}}
    status = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": int(ready), "observedGeneration": 1}
    metadata = {"name": name, "namespace": namespace, "uid": "u", "resourceVersion": "1", "generation": 1, **fields}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec, "status": status}


def selected(
    *workloads: tuple[dict[str, Any], list[PodUse]],
    status: RestartStatus | None = None,
    namespace: dict[str, Any] | None = None,
    **data_plane: Any,
) -> Selection:
    work = make_work({"dataPlane": {"restart": "WhenOutdated", **data_plane}})
    work.restart = status
    lives = {live.ref: live for obj, _ in workloads if (live := Live.of(obj, INJECTION))}
    uses = {ObjectRef.of(obj): WorkloadUse(ObjectRef.of(obj), tuple(pods)) for obj, pods in workloads}
    metadata = namespace or {"annotations": {INJECTION: "enabled"}}
    names = {str(ref.namespace): {"name": ref.namespace, **metadata} for ref in uses}
    return select(work, InUse(Images("pipy:1", "init:1"), uses, names), lives.get, TARGET)


def verdict(selection: Selection) -> str:
    found = {
        "due": selection.due,
        "in flight": selection.in_flight,
        "excluded": selection.excluded,
        "not injected": selection.not_injected,
        "given up": selection.given_up,
    }
    return next((name for name, refs in found.items() if refs), f"done {selection.done}" if selection.done else "fine")


@pytest.mark.parametrize(
    ("marked", "ready", "strategy", "pods", "restart", "expected"),
    [
        ("", True, "RollingUpdate", [pod(CURRENT)], None, "fine"),
        ("", True, "RollingUpdate", [pod(CURRENT), pod(OUTDATED)], None, "due"),
        ("", True, "RollingUpdate", [pod(UNKNOWN)], None, "due"),
        ("", False, "RollingUpdate", [pod(OUTDATED)], None, "due"),
        ("1.2.2-abcdef12", True, "RollingUpdate", [pod(OUTDATED, "1.2.2-abcdef12")], None, "due"),
        # Restarted for it already: its rollout is waited for, and what came back as before is restarted once more.
        (TARGET, False, "RollingUpdate", [pod(OUTDATED), pod(CURRENT, TARGET)], OPEN, "in flight"),
        (TARGET, False, "RollingUpdate", [pod(OUTDATED)], None, "in flight"),
        (TARGET, False, "RollingUpdate", [pod(CURRENT, TARGET)], OPEN, "in flight"),
        (TARGET, True, "RollingUpdate", [pod(CURRENT, TARGET)], OPEN, "done 1"),
        (f"{TARGET}.2", True, "RollingUpdate", [pod(CURRENT, f"{TARGET}.2")], OPEN, "done 1"),
        (TARGET, True, "RollingUpdate", [pod(OUTDATED, TARGET)], OPEN, "due"),
        # What cannot be told of a Pod after its restart, another one would not tell.
        (TARGET, True, "RollingUpdate", [pod(UNKNOWN, TARGET)], OPEN, "done 1"),
        (TARGET, True, "OnDelete", [pod(UNKNOWN), pod(CURRENT, TARGET)], OPEN, "in flight"),
        (TARGET, True, "OnDelete", [pod(UNKNOWN, created=AFTER)], OPEN, "done 1"),
        # No rollout replaces these, so the annotation alone says nothing.
        (TARGET, True, "OnDelete", [pod(OUTDATED), pod(CURRENT, TARGET)], OPEN, "in flight"),
        (TARGET, True, "OnDelete", [pod(CURRENT, TARGET)], OPEN, "done 1"),
        # Once all is done, one that is not well is no business of the restart, and one that lost its sidecar is.
        (TARGET, False, "RollingUpdate", [pod(CURRENT, TARGET)], DONE, "done 1"),
        (TARGET, True, "RollingUpdate", [pod(OUTDATED, TARGET)], DONE, "due"),
        (TARGET, False, "RollingUpdate", [pod(OUTDATED, TARGET)], DONE, "due"),
    ],
)
def test_when_outdated(
    marked: str, ready: bool, strategy: str, pods: list[PodUse], restart: RestartStatus | None, expected: str
) -> None:
    assert (
        verdict(selected((workload(marked=marked, ready=ready, strategy=strategy), pods), status=restart)) == expected
    )


@pytest.mark.parametrize(
    ("marked", "ready", "pods", "restart", "expected"),
    [
        ("", True, [pod(CURRENT)], None, "due"),
        (TARGET, False, [pod(CURRENT)], OPEN, "in flight"),
        (TARGET, True, [pod(CURRENT, TARGET)], OPEN, "done 1"),
        # Below a partition a Pod comes back from the template of before: its age tells.
        (TARGET, True, [pod(CURRENT, created=AFTER)], OPEN, "done 1"),
        (TARGET, True, [pod(CURRENT)], OPEN, "due"),
        ("", True, [pod(CURRENT)], DONE, "fine"),
        ("", True, [pod(OUTDATED)], DONE, "due"),
        ("", True, [pod(CURRENT)], RestartStatus(target="1.2.2-abcdef12", done=True), "due"),
    ],
)
def test_always_is_once_for_a_target(
    marked: str, ready: bool, pods: list[PodUse], restart: RestartStatus | None, expected: str
) -> None:
    found = selected((workload(marked=marked, ready=ready), pods), status=restart, restart="Always")
    assert verdict(found) == expected


@pytest.mark.parametrize(
    ("obj", "options", "expected"),
    [
        (workload(annotations={"meshupgrade.io/restart": "Never"}), {}, "excluded"),
        (workload(annotations={"meshupgrade.io/restart": "never"}), {}, "due"),
        (workload(), {"namespace": {"annotations": {INJECTION: "yes", "meshupgrade.io/restart": "Never"}}}, "excluded"),
        (workload(), {"exclude": [{"namespace": "shop", "kind": "StatefulSet", "name": "a"}]}, "excluded"),
        (workload(), {"exclude": [{"kind": "StatefulSet"}]}, "excluded"),
        (workload(), {"exclude": [{}]}, "excluded"),
        (workload(), {"exclude": [{"namespace": "shop", "name": "b"}, {"kind": "Deployment"}]}, "due"),
        (workload(), {"namespaceSelector": {"matchLabels": {"team": "x"}}}, "excluded"),
        (workload(), {"namespaceSelector": {}}, "due"),
        # A restart would take the sidecar away.
        (workload(), {"namespace": {"annotations": {}}}, "not injected"),
        (workload(template={"annotations": {INJECTION: "no"}}), {}, "not injected"),
        (workload(template={"annotations": {INJECTION: "yes"}}), {"namespace": {"annotations": {}}}, "due"),
    ],
)
def test_who_is_left_alone(obj: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    found = selected((obj, [pod(OUTDATED)]), **options)
    assert verdict(found) == expected
    assert bool(found.all) is (expected == "due")


def test_one_that_failed_in_a_restart_that_is_over_is_not_tried_again() -> None:
    named = DONE.model_copy(update={"failed": ["StatefulSet shop/a: it is not ready after 10m"]})
    broken, other = (workload("a", ready=False), [pod(OUTDATED)]), (workload("b"), [pod(OUTDATED)])
    found = selected(broken, other, status=named)
    assert [ref.name for ref in found.given_up] == ["a"]
    assert [ref.name for ref in found.due] == ["b"]
    assert not selected((workload("a"), [pod(CURRENT)]), status=named).given_up, "it came back later"
    many = DONE.model_copy(update={"failed": [f"StatefulSet shop/{number}: …" for number in range(10)]})
    assert not selected(broken, other, status=many).due, "any may be among those that are not named"


def test_the_canary_is_first_and_the_size_counts_those_that_may_be_restarted() -> None:
    names = [("z", "b"), ("a", "a"), ("canary", "c"), ("a", "b"), ("canary", "a")]
    found = selected(
        *((workload(name, namespace), [pod(OUTDATED)]) for namespace, name in names),
        (workload("left-alone", annotations={"meshupgrade.io/restart": "Never"}), [pod(OUTDATED)]),
        canary={"namespace": "canary"},
        maxUnavailable="50%",
    )
    assert [(ref.namespace, ref.name) for ref in found.due] == [
        ("canary", "a"), ("canary", "c"), ("a", "a"), ("a", "b"), ("z", "b"),
    ]  # fmt: skip
    assert found.size == 2


def test_a_pod_like_those_of_a_workload() -> None:
    obj = workload("a" * 250, template={"labels": {"app": "a"}, "annotations": {"x": "y"}})
    obj["spec"]["template"]["spec"] = {
        "containers": [{"name": "a", "volumeMounts": [{"name": "data"}]}],
        "volumes": [{"name": "config"}],
    }
    obj["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]
    made = pod_like(obj)
    assert made["metadata"] == {
        "generateName": "a" * 200 + "-", "namespace": "shop", "labels": {"app": "a"}, "annotations": {"x": "y"},
    }  # fmt: skip
    claim = {"claimName": f"data-{'a' * 250}-0"}
    assert made["spec"]["volumes"] == [{"name": "config"}, {"name": "data", "persistentVolumeClaim": claim}]
    assert obj["spec"]["template"]["spec"]["volumes"] == [{"name": "config"}], "the workload is not changed"


@pytest.mark.parametrize("at", ["", "soon", "2026-01-01T12:00:00", "2026-13-01T12:00:00Z"])
def test_what_is_no_time_tells_nothing(at: str) -> None:
    obj = workload(marked=TARGET)
    obj["spec"]["template"]["metadata"]["annotations"]["meshupgrade.io/restarted-at"] = at
    assert Live.of(obj, INJECTION).restarted_at is None
    assert verdict(selected((obj, [pod(CURRENT, created=AFTER)]), status=OPEN, restart="Always")) == "due"
