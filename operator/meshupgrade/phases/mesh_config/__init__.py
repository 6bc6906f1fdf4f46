"""Phase 6, MeshConfig: the live configuration of the mesh."""

from meshupgrade.phases.mesh_config.find import find_mesh_config
from meshupgrade.phases.mesh_config.phase import MeshConfig, restore_mesh_config
from meshupgrade.phases.mesh_config.planned import plan_mesh_config, planned_mesh_config

__all__ = [
    "MeshConfig",
    "find_mesh_config",
    "plan_mesh_config",
    "planned_mesh_config",
    "restore_mesh_config",
]
