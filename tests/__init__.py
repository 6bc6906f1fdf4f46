"""Tests of MeshUpgrade, and the rig and fixtures that they stand on."""
