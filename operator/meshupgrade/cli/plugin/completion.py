"""Completion: the names of MeshUpgrades, and the way that kubectl asks a plugin for what could come next."""

import asyncio
import os
import shlex
from collections.abc import Callable
from typing import Annotated, Final

import typer

from meshupgrade.api.v1alpha1.names import API_VERSION, KIND
from meshupgrade.cli.plugin.errors import UserError
from meshupgrade.cli.plugin.options import Where
from meshupgrade.cli.plugin.session import connect

__all__ = ["Name", "answer_kubectl"]

SECONDS = 3.0
"""How long somebody who presses a key may wait."""

NO_FILES: Final = ":4"
"""What ends the answer to kubectl: names of files are no completion (cobra's ShellCompDirectiveNoFileComp)."""


def _names(context: typer.Context, incomplete: str) -> list[str]:
    """Give the names that begin so; none when the cluster does not say."""
    given = context.params
    where = Where(given.get("namespace"), given.get("kubeconfig"), given.get("context"))
    try:
        names = asyncio.run(asyncio.wait_for(_list_names(where), SECONDS))
    except (UserError, TimeoutError):
        return []
    return [name for name in names if name.startswith(incomplete)]


async def _list_names(where: Where) -> list[str]:
    async with connect(where) as session:
        listed = session.kube.list_objects(API_VERSION, KIND, session.namespace, metadata_only=True)
        return [obj["metadata"]["name"] async for obj in listed]


Name = Annotated[
    str | None,
    typer.Argument(
        help="The MeshUpgrade; not needed when the namespace has one.", autocompletion=_names, show_default=False
    ),
]


def answer_kubectl(run: Callable[[], None], program: str, words: list[str]) -> None:
    """Print what could come next, as kubectl asks the program kubectl_complete-meshupgrade; the last word is begun.

    Source: Kubernetes' documentation, "Extend kubectl with plugins", section "kubectl command completion".
    """
    # The protocol of typer's completion for bash: plain words, one in a line.
    os.environ[f"_{program.replace('-', '_').upper()}_COMPLETE"] = "complete_bash"
    os.environ["COMP_WORDS"] = shlex.join([program, *words])
    os.environ["COMP_CWORD"] = str(max(1, len(words)))
    try:
        run()
    except SystemExit:
        print(NO_FILES)
