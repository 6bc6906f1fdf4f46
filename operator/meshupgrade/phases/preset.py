"""The defaults of the MeshConfig that a release renders; they count only when there is no MeshConfig yet."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["PRESET", "preset_of"]

PRESET = "preset-mesh-config"
"""The ConfigMap of all three meshes; its one key is the same name with .json."""


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
