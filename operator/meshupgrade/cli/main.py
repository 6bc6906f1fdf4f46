"""`meshupgrade`: runs the operator."""

import asyncio
import contextlib
import logging
import shutil
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
import yaml
from kubernetes.aio.config import ConfigException
from pythonjsonlogger.json import JsonFormatter

from meshupgrade import __version__
from meshupgrade.api.v1alpha1.crd import custom_resource_definition
from meshupgrade.api.v1alpha1.reference import reference as api_reference
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.cli.helm_cli import check_helm
from meshupgrade.cli.memory import give_back_memory, keep_memory_small
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.secrets import Secrets
from meshupgrade.engine.engine import Engine
from meshupgrade.engine.gate import Gate
from meshupgrade.handlers import serve
from meshupgrade.helm.driver import Helm
from meshupgrade.helm.errors import HelmError
from meshupgrade.helm.repository import IndexCache
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube
from meshupgrade.phases.shape import Tools
from meshupgrade.telemetry.metrics import Metrics
from meshupgrade.telemetry.server import PortTaken, serve_metrics

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
logger = logging.getLogger("meshupgrade")


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"


@app.callback()
def main() -> None:
    """MeshUpgrade brings a service mesh to the version its admins declare."""


@app.command()
def version() -> None:
    """Print the operator's version."""
    typer.echo(__version__)


@app.command()
def crd() -> None:
    """Print the CustomResourceDefinition of MeshUpgrade."""
    names = {name.value: load_distribution(name).mesh_name for name in DistributionName}
    typer.echo(yaml.safe_dump(custom_resource_definition(names), sort_keys=False, width=120), nl=False)


@app.command()
def reference() -> None:
    """Print the API reference in Markdown."""
    typer.echo(api_reference(), nl=False)


@app.command()
def run(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Default: $KUBECONFIG, else the Pod's ServiceAccount, else ~/.kube/config.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig. Default: its current one.")] = None,
    helm: Annotated[str, typer.Option(help="The Helm CLI, version 4.")] = "helm",
    workers: Annotated[int, typer.Option(min=1, help="How many meshes are worked on at once.")] = 8,
    max_upgrades: Annotated[
        int | None, typer.Option(min=1, help="How many upgrades run at once; the others wait for their turn.")
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Begin no upgrade of any mesh.")] = False,
    pause_switch: Annotated[
        str | None,
        typer.Option(help="ConfigMap, as namespace/name, that pauses all upgrades while its key paused is true."),
    ] = None,
    work_dir: Annotated[
        Path | None, typer.Option(help="Folder for chart archives and Helm's caches. Default: a temporary one.")
    ] = None,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on which /metrics is served; 0 for none.")
    ] = 8080,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look.")] = LogFormat.CONSOLE,
) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    keep_memory_small()
    secrets = Secrets()
    _log_to_stderr(log_format, secrets)
    binary = shutil.which(helm)
    if binary is None:
        raise typer.BadParameter(f"there is no program {helm!r}; install Helm 4, or give its path", param_hint="--helm")
    with contextlib.ExitStack() as stack:
        folder = work_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshupgrade-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            asyncio.run(
                _run(
                    kubeconfig,
                    context,
                    binary,
                    Limits(workers, max_upgrades, paused, _switch(pause_switch)),
                    metrics_port,
                    folder,
                    secrets,
                )
            )
        except PortTaken as error:
            typer.echo(f"metrics: {error}; give another with --metrics-port, or 0 for none", err=True)
            raise typer.Exit(2) from error
        except ConfigException as error:
            typer.echo(f"no way to a cluster: {error}; give --kubeconfig, or set KUBECONFIG", err=True)
            raise typer.Exit(2) from error
        except HelmError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error


@dataclass(frozen=True)
class Limits:
    """How much the operator does at once, and whether it does anything."""

    workers: int
    max_upgrades: int | None
    paused: bool
    switch: tuple[str, str] | None


def _switch(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise typer.BadParameter(f"{text!r} is not namespace/name of a ConfigMap", param_hint="--pause-switch")
    return namespace, name


async def _run(
    kubeconfig: Path | None,
    context: str | None,
    binary: str,
    limits: Limits,
    metrics_port: int,
    folder: Path,
    secrets: Secrets,
) -> None:
    access = await load_access(kubeconfig, context)
    helm = Helm(binary, access, folder, secrets)
    await check_helm(helm)
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(Kube(access.configuration, secrets.scrub))
        http = await stack.enter_async_context(aiohttp.ClientSession(trust_env=True))
        metrics = Metrics(lambda: kube.requests)
        if metrics_port:
            await stack.enter_async_context(serve_metrics(metrics.registry, metrics_port))
        tools = Tools(kube, helm, http, IndexCache(), folder, secrets)
        gate = Gate(kube, paused=limits.paused, switch=limits.switch, most=limits.max_upgrades)
        engine = Engine(tools, workers=limits.workers, gate=gate, at_rest=give_back_memory, observer=metrics.observe)
        await serve(
            engine,
            access.configuration,
            ready=lambda: logger.info("meshupgrade %s watches %s", __version__, access.configuration.host),
        )


class _Scrubbed(logging.Formatter):
    """What another formatter makes of a record, traces included, with every secret masked."""

    def __init__(self, inner: logging.Formatter, secrets: Secrets) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return self._secrets.scrub(self._inner.format(record))


def _log_to_stderr(log_format: LogFormat, secrets: Secrets) -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter: logging.Formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    if log_format is LogFormat.JSON:
        formatter = JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(_Scrubbed(formatter, secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # kopf tells of every watch it opens; what matters of it comes as a warning.
    logging.getLogger("kopf").setLevel(logging.WARNING)
