"""The structural schemas of the fixture's custom resources, by the names that ``releases.yaml`` uses.

They follow the shape of the meshes' own resources and leave out what no test needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
LEVEL: Schema = {"type": "string", "enum": ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"]}
ANY_STATUS: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def record(required: Sequence[str] = (), /, **fields: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": fields}
    return {**schema, "required": list(required)} if required else schema


def many(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


NUMBERED_PORT = record(["number", "protocol"], number=PORT, protocol=TEXT)
REFERENCE = record(["kind", "name"], kind=TEXT, name=TEXT, namespace=TEXT)
MATCH = record(["apiGroup", "kind", "name"], apiGroup=TEXT, kind=TEXT, name=TEXT)
RESOURCE_LIST = mapping({"x-kubernetes-int-or-string": True})
BACKEND = record(
    ["name", "port"],
    name=TEXT,
    port=NUMBERED_PORT,
    tls=record(["skipClientCertValidation"], skipClientCertValidation=FLAG, sniHosts=many(TEXT)),
)
DRIVER = record(["sidecarName"], sidecarName=TEXT, sidecarImage=TEXT, initContainerImage=TEXT, proxyServerPort=PORT)


def _mesh_config(sidecar: Schema, traffic: Schema, flags: Schema) -> Schema:
    """A MeshConfig; the arguments are the fields that came after the first release."""
    return record(
        sidecar=record(
            enablePrivilegedInitContainer=FLAG,
            logLevel=LEVEL,
            maxDataPlaneConnections=COUNT,
            configResyncInterval=TEXT,
            sidecarClass=TEXT,
            sidecarImage=TEXT,
            initContainerImage=TEXT,
            sidecarDrivers=many(DRIVER),
            resources=record(limits=RESOURCE_LIST, requests=RESOURCE_LIST),
            **sidecar,
        ),
        traffic=record(
            enableEgress=FLAG,
            enablePermissiveTrafficPolicyMode=FLAG,
            outboundPortExclusionList=many(PORT),
            inboundPortExclusionList=many(PORT),
            outboundIPRangeExclusionList=many({"type": "string", "pattern": r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$"}),
            **traffic,
        ),
        observability=record(
            osmLogLevel=TEXT,
            enableDebugServer=FLAG,
            tracing=record(enable=FLAG, address=TEXT, port=PORT, endpoint=TEXT),
        ),
        certificate=record(
            ["serviceCertValidityDuration", "certKeyBitSize"],
            serviceCertValidityDuration=TEXT,
            certKeyBitSize=COUNT,
        ),
        featureFlags=record(enableWASMStats=FLAG, enableEgressPolicy=FLAG, enableIngressBackendPolicy=FLAG, **flags),
    )


def _traffic_split(**later: Schema) -> Schema:
    backend = record(["service", "weight"], service=TEXT, weight=COUNT)
    return record(["service", "backends"], service=TEXT, backends=many(backend), **later)


def _egress(**early: Schema) -> Schema:
    source = record(["kind", "name", "namespace"], kind=TEXT, name=TEXT, namespace=TEXT)
    fields = {"hosts": many(TEXT), "ports": many(NUMBERED_PORT), "matches": many(MATCH), **early}
    return record(["sources", "ports"], sources=many(source), **fields)


def _guarded_backends() -> Schema:
    return record(["backends", "sources"], backends=many(BACKEND), sources=many(REFERENCE), matches=many(MATCH))


SPECS: dict[str, Schema] = {
    "mesh_config_1": _mesh_config({}, {}, {}),
    "mesh_config_2": _mesh_config(
        {"localProxyMode": {"type": "string", "enum": ["Localhost", "PodIP"], "default": "Localhost"}},
        {"networkInterfaceExclusionList": many(TEXT)},
        {"enableAccessControlPolicy": FLAG},
    ),
    "traffic_target": record(
        ["destination", "rules", "sources"],
        destination=REFERENCE,
        rules=many(
            record(
                ["kind", "name"],
                kind={"type": "string", "enum": ["HTTPRouteGroup", "TCPRoute", "UDPRoute"]},
                name=TEXT,
                matches=many(TEXT),
            )
        ),
        sources=many(REFERENCE),
    ),
    "http_route_group": record(
        ["matches"],
        matches=many(record(["name"], name=TEXT, pathRegex=TEXT, methods=many(TEXT), headers=many(mapping(TEXT)))),
    ),
    "traffic_split_1": _traffic_split(),
    "traffic_split_2": _traffic_split(matches=many(record(["kind", "name"], kind=TEXT, name=TEXT))),
    # The later one prunes a field, without a new version to tell anybody.
    "egress_1": _egress(ipAddresses=many(TEXT)),
    "egress_2": _egress(),
    "ingress_backend": _guarded_backends(),
    "access_control": _guarded_backends(),
}
