"""The way to the cluster that the options name, with the caller's own rights."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes.aio.config import ConfigException, list_kube_config_contexts

from meshupgrade.cli.plugin.errors import UserError, kube_errors
from meshupgrade.cli.plugin.options import Where
from meshupgrade.domain.secrets import Secrets
from meshupgrade.kube.access import ClusterAccess, load_access
from meshupgrade.kube.client import Kube

__all__ = ["Session", "connect"]

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Session:
    """A connection, and the namespace that is meant; None for all of them."""

    kube: Kube
    access: ClusterAccess
    namespace: str | None
    default_namespace: str
    """That of the option, else of the context."""

    secrets: Secrets
    """What is masked in the errors of this connection."""


@asynccontextmanager
async def connect(where: Where) -> AsyncIterator[Session]:
    """Give a connection; what the API server says against anything inside becomes a UserError.

    Raises UserError, also when no kubeconfig works.
    """
    try:
        access = await load_access(_kubeconfig(where), where.context)
        default = where.namespace or _namespace_of_context(access) or "default"
    except (ConfigException, yaml.YAMLError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # Much of what can be wrong with a kubeconfig its loader does not look at.
        raise UserError(f"no way to a cluster: {error}; give --kubeconfig, or set KUBECONFIG") from error
    secrets = Secrets()
    with kube_errors():
        async with Kube(access.configuration, secrets.scrub) as kube:
            yield Session(kube, access, None if where.everywhere else default, default, secrets)


def _kubeconfig(where: Where) -> Path | None:
    """Give the kubeconfig as kubectl finds it: in a Pod, too, the one at home goes before its ServiceAccount."""
    if where.kubeconfig is not None:
        if not where.kubeconfig.exists():
            raise UserError(f"there is no kubeconfig {where.kubeconfig}")
        return where.kubeconfig
    at_home = Path.home() / ".kube" / "config"
    return at_home if not os.environ.get("KUBECONFIG") and at_home.exists() else None


def _namespace_of_context(access: ClusterAccess) -> str | None:
    if access.kubeconfig is None:
        return POD_NAMESPACE.read_text().strip() if POD_NAMESPACE.exists() else None
    contexts, active = list_kube_config_contexts(str(access.kubeconfig))
    if access.context is not None:
        active = next(context for context in contexts if context["name"] == access.context)
    return active["context"].get("namespace") or None
