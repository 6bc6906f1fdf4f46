"""Phase 7, DataPlane: the workloads of the mesh, and which sidecar they run."""

from meshupgrade.phases.data_plane.phase import DataPlane

__all__ = ["DataPlane"]
