"""The mark on a CRD: which mesh version wrote it, and whether what lives still is what that version wrote.

An older bootstrap replaces the spec of a CRD and leaves its annotations, so the mark carries a digest of each version
that it speaks of.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import semver

from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY, CRD_WRITTEN_VERSIONS

__all__ = ["mark", "served_names", "written_by_newer"]

Object = Mapping[str, Any]

DIGEST_LENGTH = 16


def mark(crd: Object, names: Collection[str]) -> str:
    """Give the value of the annotation that the versions of those names, as the API server holds them, are told by."""
    digests = {version["name"]: _digest(version) for version in crd["spec"]["versions"] if version["name"] in names}
    return ",".join(f"{name}={digest}" for name, digest in sorted(digests.items()))


def written_by_newer(live: Object, shipped: Object, distribution: str, version: semver.Version) -> str | None:
    """Give the mesh version that wrote the live CRD when it is newer than ours, else None.

    A live CRD that lacks a version we ship, or whose versions are not those that the mark tells, is not what the newer
    mesh wrote: an older bootstrap put its own back, and left the mark.
    """
    if not served_names(shipped) <= served_names(live) or not _holds(live):
        return None
    author, _, text = (live["metadata"].get("annotations") or {}).get(CRD_WRITTEN_BY, "").partition("/")
    if author != distribution or not semver.Version.is_valid(text):
        return None
    return text if semver.Version.parse(text) > version else None


def served_names(crd: Object) -> set[str]:
    """Give the names of the versions that are served."""
    return {version["name"] for version in crd["spec"]["versions"] if version.get("served")}


def _holds(live: Object) -> bool:
    told = (live["metadata"].get("annotations") or {}).get(CRD_WRITTEN_VERSIONS)
    if not told:
        return True  # a mark of an operator that wrote no digests
    names = [part.partition("=")[0] for part in told.split(",")]
    return bool(mark(live, names) == told)


def _digest(version: Object) -> str:
    """Give the digest of a version, whether it is the stored one or not: storage is switched later, and by others."""
    content = {key: value for key, value in version.items() if key != "storage"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGEST_LENGTH]
