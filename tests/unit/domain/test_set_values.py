"""One value set by its path, as helm --set does it."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.set_values import PathInvalid, set_value
from tests.unit.domain.set_cases import LITERAL, REFUSED, SET


@pytest.mark.parametrize("case", SET)
def test_as_helm_set(case: str) -> None:
    path, text, result = SET[case]
    assert set_value({}, path, text) == result


def test_null_stays_a_null_which_takes_away_what_is_below() -> None:
    assert set_value({"a": 1}, "a", "null") == {"a": None}


@pytest.mark.parametrize("case", LITERAL)
def test_as_helm_set_literal(case: str) -> None:
    path, text, result = LITERAL[case]
    assert set_value({}, path, text, literal=True) == result


@pytest.mark.parametrize("case", REFUSED)
def test_refused_without_showing_the_value(case: str) -> None:
    path, text = REFUSED[case]
    with pytest.raises(PathInvalid) as caught:
        set_value({}, path, text)
    assert "S3CR3T" not in str(caught.value)


# The last two Helm takes without a word, and sets nothing.
@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"a": 1}, "a.b"),
        ({"a": [1]}, "a.b"),
        ({"a": {"b": 1}}, "a[0]"),
        ({"a": [1]}, "a[0][0]"),
        ({}, "a."),
        ({}, "a[0"),
    ],
)
def test_a_path_that_does_not_fit_what_is_there(values: dict[str, Any], path: str) -> None:
    with pytest.raises(PathInvalid):
        set_value(values, path, "x")


@pytest.mark.parametrize(
    ("values", "path", "result"),
    [
        ({"a": {"b": 1, "c": 2}}, "a.b", {"a": {"b": "x", "c": 2}}),
        ({"a": [1, 2, 3]}, "a[1]", {"a": [1, "x", 3]}),
        ({"a": [{"b": 1, "c": 2}]}, "a[0].b", {"a": [{"b": "x", "c": 2}]}),
        ({"a": [1]}, "a[0].b", {"a": [{"b": "x"}]}),
        ({"a": {"b": 1}}, "a", {"a": "x"}),
    ],
)
def test_what_is_there_stays_beside_it(values: dict[str, Any], path: str, result: dict[str, Any]) -> None:
    before = copy.deepcopy(values)
    assert set_value(values, path, "x") == result
    assert values == before


@given(st.text(), st.text(alphabet="abc.[]{}=,\\019- ", max_size=20))
def test_nothing_else_is_raised(text: str, path: str) -> None:
    for literal in (False, True):
        try:
            set_value({"a": {"b": [1]}}, path, text, literal=literal)
        except PathInvalid:
            continue


@given(st.text())
def test_a_literal_is_what_it_is(text: str) -> None:
    assert set_value({}, "a.b", text, literal=True) == {"a": {"b": text}}
