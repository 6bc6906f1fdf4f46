"""The defaults of the MeshConfig that a release renders: for a new one, and to be merged into one that is there."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.domain.merge import leaf_paths, lookup
from meshupgrade.domain.secrets import texts
from meshupgrade.helm.release import Release

__all__ = ["PRESET", "generated_paths", "is_generated", "preset_of"]

PRESET = "preset-mesh-config"
"""The ConfigMap of all three meshes; its one key is the same name with .json."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def preset_of(objects: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Give the spec of the MeshConfig that a release of these objects would make; empty when none can be read."""
    for obj in objects:
        if obj["kind"] == "ConfigMap" and obj["metadata"]["name"] == PRESET:
            try:
                preset = json.loads((obj.get("data") or {}).get(f"{PRESET}.json") or "{}")
            except ValueError:
                return {}
            return preset if isinstance(preset, Mapping) else {}
    return {}


def is_generated(value: Any) -> bool:
    """Tell whether a value may be made up in each rendering: fsm's preset carries a fresh UUID, the mesh's identity."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def generated_paths(preset: Mapping[str, Any], release: Release) -> frozenset[tuple[str, ...]]:
    """Give the fields of a release's preset that its chart made up; a UUID that is one of its values is none."""
    found = [path for path in leaf_paths(preset) if is_generated(lookup(preset, path))]
    known = {*texts(release.config), *texts(release.defaults)} if found else set()
    return frozenset(path for path in found if lookup(preset, path) not in known)
