"""Which objects are looked at, in which version, and by what."""

from typing import Any

import pytest

from meshupgrade.domain.resource_loss import examine

TEXT = {"type": "string"}


def crd(
    stored: str, served: tuple[str, ...] | None = None, conversion: str = "None", **versions: Any
) -> dict[str, Any]:
    """A CRD: the fields of spec by version."""
    return {
        "metadata": {"name": "things.example.test"},
        "spec": {
            "conversion": {"strategy": conversion},
            "versions": [
                {
                    "name": name,
                    "storage": name == stored,
                    "served": served is None or name in served,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {"type": "object", "properties": fields},
                                "status": {"type": "object"},
                            },
                        }
                    },
                }
                for name, fields in versions.items()
            ],
        },
    }


A, AB = {"a": TEXT}, {"a": TEXT, "b": TEXT}
OBJECT = {"spec": {"a": "x", "b": "x"}, "status": {"phase": "anything"}}


@pytest.mark.parametrize(
    ("live", "shipped", "lost"),
    [
        (crd("v1", v1=AB), crd("v1", v1=A), ["spec.b"]),
        # Dropped by the release, so kept as it was by the merge; but stored in another version soon.
        (crd("v1", v1=AB), crd("v2", v2=A), ["spec.b"]),
        (crd("v1", v1=AB), crd("v2", v1=AB, v2=A), ["spec.b"]),
        (crd("v1", v1=AB), crd("v2", v1=A, v2=AB), ["spec.b"]),
    ],
)
def test_fields_are_lost_on_the_way(live: dict[str, Any], shipped: dict[str, Any], lost: list[str]) -> None:
    examination = examine(live, shipped)
    assert examination is not None
    assert examination.read_version == "v1"
    assert examination.lost(OBJECT) == lost
    assert examination.broken(OBJECT) == []


@pytest.mark.parametrize(
    ("live", "shipped"),
    [
        (crd("v1", v1=A), crd("v1", v1=AB)),
        (crd("v1", v1=AB), crd("v2", v1=AB, v2=AB)),
        (crd("v1", v1=A), crd("v2", v2=AB)),
        # A webhook knows better what becomes of the fields.
        (crd("v1", v1=AB), crd("v2", v2=A, conversion="Webhook")),
        (crd("v1", v1=AB, conversion="Webhook"), crd("v2", v2=A)),
        # Nobody serves it, so there is nothing to be read.
        (crd("v1", served=(), v1=AB), crd("v1", v1=A)),
    ],
)
def test_nothing_is_read_where_nothing_can_happen(live: dict[str, Any], shipped: dict[str, Any]) -> None:
    assert examine(live, shipped) is None


def test_objects_are_read_in_a_version_that_is_served() -> None:
    examination = examine(crd("v1", served=("v2",), v1=AB, v2=AB), crd("v1", v1=AB, v2=A))
    assert examination is not None
    assert examination.read_version == "v2"


def test_only_news_is_told() -> None:
    long, short = {"a": {**TEXT, "maxLength": 5}}, {"a": {**TEXT, "maxLength": 3}}
    examination = examine(crd("v1", v1=long), crd("v1", v1=short))
    assert examination is not None
    (told,) = examination.broken({"spec": {"a": "four"}})
    assert told.startswith("spec.a: ")
    assert "four" not in told
    assert examination.broken({"spec": {"a": "sixsix"}}) == [], "it was too long before"
    both = {"a": {**TEXT, "maxLength": 3}}
    examination = examine(crd("v1", v1={**both, "b": TEXT}), crd("v1", v1=both))
    assert examination is not None
    assert examination.broken({"spec": {"a": "four"}}) == []


def test_the_status_is_the_controllers() -> None:
    live, shipped = crd("v1", v1=A), crd("v1", v1=A)
    shipped["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"] = {
        "type": "object", "properties": {"state": TEXT}, "required": ["state"]
    }  # fmt: skip
    assert examine(live, shipped) is None
