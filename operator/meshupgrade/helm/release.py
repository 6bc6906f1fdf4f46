"""A Helm release as Helm stores it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import yaml

from meshupgrade.domain.kubernetes_yaml import KubernetesLoader, is_deeper_than
from meshupgrade.domain.values import coalesce_values
from meshupgrade.helm.errors import RenderError

__all__ = ["Release", "ReleaseStatus", "manifest_objects"]

MAX_DEPTH = 200
"""Levels of a manifest: more than any schema has, and fewer than the YAML loader can take."""


class ReleaseStatus(StrEnum):
    """Helm's own statuses (helm.sh/helm/v4/pkg/release/common)."""

    UNKNOWN = "unknown"
    DEPLOYED = "deployed"
    UNINSTALLED = "uninstalled"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    UNINSTALLING = "uninstalling"
    PENDING_INSTALL = "pending-install"
    PENDING_UPGRADE = "pending-upgrade"
    PENDING_ROLLBACK = "pending-rollback"

    @property
    def pending(self) -> bool:
        """Tell whether an operation is, or was, in progress."""
        return self.startswith("pending-") or self is ReleaseStatus.UNINSTALLING


@dataclass(frozen=True)
class Release:
    """One revision of a release."""

    name: str
    namespace: str
    revision: int
    status: ReleaseStatus
    description: str
    updated: datetime | None
    """When Helm began to work on this revision."""

    chart_name: str
    chart_version: str
    app_version: str
    config: Mapping[str, Any] = field(repr=False)
    """The user's values."""

    defaults: Mapping[str, Any] = field(repr=False)
    """The chart's values."""

    manifest: str = field(repr=False)
    hooks: tuple[Mapping[str, Any], ...] = field(repr=False)
    dependencies: tuple[str, ...] = ()
    """The subcharts that the chart names and that its values leave enabled, by alias or name."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Release":
        """Give the release out of Helm's JSON, as stored and as printed with --output json."""
        metadata = data["chart"]["metadata"]
        info = data["info"]
        return cls(
            name=data["name"],
            namespace=data.get("namespace") or "",
            revision=int(data["version"]),
            status=ReleaseStatus(info.get("status") or "unknown"),
            description=info.get("description") or "",
            updated=_time(info.get("last_deployed")),
            chart_name=metadata["name"],
            chart_version=metadata["version"],
            app_version=metadata.get("appVersion") or "",
            config=data.get("config") or {},
            defaults=data["chart"].get("values") or {},
            manifest=data.get("manifest") or "",
            hooks=tuple(data.get("hooks") or ()),
            dependencies=tuple(each["name"] for each in metadata.get("dependencies") or ()),
        )

    def values(self) -> dict[str, Any]:
        """Give the values as the templates see them: the chart's with the user's laid over."""
        return coalesce_values(self.defaults, self.config)

    def objects(self) -> list[dict[str, Any]]:
        """Give the objects of the manifest, hooks not included."""
        return self._objects

    @cached_property
    def _objects(self) -> list[dict[str, Any]]:
        # A run asks for them in several phases, and to read the manifest of a real mesh takes its time.
        return manifest_objects(self.manifest)

    def has_post_upgrade_hook(self) -> bool:
        """Tell whether a hook runs after an install or upgrade, for which Helm has to wait for readiness itself."""
        return any({"post-install", "post-upgrade"} & set(hook.get("events") or ()) for hook in self.hooks)


def _time(text: str | None) -> datetime | None:
    # Helm writes nanoseconds, which Python reads only up to microseconds.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)) if text else None


def manifest_objects(manifest: str) -> list[dict[str, Any]]:
    """Give the objects of a rendered manifest, Lists opened, empty documents left out. Raises RenderError."""
    if is_deeper_than(manifest, MAX_DEPTH):
        raise RenderError(f"the chart renders objects that are nested deeper than {MAX_DEPTH} levels")
    objects: list[dict[str, Any]] = []
    # Safe: a subclass of the safe loader, with fewer tags.
    for document in yaml.load_all(manifest, Loader=KubernetesLoader):
        if not isinstance(document, dict):
            continue
        is_list = document.get("kind", "").endswith("List") and "items" in document
        objects.extend((document["items"] or []) if is_list else [document])
    return objects
