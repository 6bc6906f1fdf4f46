"""One release of the chart as files, from the shared base and the release's row of the table.

Nothing is rendered here: the templates are the same bytes in every release and read what differs from the
``release.yaml`` that is packaged next to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tests.charts.crds import to_yaml
from tests.charts.releases import CHART_NAME, HERE, ROOT_KEY, Release, merge_patch

_BASE = HERE / "base"


def chart_files(release: Release, registry: str) -> dict[str, bytes]:
    """Relative path to content; ``registry`` (host:port) is where the chart's default images are."""
    documents = {
        "Chart.yaml": to_yaml(_chart(release)),
        "values.yaml": to_yaml(default_values(release, registry)),
        "values.schema.json": json.dumps(values_schema(release), indent=2) + "\n",
        "release.yaml": to_yaml(release.shape),
    }
    templates = {f"templates/{path.name}": path.read_bytes() for path in sorted((_BASE / "templates").iterdir())}
    return {**{name: text.encode() for name, text in documents.items()}, **templates}


def default_values(release: Release, registry: str) -> dict[str, Any]:
    """The chart's values.yaml."""
    sidecar = {
        "image": {"registry": f"{registry}/flomesh", "tag": release.image_tag},
        "sidecarImage": release.sidecar_image,
        "pipyRepoImage": release.sidecar_image,
        "sidecarDrivers": [
            {"sidecarName": "pipy", "sidecarImage": release.sidecar_image, "proxyServerPort": 6060},
        ],
    }
    shared = merge_patch(_load("values.yaml"), {ROOT_KEY: sidecar})
    values: dict[str, Any] = merge_patch(shared, {ROOT_KEY: release.values})
    return values


def values_schema(release: Release) -> dict[str, Any]:
    """The chart's values.schema.json."""
    differs: Mapping[str, Any] = {"properties": {ROOT_KEY: {"properties": release.schema}}}
    schema: dict[str, Any] = merge_patch(_load("values.schema.yaml"), differs)
    return schema


def _chart(release: Release) -> dict[str, Any]:
    return {
        "apiVersion": "v2",
        "name": CHART_NAME,
        "description": "A fixture: the shape of a service mesh control plane, without its code.",
        "type": "application",
        "version": release.version,
        "appVersion": release.app_version,
        "kubeVersion": release.kube_version,
    }


def _load(name: str) -> Any:
    return yaml.safe_load((_BASE / name).read_text(encoding="utf-8"))
