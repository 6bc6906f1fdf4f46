"""Whether the old bootstrap could start again."""

from typing import Any

import pytest
import semver

from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY
from meshupgrade.domain.rollback import is_of_release, keeps_from_rollback


def crd(stored: str, *versions: str, scope: str = "Namespaced", mark: str | None = None) -> dict[str, Any]:
    annotations = {CRD_WRITTEN_BY: mark} if mark else {}
    return {
        "metadata": {"name": "things.example.test", "annotations": annotations},
        "spec": {"scope": scope, "versions": [{"name": name, "storage": name == stored} for name in versions]},
    }


@pytest.mark.parametrize(
    ("old", "shipped", "replaces", "reason"),
    [
        (crd("v1", "v1"), crd("v1", "v1", "v2"), True, None),
        (crd("v1", "v1", "v2"), crd("v2", "v1", "v2"), True, None),
        (crd("v1", "v1"), crd("v2", "v1", "v2"), True, "will store objects in v2, which is not in v1"),
        # A bootstrap that merges keeps what it does not know.
        (crd("v1", "v1"), crd("v2", "v1", "v2"), False, None),
        (crd("v1", "v1"), crd("v1", "v1", scope="Cluster"), False, "becomes Cluster in scope"),
    ],
)
def test_what_keeps_from_a_rollback(
    old: dict[str, Any], shipped: dict[str, Any], replaces: bool, reason: str | None
) -> None:
    told = keeps_from_rollback(old, shipped, replaces=replaces)
    assert told == (f"things.example.test {reason}" if reason else None)


@pytest.mark.parametrize(
    ("mark", "ours"),
    [
        (None, True),
        ("osm-edge/1.1.0", True),
        ("osm-edge/1.0.0", True),
        ("osm-edge/1.2.0", False),
        ("fsm/9.0.0", True),
        ("nonsense", True),
    ],
)
def test_whose_crd_lives(mark: str | None, ours: bool) -> None:
    assert is_of_release(crd("v1", "v1", mark=mark), "osm-edge", semver.Version.parse("1.1.0")) is ours
