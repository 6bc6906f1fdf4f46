"""What of a live object is not what its release asks for, and who changed it.

The API server is asked what the object would become, were it applied again as Helm applies it. So defaults, quantities
and whatever else is written in two ways are no difference, and neither is what others added beside the chart's own
fields.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.domain.handover import HELM_MANAGER
from meshupgrade.domain.merge import lookup, with_value

__all__ = ["DriftedField", "as_helm_applies", "drifted_fields", "with_what_lives"]

Object = Mapping[str, Any]

MOST_PATH = 160
"""Characters of a path: keys of labels and of data can be longer than what a person reads."""

BUNDLED = frozenset(
    {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "CustomResourceDefinition", "APIService"}
)
"""Kinds whose CA bundle programs in the cluster put in."""


@dataclass(frozen=True)
class Item:
    """A step of a path into a list, to the item of that name."""

    name: str


Path = tuple[str | Item, ...]


@dataclass(frozen=True)
class DriftedField:
    """A field that lives otherwise than the release asks for."""

    path: str
    managers: tuple[str, ...] = ()
    """Who set what lives; empty where nobody owns it, as after a removal."""

    def __str__(self) -> str:
        by = f" (by {', '.join(self.managers)})" if self.managers else ""
        return f"{self.path}{by}"


def as_helm_applies(obj: Object, release: str, namespace: str) -> dict[str, Any]:
    """Give an object of a stored manifest with the marks that Helm adds to it when it applies it.

    An apply in Helm's name without them would take them away. Source: helm.sh/helm/v4/pkg/action/validate.go.
    """
    metadata = obj["metadata"]
    labels = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    annotations = {
        **(metadata.get("annotations") or {}),
        "meta.helm.sh/release-name": release,
        "meta.helm.sh/release-namespace": namespace,
    }
    return {**obj, "metadata": {**metadata, "labels": labels, "annotations": annotations}}


def with_what_lives(obj: Object, live: Object, *, autoscaled: bool) -> dict[str, Any]:
    """Give the object with the fields as they live that others set on purpose: replicas, and injected CA bundles.

    They are named all the same, since what an apply in Helm's name no longer names falls back to its default.
    """
    wanted = dict(obj)
    if autoscaled and lookup(obj, ("spec", "replicas")) is not None:
        wanted = with_value(wanted, ("spec", "replicas"), lookup(live, ("spec", "replicas"), 1))
    if obj["kind"] in BUNDLED:
        wanted = _with_bundles(wanted, live)
    return wanted


def drifted_fields(wanted: Object, would_be: Object, live: Object) -> list[DriftedField]:
    """Give the fields that an apply of ``wanted`` would change, ``would_be`` being what it would make of ``live``.

    What the API server would change besides, such as its own bookkeeping, does not count.
    """
    if wanted.get("kind") == "Secret" and wanted.get("stringData"):
        wanted = {**wanted, "data": {**(wanted.get("data") or {}), **wanted["stringData"]}}
    content = {key: value for key, value in wanted.items() if key not in ("apiVersion", "kind", "status")}
    managed = lookup(live, ("metadata", "managedFields")) or []
    return [
        DriftedField(_told_path(path), _managers(managed, path)) for path in _differing(content, would_be, live, ())
    ]


def _differing(wanted: Any, would_be: Any, live: Any, path: Path) -> Iterator[Path]:
    if would_be == live:
        return
    trees: tuple[Object, Object, Object]
    steps: list[tuple[str | Item, str]]
    gone: list[tuple[str | Item, str]]
    if isinstance(wanted, Mapping) and isinstance(would_be, Mapping) and isinstance(live, Mapping):
        trees = (wanted, would_be, live)
        steps = [(key, key) for key in wanted if wanted[key] is not None]
        gone = [(key, key) for key in live if live[key] is not None and would_be.get(key) is None]
    else:
        named = [_named(tree) for tree in (wanted, would_be, live)]
        if named[0] is None or named[1] is None or named[2] is None:
            yield path
            return
        trees = (named[0], named[1], named[2])
        steps = [(Item(name), name) for name in named[0]]
        # Of a list that belongs to Helm as a whole, what somebody added goes as well.
        gone = [(Item(name), name) for name in named[2] if name not in named[1]]
    for step, key in dict.fromkeys([*steps, *gone]):
        below = [tree.get(key) for tree in trees]
        yield from _differing(below[0], below[1], below[2], (*path, step))


def _named(items: Any) -> dict[str, Any] | None:
    """Give the items of a list by name; None for what is no list of named things."""
    if not isinstance(items, list):
        return None
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        return None
    return dict(zip((str(name) for name in names), items, strict=True))


def _with_bundles(wanted: Any, live: Any) -> Any:
    if isinstance(wanted, Mapping):
        inner = live if isinstance(live, Mapping) else {}
        return {
            key: inner.get(key) or value
            if key == "caBundle" and _is_blank(value)
            else _with_bundles(value, inner.get(key))
            for key, value in wanted.items()
        }
    items = _named(wanted)
    if items is None:
        return wanted
    known = _named(live) or {}
    return [_with_bundles(item, known.get(name)) for name, item in items.items()]


def _is_blank(bundle: Any) -> bool:
    """Tell whether a bundle is none: empty, or the blank that charts write where an empty one would be refused."""
    if not isinstance(bundle, str):
        return False
    try:
        return not base64.b64decode(bundle, validate=True).strip()
    except ValueError:
        return False


def _managers(managed: Sequence[Object], path: Path) -> tuple[str, ...]:
    """Give who owns the live field at the path, but for Helm by its own apply."""
    owners = (
        str(entry.get("manager"))
        for entry in managed
        if (entry.get("manager"), entry.get("operation")) != (HELM_MANAGER, "Apply")
        and _owns(entry.get("fieldsV1") or {}, path)
    )
    return tuple(sorted(set(owners)))


def _owns(fields: Object, path: Path) -> bool:
    for number, step in enumerate(path):
        if number and not fields:
            return True  # what is owned as a whole has no fields below
        below = fields.get(f"f:{step}") if isinstance(step, str) else _item_fields(fields, step.name)
        if below is None:
            return False
        fields = below
    return True


def _item_fields(fields: Object, name: str) -> Object | None:
    for key, below in fields.items():
        if key.startswith("k:") and json.loads(key[2:]).get("name") == name:
            found: Object = below
            return found
    return None


def _told_path(path: Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, Item):
            text += f"[{step.name}]"
        elif "." in step or "/" in step:
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text if len(text) <= MOST_PATH else f"{text[:MOST_PATH]}…"
