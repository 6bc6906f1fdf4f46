"""The models as a structural schema.

Source of the rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions
("Specifying a structural schema"): no references, one type a field, no titles. Defaults are told in the descriptions
and not written by the API server, so that what a GitOps tool applied is what it reads back.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

__all__ = ["structural_schema"]

KEPT = (
    "type", "description", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems",
    "maxItems", "maxProperties", "required",
)  # fmt: skip


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Give the structural OpenAPI v3 schema of a model, every field described."""
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    node = _resolved(node, definitions)
    result = {key: node[key] for key in KEPT if key in node}
    result |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    if result.get("x-kubernetes-int-or-string"):
        # Of two types, so none is named. Source: the same page, "IntOrString".
        result.pop("type", None)
    if "default" in node and (told := _told(node["default"])):
        result["description"] = f"{result.get('description', '')} Default: {told}.".strip()
    if "properties" in node:
        result["properties"] = {name: _structural(child, definitions) for name, child in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict) and "properties" not in node:
        result["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "items" in node:
        result["items"] = _structural(node["items"], definitions)
    return result


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Give the node with its reference opened and an alternative of null left out; what the field itself says wins."""
    merged = dict(node)
    for alternative in merged.pop("anyOf", []):
        if alternative.get("type") != "null":
            merged = {**alternative, **merged}
    while reference := merged.pop("$ref", None):
        merged = {**definitions[reference.rpartition("/")[2]], **merged}
    return merged


def _told(default: Any) -> str:
    """Give a default as people write it; an empty one goes without saying."""
    if default is None or default in ("", {}, []) or isinstance(default, dict):
        return ""
    return default if isinstance(default, str) else json.dumps(default)
