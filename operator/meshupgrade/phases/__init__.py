"""The phases of an upgrade, one module each, all of one shape (see meshupgrade.phases.shape)."""

from meshupgrade.phases.addons import Addons
from meshupgrade.phases.control_plane import ControlPlane
from meshupgrade.phases.crds import CRDs
from meshupgrade.phases.data_plane import DataPlane
from meshupgrade.phases.mesh_config import MeshConfig
from meshupgrade.phases.path import Path
from meshupgrade.phases.preflight import Preflight
from meshupgrade.phases.shape import PhaseModule
from meshupgrade.phases.storage import Storage

__all__ = ["PHASES"]

PHASES: tuple[PhaseModule, ...] = (
    Path(),
    Preflight(),
    CRDs(),
    ControlPlane(),
    Storage(),
    MeshConfig(),
    DataPlane(),
    Addons(),
)
"""In the order in which they run. Each plans with what the ones before it put into the Work."""
