"""Fields of those who made a release, handed to Helm."""

import copy
from typing import Any

import pytest

from meshupgrade.domain.handover import handed_over, made_elsewhere

MAKERS = frozenset({"helm", "helm-controller", "osm"})


def entry(manager: str, operation: str, *fields: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    owned: dict[str, Any] = {f"f:{field}": {} for field in fields}
    return {
        "manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": owned}, **more,
    }  # fmt: skip


CASES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "the CLI of a mesh": ([entry("osm", "Update", "a")], [entry("helm", "Apply", "a")]),
    "Flux": ([entry("helm-controller", "Apply", "a")], [entry("helm", "Apply", "a")]),
    "Helm 3": ([entry("helm", "Update", "a")], [entry("helm", "Apply", "a")]),
    "what Helm has already stays, and grows": (
        [entry("osm", "Update", "a", "b"), entry("helm", "Apply", "b", "c", time="then")],
        [entry("helm", "Apply", "b", "c", "a", time="then")],
    ),
    "several makers": (
        [entry("osm", "Update", "a"), entry("helm-controller", "Apply", "b")],
        [entry("helm", "Apply", "a", "b")],
    ),
    "each version by itself": (
        [entry("osm", "Update", "a"), entry("osm", "Update", "b", version="v2")],
        [entry("helm", "Apply", "a"), entry("helm", "Apply", "b", version="v2")],
    ),
    "others keep theirs": (
        [entry("kubectl-edit", "Update", "x"), entry("osm", "Update", "a")],
        [entry("helm", "Apply", "a"), entry("kubectl-edit", "Update", "x")],
    ),
    "a status is nobody's of them": (
        [entry("osm", "Update", "a"), entry("osm", "Update", "s", subresource="status")],
        [entry("helm", "Apply", "a"), entry("osm", "Update", "s", subresource="status")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_handed_over(case: str) -> None:
    before, after = CASES[case]
    kept = copy.deepcopy(before)
    assert made_elsewhere(before, MAKERS)
    assert handed_over(before, MAKERS) == after
    assert before == kept
    # Twice is once.
    assert not made_elsewhere(after, MAKERS)
    assert handed_over(after, MAKERS) == after


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [entry("helm", "Apply", "a")],
        [entry("kubectl", "Update", "a")],
        [entry("helm", "Update", "s", subresource="status")],
    ],
)
def test_nothing_of_theirs(fields: list[dict[str, Any]]) -> None:
    assert not made_elsewhere(fields, MAKERS)
