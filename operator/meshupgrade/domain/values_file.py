"""A values file as Helm reads it: one YAML object, with the types that JSON has."""

from collections.abc import Mapping
from typing import Any

import yaml

from meshupgrade.domain.kubernetes_yaml import KubernetesLoader, is_deeper_than

__all__ = ["ValuesFileInvalid", "parse_values"]

MAX_DEPTH = 200

MAX_NODES = 1_000_000
"""Values with all aliases written out; a few lines of aliases on aliases come to billions."""


class ValuesFileInvalid(ValueError):
    """It is no values file; the message says where, and shows nothing of it, which may be a secret."""


def parse_values(text: str) -> dict[str, Any]:
    """Give the values in the text; none for an empty one. Raises ValuesFileInvalid."""
    try:
        too_deep = is_deeper_than(text, MAX_DEPTH)
        # Safe: a subclass of the safe loader, with fewer tags.
        tree = None if too_deep else yaml.load(text, Loader=KubernetesLoader)  # noqa: S506 - see above
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ValuesFileInvalid(f"it is no YAML{f' from line {mark.line + 1} on' if mark else ''}") from None
    except (ValueError, RecursionError):
        raise ValuesFileInvalid("it is no YAML that can be read") from None
    if too_deep:
        raise ValuesFileInvalid(f"it is nested deeper than {MAX_DEPTH} levels")
    if tree is None:
        return {}
    if not isinstance(tree, Mapping):
        raise ValuesFileInvalid("it is no object of keys and values")
    values: dict[str, Any] = _Plain().of(tree)
    return values


class _Plain:
    """Makes every key a text, as JSON has it, and counts."""

    def __init__(self) -> None:
        self._nodes = 0

    def of(self, tree: Any) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValuesFileInvalid(f"it has more than {MAX_NODES} values")
        if isinstance(tree, Mapping):
            return {_key(key): self.of(value) for key, value in tree.items()}
        return [self.of(item) for item in tree] if isinstance(tree, list) else tree


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return "null" if key is None else str(key)
