"""The Kubernetes API of the operator, a module per API version."""
