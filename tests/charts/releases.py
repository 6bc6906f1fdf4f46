"""The table of releases, resolved: every release with what it inherits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CHART_NAME = "osm-edge"
ROOT_KEY = "osm"

_OWN_KEYS = ("from", "imageTag", "broken")


@dataclass(frozen=True)
class Release:
    """One release of the fixture mesh; the fields mirror ``releases.yaml``."""

    version: str
    image_tag: str
    broken: str
    kube_version: str
    sidecar_image: str
    crd_image_is_index: bool
    shape: Mapping[str, Any]
    values: Mapping[str, Any]
    schema: Mapping[str, Any]
    crds: Mapping[str, Any]

    @property
    def app_version(self) -> str:
        """What the images are: the chart's own version may lag behind it."""
        return self.image_tag

    @property
    def crd_repository(self) -> str:
        """The repository, below the registry, of the image that carries the CRDs."""
        in_init_container = self.shape["crdCarrier"] == "init-container"
        return f"flomesh/{CHART_NAME}-crds" if in_init_container else f"flomesh/{CHART_NAME}-bootstrap"


def releases(include_broken: bool = False) -> list[Release]:
    """All releases, oldest first."""
    return [release for release in _resolved().values() if include_broken or not release.broken]


def release(version: str) -> Release:
    """One release, broken or not."""
    return _resolved()[version]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, without touching either argument."""
    if not isinstance(patch, Mapping):
        return patch
    kept = target if isinstance(target, Mapping) else {}
    changed = {key: merge_patch(kept.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in {**kept, **changed}.items() if key not in patch or patch[key] is not None}


@cache
def _resolved() -> dict[str, Release]:
    table: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "releases.yaml").read_text(encoding="utf-8"))
    return {version: _release(version, table) for version in table}


def _release(version: str, table: Mapping[str, dict[str, Any]]) -> Release:
    facts = _inherited(version, table)
    return Release(
        version=version,
        image_tag=table[version].get("imageTag", version),
        broken=table[version].get("broken", ""),
        kube_version=facts["kubeVersion"],
        sidecar_image=facts["sidecarImage"],
        crd_image_is_index=facts["crdImage"] == "index",
        shape=facts["shape"],
        values=facts["values"],
        schema=facts["schema"],
        crds=facts["crds"],
    )


def _inherited(version: str, table: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    entry = table[version]
    base = _inherited(entry["from"], table) if "from" in entry else {}
    merged: dict[str, Any] = merge_patch(base, {key: entry[key] for key in entry if key not in _OWN_KEYS})
    return merged
