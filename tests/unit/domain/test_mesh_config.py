"""What the spec sets in a MeshConfig: its patch, and the image of the sidecar."""

from typing import Any

import pytest

from meshupgrade.domain.mesh_config import ImageFields, as_made, as_stored, clash, is_set_by, missing, opened, patched
from meshupgrade.domain.three_way import MISSING

EDGE = ImageFields(
    ("sidecar", "sidecarImage"),
    ("sidecar", "sidecarDrivers"),
    "sidecarName",
    "sidecarImage",
    ("sidecar", "sidecarClass"),
)
OSM = ImageFields(("sidecar", "envoyImage"))


def driver(name: str, image: str) -> dict[str, Any]:
    return {"sidecarName": name, "sidecarImage": image, "proxyServerPort": 6060}


def edge(image: str | None, *drivers: dict[str, Any], kind: str = "pipy") -> dict[str, Any]:
    own = {"sidecarImage": image} if image is not None else {}
    return {"sidecar": {"sidecarClass": kind, "sidecarDrivers": list(drivers), **own}}


PIPY, ENVOY = driver("pipy", "pipy:1"), driver("envoy", "envoy:1")


@pytest.mark.parametrize(
    ("fields", "spec", "patch", "image", "result"),
    [
        (OSM, {"sidecar": {"a": 1}}, {}, "envoy:2", {"sidecar": {"a": 1, "envoyImage": "envoy:2"}}),
        (OSM, {}, {}, "envoy:2", {"sidecar": {"envoyImage": "envoy:2"}}),
        (OSM, {"sidecar": {"envoyImage": "e"}}, {"sidecar": {"envoyImage": None}}, None, {"sidecar": {}}),
        (EDGE, edge("pipy:1", PIPY, ENVOY), {}, "pipy:2", edge("pipy:2", driver("pipy", "pipy:2"), ENVOY)),
        (EDGE, edge("pipy:1", ENVOY, PIPY), {}, "pipy:2", edge("pipy:2", ENVOY, driver("pipy", "pipy:2"))),
        (EDGE, edge(None, driver("Pipy", "pipy:1")), {}, "pipy:2", edge("pipy:2", driver("Pipy", "pipy:2"))),
        (EDGE, edge("pipy:1", ENVOY), {}, "pipy:2", edge("pipy:2", ENVOY)),
        (EDGE, edge("pipy:1", {"sidecarName": "pipy"}), {}, "p:2", edge("p:2", {"sidecarName": "pipy",
                                                                               "sidecarImage": "p:2"})),
        # The patch comes first: it may choose another class.
        (EDGE, edge("pipy:1", PIPY, ENVOY), {"sidecar": {"sidecarClass": "envoy"}}, "envoy:2",
         edge("envoy:2", PIPY, driver("envoy", "envoy:2"), kind="envoy")),
        (EDGE, {"sidecar": {}}, {}, "pipy:2", {"sidecar": {"sidecarImage": "pipy:2"}}),
    ],
)  # fmt: skip
def test_what_is_set(fields: ImageFields, spec: Any, patch: Any, image: str | None, result: Any) -> None:
    before = repr(spec)
    assert patched(spec, patch, image, fields) == result
    assert repr(spec) == before


@pytest.mark.parametrize(
    ("fields", "patch", "field"),
    [
        (EDGE, {}, None),
        (EDGE, {"sidecar": {"logLevel": "debug"}}, None),
        (EDGE, {"sidecar": {"sidecarImage": "pipy:2"}}, None),
        (EDGE, {"sidecar": {"sidecarImage": "pipy:3"}}, "sidecar.sidecarImage"),
        (EDGE, {"sidecar": {"sidecarImage": None}}, "sidecar.sidecarImage"),
        (EDGE, {"sidecar": {"sidecarDrivers": [driver("pipy", "pipy:3")]}}, "sidecar.sidecarDrivers"),
        (EDGE, {"sidecar": {"sidecarDrivers": [driver("pipy", "pipy:2"), driver("envoy", "e:3")]}}, None),
        (EDGE, {"sidecar": {"sidecarDrivers": []}}, None),
        (OSM, {"sidecar": {"envoyImage": "envoy:3"}}, "sidecar.envoyImage"),
        (OSM, {"sidecar": {"sidecarImage": "pipy:3"}}, None),
    ],
)
def test_a_patch_that_says_another_image(fields: ImageFields, patch: Any, field: str | None) -> None:
    assert clash(edge("pipy:1", PIPY, ENVOY), patch, "pipy:2", fields) == field


@pytest.mark.parametrize(
    ("path", "patch", "image", "is_set"),
    [
        (("a", "b"), {}, None, False),
        (("a", "b"), {"a": {"b": 1}}, None, True),
        (("a", "b"), {"a": {"b": None}}, None, True),
        (("a", "b"), {"a": 1}, None, True),
        (("a", "b"), {"a": {"c": 1}}, None, False),
        (("a",), {"a": {"c": 1}}, None, True),
        (("sidecar", "sidecarImage"), {}, "pipy:2", True),
        (("sidecar", "sidecarImage"), {}, None, False),
        (("sidecar", "sidecarDrivers", "[pipy]", "sidecarImage"), {}, "pipy:2", True),
        (("sidecar", "sidecarDrivers", "[pipy]", "proxyServerPort"), {}, "pipy:2", False),
        (("sidecar", "sidecarDrivers", "[pipy]", "sidecarImage"), {"sidecar": {"sidecarDrivers": []}}, None, True),
    ],
)
def test_what_the_spec_sets_itself(path: tuple[str, ...], patch: Any, image: str | None, is_set: bool) -> None:
    assert is_set_by(path, patch, image, EDGE) is is_set


SPEC = {"sidecar": {"logLevel": "error", "resources": {}}, "traffic": {"enableEgress": True}}


@pytest.mark.parametrize(
    ("spec", "patch", "left"),
    [
        (SPEC, {"sidecar": {"logLevel": "error"}}, {}),
        (SPEC, {"sidecar": {"logLevel": "error", "misspelt": 1}}, {"sidecar": {"misspelt": 1}}),
        (SPEC, {"misspelt": {"a": 1}}, {"misspelt": {"a": 1}}),
        (SPEC, {"sidecar": {"resources": {}}}, {}),
        # Where the schema has a default, it stands there again.
        (SPEC, {"sidecar": {"logLevel": None}}, {}),
        (SPEC, {"traffic": {"enableEgress": 1}}, {"traffic": {"enableEgress": 1}}),
        (None, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_what_of_a_patch_is_not_kept(spec: Any, patch: dict[str, Any], left: dict[str, Any]) -> None:
    assert missing(spec, patch) == left


def test_a_spec_as_the_api_server_keeps_it() -> None:
    text, mode = {"type": "string"}, {"type": "string", "default": "Localhost"}
    sidecar = {"type": "object", "properties": {"logLevel": text, "localProxyMode": mode}}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"sidecar": sidecar}}}}
    kept = as_stored({"sidecar": {"logLevel": "error", "unknown": 1}, "other": {}}, schema)
    assert kept == {"sidecar": {"logLevel": "error", "localProxyMode": "Localhost"}}
    assert as_stored({}, schema) == {}


def record(required: list[str], /, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": required}


FLAG, COUNT, TEXT = {"type": "boolean"}, {"type": "integer"}, {"type": "string"}
PLUGIN = record(["plugin", "priority", "disable"], plugin=TEXT, priority=COUNT, disable=FLAG)
BALANCER = record(["type", "weights"], type={**TEXT, "default": "Active"}, weights={"type": "array", "items": COUNT})
MADE = {
    "type": "object",
    "properties": {
        "spec": record(
            ["chain", "balancer"], chain={"type": "array", "items": PLUGIN}, balancer=BALANCER, note=TEXT, mode=TEXT
        )
    },
}


def plugin(name: str, priority: int, **more: Any) -> dict[str, Any]:
    return {"plugin": name, "priority": priority, **more}


def test_a_bootstrap_writes_what_is_required_and_left_out_of_its_preset() -> None:
    preset = {"chain": [plugin("a", 1), plugin("b", 2, disable=True)], "unknown": 1}
    assert as_made(preset, MADE) == {
        "chain": [plugin("a", 1, disable=False), plugin("b", 2, disable=True)],
        "balancer": {"type": "Active", "weights": []},
    }
    assert as_made({}, MADE)["chain"] == []


@pytest.mark.parametrize(
    ("preset", "live", "base"),
    [
        # The types of the older release had no balancer, and those of its plugins no switch.
        ({"chain": [plugin("a", 1)]}, {"chain": [plugin("a", 1)]}, {"chain": [plugin("a", 1)]}),
        ({"chain": [plugin("a", 1)]}, {"chain": [plugin("a", 1, disable=False)]},
         {"chain": [plugin("a", 1, disable=False)]}),
        # What somebody made of it is no default.
        ({"chain": [plugin("a", 1)]}, {"chain": [plugin("a", 1, disable=True)]},
         {"chain": [plugin("a", 1, disable=False)]}),
        # One that somebody took out is as it would be made.
        ({"chain": [plugin("a", 1), plugin("b", 2)]}, {"chain": [plugin("b", 2)]},
         {"chain": [plugin("a", 1, disable=False), plugin("b", 2)]}),
        ({}, {"balancer": {"weights": [1]}}, {"balancer": {"type": "Active", "weights": []}}),
    ],
)  # fmt: skip
def test_what_an_older_bootstrap_has_made_shows_in_what_lives(preset: Any, live: Any, base: Any) -> None:
    assert as_made(preset, MADE, live) == base


EGRESS, PERMISSIVE = ("traffic", "enableEgress"), ("traffic", "enablePermissiveTrafficPolicyMode")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"enableEgress": False}, {"enableEgress": True}, [(EGRESS, False)]),
        ({}, {"enableEgress": True}, [(EGRESS, MISSING)]),
        (
            {"enableEgress": False, "enablePermissiveTrafficPolicyMode": False},
            {"enableEgress": True, "enablePermissiveTrafficPolicyMode": True},
            [(EGRESS, False), (PERMISSIVE, False)],
        ),
        ({"enableEgress": True}, {"enableEgress": True}, []),
        ({"enableEgress": True}, {"enableEgress": False}, []),
        ({"enableEgress": True}, {}, []),
        ({"enableEgress": False}, {"enableEgress": False}, []),
        ({"useHTTPSIngress": False}, {"useHTTPSIngress": True}, []),
    ],
)
def test_which_switches_let_traffic_pass_that_did_not(before: Any, after: Any, told: list[Any]) -> None:
    found = opened({"traffic": before}, {"traffic": after}, (EGRESS, PERMISSIVE))
    assert [(one.path, one.live) for one in found] == told
    assert all(one.new is True for one in found)
