"""Answers of the API server as errors."""

from typing import Any

import pytest

from meshupgrade.kube.errors import (
    ApiStatusError,
    Conflict,
    Forbidden,
    KubeError,
    NotFound,
    Rejected,
    Unreachable,
    from_status,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Rejected),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (405, Rejected),
        (409, Conflict),
        (410, Rejected),
        (415, Rejected),
        (422, Rejected),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
        (504, Unreachable),
    ],
)
def test_which_error_a_code_is(code: int, kind: type[KubeError]) -> None:
    error = from_status(code, {"message": "because"})
    assert type(error) is kind
    assert str(error) == "because"


@pytest.mark.parametrize("code", [422, 503])
def test_there_is_always_a_message(code: int) -> None:
    assert str(code) in str(from_status(code, {}))
    assert str(code) in str(from_status(code, {"message": None}))


def test_the_details_are_kept() -> None:
    causes = [{"reason": "FieldValueInvalid", "field": "spec.selector", "message": "field is immutable"}]
    error = from_status(422, {"reason": "Invalid", "message": "m", "details": {"causes": causes}})
    assert isinstance(error, ApiStatusError)
    assert (error.code, error.reason, error.message, error.causes) == (422, "Invalid", "m", causes)


@pytest.mark.parametrize("details", [None, {}, {"causes": None}, "text"])
def test_details_may_be_missing(details: Any) -> None:
    error = from_status(409, {"message": "m", "details": details})
    assert isinstance(error, Conflict)
    assert error.causes == []
