"""The test rig: a real control plane, a registry and a chart repository on this machine's loopback.

``cluster.Cluster.start()`` is the way in; ``python -m tests.cluster`` is the same from a shell.
"""
