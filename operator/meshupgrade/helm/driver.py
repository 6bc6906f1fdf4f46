"""The Helm CLI as typed calls.

Values reach Helm in a file without a name, never as an argument or in the environment, and nothing of them is left when
it is gone, however it ended. What Helm says is scrubbed of secrets before anything else is done with it.

Always ``--reset-values``: the values are complete (domain/values.py). Always ``--server-side=true``: with ``auto`` a
release made by Helm 3 stays client-side, and a dry run would predict the wrong thing. Never ``--rollback-on-failure``:
going back is the engine's decision. Without ``--wait``, except for charts with post-upgrade hooks: Helm's critical
section stays short, and readiness is watched by us.
"""

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from meshupgrade.domain.secrets import Secrets
from meshupgrade.helm import process
from meshupgrade.helm.archive import with_defaults
from meshupgrade.helm.errors import HelmTimedOut, classify
from meshupgrade.helm.nameless import nameless_file, path_of
from meshupgrade.helm.release import Release, manifest_objects
from meshupgrade.kube.access import ClusterAccess

__all__ = ["Helm", "RollbackRequest", "UpgradeRequest"]

PASSED_ENVIRONMENT = (
    "PATH", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
)  # fmt: skip
MARGIN = 30.0
"""Seconds that our deadline stands above Helm's own timeout."""


@dataclass(frozen=True)
class UpgradeRequest:
    """One upgrade of a release, or the dry run of it; an install where there is none."""

    release: str
    namespace: str
    chart: Path
    values: Mapping[str, Any] = field(repr=False)
    """The user's values, complete."""

    timeout: timedelta
    defaults: Mapping[str, Any] | None = field(default=None, repr=False)
    """What takes the place of the chart's own values, as with ``helm upgrade --reuse-values``; None leaves them."""

    install: bool = False
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the stored revision; unlike the description they are there while it is pending."""

    wait: bool = False
    history_max: int = 10


@dataclass(frozen=True)
class RollbackRequest:
    """One rollback of a release to a stored revision."""

    release: str
    namespace: str
    revision: int
    timeout: timedelta
    description: str
    history_max: int


class Helm:
    """Calls of the Helm CLI, each a child process in a private home. Raises the errors of meshupgrade.helm.errors."""

    def __init__(self, binary: str, access: ClusterAccess, home: Path, secrets: Secrets | None = None) -> None:
        self._binary = binary
        self._access = access
        self._home = home
        self._secrets = secrets or Secrets()

    async def version(self) -> str:
        """Give Helm's version, such as v4.3.1."""
        return (await self._run(["version", "--template", "{{.Version}}"], deadline=15, cluster=False)).decode().strip()

    async def verify(self, archive: Path, keyring: bytes) -> None:
        """Verify a chart archive by the provenance file next to it. Raises HelmError when it is not to be trusted."""
        with nameless_file(keyring, self._home) as ring:
            argv = ["verify", str(archive), "--keyring", path_of(ring)]
            await self._run(argv, deadline=30, cluster=False, pass_fds=[ring])

    async def dry_run(self, request: UpgradeRequest) -> Release:
        """Give the revision that the upgrade would make: rendered with the server's capabilities and lookups."""
        with ExitStack() as stack:
            argv, descriptors = self._upgrade_argv(request, stack)
            argv += ["--dry-run=server"]
            return Release.from_json(json.loads(await self._run(argv, deadline=120, pass_fds=descriptors)))

    async def render(self, request: UpgradeRequest, kubernetes_version: str) -> list[dict[str, Any]]:
        """Give all objects that the chart renders, hooks included, without asking the cluster.

        It takes a quarter of the time of a dry run, and is only good to compare with another rendering of its kind.
        """
        with ExitStack() as stack:
            argv, descriptors = self._chart_argv(request, stack)
            argv = ["template", *argv, "--is-upgrade", "--kube-version", kubernetes_version]
            output = await self._run(argv, deadline=60, cluster=False, pass_fds=descriptors)
        return manifest_objects(output.decode())

    async def upgrade(
        self, request: UpgradeRequest, recorded: Callable[[process.Child, float], Awaitable[None]]
    ) -> Release:
        """Upgrade the release and give its new revision.

        ``recorded`` is given the waiting child and the seconds it may take, and is awaited before Helm starts.
        """
        deadline = request.timeout.total_seconds() + MARGIN

        async def record(child: process.Child) -> None:
            await recorded(child, deadline)

        with ExitStack() as stack:
            argv, descriptors = self._upgrade_argv(request, stack)
            argv += ["--history-max", str(request.history_max)]
            argv += ["--wait"] if request.wait else []
            argv += ["--description", request.description] if request.description else []
            for name, value in request.labels.items():
                argv += ["--labels", f"{name}={value}"]
            output = await self._run(argv, deadline=deadline, recorded=record, pass_fds=descriptors)
            return Release.from_json(json.loads(output))

    async def rollback(
        self, request: RollbackRequest, recorded: Callable[[process.Child, float], Awaitable[None]]
    ) -> None:
        """Roll the release back to a stored revision, which makes a new one; ``recorded`` is as for an upgrade."""
        deadline = request.timeout.total_seconds() + MARGIN

        async def record(child: process.Child) -> None:
            await recorded(child, deadline)

        argv = [
            "rollback", request.release, str(request.revision),
            "--namespace", request.namespace,
            "--server-side=true", "--force-conflicts",
            "--timeout", f"{int(request.timeout.total_seconds())}s",
            "--history-max", str(request.history_max),
            "--description", request.description,
        ]  # fmt: skip
        await self._run(argv, deadline=deadline, recorded=record)

    def _upgrade_argv(self, request: UpgradeRequest, stack: ExitStack) -> tuple[list[str], list[int]]:
        """Give the arguments, and the descriptors that they name, which are open as long as the stack."""
        argv, descriptors = self._chart_argv(request, stack)
        argv = [
            "upgrade", *argv,
            "--reset-values",
            # The server validates what is applied to it; to have Helm do it too takes it the schemas of all kinds.
            "--server-side=true", "--force-conflicts", "--disable-openapi-validation",
            "--timeout", f"{int(request.timeout.total_seconds())}s",
            "--output", "json",
        ]  # fmt: skip
        # The CRDs of a chart's crds/ are the CRD phase's.
        argv += ["--install", "--skip-crds"] if request.install else []
        return argv, descriptors

    def _chart_argv(self, request: UpgradeRequest, stack: ExitStack) -> tuple[list[str], list[int]]:
        chart, descriptors = str(request.chart), []
        if request.defaults is not None:
            content = with_defaults(request.chart, request.defaults)
            descriptors.append(stack.enter_context(nameless_file(content, self._home)))
            chart = path_of(descriptors[-1])
        descriptors.append(stack.enter_context(nameless_file(json.dumps(request.values).encode(), self._home)))
        argv = [request.release, chart, "--namespace", request.namespace, "--values", path_of(descriptors[-1])]
        return argv, descriptors

    async def _run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        cluster: bool = True,
        recorded: Callable[[process.Child], Awaitable[None]] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> bytes:
        command = [self._binary, *argv]
        if cluster and self._access.kubeconfig is not None:
            command += ["--kubeconfig", str(self._access.kubeconfig)]
            command += ["--kube-context", self._access.context] if self._access.context else []
        output = await process.run(
            command, environment=self._environment(), deadline=deadline, recorded=recorded, pass_fds=pass_fds
        )
        if output.timed_out:
            raise HelmTimedOut(f"helm {argv[0]} did not end within {deadline:.0f} s and was ended")
        if output.code != 0:
            raise classify(self._secrets.scrub(output.stderr))
        return output.stdout

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
        homes = {f"HELM_{kind}_HOME": str(self._home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return {**passed, **homes, "HOME": str(self._home)}
