"""Phase 6, MeshConfig: the live configuration of the mesh."""

from meshupgrade.phases.mesh_config.find import find_mesh_config
from meshupgrade.phases.mesh_config.phase import MeshConfig, restore_mesh_config
from meshupgrade.phases.mesh_config.planned import (
    mesh_config_unpruned,
    plan_mesh_config,
    plan_under,
    planned_mesh_config,
)
from meshupgrade.phases.mesh_config.told import violations_of

__all__ = [
    "MeshConfig",
    "find_mesh_config",
    "mesh_config_unpruned",
    "plan_mesh_config",
    "plan_under",
    "planned_mesh_config",
    "restore_mesh_config",
    "violations_of",
]
