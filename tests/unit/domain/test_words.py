"""How numbers of things are told."""

import pytest

from meshupgrade.domain.words import amount


@pytest.mark.parametrize(("number", "told"), [(0, "0 CRDs"), (1, "1 CRD"), (2, "2 CRDs")])
def test_only_one_is_told_in_the_singular(number: int, told: str) -> None:
    assert amount(number, "CRD") == told
