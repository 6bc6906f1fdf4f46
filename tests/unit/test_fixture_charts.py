"""The fixture mesh must be sound before anything is proved with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from semver import Version

from tests.charts.build import write_chart
from tests.charts.crds import KINDS, crd_files, crds_of
from tests.charts.generator import chart_files, default_values, values_schema
from tests.charts.releases import merge_patch, release, releases
from tests.charts.schemas import SPECS, Schema
from tests.charts.workloads import NAMESPACES, meshed_workloads, sample_resources

REGISTRY = "registry.example:5000"
SOUND = [entry.version for entry in releases()]
ALL = [entry.version for entry in releases(include_broken=True)]
UPGRADES = list(combinations(SOUND, 2))


def crd_by_kind(version: str) -> dict[str, dict[str, Any]]:
    return {crd["spec"]["names"]["kind"]: crd for crd in crds_of(version)}


def schemas_by_version(crd: dict[str, Any]) -> dict[str, Schema]:
    return {entry["name"]: entry["schema"]["openAPIV3Schema"] for entry in crd["spec"]["versions"]}


def stored_version(crd: dict[str, Any]) -> str:
    stored = [entry["name"] for entry in crd["spec"]["versions"] if entry["storage"]]
    assert len(stored) == 1, f"{crd['metadata']['name']} has the storage versions {stored}"
    name: str = stored[0]
    return name


def every_schema(schema: Schema) -> Iterator[Schema]:
    yield schema
    for child in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if child:
            yield from every_schema(child)


def unknown_fields(value: Any, schema: Schema, path: str = "") -> list[str]:
    """What the API server would prune from ``value``."""
    if isinstance(value, list):
        items = (unknown_fields(item, schema["items"], f"{path}[{index}]") for index, item in enumerate(value))
        return [field for found in items for field in found]
    if not isinstance(value, dict):
        return []
    missing = []
    for key, inner in value.items():
        known = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
        missing += unknown_fields(inner, known, f"{path}.{key}") if known else [f"{path}.{key}"]
    return missing


class TestTable:
    def test_the_releases_stand_in_order_and_the_broken_ones_apart(self) -> None:
        assert [str(version) for version in sorted(map(Version.parse, ALL))] == ALL
        assert SOUND == ["0.8.0", "0.9.0", "1.1.0", "1.1.1", "1.2.0", "1.2.1", "1.3.0", "2.0.0"]
        assert set(ALL) - set(SOUND) == {"1.2.6", "1.2.7", "1.2.8", "1.2.9"}

    def test_what_belongs_to_one_release_is_not_inherited(self) -> None:
        assert release("1.1.1").app_version == "1.1.3"
        assert all(release(version).app_version == version for version in ALL if version != "1.1.1")
        assert not release("1.3.0").broken

    def test_the_crds_move_from_an_init_container_into_the_bootstrap_image(self) -> None:
        assert release("1.1.1").crd_repository == "flomesh/osm-edge-crds"
        assert release("1.2.0").crd_repository == "flomesh/osm-edge-bootstrap"

    def test_both_shapes_of_an_image_occur(self) -> None:
        assert {release(version).crd_image_is_index for version in SOUND} == {True, False}

    def test_only_1_3_changes_the_label_selector(self) -> None:
        selectors = [release(version).shape["controllerSelector"] for version in SOUND]
        changes = [SOUND[index] for index in range(1, len(SOUND)) if selectors[index] != selectors[index - 1]]
        assert changes == ["1.3.0"]

    def test_no_schema_is_unused(self) -> None:
        used = {
            name for version in ALL for facts in release(version).crds.values() for name in facts["versions"].values()
        }
        assert used == set(SPECS)

    def test_merge_patch_removes_by_null_and_leaves_its_arguments_alone(self) -> None:
        target = {"a": {"b": 1, "c": 2}, "d": 3}
        assert merge_patch(target, {"a": {"b": None, "e": {"f": None}}, "d": [1]}) == {"a": {"c": 2, "e": {}}, "d": [1]}
        assert target == {"a": {"b": 1, "c": 2}, "d": 3}


class TestCustomResourceDefinitions:
    @pytest.mark.parametrize("version", ALL)
    def test_names_and_versions_are_what_the_api_demands(self, version: str) -> None:
        for kind, crd in crd_by_kind(version).items():
            spec = crd["spec"]
            assert crd["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
            assert spec["conversion"] == {"strategy": "None"}
            assert stored_version(crd) == release(version).crds[kind]["stored"]
            assert all(entry["served"] for entry in spec["versions"])
            assert set(release(version).crds[kind].get("deprecated", [])) < set(schemas_by_version(crd))

    @pytest.mark.parametrize("version", ALL)
    def test_schemas_are_structural(self, version: str) -> None:
        for crd in crds_of(version):
            for schema in schemas_by_version(crd).values():
                jsonschema.Draft7Validator.check_schema(schema)
                for part in every_schema(schema):
                    assert "type" in part or part.get("x-kubernetes-int-or-string"), part
                    assert set(part.get("required", [])) <= set(part.get("properties", {}))

    @pytest.mark.parametrize("version", ALL)
    def test_an_image_has_one_readable_file_for_each(self, version: str) -> None:
        files = crd_files(version)
        assert [yaml.safe_load(content) for content in files.values()] == crds_of(version)
        assert all(b"&id" not in content for content in files.values())

    def test_a_change_to_one_does_not_leak_into_another(self) -> None:
        crd = crds_of("1.2.1")[0]
        crd["spec"]["versions"][0]["schema"].clear()
        assert crds_of("1.2.1")[0]["spec"]["versions"][0]["schema"]

    def test_mesh_config_gains_a_storage_version_and_fields(self) -> None:
        old, new = crd_by_kind("1.1.1")["MeshConfig"], crd_by_kind("1.2.0")["MeshConfig"]
        assert (stored_version(old), stored_version(new)) == ("v1alpha1", "v1alpha2")
        sidecar = schemas_by_version(new)["v1alpha2"]["properties"]["spec"]["properties"]["sidecar"]["properties"]
        assert "localProxyMode" in sidecar
        assert set(schemas_by_version(new)) == {"v1alpha1", "v1alpha2"}

    def test_traffic_split_drops_a_version_that_was_stored_once(self) -> None:
        versions = {version: crd_by_kind(version)["TrafficSplit"] for version in ("0.9.0", "1.1.0", "1.2.0", "2.0.0")}
        assert [stored_version(crd) for crd in versions.values()] == ["v1alpha1", "v1alpha2", "v1alpha4", "v1alpha4"]
        served = [set(schemas_by_version(crd)) for crd in versions.values()]
        assert served == [{"v1alpha1"}, {"v1alpha1", "v1alpha2"}, {"v1alpha2", "v1alpha4"}, {"v1alpha4"}]

    def test_kinds_arrive_one_by_one_and_none_ever_leaves(self) -> None:
        kinds = [set(release(version).crds) for version in SOUND]
        assert all(earlier <= later for earlier, later in pairwise(kinds))
        assert [len(found) for found in kinds] == [4, 5, 6, 6, 7, 7, 7, 7]
        assert kinds[-1] == set(KINDS)


class TestCharts:
    @pytest.mark.parametrize("version", ALL)
    def test_the_same_release_is_always_the_same_files(self, version: str, tmp_path: Path) -> None:
        files = chart_files(release(version), REGISTRY)
        assert files == chart_files(release(version), REGISTRY)
        chart = write_chart(tmp_path, release(version), REGISTRY)
        written = {str(path.relative_to(chart)): path.read_bytes() for path in chart.rglob("*") if path.is_file()}
        assert written == files

    def test_templates_are_shared_to_the_byte(self) -> None:
        templates = [
            {name: text for name, text in chart_files(release(version), REGISTRY).items() if "templates/" in name}
            for version in ALL
        ]
        assert templates[0]
        assert all(these == templates[0] for these in templates)

    @pytest.mark.parametrize("version", ALL)
    def test_defaults_fit_their_own_schema(self, version: str) -> None:
        values, schema = default_values(release(version), REGISTRY), values_schema(release(version))
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.validate(values, schema)
        assert json.loads(chart_files(release(version), REGISTRY)["values.schema.json"]) == schema
        assert values["osm"]["image"]["registry"] == f"{REGISTRY}/flomesh"

    @pytest.mark.parametrize(
        ("version", "changed", "complaint"),
        [
            ("1.1.0", {"image": {"repository": "x"}}, "Additional properties"),
            ("1.1.0", {"controllerLogLevel": 5}, "is not of type 'string'"),
            ("1.1.0", {"osmControler": {}}, "Additional properties"),
            ("1.2.1", {"controllerLogLevel": "warning"}, None),
            ("1.3.0", {"controllerLogLevel": "warning"}, "is not one of"),
            ("2.0.0", {"controllerLogLevel": "warning"}, "is not one of"),
            ("1.1.1", {"localProxyMode": "PodIP"}, "Additional properties"),
            ("1.2.0", {"localProxyMode": "PodIP"}, None),
        ],
    )
    def test_the_schema_refuses_what_it_should(
        self, version: str, changed: dict[str, Any], complaint: str | None
    ) -> None:
        values = merge_patch(default_values(release(version), REGISTRY), {"osm": changed})
        validator = jsonschema.Draft7Validator(values_schema(release(version)))
        complaints = " ".join(error.message for error in validator.iter_errors(values))
        assert complaint in complaints if complaint else not complaints


class TestWorkloads:
    @pytest.mark.parametrize("version", SOUND)
    def test_samples_are_valid_and_cover_every_kind(self, version: str) -> None:
        samples = sample_resources(version)
        assert {sample["kind"] for sample in samples} == set(release(version).crds) - {"MeshConfig"}
        for sample in samples:
            crd = crd_by_kind(version)[sample["kind"]]
            assert sample["apiVersion"] == f"{crd['spec']['group']}/{stored_version(crd)}"
            jsonschema.validate(sample, schemas_by_version(crd)[stored_version(crd)])

    @pytest.mark.parametrize(("old", "new"), UPGRADES)
    def test_samples_survive_every_upgrade(self, old: str, new: str) -> None:
        for sample in sample_resources(old):
            for schema in schemas_by_version(crd_by_kind(new)[sample["kind"]]).values():
                spec = schema["properties"]["spec"]
                jsonschema.validate(sample["spec"], spec)
                assert unknown_fields(sample["spec"], spec) == []

    def test_pods_carry_the_sidecar_of_their_release(self) -> None:
        manifests = meshed_workloads("1.1.1", REGISTRY, mesh="other", replicas=2)
        namespaces = [item["metadata"] for item in manifests if item["kind"] == "Namespace"]
        assert [item["name"] for item in namespaces] == list(NAMESPACES)
        assert all(item["labels"] == {"openservicemesh.io/monitored-by": "other"} for item in namespaces)
        templates = [item["spec"]["template"] for item in manifests if item["kind"] == "Deployment"]
        assert len({template["metadata"]["labels"]["osm-proxy-uuid"] for template in templates}) == len(templates) == 3
        for template in templates:
            images = {part["name"]: part["image"] for part in template["spec"]["containers"]}
            assert images["sidecar"] == release("1.1.1").sidecar_image
            init = template["spec"]["initContainers"][0]
            assert (init["name"], init["image"]) == (
                "osm-init",
                f"{REGISTRY}/flomesh/osm-edge-sidecar-init:1.1.3",
            )
