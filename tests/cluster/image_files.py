"""Read files out of an image in the rig's registry, as a container that is started from it would see them."""

import io
import json
import tarfile
import urllib.request
from pathlib import PurePosixPath
from typing import Any

from .ports import DIRECT, LOOPBACK

__all__ = ["ImageUnavailable", "read_folder"]

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
REQUEST_SECONDS = 30.0
#: In a layer, a file of that name takes away what the layers below have put there.
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


class ImageUnavailable(Exception):
    """The image cannot be pulled; the message names it."""


def read_folder(image: str, folder: str, registry: str) -> dict[str, bytes]:
    """The files directly in `folder` of an image, by name.

    The image is looked for in the rig's `registry` (``host:port``), under its own path when it names another host: as
    with a node whose container runtime has a mirror. Raises ImageUnavailable.
    """
    host, repository, reference = _split(image)
    source = f"http://{host if host.startswith((LOOPBACK, 'localhost')) else registry}/v2/{repository}"
    try:
        manifest = _manifest(source, reference)
        files: dict[PurePosixPath, bytes] = {}
        for layer in manifest["layers"]:
            _add_layer(files, _get(f"{source}/blobs/{layer['digest']}"))
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        raise ImageUnavailable(f"image {image} cannot be pulled: {error}") from error
    return {path.name: content for path, content in files.items() if str(path.parent) == folder}


def _split(image: str) -> tuple[str, str, str]:
    """Host, repository and tag or digest of an image's name."""
    name, at, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    host, path = (first, rest) if slash and ("." in first or ":" in first or first == "localhost") else ("", name)
    repository, _, tag = path.partition(":")
    return host, repository, digest if at else tag or "latest"


def _manifest(source: str, reference: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(_get(f"{source}/manifests/{reference}"))
    if "manifests" in manifest:
        # The folder with the CRDs is the same on every platform.
        return _manifest(source, manifest["manifests"][0]["digest"])
    return manifest


def _get(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": ", ".join(MANIFESTS)})
    with DIRECT.open(request, timeout=REQUEST_SECONDS) as answer:
        return bytes(answer.read())


def _add_layer(files: dict[PurePosixPath, bytes], blob: bytes) -> None:
    """Put one layer (tar, compressed or not) over the files of the layers below it."""
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        added: dict[PurePosixPath, bytes] = {}
        for member in archive:
            path = PurePosixPath(member.name.lstrip("/"))
            path = PurePosixPath(*(part for part in path.parts if part != "."))
            if path.name == OPAQUE:
                _remove(files, path.parent)
            elif path.name.startswith(WHITEOUT):
                _remove(files, path.with_name(path.name.removeprefix(WHITEOUT)))
            elif member.isfile():
                content = archive.extractfile(member)
                added[path] = content.read() if content else b""
    files |= added


def _remove(files: dict[PurePosixPath, bytes], path: PurePosixPath) -> None:
    for gone in [file for file in files if file == path or path in file.parents]:
        del files[gone]
