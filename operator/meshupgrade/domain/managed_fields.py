"""metadata.managedFields: who owns a field, and how to hand it over without changing its value.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Entry", "identity", "last_writer", "owners", "with_owner", "without_manager"]

Entry = Mapping[str, Any]

IDENTITY = ("manager", "operation", "apiVersion", "subresource")


def identity(entry: Entry) -> dict[str, str]:
    """Give what tells an owner from others; several entries of one manager differ in operation or subresource."""
    return {key: str(entry[key]) for key in IDENTITY if entry.get(key)}


def owners(managed: Sequence[Entry], path: tuple[str, ...]) -> list[dict[str, str]]:
    """Give who owns the field at the path, such as ("spec", "replicas")."""
    return [identity(entry) for entry in managed if _has(entry.get("fieldsV1") or {}, path)]


def last_writer(managed: Sequence[Entry], path: tuple[str, ...], *, without: str) -> str:
    """Give who wrote last what is at the path, or below; empty when nobody did beside the manager ``without``."""
    others = [entry for entry in managed if entry.get("manager") != without]
    entries = [entry for entry in others if _has(entry.get("fieldsV1") or {}, path)]
    return str(max(entries, key=lambda entry: str(entry.get("time") or ""))["manager"]) if entries else ""


def without_manager(managed: Sequence[Entry], manager: str) -> list[dict[str, Any]]:
    """Give the list without a manager; the fields keep their values, and nobody owns what was its alone."""
    return [dict(entry) for entry in managed if entry.get("manager") != manager]


def with_owner(managed: Sequence[Entry], owner: Mapping[str, str], path: tuple[str, ...]) -> list[dict[str, Any]]:
    """Give the list with that owner of the field at the path, beside those that it has."""
    result = copy.deepcopy([dict(entry) for entry in managed])
    entry = next((item for item in result if identity(item) == dict(owner)), None)
    if entry is None:
        entry = {**owner, "fieldsType": "FieldsV1"}
        result.append(entry)
    fields = entry.setdefault("fieldsV1", {})
    for step in path:
        fields = fields.setdefault(f"f:{step}", {})
    return result


def _has(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    for step in path:
        if f"f:{step}" not in fields:
            return False
        fields = fields[f"f:{step}"]
    return True
