"""The plan's digest and summary, and how values and times in it are told."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.plan import (
    CRDAction,
    ObjectAction,
    Plan,
    PlannedCRD,
    PlannedHop,
    PlannedImage,
    PlannedObject,
    PlannedRestart,
    PlannedValue,
    PlannedVersion,
    SchemaChange,
)
from meshupgrade.api.v1alpha1.status import HistoryAction, HistoryEntry, HistoryState, Phase, PhaseDuration
from meshupgrade.domain.merge import leaf_paths, lookup, same
from meshupgrade.domain.plans import estimate, plan_digest, reversibility, summarize, value_changes
from tests.unit.domain.json_trees import objects

NOW = datetime(2026, 5, 1, tzinfo=UTC)
RISK = FindingName.BREAKING_CHANGE


def finding(severity: Severity, name: FindingName = RISK, message: str = "m") -> Finding:
    return Finding(name=name, severity=severity, phase="Path", message=message)


def hop(**fields: Any) -> PlannedHop:
    return PlannedHop(
        **{
            "version": "1.1.0",
            "previous": "1.0.0",
            "chart": "osm",
            "chart_digest": "sha256:c",
            "crd_digest": "sha256:i",
            "values_digest": "v",
            "crds": [
                PlannedCRD(
                    name="c",
                    action=CRDAction.CHANGE,
                    versions=[PlannedVersion(name="v1", changes={SchemaChange.DROPPING: ["a"]})],
                )
            ],
            "objects": [PlannedObject(object="ConfigMap n/c", action=ObjectAction.UPDATE, paths=["data.a"])],
            "images": [PlannedImage(workload="Deployment n/d", container="c", before="a:1", after="a:2")],
            "storage": ["c in v2"],
            **fields,
        }
    )


def plan(**fields: Any) -> Plan:
    return Plan(
        **{
            "created_at": NOW,
            "namespace": "osm-system",
            "mesh": "osm",
            "current": "1.0.0",
            "target": "1.1.0",
            "hops": [hop()],
            "mesh_config": [PlannedValue(path="spec.a", before=1, after=2)],
            "findings": [finding(Severity.RISK)],
            **fields,
        }
    )


@pytest.mark.parametrize(
    "other",
    [
        plan(created_at=NOW + timedelta(hours=5)),
        plan(estimate_seconds=12.5),
        plan(digest="sha256:other"),
        plan(interruptions=["new Pods wait"]),
        plan(findings=[finding(Severity.RISK, message="other words")]),
        plan(findings=[finding(Severity.RISK), finding(Severity.RISK, message="once more")]),
        plan(findings=[finding(Severity.WARNING, FindingName.VALUES_DROPPED), finding(Severity.RISK)]),
        plan(hops=[hop(random=["ConfigMap n/c data.uid"])]),
        Plan.model_validate_json(plan().model_dump_json(by_alias=True, exclude_none=True)),
    ],
)
def test_plans_that_do_the_same_have_one_digest(other: Plan) -> None:
    assert plan_digest(other) == plan_digest(plan())


@pytest.mark.parametrize(
    "other",
    [
        plan(current="1.0.1"),
        plan(mesh="blue"),
        plan(namespace="other"),
        plan(hops=[]),
        plan(hops=[hop(), hop(version="1.2.0")]),
        plan(hops=[hop(version="1.1.1")]),
        plan(hops=[hop(chart_digest="sha256:d")]),
        plan(hops=[hop(crd_digest="sha256:j")]),
        plan(hops=[hop(values_digest="w")]),
        plan(hops=[hop(crds=[])]),
        plan(hops=[hop(crds=[PlannedCRD(name="c", action=CRDAction.CHANGE)])]),
        plan(hops=[hop(crds=[hop().crds[0].model_copy(update={"action": CRDAction.CREATE})])]),
        plan(hops=[hop(crds=[hop().crds[0].model_copy(update={"stored_after": "v2"})])]),
        plan(hops=[hop(objects=[])]),
        plan(hops=[hop(objects=[PlannedObject(object="ConfigMap n/c", action=ObjectAction.DELETE)])]),
        plan(hops=[hop(objects=[PlannedObject(object="ConfigMap n/c", action=ObjectAction.UPDATE, paths=["data.b"])])]),
        plan(hops=[hop(images=[PlannedImage(workload="Deployment n/d", container="c", before="a:1", after="a:3")])]),
        plan(hops=[hop(storage=[])]),
        plan(mesh_config=[]),
        plan(data_plane=PlannedRestart(target="1.1.0-a")),
        plan(addons=[PlannedImage(workload="Deployment n/g", container="grafana", before="g:1", after="g:2")]),
        plan(mesh_config=[PlannedValue(path="spec.a", before=1, after=3)]),
        plan(mesh_config=[PlannedValue(path="spec.a", secret=True)]),
        plan(findings=[]),
        plan(findings=[finding(Severity.RISK, FindingName.FIELDS_PRUNED)]),
        plan(findings=[finding(Severity.RISK), finding(Severity.RISK, FindingName.FIELDS_PRUNED)]),
        plan(findings=[finding(Severity.WARNING)]),
    ],
)
def test_plans_that_do_something_else_have_another(other: Plan) -> None:
    assert plan_digest(other) != plan_digest(plan())


def test_the_plan_in_short() -> None:
    actions = [
        ObjectAction.CREATE,
        *[ObjectAction.UPDATE] * 2,
        *[ObjectAction.RECREATE] * 3,
        *[ObjectAction.DELETE] * 4,
    ]
    changes = [PlannedObject(object=f"Service n/{number}", action=action) for number, action in enumerate(actions)]
    weights = [Severity.ERROR, *[Severity.RISK] * 2, *[Severity.WARNING] * 3, Severity.INFO]
    first, second = (
        hop(version=version, chart_digest=f"sha256:{version}", objects=part, restarts=restarts)
        for version, part, restarts in (("1.1.0", changes[:3], ["a", "b"]), ("1.2.0", changes[3:], ["b", "c"]))
    )
    made = plan(
        digest="sha256:p",
        hops=[first, second],
        findings=[finding(severity) for severity in weights],
        estimate_seconds=9.5,
        data_plane=PlannedRestart(target="1.2.0-a", workloads=12, waves=4, wave_size=3),
        addons=[PlannedImage(workload=f"Deployment n/{name}", container="c", after="a:2") for name in ("g", "p")],
    )
    short = summarize(made, secret="s", inputs="i", approved=True, carried=False)
    assert short.model_dump(exclude={"created_at"}) == {
        "digest": "sha256:p",
        "secret": "s",
        "inputs": "i",
        "changes": True,
        "approved": True,
        "carried": False,
        "current": "1.0.0",
        "hops": ["1.1.0", "1.2.0"],
        "charts": ["sha256:1.1.0", "sha256:1.2.0"],
        "crds": 1,
        "created": 1,
        "updated": 2,
        "recreated": 3,
        "deleted": 4,
        "restarts": 3,
        "mesh_config": 1,
        "addons": 2,
        "data_plane": 12,
        "waves": 4,
        "errors": 1,
        "risks": 2,
        "warnings": 3,
        "estimate_seconds": 9.5,
    }
    assert short.created_at == NOW


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, False),
        ({"version": "1.1.0"}, True),
        ({"crds": hop().crds}, True),
        ({"objects": hop().objects}, True),
        ({"storage": ["c"]}, True),
        ({"values": [PlannedValue(path="a")]}, True),
    ],
)
def test_whether_a_plan_writes_anything(fields: dict[str, Any], changes: bool) -> None:
    bare = PlannedHop(**{"version": "1.0.0", "previous": "1.0.0", "chart": "osm", "chart_digest": "", **fields})
    assert plan(hops=[bare], mesh_config=[]).changes() is changes
    assert plan(hops=[bare]).changes(), "the MeshConfig changes"


def told(before: Any, after: Any, secret: Collection[tuple[str, ...]] = ()) -> list[dict[str, Any]]:
    return [value.model_dump(exclude_unset=True) for value in value_changes(before, after, secret)]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [{"path": "a", "before": 1, "after": 2}]),
        ({"a": 1}, {}, [{"path": "a", "before": 1}]),
        ({}, {"a": 1}, [{"path": "a", "after": 1}]),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, [{"path": "a.b", "before": 1, "after": 2}]),
        ({"b": 1, "a": 1}, {}, [{"path": "a", "before": 1}, {"path": "b", "before": 1}]),
        # A list is one value.
        ({"a": [1, 2]}, {"a": [1]}, [{"path": "a", "before": [1, 2], "after": [1]}]),
        # A null is a value: it takes the chart's own away.
        ({"a": 1}, {"a": None}, [{"path": "a", "before": 1, "after": None}]),
        ({}, {"a": None}, [{"path": "a", "after": None}]),
        ({"a": None}, {"a": None}, []),
        # An empty object is a value; one that is filled is told by what is in it.
        ({"a": {}}, {"a": {}}, []),
        ({"a": {}}, {}, [{"path": "a", "before": {}}]),
        ({"a": {}}, {"a": {"b": 1}}, [{"path": "a.b", "after": 1}]),
        ({"a": {"b": 1}}, {"a": {}}, [{"path": "a.b", "before": 1}]),
        ({"a": {}}, {"a": 1}, [{"path": "a", "before": {}, "after": 1}]),
        ({"a": "x"}, {"a": {"b": 1}}, [{"path": "a", "before": "x"}, {"path": "a.b", "after": 1}]),
        ({"a": {"b": 1}}, {"a": ["x"]}, [{"path": "a", "after": ["x"]}, {"path": "a.b", "before": 1}]),
        # In JSON, and unlike in Python, true is not 1.
        ({"a": 1}, {"a": True}, [{"path": "a", "before": 1, "after": True}]),
        ({"a": [{"b": 0}]}, {"a": [{"b": False}]}, [{"path": "a", "before": [{"b": 0}], "after": [{"b": False}]}]),
    ],
)
def test_the_values_that_differ(before: Any, after: Any, found: list[dict[str, Any]]) -> None:
    assert told(before, after) == found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": {"b": "old"}}, {"a": {"b": "S3CR3T"}}),
        ({"a": {"b": "S3CR3T"}}, {}),
        ({}, {"a": {"b": "S3CR3T"}}),
        ({}, {"a": {"b": {"c": ["S3CR3T"], "d": "S3CR3T"}}}),
        ({"a": {}}, {"a": {"b": "S3CR3T"}}),
        ({"a": {"b": "S3CR3T"}}, {"a": {}}),
        ({"a": "x"}, {"a": {"b": "S3CR3T"}}),
        ({"a": {"b": "S3CR3T"}}, {"a": "x"}),
        ({"a": ["x"]}, {"a": {"b": "S3CR3T"}}),
    ],
)
def test_what_a_secret_reaches_is_told_by_its_path_alone(before: Any, after: Any) -> None:
    found = value_changes(before, after, [("a", "b")])
    assert "S3CR3T" not in repr(found)
    hidden = [value for value in found if value.secret]
    assert hidden
    assert all(value.path.startswith("a.b") for value in hidden)
    assert [value.model_dump(exclude_unset=True, exclude={"path"}) for value in hidden] == [{"secret": True}] * len(
        hidden
    )


def test_what_stands_beside_a_secret_is_shown() -> None:
    assert told({}, {"a": {"b": "S3CR3T", "bc": 1}}, [("a", "b")]) == [
        {"path": "a.b", "secret": True},
        {"path": "a.bc", "after": 1},
    ]
    assert told({"a": {"b": "S3CR3T"}}, {"a": {"b": "S3CR3T"}}, [("a", "b")]) == []


@given(
    objects, objects, st.sets(st.tuples(st.sampled_from(["a", "b"])) | st.tuples(*[st.sampled_from(["a", "b"])] * 2))
)
def test_every_value_that_differs_is_told_and_no_other(before: Any, after: Any, secret: set[tuple[str, ...]]) -> None:
    found = value_changes(before, after, secret)
    assert bool(found) is not same(before, after)
    assert [value.path for value in found] == sorted({value.path for value in found}, key=lambda path: path.split("."))
    leaves = {*leaf_paths(before), *leaf_paths(after)}
    for value in found:
        path = tuple(value.path.split("."))
        assert path in leaves
        assert value.secret is any(path[:size] in secret for size in range(1, len(path) + 1))
        for name, tree in (("before", before), ("after", after)):
            if name in value.model_fields_set:
                assert not value.secret
                assert same(getattr(value, name), lookup(tree, path, ...))


def entry(
    seconds: float | None,
    action: HistoryAction = HistoryAction.UPGRADE,
    state: HistoryState = HistoryState.COMPLETED,
    before: str = "1.0.0",
) -> HistoryEntry:
    phases = (
        [] if seconds is None else [PhaseDuration(name="CRDs", seconds=1), PhaseDuration(name="x", seconds=seconds)]
    )
    return HistoryEntry.model_validate(
        {"action": action, "version": "1.1.0", "from": before, "state": state, "startedTime": NOW, "phases": phases}
    )


@pytest.mark.parametrize(
    ("history", "hops", "seconds"),
    [
        ([], 1, None),
        ([entry(9)], 0, None),
        ([entry(9)], 1, 10),
        ([entry(9)], 3, 30),
        ([entry(9), entry(99), entry(19)], 1, 20),
        ([entry(9), entry(19)], 2, 30),
        ([entry(0.2)], 1, 1.2),
        ([entry(9, HistoryAction.INSTALL, before="")], 1, 10),
        ([entry(9), *(entry(99, state=state) for state in HistoryState if state != "Completed")], 1, 10),
        ([entry(9), entry(None, HistoryAction.ADOPT), entry(99, HistoryAction.ADOPT)], 1, 10),
        # Going back is no upgrade, and neither is a change of values.
        ([entry(9), entry(99, HistoryAction.ROLLBACK), entry(99, before="1.1.0")], 1, 10),
        ([entry(None), entry(99, HistoryAction.ROLLBACK), entry(99, state=HistoryState.FAILED)], 1, None),
    ],
)
def test_how_long_it_will_take(history: list[HistoryEntry], hops: int, seconds: float | None) -> None:
    assert estimate(history, [hop()] * hops) == seconds


NOTHING: dict[str, Any] = {"crds": [], "objects": [], "storage": []}


@pytest.mark.parametrize(
    ("fields", "findings", "mesh_config", "told"),
    [
        ({}, [], False, []),
        ({"crds": hop().crds}, [], False, [(Phase.CRDS, False)]),
        ({"objects": hop().objects}, [], False, [(Phase.CONTROL_PLANE, True)]),
        (
            {"objects": hop().objects},
            [finding(Severity.WARNING, FindingName.ROLLBACK_BLOCKED, "no way back")],
            False,
            [(Phase.CONTROL_PLANE, False)],
        ),
        (
            {"objects": hop().objects},
            [finding(Severity.WARNING, FindingName.ROLLBACK_BLOCKED, "no way back")],
            True,
            [(Phase.CONTROL_PLANE, False), (Phase.MESH_CONFIG, False)],
        ),
        ({"storage": ["c in v2"]}, [], False, [(Phase.STORAGE, False)]),
        ({}, [finding(Severity.RISK)], True, [(Phase.MESH_CONFIG, True)]),
    ],
)
def test_what_a_rollback_takes_back(
    fields: dict[str, Any], findings: list[Finding], mesh_config: bool, told: list[tuple[Phase, bool]]
) -> None:
    values = [PlannedValue(path="spec.a")] * mesh_config
    hops = [hop(**NOTHING), hop(**NOTHING | fields)]
    found = reversibility(hops, findings, values)
    assert [(each.phase, each.reversible) for each in found] == told
    assert all(each.note for each in found)
    if any(one.name is FindingName.ROLLBACK_BLOCKED for one in findings):
        assert found[0].note == "no way back"


def test_going_back_to_a_bootstrap_that_replaces_crds_says_what_that_loses() -> None:
    going_back = [hop(**NOTHING)]
    (told,) = reversibility(going_back, [], [], replacing="1.2.3")
    assert (told.phase, told.reversible) == (Phase.CRDS, False)
    assert "the bootstrap of 1.2.3 replaces the CRDs" in told.note
    assert reversibility(going_back, [], []) == []
    # One that cannot start replaces nothing.
    blocked = [finding(Severity.WARNING, FindingName.ROLLBACK_BLOCKED, "no way back")]
    (crds, _) = reversibility([hop(**NOTHING | {"crds": hop().crds})], blocked, [], replacing="1.2.3")
    assert "only roll forward" in crds.note


def test_workloads_that_come_and_go_do_not_change_the_digest() -> None:
    few, many = (PlannedRestart(target="1.1.0-a", workloads=count, waves=count, wave_size=1) for count in (0, 7))
    assert plan_digest(plan(data_plane=few)) == plan_digest(plan(data_plane=many))
    assert plan_digest(plan(data_plane=few)) != plan_digest(plan(data_plane=PlannedRestart(target="1.1.0-b")))


def test_a_restart_alone_is_a_plan_that_changes_something() -> None:
    nothing = plan(hops=[], mesh_config=[])
    assert not nothing.model_copy(update={"data_plane": PlannedRestart(target="1.1.0-a")}).changes()
    restart = PlannedRestart(target="1.1.0-a", workloads=1)
    assert nothing.model_copy(update={"data_plane": restart}).changes()
    told = reversibility([], [], [], restart)
    assert [(item.phase, item.reversible) for item in told] == [(Phase.DATA_PLANE, False)]
