"""Holds up chosen writes inside the API server, so that a test can act while one is under way.

An admission webhook that takes the connection and never answers: the API server waits for it, and then goes on
without (failurePolicy Ignore). Nothing of the operator, of Helm or of the API server is replaced for it.
"""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.cluster.cluster import Cluster

HELD_SECONDS = 30


@dataclass(frozen=True)
class Rule:
    """Which requests are held up."""

    group: str
    resources: str
    operation: str
    dry_run: bool = False
    name: str = ""
    """Of the one object that is meant; empty for all."""


@contextlib.contextmanager
def hold(cluster: Cluster, rule: Rule, name: str) -> Iterator[threading.Event]:
    """Hold up the requests of a rule while entered; the event is set when the first one hangs."""
    hanging = threading.Event()
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connections.append(connection)
                    hanging.set()

        threading.Thread(target=accept, daemon=True).start()
        cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(_configuration(cluster, rule, name, server)))
        try:
            yield hanging
        finally:
            cluster.kubectl("delete", "validatingwebhookconfiguration", name)
            server.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                connection.close()


def _configuration(cluster: Cluster, rule: Rule, name: str, server: socket.socket) -> dict[str, object]:
    certificate = x509.load_pem_x509_certificates(cluster.ca.read_bytes())[0]
    authority = certificate.public_bytes(serialization.Encoding.PEM)
    condition = "request.dryRun == true" if rule.dry_run else "!has(request.dryRun) || request.dryRun != true"
    if rule.name:
        condition = f"request.name == '{rule.name}' && ({condition})"
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "hold.meshupgrade.test",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": HELD_SECONDS,
                "clientConfig": {
                    "url": f"https://127.0.0.1:{server.getsockname()[1]}/",
                    "caBundle": base64.b64encode(authority).decode(),
                },
                "matchConditions": [{"name": "kind-of-request", "expression": condition}],
                "rules": [
                    {
                        "apiGroups": [rule.group],
                        "apiVersions": ["*"],
                        "resources": [rule.resources],
                        "operations": [rule.operation],
                    }
                ],
            }
        ],
    }
