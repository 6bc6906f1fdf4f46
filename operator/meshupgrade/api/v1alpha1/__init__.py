"""meshupgrade.io/v1alpha1: the MeshUpgrade resource as pydantic models.

These models are the one source: the CRD in ``crds/`` and the API reference in ``docs/`` are generated from them.
"""
