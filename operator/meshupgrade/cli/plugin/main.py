"""`kubectl meshupgrade`: the commands, their options and help, and how they end.

Exit codes: 0; 1 for an error, a wrong usage among them; 2 when `plan` shows changes that are due; 130 when interrupted.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from meshupgrade import __version__
from meshupgrade.cli.plugin.completion import Name, answer_kubectl
from meshupgrade.cli.plugin.decisions import approve_plan, request_rollback
from meshupgrade.cli.plugin.errors import ChangesDue, Interrupted, UserError
from meshupgrade.cli.plugin.options import AllNamespaces, Context, Kubeconfig, Namespace, Where, Yes
from meshupgrade.cli.plugin.output import Format, clean_text, note, show
from meshupgrade.cli.plugin.plans import show_plans
from meshupgrade.cli.plugin.reporting import make_report
from meshupgrade.cli.plugin.session import connect
from meshupgrade.cli.plugin.statuses import show_status
from meshupgrade.cli.plugin.tables import history_table, versions_table
from meshupgrade.cli.plugin.upgrades import Upgrade, find_some
from meshupgrade.cli.plugin.watching import watch_status
from meshupgrade.cli.plugin.why_view import why_lines

__all__ = ["app", "complete", "main", "run"]

PROGRAM = "kubectl-meshupgrade"
INTERRUPTED = 130


def _examples(*commands: str) -> str:
    """Give the end of a command's help; the first character keeps its lines apart."""
    return "\n".join(["\b", "Examples:", *(f"  kubectl meshupgrade {command}" for command in commands)])


# Plain help, as kubectl's: boxes do not go through pipes well.
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def plugin() -> None:
    """See what MeshUpgrade does and will do to your meshes, and decide about it."""


@app.command(
    epilog=_examples("status -n osm-system", "status osm -n osm-system --watch", "status -A", "status --all -o json")
)
def status(
    name: Name = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on showing what changes, until interrupted.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show all workloads, not only the first 20.")] = False,
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="The status and all workloads as data.")
    ] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show how far an upgrade is: versions, hops, phases, what is waited for, and which workloads run which sidecar.

    With --watch into a pipe: one line for each change. With --watch and --all-namespaces the Pods are not looked at.
    """
    where = Where(namespace, kubeconfig, context, all_namespaces)
    if watch and (output or everything):
        raise UserError("give either --watch, or --all and --output")
    if watch:
        _run(_watched(where, name))
    else:
        _run(show_status(where, name, output, everything=everything))


@app.command(epilog=_examples("plan -n osm-system", "plan osm -n osm-system -o yaml", "plan -f meshupgrade.yaml"))
def plan(
    name: Name = None,
    file: Annotated[
        Path | None,
        typer.Option("--filename", "-f", help="Plan this manifest, before it is applied; - is the standard input."),
    ] = None,
    output: Annotated[Format | None, typer.Option("--output", "-o", help="The whole plan as data.")] = None,
    helm: Annotated[str, typer.Option(help="The Helm CLI, version 4; used with -f alone.")] = "helm",
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show what will be done, before it is: hops, findings, CRDs, objects, images, values.

    Exit code 0: nothing is due. 2: changes are due. 1: an error, or something speaks against the upgrade.
    With -f nothing is written to the cluster, and you need the rights to read and dry-run what the operator would.
    """
    where = Where(namespace, kubeconfig, context, all_namespaces)
    if file is None:
        _run(show_plans(where, name, output))
    elif name or all_namespaces:
        raise UserError("give either -f, or a name or --all-namespaces")
    else:
        # To plan takes all that the operator has; the other commands start in half the time without it.
        from meshupgrade.cli.plugin.previews import show_plan_of_file

        _run(show_plan_of_file(where, file, output, helm))


@app.command(epilog=_examples("approve -n osm-system", "approve osm -n osm-system --yes --digest sha256:…"))
def approve(
    name: Name = None,
    digest: Annotated[
        str | None, typer.Option(help="Approve only if the plan has this digest, such as sha256:…", show_default=False)
    ] = None,
    yes: Yes = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Approve the plan that waits, after it was shown in short; needs the verb approve."""
    _run(approve_plan(Where(namespace, kubeconfig, context), name, digest, yes=yes))


@app.command(epilog=_examples("history -n osm-system"))
def history(
    name: Name = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show every attempt, the newest first."""
    where = Where(namespace, kubeconfig, context, all_namespaces)
    _run(_each(where, name, _titled(lambda upgrade: history_table(upgrade, datetime.now(UTC)), where)))


@app.command(epilog=_examples("rollback -n osm-system", "rollback osm -n osm-system --to-revision 3 --yes"))
def rollback(
    name: Name = None,
    to_revision: Annotated[
        int | None,
        typer.Option(help="The verified revision. Default: the newest of a version before.", show_default=False),
    ] = None,
    yes: Yes = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Ask the operator to go back to a verified revision, after it was shown what that takes back."""
    _run(request_rollback(Where(namespace, kubeconfig, context), name, to_revision, yes=yes))


@app.command(epilog=_examples("versions -n osm-system"))
def versions(
    name: Name = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show the versions that the chart repository lists, and which of them the policy allows."""
    where = Where(namespace, kubeconfig, context, all_namespaces)
    _run(_each(where, name, _titled(versions_table, where)))


@app.command(epilog=_examples("why -n osm-system", "why -A"))
def why(
    name: Name = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say in plain words why a mesh is not where its spec wants it, and what to do next."""
    where = Where(namespace, kubeconfig, context, all_namespaces)
    _run(_each(where, name, lambda upgrade: Group(*why_lines(upgrade))))


@app.command(epilog=_examples("report -n osm-system", "report osm -n osm-system -o report.tar.gz"))
def report(
    name: Name = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; - is the standard output.", show_default=False)
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Write what helps in a bug report into a tar.gz: without values, environment or anything of a Secret."""
    _run(make_report(Where(namespace, kubeconfig, context), name, output))


@app.command()
def version() -> None:
    """Print the plugin's version, which is that of the operator it belongs to."""
    typer.echo(__version__)


def main() -> None:
    """Run the plugin."""
    sys.exit(run(sys.argv[1:]))


def complete() -> None:
    """Answer kubectl what could come next."""
    answer_kubectl(lambda: app(prog_name=PROGRAM), PROGRAM, sys.argv[1:])


def run(arguments: Sequence[str]) -> int:
    """Run a command, and give the exit code."""
    try:
        app(list(arguments), prog_name=PROGRAM)
        sys.stdout.flush()
    except ChangesDue:
        return 2
    except UserError as error:
        note(f"error: {clean_text(str(error))}")
        return 1
    except Interrupted:
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads has seen enough; what Python flushes at its end must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as ended:
        # A wrong usage is 2 to the library, which here means that changes are due.
        return 1 if ended.code else 0
    return 0


def _run(command: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(command)
    except KeyboardInterrupt as error:
        raise Interrupted from error


async def _watched(where: Where, name: str | None) -> None:
    async with connect(where) as session:
        await watch_status(session, name)


async def _each(where: Where, name: str | None, view: Callable[[Upgrade], RenderableType]) -> None:
    async with connect(where) as session:
        for upgrade in await find_some(session, name):
            show(view(upgrade))


def _titled(view: Callable[[Upgrade], RenderableType], where: Where) -> Callable[[Upgrade], RenderableType]:
    """Put the name above a table when there may be several."""
    if not where.everywhere:
        return view
    return lambda upgrade: Group(Text(str(upgrade), style="bold"), view(upgrade), "")
