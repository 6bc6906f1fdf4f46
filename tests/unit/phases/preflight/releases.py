"""Releases as Helm renders them, for checks that decide by what is in them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from meshupgrade.helm.release import Release
from tests.unit.phases.works import make_release

__all__ = ["deployment", "rendered"]


def rendered(*objects: Mapping[str, Any], hooks: Sequence[Mapping[str, Any]] = (), **fields: Any) -> Release:
    """Give a release of these objects."""
    manifest = yaml.safe_dump_all([dict(obj) for obj in objects])
    return dataclasses.replace(make_release(), manifest=manifest, hooks=tuple(hooks), **fields)


def deployment(name: str, *containers: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    """Give a Deployment of these containers; ``pod`` are further fields of its Pods' spec."""
    pod = spec.pop("pod", {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "osm-system"},
        "spec": {**spec, "template": {"spec": {"containers": [dict(container) for container in containers], **pod}}},
    }
