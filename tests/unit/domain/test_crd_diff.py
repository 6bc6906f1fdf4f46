"""What is said of a CRD that is not as it should be."""

from typing import Any

import pytest

from meshupgrade.domain.crd_diff import crd_differences


def spec(*versions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "group": "mesh.example",
        "scope": "Namespaced",
        "names": {"kind": "A"},
        "versions": list(versions),
        **fields,
    }


def version(name: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "schema": {"openAPIV3Schema": {"properties": properties}}}


V1, V2 = version("v1"), version("v2")
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
PLACE = "version v1: schema.openAPIV3Schema.properties"


@pytest.mark.parametrize(
    ("live", "wanted", "said"),
    [
        (None, spec(V1), "is not there"),
        (spec(V1), spec(V1), ""),
        (spec(V1, V2), spec(V2, V1), ""),
        (spec(V1), spec(V1, V2), "lacks version v2"),
        (spec(V1, V2), spec(V1), "has version v2, which is to go"),
        (spec(V1), spec({**V1, "served": False}), "has another version v1: served"),
        (spec(V1), spec(version("v1", a=TEXT)), f"lacks {PLACE}.a"),
        (spec(version("v1", a=TEXT)), spec(V1), f"has {PLACE}.a"),
        (spec(version("v1", a=TEXT)), spec(version("v1", a=NUMBER)), f"has another {PLACE}.a.type"),
        (
            spec(version("v1", a={"enum": ["x"]})),
            spec(version("v1", a={"enum": ["x", "y"]})),
            f"has another {PLACE}.a.enum",
        ),
        (spec(V1), spec(V1, scope="Cluster"), "has another scope"),
        (spec(V1), spec(V1, names={"kind": "A", "plural": "as"}), "lacks names.plural"),
        (spec(V1, conversion={"strategy": "None"}), spec(V1), "has conversion"),
        (
            spec(version("v1"), scope="Cluster"),
            spec(version("v1", a=TEXT), V2),
            f"lacks version v2, has another scope, lacks {PLACE}.a",
        ),
        (
            spec(V1),
            spec(*(version(f"v{number}") for number in range(1, 7))),
            "lacks version v2, lacks version v3, lacks version v4 and 2 more",
        ),
    ],
)
def test_differences(live: dict[str, Any] | None, wanted: dict[str, Any], said: str) -> None:
    assert crd_differences(live, wanted) == said
