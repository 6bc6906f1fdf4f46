"""Values files, good and bad."""

from typing import Any

import pytest

from meshupgrade.domain.values_file import ValuesFileInvalid, parse_values

ALIASES = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# nothing", {}),
        ("a: 1", {"a": 1}),
        ('{"a": [1, "x"]}', {"a": [1, "x"]}),
        # As JSON has it: keys are texts, and there are no dates.
        ("2: a\ntrue: b\nnull: c", {"2": "a", "true": "b", "null": "c"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
    ],
)
def test_read(text: str, values: dict[str, Any]) -> None:
    assert parse_values(text) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [S3CR3T", "no YAML from line"),
        ("a: S3CR3T: b", "no YAML from line 1"),
        ("- S3CR3T", "no object"),
        ("S3CR3T", "no object"),
        ("a: 1\n---\nb: S3CR3T", "no YAML"),
        ("a: !!python/object:os.system S3CR3T", "no YAML"),
        ("a: " + "[" * 300, "nested deeper"),
        (ALIASES, "more than 1000000 values"),
    ],
)
def test_refused_without_showing_what_is_in_it(text: str, said: str) -> None:
    with pytest.raises(ValuesFileInvalid) as caught:
        parse_values(text)
    assert said in str(caught.value)
    assert "S3CR3T" not in str(caught.value)
