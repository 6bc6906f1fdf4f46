"""What talking to the Kubernetes API raises.

::

    KubeError
    ├── ApiStatusError        the API server answered with an error status
    │   ├── NotFound          404
    │   ├── Conflict          409
    │   ├── Forbidden         401, 403
    │   └── Rejected          400, 405, 415, 422: the object is wrong as it is
    │       └── Gone          410: a list cannot be gone on with where it was left
    │   └── EvictionForbidden 429, 500: a PodDisruptionBudget does not allow the eviction
    ├── KindNotServed         the API server serves no such kind
    └── Unreachable           no answer, 429 or 5xx: worth another try
        └── WebhookUnreachable    an admission webhook does not answer, and nothing passes without it
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

__all__ = [
    "ApiStatusError",
    "Conflict",
    "EvictionForbidden",
    "Forbidden",
    "Gone",
    "KindNotServed",
    "KubeError",
    "NotFound",
    "Rejected",
    "Unreachable",
    "WebhookUnreachable",
    "from_status",
]


_WRONG_AS_IT_IS = ("failed to create typed patch object", "failed to convert new object")
"""How the API server begins an answer of 500 to a server-side apply of what does not fit the schema of its kind."""


class KubeError(Exception):
    """Any failure of a call to the Kubernetes API."""


class ApiStatusError(KubeError):
    """The API server answered with an error; ``causes`` are its details by field, ``kind`` what it speaks of."""

    def __init__(self, code: int, body: Mapping[str, Any]) -> None:
        self.code = code
        self.reason = str(body.get("reason") or "")
        self.message = str(body.get("message") or f"HTTP status {code}")
        details = body.get("details")
        causes = details.get("causes") if isinstance(details, Mapping) else None
        self.causes: list[Mapping[str, Any]] = list(causes or [])
        self.kind = str(details.get("kind") or "") if isinstance(details, Mapping) else ""
        super().__init__(self.message)


class NotFound(ApiStatusError):
    """The object, or the kind, is not there."""


class Conflict(ApiStatusError):
    """Somebody else changed the object, or owns the field."""


class Forbidden(ApiStatusError):
    """The account may not do it."""


class Rejected(ApiStatusError):
    """The API server will never take the object as it is."""


class Gone(Rejected):
    """A list cannot be gone on with as it was: what it was read from is no more."""

    def __init__(self, code: int, body: Mapping[str, Any]) -> None:
        super().__init__(code, body)
        metadata = body.get("metadata")
        token = metadata.get("continue") if isinstance(metadata, Mapping) else None
        self.continue_token: str | None = token or None
        """Goes on after the same object, with what is there now; None when the API server gives none."""


class EvictionForbidden(ApiStatusError):
    """A PodDisruptionBudget does not allow the eviction of a Pod, now or ever."""

    def is_one(self) -> bool:
        """Tell such an answer from those of an API server that is busy or broken, which have the same codes.

        Source: k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go.
        """
        if self.code == HTTPStatus.TOO_MANY_REQUESTS:
            return any(cause.get("reason") == "DisruptionBudget" for cause in self.causes)
        return self.code >= HTTPStatus.INTERNAL_SERVER_ERROR and "more than one PodDisruptionBudget" in self.message


class KindNotServed(KubeError):
    """The API server serves no such kind."""

    def __init__(self, api_version: str, kind: str) -> None:
        self.api_version = api_version
        self.kind = kind
        super().__init__(f"the API server does not serve {kind} in {api_version}")


class Unreachable(KubeError):
    """The API server did not answer, or said to come back later."""


class WebhookUnreachable(Unreachable):
    """An admission webhook does not answer, and the API server lets nothing pass without it."""


def from_status(code: int, body: Mapping[str, Any]) -> KubeError:
    """Give the error for an answer of the API server."""
    message = str(body.get("message") or "")
    if code == 500 and message.startswith(_WRONG_AS_IT_IS):
        return Rejected(code, body)
    if code == 500 and "failed calling webhook" in message:
        return WebhookUnreachable(message)
    if (forbidden := EvictionForbidden(code, body)).is_one():
        return forbidden
    if code == 429 or code >= 500:
        return Unreachable(str(body.get("message") or f"the API server answered with HTTP status {code}"))
    kinds: dict[int, type[ApiStatusError]] = {
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        410: Gone,
    }
    return kinds.get(code, Rejected)(code, body)
