"""What an upgrade of its CRD does to a stored custom resource: fields that it loses, and rules that it breaks."""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.domain.crds import merge_versions, served_version, stored_version
from meshupgrade.domain.schema_validation import Validator
from meshupgrade.domain.structural_schema import (
    PRESERVE,
    Path,
    Schema,
    covers,
    lost_fields,
    prune,
    schema_of,
    told_path,
    with_defaults,
)

__all__ = ["Examination", "examine"]

Object = Mapping[str, Any]


class Examination:
    """Looks at objects of one CRD, read in one version, for what becomes of them after the upgrade."""

    def __init__(self, read_version: str, before: Schema, after: Sequence[Schema]) -> None:
        self.read_version = read_version
        self._before = before
        self._after = after
        self._validators: dict[int, Validator] = {}

    def lost(self, obj: Object) -> list[str]:
        """Give the fields that the object loses, as paths."""
        paths = [told_path(path) for schema in self._after for path in lost_fields(obj, schema, self._before)]
        return list(dict.fromkeys(paths))

    def broken(self, obj: Object) -> list[str]:
        """Give the new rules that the object breaks, as path and what is wrong there; never a value of it.

        A rule that it breaks by the CRD that lives already is no news.
        """
        found: dict[tuple[Path, str], str] = {}
        becomes = obj
        for number, schema in enumerate(self._after, 1):
            becomes = with_defaults(prune(becomes, schema), schema)
            found |= self._violations(number, schema, becomes)
        known = self._violations(0, self._before, obj) if found else {}
        return [
            f"{told_path(path) or 'the object'}: {text}"
            for (path, rule), text in found.items()
            if (path, rule) not in known
        ]

    def _violations(self, number: int, schema: Schema, obj: Object) -> dict[tuple[Path, str], str]:
        if number not in self._validators:
            self._validators[number] = Validator(schema)
        return {(one.path, one.rule): one.text for one in self._validators[number].violations(obj)}


def examine(live: Object, shipped: Object) -> Examination | None:
    """Give the examination of the objects of a CRD; None when none of them can lose anything or become invalid.

    Objects are read in the version that is stored now, and looked at by the schema that this version gets, and then by
    the one of the version that will be stored, where no webhook converts between them. Their status is left out: it is
    the controllers', who write it anew.
    """
    read = stored_version(live)
    names = [version["name"] for version in live["spec"]["versions"] if version.get("served")]
    if read not in names:
        read = served_version(live)
    if read is None:
        return None
    merged = {"spec": {"versions": merge_versions(live, shipped)}}
    wanted = stored_version(shipped)
    converts = any((crd["spec"].get("conversion") or {}).get("strategy") == "Webhook" for crd in (live, shipped))
    steps = [read] if converts or wanted is None else list(dict.fromkeys([read, wanted]))
    before = _without_status(schema_of(live, read))
    after = [schema for step in steps if not covers(schema := _without_status(schema_of(merged, step)), before)]
    return Examination(read, before, after) if after else None


def _without_status(schema: Schema) -> Schema:
    """Give the schema with one for the status that keeps and takes everything."""
    required = [name for name in schema.get("required") or () if name != "status"]
    return {
        **schema,
        "properties": {**(schema.get("properties") or {}), "status": {PRESERVE: True}},
        "required": required,
    }
