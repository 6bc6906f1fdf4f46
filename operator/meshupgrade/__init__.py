"""MeshUpgrade brings a service mesh to the version its admins declare."""

__version__ = "0.1.0"
