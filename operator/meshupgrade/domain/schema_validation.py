"""Whether the API server takes a custom resource: its structural schema translated to JSON Schema, for a library.

Not evaluated are rules in CEL (x-kubernetes-validations), and formats whose meaning is the API server's own (uri,
email, hostname and such): an object that breaks only those is not found here.
"""

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshupgrade.domain.structural_schema import EMBEDDED, Path, Schema, inner_schema

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

__all__ = ["Validator", "Violation"]

COPIED = (
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "multipleOf", "required",
)  # fmt: skip
SHARED_FORMATS = {"date-time": "date-time", "datetime": "date-time", "date": "date", "ipv4": "ipv4", "ipv6": "ipv6"}
"""String formats that mean to the API server what they mean in JSON Schema, by the name there."""

INTEGERS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
RESOURCE = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata"],
    "properties": {
        "apiVersion": {"type": "string", "minLength": 1},
        "kind": {"type": "string", "minLength": 1},
        "metadata": {"type": "object"},
    },
}

_DURATION = re.compile(r"[-+]?(0|(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))*)")
_SCALA_DURATION = re.compile(
    r"\d+\s*(ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|"
    r"minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
)
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


@dataclass(frozen=True)
class Violation:
    """What is wrong at a path; the text holds no value of the object."""

    path: Path
    text: str
    rule: str
    """Which rule it is, whatever its limit: the same one broken before an upgrade and after it is no news."""


class Validator:
    """Validates objects by one structural schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._library = _build(schema)
        self._has_list_types = "x-kubernetes-list-type" in json.dumps(schema)

    def violations(self, obj: Mapping[str, Any]) -> list[Violation]:
        """Give what the API server would complain of in an object that is pruned and has its defaults."""
        found = []
        if not self._library.is_valid(obj):
            found = [_violation(error) for error in self._library.iter_errors(obj)]
        if self._has_list_types:
            found += _repeated(obj, self._schema, ())
        return found


def _violation(error: "ValidationError") -> Violation:
    keyword = str(error.schema_path[-1])
    rule = error.message if keyword == "required" else keyword
    return Violation(tuple(error.instance_path), error.message, rule)


def _build(schema: Schema) -> "Draft202012Validator":
    # It takes eight megabytes, and most upgrades only add fields, for which nothing has to be validated.
    from jsonschema_rs import Draft202012Validator, RegexOptions

    # The engine of linear time, which takes what Go's takes; a value of the object is never in a message.
    engine = RegexOptions()

    def usable(pattern: str) -> bool:
        try:
            Draft202012Validator({"pattern": pattern}, pattern_options=engine)
        except ValueError:
            return False
        return True

    return Draft202012Validator(
        _translated(schema, usable),
        formats=OWN_FORMATS,
        validate_formats=True,
        pattern_options=engine,
        mask="it",
        offline=True,
    )


def _translated(schema: Schema, usable: Callable[[str], bool]) -> dict[str, Any]:
    result = {key: schema[key] for key in COPIED if key in schema}
    kinds = (
        ["integer", "string"]
        if schema.get("x-kubernetes-int-or-string")
        else [schema["type"]]
        if schema.get("type")
        else []
    )
    null = ["null"] if schema.get("nullable") else []
    if kinds:
        result["type"] = kinds + null
    if "enum" in schema:
        result["enum"] = schema["enum"]
    if "pattern" in schema and usable(schema["pattern"]):
        result["pattern"] = schema["pattern"]
    result |= _bounds(schema) | _format(schema)
    for key in ("items", "not"):
        if isinstance(schema.get(key), Mapping):
            result[key] = _translated(schema[key], usable)
    if isinstance(schema.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _translated(schema["additionalProperties"], usable)
    if "properties" in schema:
        result["properties"] = {key: _translated(child, usable) for key, child in schema["properties"].items()}
    for key in ("allOf", "anyOf", "oneOf"):
        if schema.get(key):
            result[key] = [_translated(child, usable) for child in schema[key]]
    if schema.get(EMBEDDED):
        result["allOf"] = [*result.get("allOf", []), RESOURCE]
    return result


def _bounds(schema: Schema) -> dict[str, Any]:
    """Give minimum and maximum; OpenAPI 3.0 says by a flag beside them that the bound itself is out."""
    result = {}
    for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if bound in schema:
            result[strict if schema.get(strict) else bound] = schema[bound]
    return result


def _format(schema: Schema) -> dict[str, Any]:
    name, kind = schema.get("format", ""), schema.get("type", "string")
    if kind == "integer" and name in INTEGERS:
        low, high = INTEGERS[name]
        return {"minimum": max(low, schema.get("minimum", low)), "maximum": min(high, schema.get("maximum", high))}
    if kind != "string":
        return {}
    if name in SHARED_FORMATS:
        return {"format": SHARED_FORMATS[name]}
    return {"format": f"kubernetes-{name}"} if f"kubernetes-{name}" in OWN_FORMATS else {}


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


OWN_FORMATS: dict[str, Callable[[str], bool]] = {
    "kubernetes-duration": lambda text: bool(_DURATION.fullmatch(text) or _SCALA_DURATION.fullmatch(text)),
    "kubernetes-uuid": lambda text: bool(_UUID.fullmatch(text)),
    "kubernetes-cidr": _is_cidr,
    "kubernetes-byte": _is_base64,
}
"""String formats that mean something of their own to the API server (its supportedVersionedFormats says what)."""


def _repeated(value: Any, schema: Schema | None, path: Path) -> list[Violation]:
    """Give the items that a list of type set or map has twice."""
    if schema is None:
        return []
    found = []
    if isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        if schema.get("x-kubernetes-list-type") in ("set", "map"):
            repeated = ((*path, index) for index in _duplicates(value, keys))
            found = [Violation(place, "it is in the list twice", "x-kubernetes-list-type") for place in repeated]
        for index, item in enumerate(value):
            found += _repeated(item, schema.get("items"), (*path, index))
    elif isinstance(value, Mapping):
        for key, child in value.items():
            found += _repeated(child, inner_schema(schema, key), (*path, key))
    return found


def _duplicates(items: Sequence[Any], keys: Sequence[str]) -> Iterator[int]:
    seen = set()
    for index, item in enumerate(items):
        named = {key: item[key] for key in keys if key in item} if keys and isinstance(item, Mapping) else item
        text = json.dumps(named, sort_keys=True)
        if text in seen:
            yield index
        seen.add(text)
