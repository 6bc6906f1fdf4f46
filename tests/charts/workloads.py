"""What users of the mesh have in the cluster: custom resources, and workloads that carry the sidecar."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from tests.charts.crds import Manifest, stored_api_version
from tests.charts.releases import release

BOOKSTORE = "bookstore"
BOOKBUYER = "bookbuyer"
NAMESPACES = (BOOKSTORE, BOOKBUYER)
_APPS = ((BOOKSTORE, "bookstore-v1"), (BOOKSTORE, "bookstore-v2"), (BOOKBUYER, "bookbuyer"))


def sample_resources(version: str) -> list[Manifest]:
    """Custom resources as an admin wrote them under ``version``, in the namespaces of ``meshed_workloads``.

    Their kinds and API versions are those that the release stores; every field of theirs is known to all later
    releases, so after any upgrade the same spec must still be there.
    """
    kinds = release(version).crds
    samples = [*_routes(), *_targets(), *_splits(), _egress(), _ingress_backend(), _access_control()]
    return [
        {
            "apiVersion": stored_api_version(kind, version),
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "bookstore"}},
            "spec": spec,
        }
        for kind, namespace, name, spec in samples
        if kind in kinds
    ]


def meshed_workloads(version: str, registry: str, mesh: str = "osm", replicas: int = 1) -> list[Manifest]:
    """Namespaces of the mesh and Deployments whose Pods run the sidecar that ``version`` ships with.

    The sidecar is written into the Pod template, as an injector would have put it into the Pod.
    """
    namespaces = [mesh_namespace(name, mesh) for name in NAMESPACES]
    apps = [
        manifest
        for namespace, name in _APPS
        for manifest in (
            _object("v1", "ServiceAccount", namespace, name),
            _service(namespace, name),
            _deployment(namespace, name, version, registry, replicas),
        )
    ]
    return namespaces + apps


def mesh_namespace(name: str, mesh: str = "osm") -> Manifest:
    """A namespace of the mesh that asks for injection."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"openservicemesh.io/monitored-by": mesh},
            "annotations": {"openservicemesh.io/sidecar-injection": "enabled"},
        },
    }


Sample = tuple[str, str, str, dict[str, Any]]


def _routes() -> Sequence[Sample]:
    buy = {
        "name": "buy-a-book",
        "pathRegex": ".*a-book.*new",
        "methods": ["GET"],
        "headers": [{"user-agent": ".*-http-client/*.*"}, {"client-app": "bookbuyer"}],
    }
    restock = {"name": "restock", "pathRegex": "/restock-books", "methods": ["POST", "PUT"]}
    return [
        ("HTTPRouteGroup", BOOKSTORE, "bookstore-routes", {"matches": [buy, restock]}),
        ("HTTPRouteGroup", BOOKBUYER, "bookbuyer-routes", {"matches": [{"name": "all", "methods": ["*"]}]}),
    ]


def _targets() -> Sequence[Sample]:
    rule = {"kind": "HTTPRouteGroup", "name": "bookstore-routes", "matches": ["buy-a-book", "restock"]}
    buyer = {"kind": "ServiceAccount", "name": "bookbuyer", "namespace": BOOKBUYER}
    return [
        (
            "TrafficTarget",
            BOOKSTORE,
            name,
            {
                "destination": {"kind": "ServiceAccount", "name": name, "namespace": BOOKSTORE},
                "rules": [rule],
                "sources": [buyer],
            },
        )
        for name in ("bookstore-v1", "bookstore-v2")
    ]


def _splits() -> Sequence[Sample]:
    def split(weight: int) -> dict[str, Any]:
        backends = [
            {"service": "bookstore-v1", "weight": weight},
            {"service": "bookstore-v2", "weight": 100 - weight},
        ]
        return {"service": f"bookstore.{BOOKSTORE}", "backends": backends}

    return [
        ("TrafficSplit", BOOKSTORE, "bookstore-canary", split(90)),
        ("TrafficSplit", BOOKSTORE, "bookstore-half", split(50)),
    ]


def _egress() -> Sample:
    spec = {
        "sources": [{"kind": "ServiceAccount", "name": "bookbuyer", "namespace": BOOKBUYER}],
        "hosts": ["payments.example.org", "stock.example.org"],
        "ports": [{"number": 443, "protocol": "https"}, {"number": 8080, "protocol": "http"}],
        "matches": [{"apiGroup": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup", "name": "bookbuyer-routes"}],
    }
    return "Egress", BOOKBUYER, "payments", spec


def _ingress_backend() -> Sample:
    backend = {
        "name": "bookstore-v1",
        "port": {"number": 14001, "protocol": "https"},
        "tls": {"skipClientCertValidation": False, "sniHosts": ["bookstore.example.org"]},
    }
    sources = [
        {"kind": "Service", "name": "ingress", "namespace": "ingress-system"},
        {"kind": "AuthenticatedPrincipal", "name": "ingress.ingress-system.cluster.local"},
    ]
    return "IngressBackend", BOOKSTORE, "bookstore-ingress", {"backends": [backend], "sources": sources}


def _access_control() -> Sample:
    backend = {"name": "bookstore-v2", "port": {"number": 14001, "protocol": "http"}}
    sources = [{"kind": "Service", "name": "reports", "namespace": "outside"}]
    return "AccessControl", BOOKSTORE, "bookstore-reports", {"backends": [backend], "sources": sources}


def _object(api_version: str, kind: str, namespace: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _service(namespace: str, name: str) -> Manifest:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 14001}]}
    return {**_object("v1", "Service", namespace, name), "spec": spec}


def _deployment(namespace: str, name: str, version: str, registry: str, replicas: int) -> Manifest:
    mesh_release = release(version)
    init_image = f"{registry}/flomesh/osm-edge-sidecar-init:{mesh_release.image_tag}"
    # Injected Pods differ in it; workloads that share one would hide a mix-up of theirs.
    proxy = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{namespace}"))
    requests = {"requests": {"cpu": "1m", "memory": "8M"}}
    pod = {
        "serviceAccountName": name,
        "initContainers": [{"name": "osm-init", "image": init_image}],
        "containers": [
            {"name": "app", "image": f"{registry}/bookstore/{name}:1.0.0", "resources": requests},
            {"name": "sidecar", "image": mesh_release.sidecar_image, "resources": requests},
        ],
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name, "osm-proxy-uuid": proxy}}, "spec": pod},
    }
    return {**_object("apps/v1", "Deployment", namespace, name), "spec": spec}
