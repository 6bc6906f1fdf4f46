"""How to reach the cluster: from inside by the ServiceAccount, from outside by a kubeconfig."""

import os
from dataclasses import dataclass
from pathlib import Path

from kubernetes.aio import client, config

__all__ = ["ClusterAccess", "load_access"]


@dataclass(frozen=True)
class ClusterAccess:
    """The way to the API server, for our own client and for Helm."""

    configuration: client.Configuration
    kubeconfig: Path | None
    """The kubeconfig for Helm; None in a cluster, where Helm finds the ServiceAccount by itself."""

    context: str | None


async def load_access(kubeconfig: Path | None, context: str | None) -> ClusterAccess:
    """Give the access that the arguments, $KUBECONFIG or the Pod's ServiceAccount name, in this order.

    Raises kubernetes.aio.config.ConfigException when none of them works.
    """
    configuration = client.Configuration()
    named = kubeconfig or (Path(os.environ["KUBECONFIG"]) if os.environ.get("KUBECONFIG") else None)
    if named is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)
        return ClusterAccess(configuration, None, None)
    path = named or Path.home() / ".kube" / "config"
    await config.load_kube_config(
        config_file=str(path), context=context, client_configuration=configuration, persist_config=False
    )
    return ClusterAccess(configuration, path, context)
