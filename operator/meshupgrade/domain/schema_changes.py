"""How the schema of a CRD's version changes, by what that does to objects that are there.

Additive: they stay as they are. Tightening: some may be refused when they are written next. Dropping: fields of theirs
that the schema no longer has are lost. Where the direction of a change cannot be told, it counts as Tightening.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.plan import CRDAction, PlannedCRD, PlannedVersion, SchemaChange
from meshupgrade.domain.crds import stored_version
from meshupgrade.domain.object_changes import MORE, changed_paths
from meshupgrade.domain.structural_schema import EMBEDDED, META, PRESERVE, Schema, inner_schema

__all__ = ["crd_change", "schema_changes"]

Change = tuple[SchemaChange, str]

MOST_PATHS = 25
"""Of one version and kind of change."""

LOWER_BOUNDS = ("minimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "maxLength", "maxItems", "maxProperties")
RULES = ("pattern", "format", "multipleOf", "uniqueItems", "exclusiveMinimum", "exclusiveMaximum")
OPAQUE = ("allOf", "anyOf", "oneOf", "not")


def crd_change(name: str, live: Mapping[str, Any] | None, spec: Mapping[str, Any]) -> PlannedCRD:
    """Give how a CRD changes to that spec; None is a CRD that is not there."""
    after = stored_version({"spec": spec}) or ""
    if live is None:
        versions = [PlannedVersion(name=version["name"], added=True) for version in spec["versions"]]
        return PlannedCRD(name=name, action=CRDAction.CREATE, versions=versions, stored_after=after)
    old = {version["name"]: version for version in live["spec"]["versions"]}
    versions = []
    for version in spec["versions"]:
        known = old.get(version["name"])
        if known is None:
            versions.append(PlannedVersion(name=version["name"], added=True))
        elif changes := schema_changes(_schema(known, live["spec"]), _schema(version, spec)):
            versions.append(PlannedVersion(name=version["name"], changes=changes))
    fields = changed_paths(_without_schemas(live["spec"]), _without_schemas(spec))
    if not versions and not fields:
        # Otherwise a person would see a change of nothing.
        fields = ["metadata" if live["spec"] == spec else "descriptions"]
    return PlannedCRD(
        name=name,
        action=CRDAction.CHANGE,
        versions=versions,
        fields=fields,
        stored_before=stored_version(live) or "",
        stored_after=after,
    )


def schema_changes(before: Schema, after: Schema) -> dict[SchemaChange, list[str]]:
    """Give the fields that change, by kind of change, in the order in which they stand."""
    found: dict[SchemaChange, list[str]] = {}
    for kind, path in _walk(before, after, ""):
        paths = found.setdefault(kind, [])
        place = path or "."
        if place not in paths and len(paths) <= MOST_PATHS:
            paths.append(place if len(paths) < MOST_PATHS else MORE)
    return found


def _without_schemas(spec: Mapping[str, Any]) -> dict[str, Any]:
    versions = [{key: value for key, value in version.items() if key != "schema"} for version in spec["versions"]]
    return {**spec, "versions": versions}


def _schema(version: Mapping[str, Any], spec: Mapping[str, Any]) -> Schema:
    schema: Schema = (version.get("schema") or {}).get("openAPIV3Schema") or {PRESERVE: True}
    # A CRD of before v1 keeps what its schema does not name.
    return {**schema, PRESERVE: True} if spec.get("preserveUnknownFields") else schema


def _walk(before: Schema, after: Schema, path: str) -> Iterator[Change]:
    yield from ((kind, path) for kind in _own(before, after))
    for key in sorted({*(before.get("properties") or {}), *(after.get("properties") or {})}):
        yield from _field(before, after, key, f"{path}.{key}" if path else key)
    for key, told in (("items", f"{path}[]"), ("additionalProperties", f"{path}.*" if path else "*")):
        one, other = before.get(key), after.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _walk(one, other, told)
            if key == "items" and _loses_default(one, other):
                # A null in the list was read as the default.
                yield SchemaChange.TIGHTENING, told
        elif one is None and other is not None:
            yield from ((kind, told) for kind in _added(before, other))
        elif one is not None and other is None:
            yield _removed(after), told
        elif one != other:
            yield SchemaChange.TIGHTENING, told


def _field(before: Schema, after: Schema, key: str, path: str) -> Iterator[Change]:
    """Yield what changes of a field that one of the schemas names; the other may know it by additionalProperties."""
    one, other = inner_schema(before, key), inner_schema(after, key)
    is_meta = key in META and (path == key or bool(before.get(EMBEDDED) and after.get(EMBEDDED)))
    if one is not None and other is not None:
        yield from _walk(one, other, path)
        if _loses_default(one, other) and key in (after.get("required") or ()):
            yield SchemaChange.TIGHTENING, path
    elif is_meta:
        # Every object has it, whether or not the schema names it.
        if not {*(one or other or {})} <= {"type", "description"}:
            yield SchemaChange.TIGHTENING if one is None else SchemaChange.ADDITIVE, path
    elif other is not None:
        yield from ((kind, path) for kind in _added(before, other))
    else:
        yield _removed(after), path


def _loses_default(before: Schema, after: Schema) -> bool:
    return before.get("default") is not None and after.get("default") is None


def _added(before: Schema, schema: Any) -> Iterator[SchemaChange]:
    """Yield what it does that a part gets a schema which had none."""
    if not before.get(PRESERVE) and before.get("additionalProperties") is not True:
        yield SchemaChange.ADDITIVE
        return
    # What was kept as it is may be refused from now on, and fields in it pruned.
    yield SchemaChange.TIGHTENING
    if _prunes(schema):
        yield SchemaChange.DROPPING


def _removed(after: Schema) -> SchemaChange:
    return SchemaChange.ADDITIVE if after.get(PRESERVE) else SchemaChange.DROPPING


def _prunes(schema: Any) -> bool:
    if not isinstance(schema, Mapping) or schema.get(PRESERVE):
        return not isinstance(schema, Mapping)
    inner = schema.get("items") or schema.get("additionalProperties")
    return _prunes(inner) if inner else schema.get("type") == "object"


def _own(before: Schema, after: Schema) -> Iterator[SchemaChange]:
    """Yield what changes of the node itself."""
    old, new = _types(before), _types(after)
    if old != new:
        yield SchemaChange.TIGHTENING if new and not (old and old <= new) else SchemaChange.ADDITIVE
    yield from _sets(before.get("required") or (), after.get("required") or (), more=SchemaChange.TIGHTENING)
    if "enum" in before or "enum" in after:
        if "enum" not in after:
            yield SchemaChange.ADDITIVE
        elif "enum" not in before:
            yield SchemaChange.TIGHTENING
        else:
            yield from _sets(before["enum"], after["enum"], more=SchemaChange.ADDITIVE)
    for keys, sign in ((LOWER_BOUNDS, 1), (UPPER_BOUNDS, -1)):
        for key in keys:
            yield from _bound(before.get(key), after.get(key), sign)
    for key in (*RULES, *OPAQUE):
        if (before.get(key) or None) != (after.get(key) or None):
            yield SchemaChange.TIGHTENING if after.get(key) else SchemaChange.ADDITIVE
    if _keys(before) != _keys(after):
        yield SchemaChange.TIGHTENING if _keys(after) else SchemaChange.ADDITIVE
    yield from _sets(_rules(before), _rules(after), more=SchemaChange.TIGHTENING)
    if bool(before.get("nullable")) != bool(after.get("nullable")):
        yield SchemaChange.ADDITIVE if after.get("nullable") else SchemaChange.TIGHTENING
    if bool(before.get(EMBEDDED)) != bool(after.get(EMBEDDED)):
        yield SchemaChange.TIGHTENING if after.get(EMBEDDED) else _removed(after)
    if bool(before.get(PRESERVE)) != bool(after.get(PRESERVE)):
        yield SchemaChange.ADDITIVE if after.get(PRESERVE) else SchemaChange.DROPPING
    if before.get("default") != after.get("default"):
        yield SchemaChange.ADDITIVE


def _bound(before: float | None, after: float | None, sign: int) -> Iterator[SchemaChange]:
    if before == after:
        return
    narrower = after is not None and (before is None or (after - before) * sign > 0)
    yield SchemaChange.TIGHTENING if narrower else SchemaChange.ADDITIVE


def _sets(before: Sequence[Any], after: Sequence[Any], *, more: SchemaChange) -> Iterator[SchemaChange]:
    """Yield a change for members that came, which count as ``more``, and the opposite for those that went."""
    less = SchemaChange.ADDITIVE if more is SchemaChange.TIGHTENING else SchemaChange.TIGHTENING
    if any(item not in before for item in after):
        yield more
    if any(item not in after for item in before):
        yield less


def _rules(schema: Schema) -> list[str]:
    return [str(rule.get("rule")) for rule in schema.get("x-kubernetes-validations") or ()]


def _types(schema: Schema) -> frozenset[str]:
    """Give the types that it takes; none stands for all."""
    if schema.get("x-kubernetes-int-or-string"):
        return frozenset({"integer", "string"})
    kind = schema.get("type")
    return frozenset({"integer", "number"} if kind == "number" else {kind} if kind else ())


def _keys(schema: Schema) -> tuple[str, ...]:
    """Give by what the items of a list must differ: its type, and its keys where it has some; empty for any items."""
    kind = str(schema.get("x-kubernetes-list-type") or "atomic")
    return () if kind == "atomic" else (kind, *sorted(schema.get("x-kubernetes-list-map-keys") or ()))
