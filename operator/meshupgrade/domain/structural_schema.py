"""What the API server does to a custom resource by its structural schema: what it prunes, and what it fills in.

Source: Kubernetes' apiextensions-apiserver, the packages schema/pruning and schema/defaulting, and
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning
"""

import copy
from collections.abc import Mapping
from typing import Any

__all__ = [
    "EMBEDDED",
    "PRESERVE",
    "Path",
    "Schema",
    "covers",
    "inner_schema",
    "lost_fields",
    "prune",
    "schema_of",
    "told_path",
    "with_defaults",
]

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
EVERYTHING: Schema = {PRESERVE: True}
META = ("apiVersion", "kind", "metadata")

WORDS = ("description", "title", "example", "externalDocs", "default", "x-kubernetes-map-type")
"""What a schema can say without refusing or pruning anything."""

UNEVALUATED = ("x-kubernetes-validations",)
"""What refuses, and is evaluated by the API server alone: to read objects for it would tell nothing."""

LOOSER_WITHOUT = (
    "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "minProperties", "maxProperties", "enum", "allOf", "anyOf", "oneOf", "not",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
)  # fmt: skip
"""What only refuses: a schema that has lost one of these takes more than before."""

LOOSER_WITH = (PRESERVE, "nullable")
"""What only lets through."""

NESTED = ("properties", "required", "items", "additionalProperties")


def schema_of(crd: Mapping[str, Any], version: str) -> Schema:
    """Give the schema of a version of a CRD; one that keeps everything when the CRD prunes nothing.

    Raises KeyError when the CRD has no such version.
    """
    if crd["spec"].get("preserveUnknownFields"):
        return EVERYTHING
    for found in crd["spec"]["versions"]:
        if found["name"] == version:
            schema: Schema = (found.get("schema") or {}).get("openAPIV3Schema") or EVERYTHING
            return schema
    raise KeyError(version)


def prune(obj: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Give the object without the fields that the schema does not know; it is not changed itself."""
    pruned: dict[str, Any] = _pruned(obj, {**schema, EMBEDDED: True}, (), [])
    return pruned


def lost_fields(obj: Mapping[str, Any], schema: Schema, before: Schema) -> list[Path]:
    """Give the paths of what pruning by the schema takes out of an object that was read under another schema.

    What nobody wrote is no loss: empty values, and defaults of the schema ``before``.
    """
    lost: list[tuple[Path, Any]] = []
    _pruned(obj, {**schema, EMBEDDED: True}, (), lost)
    return [path for path, value in lost if value not in (None, {}, []) and not _is_default(value, before, path)]


def with_defaults(value: Any, schema: Schema | None) -> Any:
    """Give the value as the API server reads it: defaults filled in, nulls that the schema does not take left out."""
    if schema is None:
        return value
    if isinstance(value, list):
        items = schema.get("items")
        return [with_defaults(_or_default(item, items), items) for item in value]
    if not isinstance(value, Mapping):
        return value
    filled = {}
    for key, child in value.items():
        inner = inner_schema(schema, key)
        given = _or_default(child, inner)
        if given is not None or inner is None or inner.get("nullable"):
            filled[key] = with_defaults(given, inner)
    for key, inner in (schema.get("properties") or {}).items():
        if key not in filled and inner.get("default") is not None:
            filled[key] = with_defaults(copy.deepcopy(inner["default"]), inner)
    return filled


def covers(new: Schema, old: Schema) -> bool:
    """Tell whether every object that the old schema keeps and takes is kept whole, and taken, by the new one.

    A sufficient test, for not reading what cannot be hurt: False says that objects have to be looked at.
    """
    if new == old:
        return True
    plain = {*new, *old} - {*WORDS, *UNEVALUATED, *NESTED}
    if not all(new.get(key) == old.get(key) or _looser(key, new, old) for key in plain):
        return False
    known, before = new.get("properties") or {}, old.get("properties") or {}
    defaulted = {key for key, child in known.items() if child.get("default") is not None}
    if not set(new.get("required") or ()) <= {*(old.get("required") or ()), *defaulted}:
        return False
    extra, extra_before = new.get("additionalProperties"), old.get("additionalProperties")
    if (old.get(PRESERVE) or extra_before is not None) and not known.keys() <= before.keys():
        return False
    if extra_before is not None and not _covers_child(extra, extra_before):
        return False
    if "items" in old and not _covers_child(new.get("items"), old["items"]):
        return False
    return all(_covers_child(known.get(key, extra), child) for key, child in before.items())


def inner_schema(schema: Schema, key: str) -> Schema | None:
    """Give the schema of a field; None when it has none of its own."""
    properties = schema.get("properties") or {}
    found = properties[key] if key in properties else schema.get("additionalProperties")
    return found if isinstance(found, Mapping) else None


def told_path(path: Path) -> str:
    """Give a path as the API server writes it, such as spec.ports[0].number."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _pruned(value: Any, schema: Schema | None, path: Path, lost: list[tuple[Path, Any]], *, keep: bool = False) -> Any:
    """``keep``: the value is an item of a list that preserves unknown fields, and so preserves its own."""
    keep = keep or bool(schema and schema.get(PRESERVE))
    if isinstance(value, list):
        items = schema.get("items") if schema else None
        if keep and items is None:
            return value
        return [_pruned(item, items, (*path, index), lost, keep=keep) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    kept = {}
    for key, child in value.items():
        if schema and schema.get(EMBEDDED) and key in META:
            kept[key] = child
        elif schema and _knows(schema, key):
            kept[key] = _pruned(child, inner_schema(schema, key), (*path, key), lost)
        elif keep:
            kept[key] = child
        else:
            lost.append(((*path, key), child))
    return kept


def _knows(schema: Schema, key: str) -> bool:
    extra = schema.get("additionalProperties")
    return key in (schema.get("properties") or {}) or isinstance(extra, Mapping) or extra is True


def _is_default(value: Any, schema: Schema, path: Path) -> bool:
    """Tell whether the value is what the schema's defaults put there, its own or one of what it is a part of."""
    node: Schema | None = schema
    for position, step in enumerate(path):
        node = node and (node.get("items") if isinstance(step, int) else inner_schema(node, step))
        if node is None:
            return False
        if node.get("default") is not None:
            filled = with_defaults(copy.deepcopy(node["default"]), node)
            if _at(filled, path[position + 1 :]) == value:
                return True
    return False


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        if isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        elif isinstance(tree, Mapping):
            tree = tree.get(step)
        else:
            return None
    return tree


def _or_default(value: Any, schema: Schema | None) -> Any:
    if value is None and schema is not None and not schema.get("nullable"):
        return copy.deepcopy(schema.get("default"))
    return value


def _looser(key: str, new: Schema, old: Schema) -> bool:
    if key == "enum" and "enum" in new and "enum" in old:
        return all(value in new["enum"] for value in old["enum"])
    if key == "x-kubernetes-list-type" and new.get(key) == "atomic":
        return True
    return (key in LOOSER_WITHOUT and key not in new) or (key in LOOSER_WITH and key not in old)


def _covers_child(new: Any, old: Any) -> bool:
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        return covers(new, old)
    return bool(new == old)
