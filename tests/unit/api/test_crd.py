"""The CRD: structural, described, and the same as the checked-in file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshupgrade.api.v1alpha1.crd import custom_resource_definition
from meshupgrade.api.v1alpha1.reference import reference
from meshupgrade.api.v1alpha1.rules import DURATION_PATTERN
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.api.v1alpha1.version_pattern import VERSION_OR_RANGE_PATTERN
from meshupgrade.distributions import load_distribution

ROOT = Path(__file__).parents[3]
CRD = custom_resource_definition({name.value: load_distribution(name).mesh_name for name in DistributionName})
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]
STATUS = SCHEMA["properties"]["status"]
FORBIDDEN = {
    "$ref",
    "$defs",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "title",
    "default",
    "const",
    "uniqueItems",
}


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


ALL = dict(nodes(SCHEMA, ""))
FIELDS = [path for path in ALL if path.startswith((".spec", ".status")) and not path.endswith("[]")]


def rules(path: str) -> list[str]:
    return [rule["rule"] for rule in ALL[path].get("x-kubernetes-validations", [])]


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_described(path: str) -> None:
    description = ALL[path].get("description", "")
    assert description.endswith((".", ")")), f"{description!r} is no sentence"


@pytest.mark.parametrize("path", ALL)
def test_every_node_is_structural(path: str) -> None:
    node = ALL[path]
    assert not FORBIDDEN & set(node)
    if node.get("x-kubernetes-int-or-string"):
        assert "type" not in node
        return
    assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}
    assert (node["type"] == "array") == ("items" in node)
    if node["type"] == "object" and path != ".metadata":
        free = node.get("x-kubernetes-preserve-unknown-fields") is True
        mapped = isinstance(node.get("additionalProperties"), dict)
        assert [free, mapped, bool(node.get("properties"))].count(True) == 1
    else:
        assert "additionalProperties" not in node
    assert set(node.get("required", [])) <= set(node.get("properties", {}))


def test_the_whole_file_holds_nothing_that_is_not_plain_yaml() -> None:
    assert yaml.safe_load(yaml.safe_dump(CRD)) == CRD
    assert "$ref" not in yaml.safe_dump(CRD)


def test_lists_of_the_status_are_bounded() -> None:
    lists = [path for path, node in ALL.items() if path.startswith(".status") and node.get("type") == "array"]
    assert lists
    assert [path for path in lists if "maxItems" not in ALL[path]] == []


def test_conditions_are_a_map_by_type() -> None:
    conditions = ALL[".status.conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert {"type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"} <= set(
        conditions["items"]["required"]
    )


def test_accepted_risks_are_a_set_of_known_names() -> None:
    risks = ALL[".spec.upgrade.acceptRisks"]
    assert risks["x-kubernetes-list-type"] == "set"
    assert risks["items"]["enum"] == [
        "BreakingChange", "Prerelease", "ImmutableFieldChanged", "CRDImmutableChange", "CustomResourceInvalid",
        "FieldsPruned",
    ]  # fmt: skip
    assert risks["maxItems"] == 6


def test_only_version_and_mesh_have_to_be_given() -> None:
    required = {path: node["required"] for path, node in ALL.items() if path.startswith(".spec") and "required" in node}
    references = {
        ".spec.chart.secretRef", ".spec.chart.certSecretRef", ".spec.chart.verify.keyringSecretRef",
        ".spec.crds.configMapRef", ".spec.crds.secretRef", ".spec.crds.certSecretRef",
    }  # fmt: skip
    assert required == {
        ".spec": ["version", "mesh"],
        ".spec.mesh": ["distribution"],
        ".spec.upgrade.windows[]": ["start", "end"],
        ".spec.valuesFrom[]": ["kind", "name"],
        ".spec.chart.verify": ["keyringSecretRef"],
        ".spec.dataPlane.canary": ["namespace"],
        ".spec.dataPlane.namespaceSelector.matchExpressions[]": ["key", "operator"],
        **{f".spec.addons.{addon}": ["image"] for addon in ("prometheus", "grafana", "jaeger")},
        **{path: ["name"] for path in references},
    }
    assert SCHEMA["required"] == ["spec"]


def test_columns_are_those_that_people_look_for() -> None:
    columns = [
        (column["name"], column["jsonPath"], column["priority"]) for column in VERSION["additionalPrinterColumns"]
    ]
    assert columns == [
        ("Mesh", ".spec.mesh.distribution", 0),
        ("Desired", ".spec.version", 0),
        ("Current", ".status.currentVersion", 0),
        ("Phase", ".status.phase", 0),
        ("Ready", '.status.conditions[?(@.type=="Ready")].status', 0),
        ("Message", '.status.conditions[?(@.type=="Ready")].message', 1),
        ("Age", ".metadata.creationTimestamp", 0),
    ]
    for _, path, _ in columns:
        field = path.partition("[")[0]
        assert field in ALL or field.startswith(".metadata.")


def test_names_and_scope() -> None:
    assert CRD["metadata"]["name"] == "meshupgrades.meshupgrade.io"
    assert CRD["spec"]["scope"] == "Namespaced"
    assert CRD["spec"]["names"]["shortNames"] == ["mup"]
    assert (VERSION["name"], VERSION["served"], VERSION["storage"]) == ("v1alpha1", True, True)
    assert VERSION["subresources"] == {"status": {}}


def test_cel_guards_what_a_pattern_cannot_explain() -> None:
    assert rules(".spec.version") == [f"self.matches(r'{VERSION_OR_RANGE_PATTERN}')"]
    (timeout,) = rules(".spec.upgrade.timeout")
    assert DURATION_PATTERN in timeout
    assert "duration('1s')" in timeout
    assert "duration('24h')" in timeout
    (insecure,) = rules(".spec.chart")
    assert "startsWith('oci://')" in insecure


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://charts.example", True),
        ("https://charts.example/osm/stable", True),
        ("http://charts.example:8080/", True),
        ("oci://registry.example:5000/charts", True),
        ("https://user:password@charts.example", False),
        ("ftp://charts.example", False),
        ("charts.example", False),
        ("https://", False),
        ("https:///path", False),
        ("https://charts.example/a b", False),
        ("file:///etc", False),
    ],
)
def test_what_a_repository_may_be(url: str, taken: bool) -> None:
    (rule,) = rules(".spec.chart.repository")
    found = re.fullmatch(r"self\.matches\('(\^.*\$)'\)", rule)
    assert found is not None
    assert (re.search(found[1], url) is not None) is taken


def test_the_mesh_cannot_be_changed_and_a_default_written_out_is_no_change() -> None:
    (rule,) = rules(".spec.mesh")
    assert rule.startswith("self.distribution == oldSelf.distribution && ")
    for variable in ("self", "oldSelf"):
        resolved = f"(has({variable}.name) ? {variable}.name : "
        assert resolved in rule
        for distribution, name in (("fsm", "fsm"), ("osm", "osm"), ("osm-edge", "osm")):
            assert f"{variable}.distribution == '{distribution}' ? '{name}' : " in rule


def test_every_rule_has_a_message_for_people() -> None:
    found = [rule for node in ALL.values() for rule in node.get("x-kubernetes-validations", [])]
    assert len(found) == 17
    assert all(rule["message"] for rule in found)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (".spec.valuesPolicy", "Default: Reset."),
        (".spec.upgrade.timeout", "Default: 5m."),
        (".spec.upgrade.retries", "Default: 2."),
        (".spec.crds.insecure", "Default: false."),
    ],
)
def test_defaults_are_told_and_not_written_by_the_api_server(path: str, told: str) -> None:
    assert ALL[path]["description"].endswith(told)
    assert "default" not in ALL[path]


def test_the_checked_in_crd_is_the_generated_one() -> None:
    text = (ROOT / "crds" / "meshupgrade.io_meshupgrades.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == CRD


def test_the_checked_in_reference_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "api-reference.md").read_text(encoding="utf-8") == reference()


def test_the_reference_has_a_row_for_every_field() -> None:
    text = reference()
    assert [path for path in FIELDS if path not in (".spec", ".status") and f"| `{path[1:]}` |" not in text] == []
