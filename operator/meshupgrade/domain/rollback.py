"""Whether the bootstrap of an older release could start again after an upgrade."""

from collections.abc import Mapping, Sequence
from typing import Any

import semver

from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY
from meshupgrade.domain.crds import stored_version

__all__ = ["is_of_release", "keeps_from_rollback", "keeps_stored_versions"]

Object = Mapping[str, Any]


def keeps_from_rollback(old: Object, shipped: Object, *, replaces: bool) -> str | None:
    """Say why the API server would refuse a CRD of the old release after the upgrade, or give None.

    ``replaces``: the old bootstrap replaces CRDs by its own, and does not merge them. A CRD cannot drop a version in
    which objects may be stored, nor change its scope.
    """
    name, stored = shipped["metadata"]["name"], stored_version(shipped)
    if old["spec"]["scope"] != shipped["spec"]["scope"]:
        return f"{name} becomes {shipped['spec']['scope']} in scope"
    if replaces and stored not in _names(old):
        return f"{name} will store objects in {stored}, which is not in {', '.join(_names(old))}"
    return None


def keeps_stored_versions(live: Object, old: Object) -> str | None:
    """Say why the API server would refuse that a live CRD is replaced by the one of an old release, or give None."""
    name = old["metadata"]["name"]
    if live["spec"]["scope"] != old["spec"]["scope"]:
        return f"{name} is {live['spec']['scope']} in scope now"
    kept = [stored for stored in (live.get("status") or {}).get("storedVersions") or [] if stored not in _names(old)]
    return f"{name} has objects stored in {', '.join(kept)}, which its own CRD lacks" if kept else None


def is_of_release(live: Object, distribution: str, version: semver.Version) -> bool:
    """Tell whether a live CRD can be taken for what that release brought: no newer one has left its mark on it."""
    author, _, text = (live["metadata"].get("annotations") or {}).get(CRD_WRITTEN_BY, "").partition("/")
    if author != distribution or not semver.Version.is_valid(text):
        return True
    return semver.Version.parse(text) <= version


def _names(crd: Object) -> Sequence[str]:
    return [version["name"] for version in crd["spec"]["versions"]]
