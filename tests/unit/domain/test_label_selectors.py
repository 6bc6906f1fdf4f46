"""Label selectors: what they select, and how they stand in a request."""

from typing import Any

import pytest

from meshupgrade.domain.label_selectors import label_query, selects

LABELS = {"app": "shop", "tier": "web"}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"app": "shop"}}, True),
        ({"matchLabels": {"app": "shop", "tier": "db"}}, False),
        ({"matchLabels": {"more": ""}}, False),
        (expression("app", "In", "shop", "other"), True),
        (expression("app", "In", "other"), False),
        (expression("more", "In", "other"), False),
        (expression("app", "NotIn", "shop"), False),
        (expression("app", "NotIn", "other"), True),
        (expression("more", "NotIn", "other"), True),
        (expression("app", "Exists"), True),
        (expression("more", "Exists"), False),
        (expression("app", "DoesNotExist"), False),
        (expression("more", "DoesNotExist"), True),
        (expression("app", "Gt", "1"), False),
        ({"matchLabels": {"app": "shop"}, **expression("tier", "In", "db")}, False),
    ],
)
def test_selectors(selector: dict[str, Any] | None, selected: bool) -> None:
    assert selects(selector, LABELS) is selected


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({}, ""),
        ({"matchLabels": {"a": "1", "b/c": ""}}, "a=1,b/c="),
        (
            {
                "matchLabels": {"a": "1"},
                "matchExpressions": [
                    {"key": "b", "operator": "In", "values": ["x", "y"]},
                    {"key": "c", "operator": "NotIn", "values": ["z"]},
                    {"key": "d", "operator": "Exists"},
                    {"key": "e", "operator": "DoesNotExist", "values": []},
                ],
            },
            "a=1,b in (x,y),c notin (z),d,!e",
        ),
    ],
)
def test_a_selector_becomes_text(selector: dict[str, Any], text: str) -> None:
    assert label_query(selector) == text
