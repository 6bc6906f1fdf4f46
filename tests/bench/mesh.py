"""The mesh that is upgraded: a chart of real size, made by code from the fixture mesh.

osm-edge 1.3.9 renders about thirty objects, some of them large (dashboards), has a values schema of 100 kB and brings
fifteen to nineteen CRDs of 150 kB in all. The sizes here are of that order; the content is made up.
"""

import copy
import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tests.charts.build import run_helm
from tests.charts.crds import crds_of, to_yaml
from tests.charts.generator import chart_files
from tests.charts.images import CRD_FOLDER, push_image
from tests.charts.releases import CHART_NAME, Release, merge_patch, release

Manifest = dict[str, Any]

START, SAME_CRDS, CHANGED_CRDS = "1.3.0", "1.3.1", "1.4.0"
"""The version that every sample starts from, and the two that it goes to: with the CRDs of before, and with each one
of them changed."""

OBJECTS, CRDS = 30, 15
BASE = "1.3.0"
"""The fixture release that the chart and seven of its CRDs are made from."""

ADDONS = {"osm": {"deployPrometheus": True, "deployGrafana": True, "deployJaeger": True}}
DISRUPTION = {
    "osm": {"osmController": {"enablePodDisruptionBudget": True}, "injector": {"enablePodDisruptionBudget": True}}
}
MORE_KINDS = (
    ("policy.openservicemesh.io", "Retry", "retries"),
    ("policy.openservicemesh.io", "UpstreamTrafficSetting", "upstreamtrafficsettings"),
    ("policy.openservicemesh.io", "EgressGateway", "egressgateways"),
    ("policy.openservicemesh.io", "AccessCert", "accesscerts"),
    ("plugin.flomesh.io", "Plugin", "plugins"),
    ("plugin.flomesh.io", "PluginChain", "pluginchains"),
    ("plugin.flomesh.io", "PluginConfig", "pluginconfigs"),
    ("specs.smi-spec.io", "TCPRoute", "tcproutes"),
)
DASHBOARD_BYTES = 20_000
"""Of each of the dashboards that the chart puts into ConfigMaps."""


@dataclasses.dataclass(frozen=True)
class Made:
    """The mesh as files: a chart repository's folder, the archive and the CRDs of each version."""

    directory: Path
    archives: dict[str, Path]
    crds: dict[str, Path]


def make(helm: Path, registry: str, out: Path) -> Made:
    """Write the archives with their index, push the images with the CRDs, and write the CRDs for kubectl."""
    directory = out / "charts"
    directory.mkdir(parents=True)
    archives, crds = {}, {}
    for version in (START, SAME_CRDS, CHANGED_CRDS):
        archives[version] = directory / f"{CHART_NAME}-{version}.tgz"
        archives[version].write_bytes(_archive(_files(version, registry)))
        documents = [to_yaml(crd) for crd in crds_at(version)]
        crds[version] = out / f"crds-{version}.yaml"
        crds[version].write_text("---\n".join(documents))
        files = {f"{CRD_FOLDER}/crd-{number:02}.yaml": text.encode() for number, text in enumerate(documents)}
        push_image(registry, _release(version).crd_repository, version, files, index=True)
    run_helm(helm, "repo", "index", str(directory))
    return Made(directory, archives, crds)


def crds_at(version: str) -> list[Manifest]:
    """Give the CRDs of a version: the fixture's, made larger, and more of their like."""
    crds = [*crds_of(BASE), *(_crd(*kind) for kind in MORE_KINDS)]
    for number, crd in enumerate(crds):
        for served in crd["spec"]["versions"]:
            fields = served["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            # MeshConfig is many times as large as the others, in the real ones too.
            for section in range(10 if crd["spec"]["names"]["kind"] == "MeshConfig" else 2):
                fields[f"extension{section}"] = _settings(f"{number}.{section}")
            if version == CHANGED_CRDS:
                fields["cameWithThisVersion"] = {"type": "string", "maxLength": 64, "description": "New."}
    return crds


def _crd(group: str, kind: str, plural: str) -> Manifest:
    crd = copy.deepcopy(next(crd for crd in crds_of(BASE) if crd["spec"]["names"]["kind"] == "AccessControl"))
    crd["metadata"]["name"] = f"{plural}.{group}"
    crd["spec"]["group"] = group
    crd["spec"]["names"] = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return crd


def _settings(seed: str) -> Manifest:
    """Give a nested schema with descriptions, of about 1.5 kB."""

    def leaf(name: str) -> Manifest:
        return {
            "type": "string",
            "maxLength": 256,
            "description": f"What {name} of {seed} is set to, and why it matters.",
        }

    inner = {"type": "object", "properties": {f"setting{i}": leaf(f"setting{i}") for i in range(5)}}
    return {
        "type": "object",
        "description": f"Settings {seed} of the data plane.",
        "properties": {
            "enabled": {"type": "boolean", "description": "Whether it takes effect."},
            "level": {"type": "string", "enum": ["low", "middle", "high"]},
            "limits": inner,
            "targets": {"type": "array", "maxItems": 64, "items": copy.deepcopy(inner)},
        },
    }


def _release(version: str) -> Release:
    base = release(BASE)
    values = merge_patch(merge_patch(base.values, ADDONS["osm"]), DISRUPTION["osm"])
    return dataclasses.replace(base, version=version, image_tag=version, values=values, crd_image_is_index=True)


def _files(version: str, registry: str) -> dict[str, bytes]:
    files = chart_files(_release(version), registry)
    schema = json.loads(files["values.schema.json"])
    schema["properties"]["extensions"] = {
        "type": "object", "properties": {f"extension{number}": _settings(str(number)) for number in range(60)}
    }  # fmt: skip
    files["values.schema.json"] = json.dumps(schema, indent=2).encode()
    for number in range(4):
        files[f"dashboards/dashboard-{number}.json"] = _dashboard(number)
    files["templates/observability.yaml"] = (Path(__file__).parent / "observability.yaml").read_bytes()
    return files


def _dashboard(number: int) -> bytes:
    """Give JSON that compresses about as well as a real dashboard: panels that differ in their digests."""
    panels: list[Manifest] = []
    while len(text := json.dumps({"title": f"dashboard {number}", "panels": panels}, indent=1)) < DASHBOARD_BYTES:
        name = hashlib.sha256(f"{number}/{len(panels)}".encode()).hexdigest()
        query = f'sum(rate(mesh_requests_total{{panel="{name[:16]}"}}[5m])) by (source, destination)'
        panels.append({"id": len(panels), "title": name, "type": "timeseries", "targets": [{"expr": query}]})
    return text.encode()


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{CHART_NAME}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)
