"""Objects that the tests of the engine share."""

from typing import Any

__all__ = ["mesh_upgrade"]


def mesh_upgrade(*, status: dict[str, Any] | None = None, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    """Give a MeshUpgrade as the API server shows it."""
    return {
        "apiVersion": "meshupgrade.io/v1alpha1",
        "kind": "MeshUpgrade",
        "metadata": {
            "name": "mesh",
            "namespace": "osm-system",
            "uid": "u1",
            "generation": 3,
            "resourceVersion": "7",
            "creationTimestamp": "2026-05-01T00:00:00Z",
            **metadata,
        },
        "spec": {"version": "1.2.3", "mesh": {"distribution": "osm-edge"}} if spec is None else spec,
        **({} if status is None else {"status": status}),
    }
