"""Pushes images that hold nothing but files: just enough OCI for whoever reads the CRDs out of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from tests.charts.crds import crd_files
from tests.charts.releases import Release, releases

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CRD_FOLDER = "/osm-crds"

# The registry is on this machine; a proxy from the environment would look for it elsewhere.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def push_image(registry: str, repository: str, tag: str, files: Mapping[str, bytes], *, index: bool = False) -> str:
    """Push one image by plain HTTP; returns the digest of what the tag then names.

    With ``index`` the tag names an image index of two architectures, as multi-platform builds push it.
    """
    target = f"http://{registry}/v2/{repository}"
    tar = _layer(files)
    layer = _push_blob(target, LAYER, gzip.compress(tar, mtime=0))
    images = {architecture: _manifest(target, architecture, layer, tar) for architecture in ("amd64", "arm64")}
    if not index:
        return _push_manifest(target, tag, images["amd64"])
    listed = []
    for architecture, image in images.items():
        digest = _push_manifest(target, _digest(image), image)
        platform = {"os": "linux", "architecture": architecture}
        listed.append({"mediaType": MANIFEST, "digest": digest, "size": len(image), "platform": platform})
    return _push_manifest(target, tag, _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}))


def push_crd_images(registry: str, which: Iterable[Release] | None = None) -> dict[str, str]:
    """Push the image with the CRDs of each release (default: all, the broken too); version to ``name:tag@digest``."""
    pushed = {}
    for release in releases(include_broken=True) if which is None else which:
        files = {f"{CRD_FOLDER}/{name}": content for name, content in crd_files(release.version).items()}
        repository, tag = release.crd_repository, release.image_tag
        digest = push_image(registry, repository, tag, files, index=release.crd_image_is_index)
        pushed[release.version] = f"{registry}/{repository}:{tag}@{digest}"
    return pushed


def _layer(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size = len(files[name])
            tar.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


def _manifest(target: str, architecture: str, layer: Mapping[str, Any], tar: bytes) -> bytes:
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
    }
    descriptor = _push_blob(target, CONFIG, _json(config))
    return _json({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [layer]})


def _push_blob(target: str, media_type: str, content: bytes) -> dict[str, Any]:
    digest = _digest(content)
    started = _send("POST", f"{target}/blobs/uploads/", b"")
    location = urllib.parse.urljoin(target, started["Location"])
    separator = "&" if "?" in location else "?"
    _send("PUT", f"{location}{separator}digest={urllib.parse.quote(digest)}", content, "application/octet-stream")
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _push_manifest(target: str, reference: str, content: bytes) -> str:
    media_type: str = json.loads(content)["mediaType"]
    _send("PUT", f"{target}/manifests/{reference}", content, media_type)
    return _digest(content)


def _send(method: str, url: str, body: bytes, media_type: str | None = None) -> Mapping[str, str]:
    headers = {"Content-Type": media_type} if media_type else {}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with _OPENER.open(request, timeout=10) as response:
            return dict(response.headers)
    except urllib.error.HTTPError as refused:
        reason = refused.read().decode(errors="replace")
        raise RuntimeError(f"{method} {url} was refused with {refused.code}: {reason}") from refused


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
