"""What ends a command: an error that a person can act on, or the answer that changes are due."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.names import KIND
from meshupgrade.kube.errors import ApiStatusError, Conflict, Forbidden, KindNotServed, KubeError, NotFound, Unreachable

__all__ = ["ChangesDue", "Interrupted", "UserError", "kube_errors", "unreadable"]


class UserError(Exception):
    """Something that the user, or an admin, can put right; the text says what."""


class ChangesDue(Exception):
    """A plan was shown that would change something: exit code 2, as `diff` has it for its 1."""


class Interrupted(Exception):
    """The user ended it; typer would take a KeyboardInterrupt for a failure."""


@contextmanager
def kube_errors() -> Iterator[None]:
    """Turn what the API server answers into a UserError."""
    try:
        yield
    except KubeError as error:
        raise UserError(_explained(error)) from error


def unreadable(what: str, error: ValidationError) -> UserError:
    """Give the error for an object that this release of the plugin cannot read."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return UserError(
        f"{what} is not readable, at {path}: {first['msg']}; was it written by a newer operator? Take the plugin of "
        "the operator's release"
    )


def _explained(error: KubeError) -> str:
    if isinstance(error, KindNotServed):
        if error.kind != KIND:
            return str(error)
        return (
            "the CRD of MeshUpgrade is not installed in this cluster; apply crds/ of the release, or the whole install"
        )
    if isinstance(error, Unreachable):
        return f"{error}; are the kubeconfig and its context the right ones?"
    if isinstance(error, ApiStatusError) and error.code == 401:
        return f"the API server does not know you: {error}; log in anew, or correct the kubeconfig"
    if isinstance(error, Forbidden):
        return f"you may not do that: {error}"
    if isinstance(error, Conflict):
        return f"somebody else changed it meanwhile: {error}; look again"
    if isinstance(error, NotFound):
        return str(error)
    return f"the API server refused it: {error}"
