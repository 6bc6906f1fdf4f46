"""What the change of a CRD's schema does to objects that are there."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.plan import CRDAction, SchemaChange
from meshupgrade.domain.object_changes import MORE
from meshupgrade.domain.schema_changes import MOST_PATHS, crd_change, schema_changes
from meshupgrade.domain.schema_validation import Validator
from meshupgrade.domain.structural_schema import EMBEDDED, PRESERVE, lost_fields, prune, with_defaults

Schema = dict[str, Any]

ADDITIVE, TIGHTENING, DROPPING = SchemaChange.ADDITIVE, SchemaChange.TIGHTENING, SchemaChange.DROPPING

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FRACTION: Schema = {"type": "number"}
EITHER: Schema = {"x-kubernetes-int-or-string": True}
ANY: Schema = {PRESERVE: True}


def record(required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    return {"type": "object", "properties": fields} | ({"required": list(required)} if required else {})


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def mapping(values: Any) -> Schema:
    return {"type": "object", "additionalProperties": values}


def keeps(schema: Schema) -> Schema:
    return {**schema, PRESERVE: True}


def ruled(*rules: str) -> Schema:
    return {**TEXT, "x-kubernetes-validations": [{"rule": rule, "message": "m"} for rule in rules]}


@pytest.mark.parametrize(
    ("before", "after", "there", "back"),
    [
        # Fields
        (record(), record(a=TEXT), {ADDITIVE: ["spec.a"]}, {DROPPING: ["spec.a"]}),
        (
            record(a=record(b=TEXT)),
            record(a=record(b=TEXT, c=TEXT)),
            {ADDITIVE: ["spec.a.c"]},
            {DROPPING: ["spec.a.c"]},
        ),
        (keeps(record()), keeps(record(a=TEXT)), {TIGHTENING: ["spec.a"]}, {ADDITIVE: ["spec.a"]}),
        (
            keeps(record()),
            keeps(record(a=record(b=TEXT))),
            {TIGHTENING: ["spec.a"], DROPPING: ["spec.a"]},
            {ADDITIVE: ["spec.a"]},
        ),
        (keeps(record()), keeps(record(a=array(ANY))), {TIGHTENING: ["spec.a"]}, {ADDITIVE: ["spec.a"]}),
        (record(), keeps(record()), {ADDITIVE: ["spec"]}, {DROPPING: ["spec"]}),
        (record(a=TEXT), record(("a",), a=TEXT), {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (record(a=TEXT, b=TEXT), record(("b", "a"), a=TEXT, b=TEXT), {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        # What is in lists and maps
        (array(record()), array(record(a=TEXT)), {ADDITIVE: ["spec[].a"]}, {DROPPING: ["spec[].a"]}),
        (array(array(NUMBER)), array(array(EITHER)), {ADDITIVE: ["spec[][]"]}, {TIGHTENING: ["spec[][]"]}),
        (mapping(record()), mapping(record(a=TEXT)), {ADDITIVE: ["spec.*.a"]}, {DROPPING: ["spec.*.a"]}),
        (mapping(NUMBER), mapping(TEXT), {TIGHTENING: ["spec.*"]}, {TIGHTENING: ["spec.*"]}),
        (record(), mapping(TEXT), {ADDITIVE: ["spec.*"]}, {DROPPING: ["spec.*"]}),
        (mapping(True), mapping(TEXT), {TIGHTENING: ["spec.*"]}, {TIGHTENING: ["spec.*"]}),
        # A field that goes from a map to a name of its own, and back
        (mapping(TEXT), record(a=TEXT), {DROPPING: ["spec.*"]}, {ADDITIVE: ["spec.*"]}),
        (
            mapping(TEXT),
            record(a=NUMBER),
            {TIGHTENING: ["spec.a"], DROPPING: ["spec.*"]},
            {TIGHTENING: ["spec.a"], ADDITIVE: ["spec.*"]},
        ),
        (keeps({"type": "object"}), keeps(mapping(TEXT)), {TIGHTENING: ["spec.*"]}, {ADDITIVE: ["spec.*"]}),
        # Enums
        ({**TEXT, "enum": ["x"]}, {**TEXT, "enum": ["x", "y"]}, {ADDITIVE: ["spec"]}, {TIGHTENING: ["spec"]}),
        (TEXT, {**TEXT, "enum": ["x"]}, {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (
            {**TEXT, "enum": ["x"]},
            {**TEXT, "enum": ["y"]},
            {ADDITIVE: ["spec"], TIGHTENING: ["spec"]},
            {ADDITIVE: ["spec"], TIGHTENING: ["spec"]},
        ),
        ({**TEXT, "enum": ["x", "y"]}, {**TEXT, "enum": ["y", "x"]}, {}, {}),
        # Bounds
        *(
            ({**NUMBER, key: 1}, {**NUMBER, key: 2}, {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]})
            for key in ("minimum", "minLength", "minItems", "minProperties")
        ),
        *(
            ({**NUMBER, key: 1}, {**NUMBER, key: 2}, {ADDITIVE: ["spec"]}, {TIGHTENING: ["spec"]})
            for key in ("maximum", "maxLength", "maxItems", "maxProperties")
        ),
        *(
            (NUMBER, {**NUMBER, key: 0}, {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]})
            for key in ("minimum", "maximum", "maxItems")
        ),
        (
            {**NUMBER, "minimum": 1},
            {**NUMBER, "minimum": 1, "exclusiveMinimum": True},
            {TIGHTENING: ["spec"]},
            {ADDITIVE: ["spec"]},
        ),
        (NUMBER, {**NUMBER, "exclusiveMinimum": False}, {}, {}),
        # Rules whose direction only shows where one comes or goes
        (TEXT, {**TEXT, "pattern": "^a"}, {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        ({**TEXT, "pattern": "^b"}, {**TEXT, "pattern": "^a"}, {TIGHTENING: ["spec"]}, {TIGHTENING: ["spec"]}),
        (TEXT, {**TEXT, "format": "uuid"}, {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (TEXT, {**TEXT, "anyOf": [{"minLength": 1}]}, {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (NUMBER, {**NUMBER, "not": {"minimum": 1}}, {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (TEXT, ruled("self != 'a'"), {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (
            ruled("self != 'a'"),
            ruled("self != 'b'"),
            {TIGHTENING: ["spec"], ADDITIVE: ["spec"]},
            {TIGHTENING: ["spec"], ADDITIVE: ["spec"]},
        ),
        (
            array(TEXT),
            array(TEXT, **{"x-kubernetes-list-type": "set"}),
            {TIGHTENING: ["spec"]},
            {ADDITIVE: ["spec"]},
        ),
        (array(TEXT), array(TEXT, **{"x-kubernetes-list-type": "atomic"}), {}, {}),
        (
            array(TEXT, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]}),
            array(TEXT, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
            {TIGHTENING: ["spec"]},
            {TIGHTENING: ["spec"]},
        ),
        # Types
        (TEXT, NUMBER, {TIGHTENING: ["spec"]}, {TIGHTENING: ["spec"]}),
        (NUMBER, FRACTION, {ADDITIVE: ["spec"]}, {TIGHTENING: ["spec"]}),
        (NUMBER, EITHER, {ADDITIVE: ["spec"]}, {TIGHTENING: ["spec"]}),
        (TEXT, EITHER, {ADDITIVE: ["spec"]}, {TIGHTENING: ["spec"]}),
        (FRACTION, EITHER, {TIGHTENING: ["spec"]}, {TIGHTENING: ["spec"]}),
        (ANY, keeps(EITHER), {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (ANY, keeps(record()), {TIGHTENING: ["spec"]}, {ADDITIVE: ["spec"]}),
        (TEXT, {**TEXT, "nullable": True}, {ADDITIVE: ["spec"]}, {TIGHTENING: ["spec"]}),
        (
            keeps({"type": "object"}),
            keeps({"type": "object", EMBEDDED: True}),
            {TIGHTENING: ["spec"]},
            {ADDITIVE: ["spec"]},
        ),
        # Defaults
        (TEXT, {**TEXT, "default": "x"}, {ADDITIVE: ["spec"]}, {ADDITIVE: ["spec"]}),
        (
            record(("a",), a={**TEXT, "default": "x"}),
            record(("a",), a=TEXT),
            {ADDITIVE: ["spec.a"], TIGHTENING: ["spec.a"]},
            {ADDITIVE: ["spec.a"]},
        ),
        (
            array({**TEXT, "default": "x"}),
            array(TEXT),
            {ADDITIVE: ["spec[]"], TIGHTENING: ["spec[]"]},
            {ADDITIVE: ["spec[]"]},
        ),
        # Words
        (TEXT, {**TEXT, "description": "new", "title": "new", "example": "new"}, {}, {}),
    ],
)
def test_what_a_change_does(
    before: Schema, after: Schema, there: dict[SchemaChange, list[str]], back: dict[SchemaChange, list[str]]
) -> None:
    assert schema_changes(record(spec=before), record(spec=after)) == there
    assert schema_changes(record(spec=after), record(spec=before)) == back


def test_the_status_counts_and_so_does_the_whole() -> None:
    assert schema_changes(record(status=record(a=TEXT)), record(status=record())) == {DROPPING: ["status.a"]}
    narrow = {"minProperties": 1, "x-kubernetes-validations": [{"rule": "has(self.spec)"}]}
    assert schema_changes(record(), record() | narrow) == {TIGHTENING: ["."]}
    assert schema_changes(ANY, record()) == {TIGHTENING: ["."], DROPPING: ["."]}


def test_what_every_object_has_is_never_dropped() -> None:
    named = record(apiVersion=TEXT, kind={**TEXT, "description": "d"}, metadata={"type": "object"})
    assert schema_changes(named, record()) == schema_changes(record(), named) == {}
    short = record(metadata=record(name={**TEXT, "maxLength": 5}))
    assert schema_changes(record(), short) == {TIGHTENING: ["metadata"]}
    assert schema_changes(short, record()) == {ADDITIVE: ["metadata"]}
    assert schema_changes(record(spec=named), record(spec=record())) == {
        DROPPING: ["spec.apiVersion", "spec.kind", "spec.metadata"]
    }


def test_there_are_no_more_paths_than_a_person_reads() -> None:
    def paths(count: int) -> list[str]:
        fields = {f"f{number:03}": TEXT for number in range(count)}
        return schema_changes(record(), record(**fields))[ADDITIVE]

    assert len(paths(MOST_PATHS)) == MOST_PATHS
    assert paths(MOST_PATHS + 20) == [*paths(MOST_PATHS), MORE]


def version(name: str, schema: Schema | None = None, *, storage: bool = False, served: bool = True) -> Schema:
    shown = {"schema": {"openAPIV3Schema": schema}} if schema is not None else {}
    return {"name": name, "served": served, "storage": storage, **shown}


def crd(*versions: Schema, **more: Any) -> Schema:
    return {"spec": {"scope": "Namespaced", "versions": list(versions), **more}}


def test_a_crd_that_is_not_there_is_created() -> None:
    made = crd_change("c", None, crd(version("v1", record()), version("v2", record(), storage=True))["spec"])
    assert (made.name, made.action, made.stored_before, made.stored_after) == ("c", CRDAction.CREATE, "", "v2")
    assert [(each.name, each.added, each.changes) for each in made.versions] == [("v1", True, {}), ("v2", True, {})]


def test_how_a_crd_changes() -> None:
    live = crd(version("v1", record(a=TEXT), storage=True), version("v2", record()))
    wanted = crd(
        version("v3", record()),
        version("v2", record(), storage=True, served=False),
        version("v1", record(b=TEXT)),
        names={"shortNames": ["x"]},
    )
    changed = crd_change("c", live, wanted["spec"])
    assert (changed.action, changed.stored_before, changed.stored_after) == (CRDAction.CHANGE, "v1", "v2")
    assert [(each.name, each.added, each.changes) for each in changed.versions] == [
        ("v3", True, {}),
        ("v1", False, {DROPPING: ["a"], ADDITIVE: ["b"]}),
    ]
    assert changed.fields == [
        "names", "versions[v1].storage", "versions[v2].served", "versions[v2].storage", "versions[v3]",
    ]  # fmt: skip
    same = crd_change("c", live, live["spec"])
    assert (same.versions, same.fields) == ([], ["metadata"])


def test_a_crd_of_before_v1_keeps_what_its_schema_does_not_name() -> None:
    live = crd(version("v1", record(a=TEXT), storage=True), preserveUnknownFields=True)
    spec = crd(version("v1", record(a=TEXT, b=TEXT), storage=True), preserveUnknownFields=False)["spec"]
    assert crd_change("c", live, spec).versions[0].changes == {DROPPING: ["."], TIGHTENING: ["b"]}
    assert crd_change("c", live, live["spec"]).versions == []
    bare = crd(version("v1", storage=True))
    assert crd_change("c", bare, crd(version("v1", keeps(record())))["spec"]).versions[0].changes == {TIGHTENING: ["."]}


names = st.sampled_from(["a", "b", "c"])
scalars = st.sampled_from(
    [
        TEXT,
        NUMBER,
        FRACTION,
        EITHER,
        ANY,
        {**TEXT, "maxLength": 1},
        {**TEXT, "minLength": 1},
        {**TEXT, "minLength": 2},
        {**TEXT, "pattern": "^x"},
        {**TEXT, "enum": ["x"]},
        {**TEXT, "enum": ["x", "xy"]},
        {**NUMBER, "minimum": 2},
        {**NUMBER, "maximum": 1},
        {**TEXT, "nullable": True},
        {**TEXT, "default": "x"},
        {**NUMBER, "default": 2},
    ]
)


def _bigger(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    fields = st.dictionaries(names, inner, max_size=3)
    required = st.lists(names, max_size=1)
    objects = st.builds(lambda properties, must: record(tuple(must), **properties), fields, required)
    lists = st.builds(array, inner)
    sets = st.builds(lambda items: array(items, **{"x-kubernetes-list-type": "set"}), inner)
    maps = st.builds(mapping, inner)
    return st.one_of(objects, lists, sets, maps, objects.map(keeps))


schemas = st.recursive(scalars, _bigger, max_leaves=6)
values = st.recursive(
    st.sampled_from([None, "", "x", "xy", 1, 2, 1.5]),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def fitting(draw: st.DrawFn, schema: Schema) -> Any:
    """Give a value that the schema may well take, with a surprise here and there."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values)
    kind = schema.get("type", "integer" if schema == EITHER else None)
    if kind == "array":
        return draw(st.lists(fitting(schema["items"]), max_size=2))
    if kind == "object":
        known = schema.get("properties") or {}
        needed = set(schema.get("required") or ())
        shown = {key: draw(fitting(known[key])) for key in known if key in needed or draw(st.booleans())}
        other = schema.get("additionalProperties")
        more = fitting(other) if isinstance(other, dict) else values
        return draw(st.dictionaries(names, more, max_size=2)) | shown if other or schema.get(PRESERVE) else shown
    numbers, texts = st.sampled_from([1, 2]), st.sampled_from(["x", "xy"])
    return draw({"integer": numbers, "number": numbers, "string": texts}.get(kind or "", values))


@st.composite
def changed(draw: st.DrawFn, schema: Schema) -> Schema:
    """Give a schema with a change or two somewhere in it."""
    if draw(st.integers(0, 7)) == 0:
        return draw(schemas)
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {
            name: draw(changed(child)) for name, child in schema["properties"].items() if draw(st.integers(0, 4))
        } | draw(st.dictionaries(names, schemas, max_size=1))
        if draw(st.booleans()):
            result.pop("required", None)
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = draw(changed(schema[key]))
    for key in (PRESERVE, "nullable", "enum", "default", "maxLength", "minimum"):
        if key in result and "type" in result and draw(st.integers(0, 3)) == 0:
            del result[key]
    return result


cases = schemas.flatmap(lambda schema: st.tuples(st.just(schema), changed(schema), fitting(schema)))
filters = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


@filters
@given(cases)
def test_what_is_additive_refuses_nothing_and_loses_nothing(case: tuple[Schema, Schema, Any]) -> None:
    before, after, value = record(spec=case[0]), record(spec=case[1]), case[2]
    assume(set(schema_changes(before, after)) <= {ADDITIVE})
    stored = prune({"spec": value}, before)
    assume(not Validator(before).violations(with_defaults(stored, before)))
    assert lost_fields(with_defaults(stored, before), after, before) == []
    assert Validator(after).violations(with_defaults(prune(stored, after), after)) == []


@filters
@given(cases)
def test_what_loses_a_field_is_dropping(case: tuple[Schema, Schema, Any]) -> None:
    before, after, value = record(spec=case[0]), record(spec=case[1]), case[2]
    stored = with_defaults(prune({"spec": value}, before), before)
    assume(not Validator(before).violations(stored))
    # What is refused is not stored, and so loses nothing.
    assume(not Validator(after).violations(with_defaults(prune(stored, after), after)))
    if lost_fields(stored, after, before):
        assert DROPPING in schema_changes(before, after)


@given(schemas)
def test_a_schema_does_not_differ_from_itself(schema: Schema) -> None:
    assert schema_changes(schema, {**schema, "description": "other words"}) == {}
