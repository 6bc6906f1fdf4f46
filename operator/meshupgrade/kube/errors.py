"""What talking to the Kubernetes API raises.

::

    KubeError
    ├── ApiStatusError        the API server answered with an error status
    │   ├── NotFound          404
    │   ├── Conflict          409
    │   ├── Forbidden         401, 403
    │   └── Rejected          400, 405, 415, 422: the object is wrong as it is
    ├── KindNotServed         the API server serves no such kind
    └── Unreachable           no answer, 429 or 5xx: worth another try
"""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ApiStatusError",
    "Conflict",
    "Forbidden",
    "KindNotServed",
    "KubeError",
    "NotFound",
    "Rejected",
    "Unreachable",
    "from_status",
]


class KubeError(Exception):
    """Any failure of a call to the Kubernetes API."""


class ApiStatusError(KubeError):
    """The API server answered with an error; ``causes`` are its details, field by field."""

    def __init__(self, code: int, body: Mapping[str, Any]) -> None:
        self.code = code
        self.reason = str(body.get("reason") or "")
        self.message = str(body.get("message") or f"HTTP status {code}")
        details = body.get("details")
        causes = details.get("causes") if isinstance(details, Mapping) else None
        self.causes: list[Mapping[str, Any]] = list(causes or [])
        super().__init__(self.message)


class NotFound(ApiStatusError):
    """The object, or the kind, is not there."""


class Conflict(ApiStatusError):
    """Somebody else changed the object, or owns the field."""


class Forbidden(ApiStatusError):
    """The account may not do it."""


class Rejected(ApiStatusError):
    """The API server will never take the object as it is."""


class KindNotServed(KubeError):
    """The API server serves no such kind."""

    def __init__(self, api_version: str, kind: str) -> None:
        self.api_version = api_version
        self.kind = kind
        super().__init__(f"the API server does not serve {kind} in {api_version}")


class Unreachable(KubeError):
    """The API server did not answer, or said to come back later."""


def from_status(code: int, body: Mapping[str, Any]) -> KubeError:
    """Give the error for an answer of the API server."""
    if code == 429 or code >= 500:
        return Unreachable(str(body.get("message") or f"the API server answered with HTTP status {code}"))
    kinds: dict[int, type[ApiStatusError]] = {401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict}
    return kinds.get(code, Rejected)(code, body)
