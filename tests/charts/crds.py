"""The CRDs of a release, as the osm-bootstrap of that release brings them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import yaml

from tests.charts.releases import release
from tests.charts.schemas import ANY_STATUS, SPECS, Schema

Manifest = dict[str, Any]


class Kind(NamedTuple):
    """What a custom resource is called, in every release."""

    group: str
    plural: str
    short_name: str
    has_status: bool = False


KINDS: dict[str, Kind] = {
    "MeshConfig": Kind("config.openservicemesh.io", "meshconfigs", "meshconfig"),
    "Egress": Kind("policy.openservicemesh.io", "egresses", "egress"),
    "IngressBackend": Kind("policy.openservicemesh.io", "ingressbackends", "ingressbackend", has_status=True),
    "AccessControl": Kind("policy.openservicemesh.io", "accesscontrols", "accesscontrol", has_status=True),
    "TrafficTarget": Kind("access.smi-spec.io", "traffictargets", "tt"),
    "HTTPRouteGroup": Kind("specs.smi-spec.io", "httproutegroups", "htr"),
    "TrafficSplit": Kind("split.smi-spec.io", "trafficsplits", "ts"),
}


def crds_of(version: str) -> list[Manifest]:
    """The CustomResourceDefinitions of one release."""
    return [_crd(kind, facts) for kind, facts in release(version).crds.items()]


def crd_files(version: str) -> dict[str, bytes]:
    """The same as an image has them: one YAML file each, by its name below /osm-crds."""
    return {
        f"{_file_prefix(crd)}_{crd['spec']['names']['singular']}.yaml": to_yaml(crd).encode()
        for crd in crds_of(version)
    }


def stored_api_version(kind: str, version: str) -> str:
    """``group/version`` under which a release stores a kind."""
    return f"{KINDS[kind].group}/{release(version).crds[kind]['stored']}"


def to_yaml(manifest: Any) -> str:
    """YAML as a person would write it: in the given order and without anchors."""
    return yaml.dump(manifest, Dumper=_PlainDumper, sort_keys=False, width=120)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _crd(kind: str, facts: dict[str, Any]) -> Manifest:
    names = KINDS[kind]
    deprecated = facts.get("deprecated", [])
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{names.plural}.{names.group}",
            "labels": {"app.kubernetes.io/name": "openservicemesh.io"},
        },
        "spec": {
            "group": names.group,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": names.plural,
                "singular": kind.lower(),
                "shortNames": [names.short_name],
            },
            "conversion": {"strategy": "None"},
            "versions": [
                _version(name, SPECS[schema], names, stored=name == facts["stored"], deprecated=name in deprecated)
                for name, schema in facts["versions"].items()
            ],
        },
    }
    # The schemas share their parts: without a copy of each, a test that changes one place would change many.
    independent: Manifest = json.loads(json.dumps(crd))
    return independent


def _version(name: str, spec: Schema, names: Kind, *, stored: bool, deprecated: bool) -> Manifest:
    properties = {"spec": spec, "status": ANY_STATUS} if names.has_status else {"spec": spec}
    version: Manifest = {
        "name": name,
        "served": True,
        "storage": stored,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
    }
    if names.has_status:
        version["subresources"] = {"status": {}}
    if deprecated:
        version["deprecated"] = True
    return version


def _file_prefix(crd: Manifest) -> str:
    group: str = crd["spec"]["group"]
    return "smi" if group.endswith(".smi-spec.io") else group.partition(".")[0]
