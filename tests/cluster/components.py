"""The command lines of the control plane's programs, and how each one shows that it is ready."""

import urllib.request
from pathlib import Path

import yaml

from .binaries import Binaries
from .credentials import SERVICE_ADDRESS, Credentials, write_kubeconfig
from .kwok import NODE_ANNOTATION, write_config
from .ports import DIRECT, LOOPBACK, direct_opener, with_free_ports
from .process import Child

__all__ = ["start_apiserver", "start_controllers", "start_etcd", "start_kwok", "start_registry", "start_scheduler"]

START_SECONDS = 60.0
SERVICE_RANGE = SERVICE_ADDRESS.rsplit(".", 1)[0] + ".0/16"
NODE_LEASE_SECONDS = 40

#: Their own limits (20 to 50 a second) would be what a test with thousands of Pods waits for.
UNLIMITED = ("--kube-api-qps=5000", "--kube-api-burst=10000")

Command = list[str | Path]


def _answers(url: str, token: str | None = None, ca: Path | None = None) -> bool:
    """Whether a GET is answered with 200."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    opener = direct_opener(ca) if ca else DIRECT
    try:
        with opener.open(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _ready(child: Child, url: str, token: str | None = None, ca: Path | None = None) -> Child:
    """Wait for a child that was just started; one that never gets ready is stopped before the error goes on."""
    try:
        child.wait_until(lambda: _answers(url, token, ca), START_SECONDS)
    except BaseException:
        child.stop()
        raise
    return child


def start_etcd(binaries: Binaries, workdir: Path) -> tuple[Child, str]:
    """Start etcd with its data in `workdir`; the child and its client URL."""

    def start(client: int, peer: int) -> tuple[Child, str]:
        url, peer_url = f"http://{LOOPBACK}:{client}", f"http://{LOOPBACK}:{peer}"
        argv: Command = [
            binaries.etcd,
            f"--data-dir={workdir / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
            # The data is thrown away with the cluster: nobody needs it to survive a power cut.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]
        return _ready(Child.start("etcd", argv, workdir / "etcd.log"), f"{url}/health"), url

    return with_free_ports(2, start)


def start_apiserver(binaries: Binaries, workdir: Path, etcd: str, credentials: Credentials) -> tuple[Child, str]:
    """Start kube-apiserver on the etcd at that URL; the child and its own URL."""

    def start(port: int) -> tuple[Child, str]:
        url = f"https://{LOOPBACK}:{port}"
        argv: Command = [
            binaries.kube_apiserver,
            f"--etcd-servers={etcd}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={port}",
            f"--tls-cert-file={credentials.server}",
            f"--tls-private-key-file={credentials.server_key}",
            f"--client-ca-file={credentials.ca}",
            f"--token-auth-file={credentials.token_file}",
            f"--service-account-key-file={credentials.accounts_public}",
            f"--service-account-signing-key-file={credentials.accounts_key}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            # An address on loopback cannot be the endpoint of the kubernetes Service.
            "--endpoint-reconciler-type=none",
        ]
        child = Child.start("kube-apiserver", argv, workdir / "kube-apiserver.log")
        return _ready(child, f"{url}/readyz", credentials.tokens["admin"], credentials.ca), url

    return with_free_ports(1, start)


def start_controllers(binaries: Binaries, workdir: Path, server: str, credentials: Credentials) -> Child:
    """Start kube-controller-manager; it is at work a moment later."""
    user = "system:kube-controller-manager"
    kubeconfig = write_kubeconfig(workdir / "controllers.kubeconfig", server, credentials.ca, credentials.tokens[user])
    argv: Command = [
        binaries.kube_controller_manager,
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--root-ca-file={credentials.ca}",
        f"--service-account-private-key-file={credentials.accounts_key}",
        f"--cluster-signing-cert-file={credentials.ca}",
        f"--cluster-signing-key-file={credentials.ca_key}",
        *UNLIMITED,
    ]
    return Child.start("kube-controller-manager", argv, workdir / "kube-controller-manager.log")


def start_scheduler(binaries: Binaries, workdir: Path, server: str, credentials: Credentials) -> Child:
    """Start kube-scheduler; it is at work a moment later."""
    token = credentials.tokens["system:kube-scheduler"]
    kubeconfig = write_kubeconfig(workdir / "scheduler.kubeconfig", server, credentials.ca, token)
    argv: Command = [
        binaries.kube_scheduler,
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        *UNLIMITED,
    ]
    return Child.start("kube-scheduler", argv, workdir / "kube-scheduler.log")


def start_kwok(binaries: Binaries, workdir: Path, server: str, credentials: Credentials) -> Child:
    """Start kwok, which plays the kubelets of the nodes that carry its annotation; it is at work a moment later."""
    kubeconfig = write_kubeconfig(workdir / "kwok.kubeconfig", server, credentials.ca, credentials.tokens["kwok"])
    argv: Command = [
        binaries.kwok,
        f"--kubeconfig={kubeconfig}",
        f"--config={write_config(binaries.kwok_stages, workdir / 'kwok.yaml')}",
        f"--manage-nodes-with-annotation-selector={NODE_ANNOTATION}=fake",
        f"--node-lease-duration-seconds={NODE_LEASE_SECONDS}",
        "--cidr=10.64.0.0/12",
    ]
    return Child.start("kwok", argv, workdir / "kwok.log")


def start_registry(binaries: Binaries, workdir: Path) -> tuple[Child, str]:
    """Start an OCI registry that speaks plain http; the child and its ``host:port``."""

    def start(port: int) -> tuple[Child, str]:
        address = f"{LOOPBACK}:{port}"
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(workdir / "registry")}, "delete": {"enabled": True}},
            "http": {"addr": address},
        }
        path = workdir / "registry.yaml"
        path.write_text(yaml.safe_dump(config))
        # Without this the registry looks for a collector of traces every few seconds.
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        child = Child.start("registry", [binaries.registry, "serve", path], workdir / "registry.log", env=environment)
        return _ready(child, f"http://{address}/v2/"), address

    return with_free_ports(1, start)
