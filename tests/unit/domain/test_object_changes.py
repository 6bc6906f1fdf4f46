"""What changes between two renderings of a release."""

import copy
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.plan import ObjectAction
from meshupgrade.domain.merge import same
from meshupgrade.domain.object_changes import (
    MORE,
    MOST_PATHS,
    changed_paths,
    image_changes,
    object_changes,
    random_fields,
    replaced_workloads,
    told_object,
)
from tests.unit.domain.json_trees import values

Object = dict[str, Any]

NS = "osm-system"


def obj(kind: str = "ConfigMap", name: str = "c", namespace: str | None = None, **fields: Any) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def workload(kind: str = "Deployment", name: str = "osm-controller", replicas: int = 1, **pod: Any) -> Object:
    pod = {"containers": [{"name": "main", "image": "c:1"}], **pod}
    return obj(kind, name, spec={"replicas": replicas, "template": {"spec": pod}})


def changes(
    before: list[Object], after: list[Object], *, recreated: Collection[str] = (), random: Collection[Any] = ()
) -> list[tuple[str, str, list[str]]]:
    found = object_changes(before, after, NS, recreated=recreated, random=random)
    return [(change.object, change.action.value, change.paths) for change in found]


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, ["a.b"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({}, {"a": {"b": 1}}, ["a"]),
        ({"a": {"b": 1}}, {"a": 1}, ["a"]),
        ({"a": [1]}, {"a": {"b": 1}}, ["a"]),
        # A null is nothing.
        ({"a": None}, {}, []),
        ({}, {"a": {"b": None}}, ["a"]),
        ({"a": {}}, {"a": {"b": None}}, []),
        ({"a": None}, {"a": 0}, ["a"]),
        # In JSON, and unlike in Python, true is not 1.
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": [0]}, {"a": [False]}, ["a[0]"]),
        ({"a": 1}, {"a": 1.0}, []),
        # Items go by their name, where all have one, and else by their place.
        ({"a": [{"name": "x", "v": 1}, {"name": "y"}]}, {"a": [{"name": "y"}, {"name": "x", "v": 2}]}, ["a[x].v"]),
        ({"a": [{"name": "x"}]}, {"a": []}, ["a[x]"]),
        ({"a": []}, {"a": [{"name": "x"}]}, ["a[x]"]),
        ({"a": [{"name": "x"}]}, {"a": [{"name": "y"}]}, ["a[x]", "a[y]"]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, ["a[1]", "a[2]"]),
        ({"a": [{"name": "x"}, {"v": 1}]}, {"a": [{"name": "x"}, {"v": 2}]}, ["a[1].v"]),
        ({"a": [{"name": "x"}, {"name": "x", "v": 1}]}, {"a": [{"name": "x"}, {"name": "x"}]}, ["a[1].v"]),
        ({"a": [[1], [2]]}, {"a": [[1], [3]]}, ["a[1][0]"]),
        # A key with dots of its own is no path.
        ({"a": {"b.c/d": 1}}, {"a": {"b.c/d": 2}}, ['a["b.c/d"]']),
        ({"a.b": 1, "a": {"b": 1}}, {"a.b": 2, "a": {"b": 2}}, ["a.b", '["a.b"]']),
    ],
)
def test_the_paths_that_differ(before: Object, after: Object, paths: list[str]) -> None:
    assert sorted(changed_paths(before, after)) == sorted(paths)
    assert sorted(changed_paths(after, before)) == sorted(paths)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (obj(), "ConfigMap osm-system/c"),
        (obj(namespace="other"), "ConfigMap other/c"),
        (obj("ClusterRole"), "ClusterRole c"),
        (obj("Deployment"), "Deployment osm-system/c"),
    ],
)
def test_how_an_object_is_told(told: Object, shown: str) -> None:
    assert told_object(told, NS) == shown


def test_what_becomes_of_objects() -> None:
    before = [obj(name="same"), obj(name="gone"), obj(name="new-words", data={"a": "1"}), obj("Service", "again", a=1)]
    after = [obj("Service", "again", a=2), obj(name="new-words", data={"a": "2"}), obj(name="made"), obj(name="same")]
    assert changes(before, after, recreated={"Service osm-system/again"}) == [
        ("ConfigMap osm-system/gone", ObjectAction.DELETE, []),
        ("ConfigMap osm-system/made", ObjectAction.CREATE, []),
        ("ConfigMap osm-system/new-words", ObjectAction.UPDATE, ["data.a"]),
        ("Service osm-system/again", ObjectAction.RECREATE, ["a"]),
    ]


def test_what_is_recreated_is_told_whatever_differs() -> None:
    assert changes([obj()], [obj()], recreated={"ConfigMap osm-system/c"}) == [
        ("ConfigMap osm-system/c", ObjectAction.RECREATE, [])
    ]
    # One that is not there yet cannot be deleted.
    assert changes([], [obj()], recreated={"ConfigMap osm-system/c"})[0][1] == ObjectAction.CREATE


@pytest.mark.parametrize("kind", ["ConfigMap", "HTTPRouteGroup"])
def test_an_object_that_names_the_releases_namespace_is_the_one_that_names_none(kind: str) -> None:
    found = changes([obj(kind, a=1)], [obj(kind, namespace=NS, a=2)])
    assert found == [(f"{kind} osm-system/c", ObjectAction.UPDATE, ["a", "metadata.namespace"])]
    found = changes([obj(kind, a=1)], [obj(kind, a=2)], recreated={f"{kind} osm-system/c"})
    assert [action for _, action, _ in found] == [ObjectAction.RECREATE]
    assert len(changes([obj(kind)], [obj(kind, namespace="other")])) == 2


@pytest.mark.parametrize("recreated", [(), ("ConfigMap osm-system/c",)])
def test_an_object_has_no_more_paths_than_a_person_reads(recreated: Collection[str]) -> None:
    def paths(count: int) -> list[str]:
        data = {f"{number:04}": "x" for number in range(count)}
        return changes([obj(data={})], [obj(data=data)], recreated=recreated)[0][2]

    assert len(paths(MOST_PATHS)) == MOST_PATHS
    assert MORE not in paths(MOST_PATHS)
    assert paths(MOST_PATHS + 1) == [*paths(MOST_PATHS), MORE]


def test_what_is_rendered_anew_each_time_does_not_count() -> None:
    def rendering(uid: str, level: str = "error") -> list[Object]:
        return [obj(data={"preset": uid, "level": level}), obj("Service")]

    random = random_fields(rendering("1"), rendering("2"), NS)
    assert random == {("ConfigMap osm-system/c", "data.preset")}
    assert changes(rendering("0"), rendering("1"), random=random) == []
    assert changes(rendering("0"), rendering("1", "info"), random=random) == [
        ("ConfigMap osm-system/c", ObjectAction.UPDATE, ["data.level"])
    ]
    assert random_fields(rendering("1"), rendering("1")[::-1], NS) == frozenset()


def test_the_images_that_change() -> None:
    before = [
        workload(initContainers=[{"name": "init", "image": "i:1"}]),
        workload(name="same"),
        workload(name="gone"),
        obj("Job", spec={"template": {"spec": {"containers": [{"name": "main", "image": "j:1"}]}}}),
    ]
    main, side = {"name": "main", "image": "c:2"}, {"name": "side", "image": "s:1"}
    after = [
        workload(initContainers=[{"name": "init", "image": "i:2"}], containers=[main, side]),
        workload(name="same"),
        workload("DaemonSet", name="made"),
        workload(name="unset", containers=[{"name": "main"}]),
    ]
    found = image_changes(before, after, NS)
    assert [(image.workload, image.container, image.before, image.after) for image in found] == [
        ("DaemonSet osm-system/made", "main", "", "c:1"),
        ("Deployment osm-system/gone", "main", "c:1", ""),
        ("Deployment osm-system/osm-controller", "init", "i:1", "i:2"),
        ("Deployment osm-system/osm-controller", "main", "c:1", "c:2"),
        ("Deployment osm-system/osm-controller", "side", "", "s:1"),
        ("Deployment osm-system/unset", "main", "", ""),
    ]


def test_a_workload_without_a_template_has_no_images() -> None:
    assert image_changes([obj("Deployment")], [obj("Deployment", spec={"template": None})], NS) == []
    assert replaced_workloads([obj("Deployment")], [obj("Deployment", spec={"template": None})], NS) == []


TOLD = "Deployment osm-system/osm-controller"


@pytest.mark.parametrize(
    ("after", "recreated", "replaced"),
    [
        (workload(), (), []),
        (workload(replicas=2), (), []),
        (workload(containers=[{"name": "main", "image": "c:2"}]), (), [TOLD]),
        (workload(hostNetwork=True), (), [TOLD]),
        (workload(), (TOLD,), [TOLD]),
        (workload(replicas=2), (TOLD,), [TOLD]),
        (workload(name="other", hostNetwork=True), (), []),
    ],
)
def test_the_workloads_whose_pods_are_replaced(after: Object, recreated: Collection[str], replaced: list[str]) -> None:
    assert replaced_workloads([workload()], [after], NS, recreated=recreated) == replaced


def test_pods_are_replaced_or_not_however_much_else_changes() -> None:
    much = {f"{number:04}": "x" for number in range(2 * MOST_PATHS)}
    noisy, template = workload(), workload(hostNetwork=True)
    noisy["metadata"]["annotations"] = template["metadata"]["annotations"] = much
    assert replaced_workloads([workload()], [noisy], NS) == []
    assert replaced_workloads([workload()], [template], NS) == [TOLD]


def test_pods_that_only_differ_in_what_is_random_are_told_by_the_field() -> None:
    assert replaced_workloads([workload()], [workload(x=1)], NS, random={(TOLD, "spec.template.spec.x")}) == []
    assert replaced_workloads([workload()], [workload(x=1, y=1)], NS, random={(TOLD, "spec.template.spec.x")}) == [TOLD]


def test_what_is_no_workload_has_no_pods_to_replace() -> None:
    before, after = (obj("CronJob", spec={"template": {"x": x}}) for x in (1, 2))
    assert replaced_workloads([before], [after], NS) == []
    assert replaced_workloads([before], [after], NS, recreated={"CronJob osm-system/c"}) == []


objects = st.builds(
    lambda kind, name, spec: obj(kind, name, spec=spec),
    st.sampled_from(["ConfigMap", "ClusterRole"]),
    st.sampled_from(["a", "b", "c"]),
    values,
)
renderings = st.lists(objects, unique_by=lambda each: told_object(each, NS), max_size=5)


def _at(tree: Any, path: str) -> Any:
    """Give what stands at a path of keys without dots and of places in lists; a null is what no key stands for."""
    for step in path.replace("[", ".[").split("."):
        if step.startswith("[") and isinstance(tree, list):
            tree = tree[int(step[1:-1])] if int(step[1:-1]) < len(tree) else ...
        elif isinstance(tree, dict):
            tree = tree.get(step)
        else:
            return None
    return tree


@given(renderings, st.randoms())
def test_in_whatever_order_they_stand_equal_objects_do_not_change(rendering: list[Object], random: Any) -> None:
    other = copy.deepcopy(rendering)
    random.shuffle(other)
    assert object_changes(rendering, other, NS) == []
    assert random_fields(rendering, other, NS) == frozenset()


@given(values, values)
def test_what_is_told_to_differ_does_and_what_differs_is_told(before: Any, after: Any) -> None:
    before, after = {"spec": before}, {"spec": after}
    paths = changed_paths(before, after)
    assert len(paths) == len(set(paths))
    for path in paths:
        assert not same(_at(before, path), _at(after, path)), path
    assert sorted(paths) == sorted(changed_paths(after, before))
    if same(before, after):
        assert paths == []
    elif not paths:
        assert same(_without_nulls(before), _without_nulls(after))


def _without_nulls(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_nulls(value) for key, value in tree.items() if value is not None}
    return [_without_nulls(item) for item in tree] if isinstance(tree, list) else tree


@given(renderings, renderings)
def test_back_is_the_same_the_other_way_round(before: list[Object], after: list[Object]) -> None:
    swapped = {ObjectAction.CREATE: ObjectAction.DELETE, ObjectAction.DELETE: ObjectAction.CREATE}
    there, back = object_changes(before, after, NS), object_changes(after, before, NS)
    assert [(change.object, swapped.get(change.action, change.action), change.paths) for change in back] == [
        (change.object, change.action, change.paths) for change in there
    ]
