"""What counts as drift, and how it is told."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.domain.drift import (
    DriftedField,
    as_helm_applies,
    drifted_fields,
    with_what_lives,
)
from meshupgrade.domain.drift_told import Drift, tell
from meshupgrade.domain.merge import merge_patch
from tests.unit.domain.json_trees import objects, objects_without_nulls

Object = dict[str, Any]


def deployment(image: str = "a:1", *, replicas: int = 1, labels: Object | None = None, **pod: Any) -> Object:
    container = {"name": "grafana", "image": image, **pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "osm-grafana", "labels": labels or {}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
    }


def paths(wanted: Object, would_be: Object, live: Object) -> list[str]:
    return [str(field) for field in drifted_fields(wanted, would_be, live)]


CONTAINER = "spec.template.spec.containers[grafana]"


@pytest.mark.parametrize(
    ("wanted", "would_be", "live", "drifted"),
    [
        pytest.param(deployment(), deployment(), deployment("b:1"), [f"{CONTAINER}.image"], id="an image"),
        pytest.param(
            deployment(args=["a"]), deployment(args=["a"]), deployment(args=["a", "b"]), [f"{CONTAINER}.args"],
            id="a list is one field",
        ),
        pytest.param(
            deployment(cpu="1000m"), deployment(cpu="1"), deployment(cpu="1"), [], id="written in another way",
        ),
        pytest.param(
            deployment(), deployment(pull="Always"), deployment(pull="Never"), [], id="not the chart's field"
        ),
        pytest.param(
            deployment(labels={"app.kubernetes.io/name": "a"}), deployment(labels={"app.kubernetes.io/name": "a"}),
            deployment(), ["metadata.labels[app.kubernetes.io/name]"], id="a field that is gone",
        ),
        pytest.param(
            deployment(only=None), deployment(), deployment(only="x"), [f"{CONTAINER}.only"], id="would be removed"
        ),
        pytest.param(deployment(only=None), deployment(only="x"), deployment(only="y"), [], id="null sets nothing"),
        pytest.param(
            {"roles": [{"name": "a", "x": 1}]}, {"roles": [{"name": "a", "x": 1}]},
            {"roles": [{"name": "b"}, {"name": "a", "x": 1}]}, ["roles[b]"], id="added to a list that is Helm's",
        ),
        pytest.param(
            {"env": [{"name": "a", "x": 1}]}, {"env": [{"name": "b"}, {"name": "a", "x": 1}]},
            {"env": [{"name": "b"}]}, ["env[a]"], id="an item that is gone",
        ),
        pytest.param(
            {"env": [{"name": "a"}]}, {"env": [{"name": "b"}, {"name": "a"}]},
            {"env": [{"name": "a"}, {"name": "b"}]}, [], id="the order of named items",
        ),
        pytest.param(
            {"selector": {"app": "a"}}, {"selector": {"app": "a"}}, {"selector": {"app": "a", "more": "b"}},
            ["selector.more"], id="added to a mapping that is Helm's",
        ),
        pytest.param({"hosts": ["a"]}, {"hosts": ["a"]}, {"hosts": None}, ["hosts"], id="a list that is gone"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 1}}, {"a": "text"}, ["a"], id="another kind of value"),
        pytest.param({"a": [{"name": 1}]}, {"a": [{"name": 1}]}, {"a": [{"name": 2}]}, ["a"], id="names that are none"),
        pytest.param(
            {"kind": "Secret", "stringData": {"key": "x"}}, {"kind": "Secret", "data": {"key": "eA=="}},
            {"kind": "Secret", "data": {"key": "eQ=="}}, ["data.key"], id="written as stringData",
        ),
        pytest.param(
            {"kind": "A", "status": {"a": 1}}, {"kind": "A", "status": {"a": 1}}, {"kind": "A", "status": {}}, [],
            id="a status is nobody's wish",
        ),
    ],
)  # fmt: skip
def test_what_has_drifted(wanted: Object, would_be: Object, live: Object, drifted: list[str]) -> None:
    assert paths(wanted, would_be, live) == drifted


@given(objects, objects)
def test_what_an_apply_would_not_change_has_not_drifted(wanted: Object, live: Object) -> None:
    assert drifted_fields(wanted, live, copy.deepcopy(live)) == []


@given(objects_without_nulls, objects_without_nulls)
def test_of_plain_mappings_all_that_the_manifest_sets_is_seen(wanted: Object, live: Object) -> None:
    """A merge is what an apply makes of mappings: it changes what the manifest sets, and nothing else."""
    content = {key: value for key, value in wanted.items() if key not in ("kind", "status")}
    would_be = merge_patch(live, content)
    assert bool(drifted_fields(content, would_be, live)) == (would_be != live)


@given(objects_without_nulls, objects)
def test_what_the_manifest_does_not_set_is_not_looked_at(wanted: Object, others: Object) -> None:
    live = {**wanted, "others": others}
    assert drifted_fields(wanted, {**wanted, "others": {"changed": 1, **others}}, live) == []


def managed(manager: str, fields: Object, operation: str = "Update") -> Object:
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def in_containers(fields: Object) -> Object:
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": fields}}}}


def test_who_changed_it_is_named() -> None:
    live = deployment("b:1", replicas=2, args=["x"], labels={"a": "edited"})
    live["metadata"]["managedFields"] = [
        managed("helm", {"f:spec": {"f:replicas": {}}, "f:metadata": {"f:labels": {"f:a": {}}}}, "Apply"),
        managed("kubectl-set", in_containers({'k:{"name":"grafana"}': {"f:image": {}}})),
        managed("another-container", in_containers({'k:{"name":"other"}': {"f:image": {}}})),
        managed("another-key", in_containers({'k:{"port":1}': {"f:image": {}}})),
        managed("kubectl-edit", in_containers({'k:{"name":"grafana"}': {"f:args": {}}})),
        managed("kubectl", {"f:spec": {"f:replicas": {}}}),
        managed("a-second", {"f:spec": {"f:replicas": {}}}),
        {"manager": "nothing"},
    ]
    wanted = deployment(args=["y"], labels={"a": "x"})
    would_be = merge_patch(wanted, {"metadata": {"managedFields": live["metadata"]["managedFields"]}})
    assert paths(wanted, would_be, live) == [
        "metadata.labels.a",
        "spec.replicas (by a-second, kubectl)",
        f"{CONTAINER}.image (by kubectl-set)",
        f"{CONTAINER}.args (by kubectl-edit)",
    ]


def test_what_is_owned_as_a_whole_has_an_owner_below() -> None:
    live = {
        "metadata": {"managedFields": [managed("a", {"f:spec": {"f:selector": {}}})]},
        "spec": {"selector": {"x": 1}},
    }
    wanted = {"spec": {"selector": {"x": 2}}}
    assert paths(wanted, {**live, **wanted}, live) == ["spec.selector.x (by a)"]


def test_what_helm_adds_is_part_of_what_it_applies() -> None:
    before = deployment(labels={"a": "b"})
    kept = copy.deepcopy(before)
    after = as_helm_applies(before, "osm", "osm-system")
    assert after["metadata"]["labels"] == {"a": "b", "app.kubernetes.io/managed-by": "Helm"}
    assert after["metadata"]["annotations"] == {
        "meta.helm.sh/release-name": "osm",
        "meta.helm.sh/release-namespace": "osm-system",
    }
    assert after["spec"] == before["spec"]
    assert before == kept


def test_the_replicas_of_an_autoscaler_are_left_as_they_live() -> None:
    wanted, live = deployment(), deployment(replicas=7)
    assert with_what_lives(wanted, live, autoscaled=True)["spec"]["replicas"] == 7
    assert with_what_lives(wanted, live, autoscaled=False) == wanted
    del wanted["spec"]["replicas"]
    assert "replicas" not in with_what_lives(wanted, live, autoscaled=True)["spec"], "the chart leaves them alone"


BLANK = base64.b64encode(b"\n").decode()
INJECTED = base64.b64encode(b"a certificate").decode()


def webhook(bundle: str | None, name: str = "a") -> Object:
    client = {"url": "https://a"} | ({"caBundle": bundle} if bundle is not None else {})
    return {"kind": "MutatingWebhookConfiguration", "webhooks": [{"name": name, "clientConfig": client}]}


@pytest.mark.parametrize(
    ("chart", "lives", "applied"),
    [
        ("", INJECTED, INJECTED),
        (BLANK, INJECTED, INJECTED),
        (BLANK, None, BLANK),
        (None, INJECTED, None),
        (INJECTED, BLANK, INJECTED),
        ("no base64", INJECTED, "no base64"),
    ],
)
def test_an_injected_bundle_is_left_as_it_lives(chart: str | None, lives: str | None, applied: str | None) -> None:
    assert with_what_lives(webhook(chart), webhook(lives), autoscaled=False) == webhook(applied)
    crd = {"kind": "CustomResourceDefinition", "spec": {"conversion": {"webhook": webhook(chart)["webhooks"][0]}}}
    live = {"kind": "CustomResourceDefinition", "spec": {"conversion": {"webhook": webhook(lives)["webhooks"][0]}}}
    wanted = {"kind": "CustomResourceDefinition", "spec": {"conversion": {"webhook": webhook(applied)["webhooks"][0]}}}
    assert with_what_lives(crd, live, autoscaled=False) == wanted


def test_a_bundle_is_found_by_the_name_of_its_webhook() -> None:
    wanted, live = webhook("", "a"), webhook(INJECTED, "b")
    assert with_what_lives(wanted, live, autoscaled=False) == wanted
    live["webhooks"].append(webhook(INJECTED, "a")["webhooks"][0])
    assert with_what_lives(wanted, live, autoscaled=False) == webhook(INJECTED, "a")


def test_a_bundle_elsewhere_is_only_a_text() -> None:
    config = {"kind": "ConfigMap", "data": {"caBundle": ""}}
    assert with_what_lives(config, {"kind": "ConfigMap", "data": {"caBundle": INJECTED}}, autoscaled=False) == config


def drift(name: str, *fields: str, missing: bool = False, error: str = "") -> Drift:
    return Drift(name, {}, tuple(DriftedField(path) for path in fields), missing=missing, error=error)


def test_nothing_is_told_of_nothing() -> None:
    assert tell([]) is None


@pytest.mark.parametrize(
    ("drifts", "put_back", "status", "reason", "message"),
    [
        (
            [drift("A a", "x.y", "z"), drift("B b", missing=True)], [], "True", Reason.DRIFTED,
            "not as the release says: A a: x.y, z; B b is missing",
        ),
        (
            [drift("A a", "x", error="refused")], [drift("B b", "y")], "True", Reason.DRIFTED,
            "not as the release says: A a: x (refused). put back as the release says: B b: y",
        ),
        ([], [drift("B b", "y")], "False", Reason.CORRECTED, "put back as the release says: B b: y"),
        (
            [drift("A a", error="refused")], [], "Unknown", Reason.NOT_OBSERVED,
            "could not be compared: A a (refused)",
        ),
        (
            [drift("A a", error="refused"), drift("B b", "x")], [], "True", Reason.DRIFTED,
            "not as the release says: B b: x. could not be compared: A a (refused)",
        ),
    ],
)  # fmt: skip
def test_what_is_told(drifts: list[Drift], put_back: list[Drift], status: str, reason: Reason, message: str) -> None:
    told = tell(drifts, put_back)
    assert told is not None
    assert (told.status, told.reason, told.message) == (status, reason, message)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_a_message_is_bounded_and_tells_how_many_there_are(counts: list[int]) -> None:
    fields = [[f"{'k' * 300}{number}" for number in range(count)] for count in counts]
    drifts = [
        Drift(
            f"Kind {number}",
            {},
            tuple(drifted_fields(dict.fromkeys(keys, 1), dict.fromkeys(keys, 1), {})),
            missing=not keys,
        )
        for number, keys in enumerate(fields)
    ]
    told = tell(drifts)
    assert told is not None
    assert len(told.message) < 4096
    total = sum(max(1, count) for count in counts)
    more = told.message.rpartition(" and ")[2].removesuffix(" more")
    named = told.message.count("k…") + told.message.count(" is missing")
    assert named + (int(more) if more.isdigit() else 0) == total


def test_no_value_is_ever_told() -> None:
    secret = {"kind": "Secret", "data": {"password": "aHVudGVyMg=="}}
    live = {"kind": "Secret", "data": {"password": "b3RoZXI="}}
    found = Drift("Secret a", secret, tuple(drifted_fields(secret, secret, live)))
    told = tell([found])
    assert told is not None
    assert "aHVudGVyMg" not in f"{found!r}{told}"
    assert "b3RoZXI" not in json.dumps([str(field) for field in found.fields])
