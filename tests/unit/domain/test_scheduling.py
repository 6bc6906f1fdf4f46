"""What Pods ask of nodes and what nodes have left."""

from typing import Any

import pytest

from meshupgrade.domain.scheduling import Needs, Room, pod_needs, takes

Object = dict[str, Any]


def container(cpu: str = "", memory: str = "", **fields: Any) -> Object:
    amounts = {name: text for name, text in (("cpu", cpu), ("memory", memory)) if text}
    return {"name": "c", "resources": {"requests": amounts}, **fields}


def needs(cpu: str, memory: str = "0") -> Needs:
    return pod_needs({"containers": [container(cpu, memory)]})


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({}, "0"),
        ({"containers": [container("1"), container("500m")]}, "1.5"),
        ({"containers": [container("1")], "initContainers": [container("3")]}, "3"),
        ({"containers": [container("2")], "initContainers": [container("1"), container("1")]}, "2"),
        ({"containers": [container("2")], "initContainers": [container("1", restartPolicy="Always")]}, "3"),
        (
            {"containers": [container("1")],
             "initContainers": [container("1", restartPolicy="Always"), container("3")]},
            "4",
        ),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}]}, "2"),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}}]}, "1"),
        ({"containers": [container("1")], "overhead": {"cpu": "250m"}}, "1.25"),
    ],
)  # fmt: skip
def test_what_a_pod_asks_for(spec: Object, cpu: str) -> None:
    assert pod_needs(spec) == needs(cpu)


def node(**allocatable: str) -> Object:
    return {"metadata": {"name": "n"}, "spec": {}, "status": {"allocatable": allocatable}}


def pod(cpu: str, phase: str = "Running") -> Object:
    return {"spec": {"containers": [container(cpu)]}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("running", "asked", "fits"),
    [
        ([], needs("4"), True),
        ([], needs("4001m"), False),
        ([pod("3")], needs("1"), True),
        ([pod("3")], needs("1001m"), False),
        ([pod("3", "Succeeded"), pod("3", "Failed")], needs("4"), True),
        ([], needs("1", "9Gi"), False),
        ([pod("4")], needs("0"), True),
        ([pod("1"), pod("1")], needs("1"), False),
    ],
)
def test_whether_there_is_room(running: list[Object], asked: Needs, fits: bool) -> None:
    room = Room.of(node(cpu="4", memory="8Gi", pods="2")).without(running)
    assert room.has(asked) == fits


def test_room_is_used_up() -> None:
    room = Room.of(node(cpu="2", memory="1Gi")).minus(needs("1")).minus(needs("1"))
    assert not room.has(needs("1"))
    assert str(room.needs) == "0 CPU and 1024 Mi of memory"


TAINT = {"key": "role", "value": "db", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("of_node", "spec", "taken"),
    [
        ({}, {}, True),
        ({"unschedulable": True}, {}, False),
        ({"taints": [TAINT]}, {}, False),
        ({"taints": [{**TAINT, "effect": "PreferNoSchedule"}]}, {}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"operator": "Exists"}]}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "role", "operator": "Exists"}]}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "role", "value": "db"}]}, True),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "role", "value": "web"}]}, False),
        ({"taints": [TAINT]}, {"tolerations": [{"key": "role", "value": "db", "effect": "NoExecute"}]}, False),
        ({}, {"nodeSelector": {"disk": "ssd"}}, True),
        ({}, {"nodeSelector": {"disk": "hdd"}}, False),
    ],
)
def test_which_nodes_take_a_pod(of_node: Object, spec: Object, taken: bool) -> None:
    assert takes({"metadata": {"name": "n", "labels": {"disk": "ssd"}}, "spec": of_node}, spec) == taken
