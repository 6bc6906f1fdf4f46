"""Answers of the API server as errors."""

from typing import Any

import pytest

from meshupgrade.kube.errors import (
    ApiStatusError,
    Conflict,
    EvictionForbidden,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    Rejected,
    Unreachable,
    WebhookUnreachable,
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
        (410, Gone),
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


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.x: field not declared", Rejected),
        ("failed to convert new object (/s; /v1, Kind=Secret) to proper version: illegal base64", Rejected),
        ('Internal error occurred: failed calling webhook "w.x.io": connection refused', WebhookUnreachable),
        ("Internal error occurred: etcd", Unreachable),
    ],
)
def test_not_every_500_is_worth_another_try(message: str, kind: type[KubeError]) -> None:
    assert type(from_status(500, {"message": message})) is kind


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (429, {"details": {"causes": [{"reason": "DisruptionBudget", "message": "needs 2"}]}}, EvictionForbidden),
        (
            500,
            {"message": "This pod has more than one PodDisruptionBudget, which ... does not support."},
            EvictionForbidden,
        ),
        (429, {"message": "too many requests"}, Unreachable),
        (429, {"details": {"causes": [{"reason": "Other"}]}}, Unreachable),
        (404, {"message": "more than one PodDisruptionBudget"}, NotFound),
    ],
)
def test_a_forbidden_eviction_is_no_api_server_that_is_busy(
    code: int, body: dict[str, Any], kind: type[KubeError]
) -> None:
    assert type(from_status(code, body)) is kind


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
