"""The Helm CLI as typed calls.

Always ``--server-side=true``: with ``auto`` a release made by Helm 3 stays client-side, and a dry run would predict
the wrong thing. Never ``--rollback-on-failure``: going back is the engine's decision. Without ``--wait``, except for
charts with post-upgrade hooks: Helm's critical section stays short, and readiness is watched by us.
"""

import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.helm import process
from meshupgrade.helm.errors import HelmError, HelmTimedOut, classify
from meshupgrade.helm.release import Release
from meshupgrade.kube.access import ClusterAccess

__all__ = ["ChartSource", "Helm", "UpgradeRequest"]

POLICY_FLAGS = {
    ValuesPolicy.RESET: "--reset-values",
    ValuesPolicy.REUSE: "--reuse-values",
    ValuesPolicy.RESET_THEN_REUSE: "--reset-then-reuse-values",
}
PASSED_ENVIRONMENT = (
    "PATH", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
)  # fmt: skip
HISTORY_MAX = 10
MARGIN = 30.0
"""Seconds that our deadline stands above Helm's own timeout."""


@dataclass(frozen=True)
class ChartSource:
    """Which chart to fetch from where."""

    repository: str
    name: str
    version: str
    insecure: bool = False


@dataclass(frozen=True)
class UpgradeRequest:
    """One upgrade of a release, or the dry run of it."""

    release: str
    namespace: str
    chart: Path
    values: Mapping[str, Any]
    policy: ValuesPolicy
    timeout: timedelta
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the stored revision; unlike the description they are there while it is pending."""

    wait: bool = False


class Helm:
    """Calls of the Helm CLI, each a child process in a private home. Raises the errors of meshupgrade.helm.errors."""

    def __init__(self, binary: str, access: ClusterAccess, home: Path) -> None:
        self._binary = binary
        self._access = access
        self._home = home

    async def version(self) -> str:
        """Give Helm's version, such as v4.3.1."""
        return (await self._run(["version", "--template", "{{.Version}}"], deadline=15, cluster=False)).decode().strip()

    async def pull(self, source: ChartSource, destination: Path) -> Path:
        """Fetch a chart archive into an empty folder and give its path."""
        if source.repository.startswith("oci://"):
            argv = ["pull", f"{source.repository.rstrip('/')}/{source.name}"]
            argv += ["--plain-http"] if source.insecure else []
        else:
            argv = ["pull", source.name, "--repo", source.repository]
        argv += ["--version", source.version, "--destination", str(destination)]
        await self._run(argv, deadline=120, cluster=False)
        archives = list(destination.glob("*.tgz"))
        if len(archives) != 1:
            raise HelmError(f"helm pull of {source.name} {source.version} left {len(archives)} archives, not one")
        return archives[0]

    async def dry_run(self, request: UpgradeRequest) -> Release:
        """Give the revision that the upgrade would make: rendered with the server's capabilities and lookups."""
        with self._values_file(request.values) as values:
            argv = [*self._upgrade_argv(request, values), "--dry-run=server"]
            return Release.from_json(json.loads(await self._run(argv, deadline=120)))

    async def upgrade(
        self, request: UpgradeRequest, recorded: Callable[[process.Child, float], Awaitable[None]]
    ) -> Release:
        """Upgrade the release and give its new revision.

        ``recorded`` is given the waiting child and the seconds it may take, and is awaited before Helm starts.
        """
        deadline = request.timeout.total_seconds() + MARGIN

        async def record(child: process.Child) -> None:
            await recorded(child, deadline)

        with self._values_file(request.values) as values:
            argv = self._upgrade_argv(request, values)
            argv += ["--history-max", str(HISTORY_MAX)]
            argv += ["--wait"] if request.wait else []
            argv += ["--description", request.description] if request.description else []
            for name, value in request.labels.items():
                argv += ["--labels", f"{name}={value}"]
            return Release.from_json(json.loads(await self._run(argv, deadline=deadline, recorded=record)))

    def _upgrade_argv(self, request: UpgradeRequest, values: Path) -> list[str]:
        return [
            "upgrade", request.release, str(request.chart),
            "--namespace", request.namespace,
            "--values", str(values),
            POLICY_FLAGS[request.policy],
            "--server-side=true", "--force-conflicts",
            "--timeout", f"{int(request.timeout.total_seconds())}s",
            "--output", "json",
        ]  # fmt: skip

    async def _run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        cluster: bool = True,
        recorded: Callable[[process.Child], Awaitable[None]] | None = None,
    ) -> bytes:
        command = [self._binary, *argv]
        if cluster and self._access.kubeconfig is not None:
            command += ["--kubeconfig", str(self._access.kubeconfig)]
            command += ["--kube-context", self._access.context] if self._access.context else []
        output = await process.run(command, environment=self._environment(), deadline=deadline, recorded=recorded)
        if output.timed_out:
            raise HelmTimedOut(f"helm {argv[0]} did not end within {deadline:.0f} s and was ended")
        if output.code != 0:
            raise classify(output.stderr)
        return output.stdout

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
        homes = {f"HELM_{kind}_HOME": str(self._home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return {**passed, **homes, "HOME": str(self._home)}

    @contextmanager
    def _values_file(self, values: Mapping[str, Any]) -> Iterator[Path]:
        """Put the values where only Helm and we can read them, and take them away afterwards."""
        handle, name = tempfile.mkstemp(suffix=".json", dir=self._home)
        path = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(values, file)
            yield path
        finally:
            path.unlink(missing_ok=True)
