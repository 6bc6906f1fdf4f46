"""Talking to the Kubernetes API: plain dicts in and out, always with a timeout."""
