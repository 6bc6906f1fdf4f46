"""Secrets and ConfigMaps that the spec names, read when they are needed and kept nowhere.

Whoever may create a MeshUpgrade must not get at what he may not read: Helm's own release Secrets, which hold every
value of every release, and the key of the mesh's authority are refused by name.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.authority import authority_secret
from meshupgrade.phases.shape import Work

__all__ = ["ReferenceInvalid", "mask_login", "read_config_map", "read_secret"]

HELM_RELEASE = "helm.sh/release.v1"
"""The type of the Secrets of Helm's storage (helm.sh/helm/v4/pkg/storage/driver/secrets.go)."""


class ReferenceInvalid(Exception):
    """What the spec names is not there (``missing``), or lacks what is needed; ``finding`` says so."""

    def __init__(
        self, field: str, message: str, remedy: str, phase: Phase = Phase.PREFLIGHT, *, missing: bool = False
    ) -> None:
        self.missing = missing
        self.finding = Finding(
            name=FindingName.REFERENCE_INVALID,
            severity=Severity.ERROR,
            phase=phase,
            message=f"{field}: {message}",
            remedy=remedy,
        )
        super().__init__(self.finding.message)


async def read_secret(work: Work, name: str, *, field: str) -> dict[str, bytes]:
    """Give the data of a Secret in the namespace of the MeshUpgrade.

    ``field`` is the field of the spec that names it, such as spec.chart.secretRef. Raises ReferenceInvalid when it is
    not there, and the errors of kube.
    """
    secret = await _read(work, "Secret", name, field)
    if secret.get("type") == HELM_RELEASE:
        raise ReferenceInvalid(
            field, f"Secret {name} is one of Helm's own, which holds a release", "Name a Secret made for this."
        )
    if name in (work.distribution.ca_secret, authority_secret(work).name):
        raise ReferenceInvalid(
            field, f"Secret {name} holds the key of the mesh's authority", "Name a Secret made for this."
        )
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError) as error:
        raise ReferenceInvalid(field, f"Secret {name} is not readable", "Make the Secret anew.") from error


def mask_login(work: Work, data: Mapping[str, bytes]) -> None:
    """Have everything in a login or certificate Secret masked that opens a door."""
    secrets = []
    for key, value in data.items():
        text = value.decode("utf-8", "replace")
        if key in ("password", "tls.key"):
            secrets.append(text)
        elif key.startswith(".docker"):
            secrets += _doors(text)
    work.tools.secrets.keep(work.owner, secrets)


def _doors(config: str) -> list[str]:
    try:
        tree = json.loads(config)
    except (ValueError, RecursionError):
        return []
    if not isinstance(tree, Mapping):
        return []
    entries = tree.get("auths")
    if not isinstance(entries, Mapping):
        entries = tree
    found = [entry for entry in entries.values() if isinstance(entry, Mapping)]
    return [str(entry[key]) for entry in found for key in ("password", "auth", "identitytoken") if entry.get(key)]


async def read_config_map(work: Work, name: str, *, field: str) -> dict[str, str]:
    """Give the data of a ConfigMap in the namespace of the MeshUpgrade.

    Raises ReferenceInvalid when it is not there, and the errors of kube.
    """
    data = await _read(work, "ConfigMap", name, field)
    return dict(data.get("data") or {})


async def _read(work: Work, kind: str, name: str, field: str) -> Mapping[str, Any]:
    live = await work.tools.kube.find(ObjectRef("v1", kind, name, work.namespace))
    if live is None:
        raise ReferenceInvalid(
            field,
            f"namespace {work.namespace} has no {kind} {name}",
            f"Create the {kind}, or correct {field}.",
            missing=True,
        )
    return live
