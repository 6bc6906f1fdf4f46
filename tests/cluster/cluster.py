"""A cluster to test against: a real control plane of our own, or one that exists."""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import kubernetes.client
import kubernetes.config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError

from . import components
from .binaries import CLIENTS, Binaries, ensure_binaries
from .credentials import create_credentials, write_kubeconfig
from .errors import NotSupported, RigError
from .existing import connect
from .kwok import NODE_ANNOTATION
from .ports import LOOPBACK
from .process import Child, tail
from .workdirs import temporary_workdir

__all__ = ["Cluster"]

ROOMY_NODE = {"cpu": "256", "memory": "1Ti", "pods": "5000"}
READY_SECONDS = 30.0
POLL_SECONDS = 0.05
COMMAND_SECONDS = 300.0
#: What a child program gets of our environment; anything else could change what it does from one machine to the next.
PASSED_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

Progress = Callable[[str], None]


class Cluster:
    """A cluster with its admin's kubeconfig and an OCI registry next to it.

    Attributes: `kubeconfig` (of the admin, one file), `server` (URL), `ca` (file), `registry` (``host:port``, plain
    http), `binaries`, `workdir` (logs and state), `existing` (True: not ours; chaos and load must not run there),
    `etcd` (URL, empty when it is not ours). A context manager: leaving it stops everything.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path,
        server: str,
        ca: Path,
        registry: str,
        binaries: Binaries,
        workdir: Path,
        existing: bool = False,
        etcd: str = "",
    ) -> None:
        """Describe a cluster that runs; use `start` for one that does not."""
        self.kubeconfig = kubeconfig
        self.server = server
        self.ca = ca
        self.registry = registry
        self.binaries = binaries
        self.workdir = workdir
        self.existing = existing
        self.etcd = etcd
        self._children: list[Child] = []
        self._owned_workdir: Path | None = None

    @classmethod
    def start(cls, workdir: Path | None = None, *, roomy_node: bool = True, progress: Progress = print) -> Self:
        """Start a control plane and wait until it takes work; about four seconds once the programs are built.

        `workdir` keeps logs and state and is left to the caller; without it a temporary folder is used and removed by
        `stop`. With `roomy_node` one simulated node has room for everything. With CLUSTER=existing in the environment
        the cluster of KUBECONFIG is used instead. Raises RigError; nothing is left running then.
        """
        existing = os.environ.get("CLUSTER") == "existing"
        binaries = ensure_binaries(progress, CLIENTS) if existing else ensure_binaries(progress)
        own = None if workdir else temporary_workdir()
        folder = (workdir or own or Path()).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        children: list[Child] = []
        try:
            if existing:
                facts = connect(binaries, folder, children, progress)
            else:
                facts = _control_plane(binaries, folder, children)
            cluster = cls(**facts, binaries=binaries, workdir=folder)
            cluster._children, cluster._owned_workdir = children, own
            if not existing:
                cluster._wait_until_usable(roomy_node)
        except BaseException:
            _end(children, own)
            raise
        return cluster

    def __enter__(self) -> Self:
        """The cluster itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def stop(self) -> None:
        """End every process that `start` has started; a temporary workdir goes too. Harmless the second time."""
        children, self._children = self._children, []
        _end(children, self._owned_workdir)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the rig's programs, by name."""
        return {child.name: child.pid for child in self._children}

    def environment(self) -> dict[str, str]:
        """The environment for programs that shall use this cluster: its kubeconfig, Helm folders of its own."""
        passed = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
        helm = {f"HELM_{kind}_HOME": str(self.workdir / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        return passed | helm | {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.workdir / "kubectl-cache")}

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the admin and give back its output as text.

        Raises CalledProcessError when it fails (unless `check` is off), TimeoutExpired after five minutes.
        """
        return self._run(self.binaries.kubectl, args, input, check)

    def helm(self, *args: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run helm as the admin and give back its output as text.

        Raises CalledProcessError when it fails (unless `check` is off), TimeoutExpired after five minutes.
        """
        return self._run(self.binaries.helm, args, input, check)

    def _run(
        self, program: Path, args: tuple[str, ...], input: str | None, check: bool
    ) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            [program, *args],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if check and answer.returncode != 0:
            error = subprocess.CalledProcessError(answer.returncode, answer.args, answer.stdout, answer.stderr)
            # The message of a CalledProcessError leaves out what a failed test needs most.
            error.add_note(answer.stderr.strip())
            raise error
        return answer

    def client(self) -> DynamicClient:
        """A new dynamic client as the admin, with a discovery cache of its own."""
        # A proxy of the environment would look for the port elsewhere. For a cluster that is not ours it may be right.
        settings = kubernetes.client.Configuration(no_proxy=None if self.existing else LOOPBACK)
        api = kubernetes.config.new_client_from_config(str(self.kubeconfig), client_configuration=settings)
        # The default is one file for all processes of this machine, and another cluster's contents are worse than none.
        cache = self.workdir / f"discovery-{uuid.uuid4().hex}.json"
        return DynamicClient(api, cache_file=str(cache))

    def add_node(self, name: str, cpu: str = "8", memory: str = "16Gi", pods: str = "500") -> None:
        """Add a simulated node with that much room and wait until the scheduler may use it.

        Raises NotSupported in an existing cluster, RigError when the node does not get ready.
        """
        if self.existing:
            raise NotSupported("nodes of an existing cluster are not simulated")
        room = {"cpu": cpu, "memory": memory, "pods": pods}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {NODE_ANNOTATION: "fake"},
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            },
            "status": {"allocatable": room, "capacity": room},
        }
        nodes = self.client().resources.get(api_version="v1", kind="Node")
        nodes.create(body=node)
        self._wait(lambda: not nodes.get(name=name).to_dict()["spec"].get("taints"), f"node {name} was not ready")

    def _wait_until_usable(self, roomy_node: bool) -> None:
        if roomy_node:
            self.add_node("roomy", **ROOMY_NODE)
        accounts = self.client().resources.get(api_version="v1", kind="ServiceAccount")

        def exists() -> bool:
            try:
                accounts.get(name="default", namespace="default")
            except NotFoundError:
                return False
            return True

        # Before that no Pod can be created.
        self._wait(exists, "the default ServiceAccount did not appear")

    def _wait(self, done: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not done():
            for child in self._children:
                if child.exit_code() is not None:
                    raise RigError(f"{child.name} has ended; the end of {child.log}:\n{tail(child.log)}")
            if time.monotonic() > deadline:
                raise RigError(f"{complaint} within {READY_SECONDS:g} s; logs are in {self.workdir}")
            time.sleep(POLL_SECONDS)


def _control_plane(binaries: Binaries, folder: Path, children: list[Child]) -> dict[str, Any]:
    """Start all programs, noting each in `children` at once; gives the arguments of Cluster."""
    credentials = create_credentials(folder / "credentials")
    etcd, etcd_url = components.start_etcd(binaries, folder)
    children.append(etcd)
    apiserver, server = components.start_apiserver(binaries, folder, etcd_url, credentials)
    children.append(apiserver)
    starts = (components.start_controllers, components.start_kwok, components.start_scheduler)
    # A generator, so that each one is noted before the next one can fail.
    children.extend(start(binaries, folder, server, credentials) for start in starts)
    registry, address = components.start_registry(binaries, folder)
    children.append(registry)
    kubeconfig = write_kubeconfig(folder / "kubeconfig", server, credentials.ca, credentials.tokens["admin"])
    return {
        "kubeconfig": kubeconfig, "server": server, "ca": credentials.ca, "registry": address, "etcd": etcd_url
    }  # fmt: skip


def _end(children: list[Child], owned: Path | None) -> None:
    # In the opposite order: a server that has lost its etcd waits for it instead of ending.
    for child in reversed(children):
        child.stop()
    if owned:
        shutil.rmtree(owned, ignore_errors=True)
