"""Which layers an image has, out of the documents that registries keep.

Sources: OCI image specification 1.1, "Image Index" and "Image Manifest"; the older docker documents, image manifest
version 2 schema 2, have the same fields.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshupgrade.oci.errors import ImageInvalid
from meshupgrade.oci.reference import is_digest

__all__ = ["ACCEPT", "Descriptor", "Document", "choose_manifest", "is_index", "layers_of", "parse_document"]

Document = dict[str, Any]

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)

#: An overlay file system takes 127 lower layers, so no image that runs has more.
MAX_LAYERS = 128

#: CRDs are the same on every platform; one fixed order makes every reader choose the same manifest.
_ARCHITECTURES = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a document says of a blob; the size is that of the packed blob, in bytes."""

    digest: str
    size: int


def parse_document(body: bytes) -> Document:
    """Give the index or the manifest in the body; raises ImageInvalid when it is neither."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ImageInvalid("the registry answers with something that is no image manifest; is it a registry?") from None
    if not isinstance(document, dict):
        raise ImageInvalid("its manifest is no JSON object; push the image again")
    if document.get("schemaVersion") == 1:
        raise ImageInvalid("it is in docker's schema 1, which runtimes no longer read; push it again with a newer tool")
    if ("manifests" in document) == ("layers" in document):
        # With both, two readers could see two images under one digest (the ambiguity of CVE-2021-41190).
        raise ImageInvalid("its manifest must list either manifests or layers; is it an image?")
    return document


def is_index(document: Mapping[str, Any]) -> bool:
    """Tell whether this lists manifests of several platforms, and not layers."""
    return "manifests" in document


def choose_manifest(index: Mapping[str, Any]) -> Descriptor:
    """Give the manifest to read CRDs from: linux, amd64 before arm64 before the first; raises ImageInvalid."""
    entries = [entry for entry in _objects(index["manifests"]) if _runs_on_linux(entry)]
    if not entries:
        raise ImageInvalid("its index lists no linux image; give one that has linux in it")
    return _descriptor(min(entries, key=_preference))


def layers_of(manifest: Mapping[str, Any]) -> tuple[Descriptor, ...]:
    """Give the layers, the lowest first; raises ImageInvalid when there are none, or beyond the bound."""
    layers = tuple(_descriptor(entry) for entry in _objects(manifest["layers"]))
    if not 0 < len(layers) <= MAX_LAYERS:
        raise ImageInvalid(f"it has {len(layers)} layers; an image has 1 to {MAX_LAYERS}")
    return layers


def _objects(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ImageInvalid("its manifest is damaged; push the image again")
    return value


def _platform(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    platform = entry.get("platform")
    return platform if isinstance(platform, dict) else {}


def _runs_on_linux(entry: Mapping[str, Any]) -> bool:
    # The platform is optional; without one, the only thing to go by is that an attestation names "unknown".
    return bool(_platform(entry).get("os", "linux") == "linux")


def _preference(entry: Mapping[str, Any]) -> int:
    architecture = _platform(entry).get("architecture")
    return _ARCHITECTURES.index(architecture) if architecture in _ARCHITECTURES else len(_ARCHITECTURES)


def _descriptor(entry: Mapping[str, Any]) -> Descriptor:
    digest, size = entry.get("digest"), entry.get("size")
    if not is_digest(digest) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageInvalid("its manifest names a part without a sha256 digest and a size; push the image again")
    return Descriptor(str(digest), size)
