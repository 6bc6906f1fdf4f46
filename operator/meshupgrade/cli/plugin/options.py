"""The options that all commands have, as kubectl has them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from meshupgrade.cli.plugin.errors import UserError

__all__ = ["AllNamespaces", "Context", "Kubeconfig", "Namespace", "Where", "Yes"]

Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace. Default: that of the context, else default.")
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All MeshUpgrades of all namespaces.")]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Default: $KUBECONFIG, else ~/.kube/config, else that of the Pod.")
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig. Default: its current one.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True)
class Where:
    """Which cluster and namespace a command speaks of."""

    namespace: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    everywhere: bool = False

    def __post_init__(self) -> None:
        if self.everywhere and self.namespace:
            raise UserError("give either --namespace or --all-namespaces")
