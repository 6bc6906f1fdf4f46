"""Which Pods run beside those of before during an upgrade."""

from typing import Any

import pytest

from meshupgrade.phases.preflight.capacity import new_pods, surge
from tests.unit.phases.preflight.releases import deployment, rendered


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        ({}, 1),
        ({"replicas": 0}, 0),
        ({"replicas": 4}, 1),
        ({"replicas": 5}, 2),
        ({"replicas": 5, "strategy": {"type": "Recreate"}}, 0),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 2}}}, 2),
        ({"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": 2}}}, 1),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 0}}}, 0),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": "100%"}}}, 3),
    ],
)
def test_how_many_pods_a_rolling_update_adds(spec: dict[str, Any], more: int) -> None:
    assert surge(deployment("d", {"name": "c"}, **spec)) == more


def controller(image: str, cpu: str = "1") -> dict[str, Any]:
    return deployment("a", {"name": "c", "image": image, "resources": {"requests": {"cpu": cpu}}}, replicas=3)


def test_only_what_changes_gets_new_pods_and_the_largest_comes_first() -> None:
    same = deployment("same", {"name": "c", "image": "i"})
    new = deployment("new", {"name": "c", "image": "i", "resources": {"limits": {"cpu": "500m"}}}, replicas=2)
    before = rendered(controller("i:1"), same)
    after = rendered(new, same, controller("i:2"))
    assert [name for name, _ in new_pods(before, after)] == ["a", "new", "new"]
    assert [name for name, _ in new_pods(None, after)] == ["a", "a", "a", "new", "new", "same"]
