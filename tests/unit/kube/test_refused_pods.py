"""Why the API server takes no more Pods of a workload, as it and the controllers say it."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.refused_pods import _condition, cause_of_refusal, last_refusal, wanted_pods

CALL = 'failed calling webhook "osm-inject.k8s.io": failed to call webhook: Post'
SERVICE = '"https://osm-injector.osm-system.svc:9090/mutate?timeout=10s"'
NOBODY = 'no endpoints available for service "osm-injector"'


@pytest.mark.parametrize(
    ("message", "reason", "told", "remedy"),
    [
        pytest.param(
            'pods "a" is forbidden: exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4',
            Reason.QUOTA, "exceeded quota: few", "Raise the quota of the namespace", id="quota",
        ),
        pytest.param(
            'pods "a" is forbidden: failed quota: few: must specify limits.cpu for: app',
            Reason.QUOTA, "must specify limits.cpu for: app", "requests and limits that the quota asks for",
            id="quota that asks for limits",
        ),
        pytest.param(
            f"Internal error occurred: {CALL} {SERVICE}: dial tcp 10.0.0.7:9090: connect: connection refused",
            Reason.WEBHOOK_UNREACHABLE,
            "the webhook osm-inject.k8s.io of Service osm-system/osm-injector does not answer: Internal error",
            "Bring Service osm-system/osm-injector up", id="webhook of a Service",
        ),
        pytest.param(
            f"Internal error occurred: {CALL} {SERVICE}: {NOBODY}",
            Reason.WEBHOOK_UNREACHABLE, NOBODY, "Bring Service osm-system/osm-injector up", id="nobody behind it",
        ),
        pytest.param(
            f'Internal error occurred: {CALL} "https://127.0.0.1:4711/mutate?timeout=1s": context deadline exceeded',
            Reason.WEBHOOK_UNREACHABLE,
            "the webhook osm-inject.k8s.io of https://127.0.0.1:4711 does not answer",
            "Bring https://127.0.0.1:4711 up", id="webhook at a URL",
        ),
        pytest.param(
            'failed calling webhook "x"', Reason.WEBHOOK_UNREACHABLE, "the webhook x does not answer",
            "Bring what serves it up", id="nobody knows where",
        ),
        pytest.param(
            'admission webhook "policy.example" denied the request: no latest tags',
            Reason.API_REJECTED, "denied the request: no latest tags", "Change its Pods, or what refuses them",
            id="webhook that says no",
        ),
        pytest.param(
            'pods "a" is forbidden: error looking up service account osm-system/osm: serviceaccount "osm" not found',
            Reason.API_REJECTED, 'serviceaccount "osm" not found', "Change its Pods", id="no account",
        ),
    ],
)  # fmt: skip
def test_causes(message: str, reason: Reason, told: str, remedy: str) -> None:
    cause = cause_of_refusal("StatefulSet db", message)
    assert cause.reason is reason
    assert cause.message.startswith("StatefulSet db cannot make Pods: ")
    assert told in cause.message
    assert remedy in cause.remedy


def test_a_long_message_is_cut() -> None:
    assert len(cause_of_refusal("Deployment a", "x" * 5000).message) < 600


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([{"type": "Progressing", "status": "True", "message": "ReplicaSet is progressing"},
          {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}],
         "exceeded quota"),
        ([{"type": "ReplicaFailure", "status": "False", "message": "exceeded quota"}], None),
        ([], None),
        (None, None),
    ],
)  # fmt: skip
def test_a_deployment_shows_it_in_its_condition(conditions: Any, message: str | None) -> None:
    assert _condition({"status": {"conditions": conditions}}) == message


SECOND = "2026-01-01T00:00:02Z"


def event(reason: str, time: str, message: str = "said", field: str = "lastTimestamp") -> dict[str, Any]:
    return {"reason": reason, "message": message, field: time}


def failed(time: str, message: str = "said") -> dict[str, Any]:
    return event("FailedCreate", time, message)


def made(time: str) -> dict[str, Any]:
    return event("SuccessfulCreate", time)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], None),
        ([failed("2026-01-01T00:00:01Z", "old"), failed("2026-01-01T00:00:03Z", "new")], "new"),
        ([failed("2026-01-01T00:00:03Z", "new"), failed("2026-01-01T00:00:01Z", "old")], "new"),
        ([failed("2026-01-01T00:00:01Z"), made("2026-01-01T00:00:02Z")], None),
        ([made("2026-01-01T00:00:01Z"), failed("2026-01-01T00:00:02Z")], "said"),
        ([failed("2026-01-01T00:00:02Z"), made("2026-01-01T00:00:02Z")], "said"),
        ([event("FailedScheduling", "2026-01-01T00:00:02Z")], None),
        # An event of a series goes by when it was last seen; fractions of a second count nowhere.
        ([made("2026-01-01T00:00:02Z"), event("FailedCreate", "2026-01-01T00:00:03.1Z", field="eventTime")], "said"),
        ([made("2026-01-01T00:00:05Z"),
          {**failed("2026-01-01T00:00:01Z"), "series": {"lastObservedTime": "2026-01-01T00:00:06.5Z"}}], "said"),
        ([{"reason": "FailedCreate", "lastTimestamp": None, "eventTime": None}], ""),
    ],
)  # fmt: skip
def test_the_last_event_counts(events: list[dict[str, Any]], message: str | None) -> None:
    assert last_refusal(events) == message


@pytest.mark.parametrize(("since", "message"), [("", "said"), (SECOND, "said"), ("2026-01-01T00:00:03Z", None)])
def test_a_pod_that_was_made_later_was_not_refused(since: str, message: str | None) -> None:
    assert last_refusal([failed(SECOND)], since) == message


@pytest.mark.parametrize(
    "prefix",
    ["", "Error creating: ", "Create Pod db-0 in StatefulSet db failed error: "],
    ids=["api", "daemon", "stateful"],
)
def test_what_the_controllers_put_before_it_is_left_out(prefix: str) -> None:
    told = cause_of_refusal("StatefulSet db", f"{prefix}no such account").message
    assert told == "StatefulSet db cannot make Pods: no such account"


@pytest.mark.parametrize(
    ("workload", "wanted"),
    [
        ({"kind": "Deployment", "spec": {"replicas": 3}}, 3),
        ({"kind": "StatefulSet", "spec": {}}, 1),
        ({"kind": "StatefulSet", "spec": {"replicas": 0}}, 0),
        ({"kind": "DaemonSet", "spec": {}, "status": {"desiredNumberScheduled": 5}}, 5),
        ({"kind": "DaemonSet", "spec": {}}, 0),
    ],
)
def test_how_many_pods_there_are_to_be(workload: dict[str, Any], wanted: int) -> None:
    assert wanted_pods(workload) == wanted
