"""The digest that a budget of attempts is for."""

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.engine.digest import input_digest
from tests.unit.domain.json_trees import objects

tokens = st.none() | st.sampled_from(["", "a", "b"])


def backwards(value: Any) -> Any:
    """Give the same JSON with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(objects, tokens)
def test_the_order_of_keys_does_not_count(spec: dict[str, Any], token: str | None) -> None:
    assert input_digest(backwards(spec), token) == input_digest(spec, token)


@given(objects, objects, tokens, tokens)
def test_other_inputs_have_another_digest(
    one: dict[str, Any], other: dict[str, Any], token: str | None, other_token: str | None
) -> None:
    same = json.dumps([one, token], sort_keys=True) == json.dumps([other, other_token], sort_keys=True)
    assert (input_digest(one, token) == input_digest(other, other_token)) is same


def test_other_values_out_of_config_maps_and_secrets_have_another_digest() -> None:
    spec = {"version": "1.2.3"}
    assert len({input_digest(spec, None, values) for values in ("", "a", "b")}) == 3


def test_it_fits_the_field_of_the_status() -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", input_digest({"version": "1.2.3"}, None))


def test_it_is_the_same_in_every_release_of_the_operator() -> None:
    # Written into objects that exist; if it changed, every spent budget would be given anew.
    assert input_digest({"version": "1.2.3", "mesh": {"distribution": "osm"}}, None) == (
        "sha256:237124ba5096e19ba7a5e27f01b122f0d6c389a8f21ac87e8b8290497af4d58c"
    )
