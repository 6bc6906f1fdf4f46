"""The MeshConfig that a mesh's bootstrap program makes out of the chart's presets when there is none."""

import json
from typing import Any

from .api import Api, ApiError
from .bootstrap_facts import Mesh, newest_version
from .crd_installer import LAST_APPLIED, wait_until_served

__all__ = ["MeshConfigFailed", "ensure_mesh_config"]

PRESET = "preset-mesh-config"
PRESET_KEY = "preset-mesh-config.json"
CONFLICT = 409


class MeshConfigFailed(Exception):
    """There is no MeshConfig and none can be made; the message says why."""


def ensure_mesh_config(api: Api, mesh: Mesh, namespace: str) -> bool:
    """Make the MeshConfig of `namespace` unless it is there; whether one was made.

    An existing one is only given the last-applied annotation when it lacks it, as the real program does. Raises
    MeshConfigFailed.
    """
    plural = f"meshconfigs.{mesh.mesh_config_group}"
    crd = wait_until_served(api, plural)
    if crd is None:
        raise MeshConfigFailed(f"CRD {plural} is not served")
    version = newest_version(one["name"] for one in crd["spec"]["versions"] if one["served"])
    collection = f"/apis/{mesh.mesh_config_group}/{version}/namespaces/{namespace}/meshconfigs"
    try:
        existing = api.find(f"{collection}/{mesh.mesh_config}")
        if existing is None:
            body = _preset(api, mesh, namespace, version)
            api.create(collection, body, fieldManager=mesh.bootstrap)
            return True
        if LAST_APPLIED not in existing["metadata"].get("annotations", {}):
            existing["metadata"].setdefault("annotations", {})[LAST_APPLIED] = json.dumps(existing)
            api.update(f"{collection}/{mesh.mesh_config}", existing, fieldManager=mesh.bootstrap)
    except ApiError as error:
        # The other replica was faster.
        if error.status != CONFLICT:
            raise MeshConfigFailed(f"MeshConfig {mesh.mesh_config}: {error}") from error
    return False


def _preset(api: Api, mesh: Mesh, namespace: str, version: str) -> dict[str, Any]:
    preset = api.find(f"/api/v1/namespaces/{namespace}/configmaps/{PRESET}")
    if preset is None:
        raise MeshConfigFailed(f"ConfigMap {PRESET} is not there")
    try:
        spec = json.loads(preset["data"][PRESET_KEY])
    except (KeyError, ValueError) as error:
        raise MeshConfigFailed(f"ConfigMap {PRESET} has no JSON in its key {PRESET_KEY}: {error}") from error
    body: dict[str, Any] = {
        "apiVersion": f"{mesh.mesh_config_group}/{version}",
        "kind": "MeshConfig",
        "metadata": {"name": mesh.mesh_config, "namespace": namespace},
        "spec": spec,
    }
    body["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(body)}
    return body
