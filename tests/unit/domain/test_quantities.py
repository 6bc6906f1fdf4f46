"""Quantities as Kubernetes writes them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"), (2, "2"), ("500m", "0.5"), ("1.5", "1.5"), ("100u", "0.0001"), ("5n", "0.000000005"),
        ("1k", "1000"), ("16M", "16000000"), ("1Ki", "1024"), ("1.5Gi", "1610612736"), ("2E", "2000000000000000000"),
        ("1e3", "1000"), ("1E-2", "0.01"), ("+3", "3"), ("-1", "-1"), (".5", "0.5"),
    ],
)  # fmt: skip
def test_what_a_quantity_is(text: str | int, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "one", "1 Gi", "1gi", "1.2.3", ".", "1GiB", "m"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse_quantity(text)


@given(st.integers(min_value=0, max_value=10**12))
def test_thousandths_add_up(number: int) -> None:
    assert parse_quantity(f"{number}m") * 1000 == number
