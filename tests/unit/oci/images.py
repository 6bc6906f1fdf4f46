"""Images as their parts: what a registry would keep, made here byte by byte."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.unit.oci.layer_builder import Entry, file, layer

__all__ = [
    "DOCKER_LIST",
    "DOCKER_MANIFEST",
    "INDEX",
    "LAYER",
    "MANIFEST",
    "ZSTD_LAYER",
    "Image",
    "crd",
    "crd_file",
    "digest_of",
    "image",
    "index_of",
]

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def crd(name: str, **spec: Any) -> dict[str, Any]:
    plural, _, group = name.partition(".")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {"group": group, "names": {"plural": plural}, "versions": [{"name": "v1"}], **spec},
    }


def crd_file(name: str, *crds: dict[str, Any]) -> Entry:
    return file(f"osm-crds/{name}", yaml.safe_dump_all(crds))


@dataclass
class Image:
    """An image as its parts: blobs by digest, and the manifest."""

    layers: Sequence[bytes]
    manifest_type: str = MANIFEST
    layer_types: Sequence[str] = ()
    blobs: dict[str, bytes] = field(init=False)
    manifest: bytes = field(init=False)

    def __post_init__(self) -> None:
        config = b'{"architecture":"amd64","os":"linux"}'
        self.blobs = {digest_of(content): content for content in [config, *self.layers]}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": self.manifest_type,
                "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
                "layers": [
                    {"mediaType": kind, "digest": digest_of(content), "size": len(content)}
                    for content, kind in zip(self.layers, self.layer_types or [LAYER] * len(self.layers), strict=True)
                ],
            }
        ).encode()

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def image(*entries: Entry) -> Image:
    return Image([layer(*entries)])


def index_of(*images: tuple[str, str, Image], media_type: str = INDEX) -> bytes:
    """Give an index of images, each with its system and architecture."""
    entries = [
        {
            "mediaType": each.manifest_type,
            "digest": each.digest,
            "size": len(each.manifest),
            "platform": {"os": system, "architecture": architecture},
        }
        for system, architecture, each in images
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
