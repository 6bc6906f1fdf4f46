"""The CustomResourceDefinition, made from the models."""

from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.names import GROUP, KIND, PLURAL, SHORT_NAME, SINGULAR, VERSION
from meshupgrade.api.v1alpha1.rules import cel
from meshupgrade.api.v1alpha1.schema import structural_schema
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.api.v1alpha1.status import MeshUpgradeStatus

__all__ = ["custom_resource_definition"]

COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("Mesh", "string", ".spec.mesh.distribution", 0),
    ("Desired", "string", ".spec.version", 0),
    ("Current", "string", ".status.currentVersion", 0),
    ("Phase", "string", ".status.phase", 0),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Message", "string", '.status.conditions[?(@.type=="Ready")].message', 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)


CRD_RULES = (
    (
        "has(self.configMapRef) == (has(self.source) && self.source == 'ConfigMap')",
        "crds.source ConfigMap and crds.configMapRef belong together",
    ),
    (
        "!has(self.imageRef) || !has(self.source) || self.source in ['Auto', 'Image']",
        "crds.imageRef is for crds.source Auto or Image",
    ),
    (
        "!has(self.certSecretRef) || !has(self.insecure) || !self.insecure",
        "crds.insecure speaks plain http, which has no use for crds.certSecretRef",
    ),
)
"""What fits together under spec.crds, and what to say otherwise."""


def custom_resource_definition(default_mesh_names: Mapping[str, str]) -> dict[str, Any]:
    """Give the CRD; the names are those of each distribution's mesh, for the rule that a mesh cannot be changed."""
    spec = structural_schema(MeshUpgradeSpec)
    spec["properties"]["mesh"] |= cel(
        f"self.distribution == oldSelf.distribution && {_name('self', default_mesh_names)}"
        f" == {_name('oldSelf', default_mesh_names)}",
        "mesh cannot be changed; make another MeshUpgrade for another mesh",
    )
    spec["properties"]["chart"] |= cel(
        "!has(self.insecure) || !self.insecure || (has(self.repository) && self.repository.startsWith('oci://'))",
        "chart.insecure is for oci:// repositories; write http:// for a plain http repository",
    )
    spec["properties"]["crds"]["x-kubernetes-validations"] = [
        {"rule": rule, "message": message} for rule, message in CRD_RULES
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
                "categories": ["mesh"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "priority": priority}
                        for name, kind, path, priority in COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "Brings the service mesh of its namespace to a version.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
                                "kind": {"type": "string", "description": f"{KIND}."},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": structural_schema(MeshUpgradeStatus),
                            },
                        }
                    },
                }
            ],
        },
    }


def _name(variable: str, defaults: Mapping[str, str]) -> str:
    """Give the CEL expression for the resolved name of a mesh: writing a default out is no change."""
    cases = "".join(f"{variable}.distribution == '{key}' ? '{name}' : " for key, name in sorted(defaults.items()))
    return f"(has({variable}.name) ? {variable}.name : {cases}'')"
