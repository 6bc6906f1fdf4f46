"""The API reference, made from the same schema as the CRD."""

from collections.abc import Iterator, Mapping
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import RISKS, FindingName
from meshupgrade.api.v1alpha1.names import API_VERSION, KIND
from meshupgrade.api.v1alpha1.schema import structural_schema
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.api.v1alpha1.status import MeshUpgradeStatus

__all__ = ["reference"]


def reference() -> str:
    """Give the API reference in Markdown."""
    parts = [
        f"# API reference: {KIND}, {API_VERSION}",
        "Generated from the models by `make generate`; do not edit.",
        *(_section(name, model) for name, model in (("spec", MeshUpgradeSpec), ("status", MeshUpgradeStatus))),
        "## Conditions",
        "What each shows in which state is in [states.md](states.md).",
        "\n".join(f"- `{kind}`" for kind in ConditionType),
        "## Reasons",
        "A refusal carries the name of its first finding as its reason.",
        ", ".join(f"`{reason}`" for reason in Reason),
        "## Findings",
        f"Risks, which `spec.upgrade.acceptRisks` lets pass: {', '.join(f'`{risk}`' for risk in RISKS)}.",
        ", ".join(f"`{name}`" for name in FindingName),
    ]
    return "\n\n".join(parts) + "\n"


def _section(name: str, model: type[MeshUpgradeSpec] | type[MeshUpgradeStatus]) -> str:
    lines = [f"## {name}", "", "| field | type | what it is |", "|---|---|---|"]
    lines += [f"| `{path}` | {kind} | {text} |" for path, kind, text in _rows(structural_schema(model), name)]
    return "\n".join(lines)


def _rows(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    required = set(schema.get("required", []))
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        mark = ", required" if name in required else ""
        yield here, _type(child) + mark, child.get("description", "").replace("|", "\\|")
        yield from _rows(child, here)
        if "properties" in child.get("items", {}):
            yield from _rows(child["items"], f"{here}[]")


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema["type"])
