"""How the text of an image is taken apart.

Which first part is a host, and what is meant without one, is Docker's custom, which every runtime follows.
"""

__all__ = ["DEFAULT_REGISTRY", "DEFAULT_TAG", "split_registry", "split_tag"]

DEFAULT_REGISTRY = "docker.io"
DEFAULT_FOLDER = "library"
DEFAULT_TAG = "latest"

_ALIASES = {"index.docker.io": DEFAULT_REGISTRY}
"""Older names of the default registry, which docker still writes into its own configuration."""


def split_tag(name: str) -> tuple[str, str | None]:
    """Give the name without its tag, and the tag, if it has one."""
    # A colon before the last slash belongs to a port.
    folder, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{folder}{slash}{last}", tag if colon else None


def split_registry(name: str) -> tuple[str, str]:
    """Give the registry and the repository of a name without tag and digest, with every default written out."""
    first, slash, rest = name.partition("/")
    if not slash or not _is_host(first):
        first, rest = DEFAULT_REGISTRY, name
    registry = _ALIASES.get(first, first)
    if registry == DEFAULT_REGISTRY and "/" not in rest:
        rest = f"{DEFAULT_FOLDER}/{rest}"
    return registry, rest


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()
