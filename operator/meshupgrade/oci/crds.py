"""The CRDs in an image, from its name to a list."""

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp

from meshupgrade.oci.auth import Credentials
from meshupgrade.oci.cache import CRDCache
from meshupgrade.oci.documents import CRD, crds_in_files
from meshupgrade.oci.errors import (
    ImageInvalid,
    ImageNotFound,
    NoCRDs,
    OCIError,
    RegistryDenied,
    RegistryUntrusted,
    ScratchUnavailable,
    naming,
)
from meshupgrade.oci.layers import extract_folder
from meshupgrade.oci.manifests import Descriptor, Document, layers_of
from meshupgrade.oci.reference import ImageReference, parse_reference
from meshupgrade.oci.registry import RegistryClient
from meshupgrade.oci.tls import ClientTLS
from meshupgrade.oci.transport import snippet

__all__ = ["ImageCRDs", "read_crds"]

#: All layers of one image, packed, in bytes: what they take on disk while they are read.
MAX_PACKED = 1024 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageCRDs:
    """The CRDs of one image, and the digest that pins it: for an image of several platforms that of its index."""

    digest: str
    crds: list[CRD]


async def read_crds(
    ref: str,
    folder: str,
    *,
    session: aiohttp.ClientSession,
    insecure: bool,
    logins: Sequence[Credentials | None] = (None,),
    tls: ClientTLS | None = None,
    cache_dir: Path | None,
) -> ImageCRDs:
    """Give the CustomResourceDefinitions in the YAML files under a folder of the image, sorted by name.

    ``insecure`` means plain http. The ``logins`` are tried in their order until the registry gives the image; None
    asks without one. With ``cache_dir``, what was read before under the same digest is taken from there, for a pinned
    reference without asking the registry; the layers pass through it too, as files without a name.
    Raises an OCIError: ImageNotFound, RegistryUnreachable (transient), RegistryDenied, ImageInvalid (no such folder,
    no CRD, YAML that cannot be read, two CRDs of one name, bounds), ScratchUnavailable.
    """
    reference = parse_reference(ref)
    cache = CRDCache(cache_dir) if cache_dir else None
    if reference.digest and (known := await _load(cache, reference.digest, folder)):
        return known
    clients = [RegistryClient(session, insecure=insecure, credentials=login, tls=tls) for login in logins or (None,)]
    client, digest, document = await _admitted(clients, reference)
    if known := await _load(cache, digest, folder):
        return known
    manifest = await client.resolve(reference, document)
    with naming(f"image {reference}"):
        layers = _checked_layers(manifest)
    with ExitStack() as scratch:
        files = await _download(client, reference, layers, cache_dir, scratch)
        with naming(f"image {reference}"):
            crds = await asyncio.to_thread(_crds_in_layers, files, folder)
    await _store(cache, digest, folder, crds)
    return ImageCRDs(digest, crds)


async def _admitted(
    clients: Sequence[RegistryClient], reference: ImageReference
) -> tuple[RegistryClient, str, Document]:
    """Give the first client that the registry gives the image to, and what it gave; raises what the first one met."""
    refusals: list[OCIError] = []
    for client in clients:
        try:
            return client, *await client.document(reference)
        except RegistryUntrusted:
            raise
        except (RegistryDenied, ImageNotFound) as error:
            # Registries hide what somebody may not read behind either.
            refusals.append(error)
    raise refusals[0]


def _checked_layers(manifest: Document) -> tuple[Descriptor, ...]:
    layers = layers_of(manifest)
    size = sum(layer.size for layer in layers)
    if size > MAX_PACKED:
        raise ImageInvalid(f"its layers have {size} bytes, more than {MAX_PACKED}; give an image that holds CRDs only")
    return layers


async def _download(
    client: RegistryClient,
    reference: ImageReference,
    layers: Sequence[Descriptor],
    directory: Path | None,
    scratch: ExitStack,
) -> list[BinaryIO]:
    """Give the layers as files that the stack closes; a layer that comes twice is one file."""
    files: dict[str, BinaryIO] = {}
    for layer in layers:
        if layer.digest not in files:
            files[layer.digest] = await _fetch(client, reference, layer, directory, scratch)
    return [files[layer.digest] for layer in layers]


async def _fetch(
    client: RegistryClient, reference: ImageReference, layer: Descriptor, directory: Path | None, scratch: ExitStack
) -> BinaryIO:
    try:
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
        # Without a name in the directory, so that a crash leaves nothing behind.
        file = scratch.enter_context(tempfile.TemporaryFile(dir=directory))  # noqa: SIM115 - the stack closes it
        async with aclosing(client.blob(reference, layer.digest, limit=layer.size)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
        file.seek(0)
    except OSError as error:
        raise ScratchUnavailable(
            f"image {reference}: no place to keep its layers while they are read: {error.strerror or error}; give the "
            "operator's volume for temporary files more room"
        ) from error
    return file


def _crds_in_layers(files: Sequence[BinaryIO], folder: str) -> list[CRD]:
    found = extract_folder(files, folder)
    if not found:
        raise NoCRDs(f"it has no files in the folder {folder}; is it the image of the mesh's bootstrap?")
    crds = crds_in_files(found)
    if not crds:
        names = ", ".join(list(found)[:5])
        raise NoCRDs(f"no file in its folder {folder} holds a CustomResourceDefinition ({snippet(names, 200)})")
    return crds


async def _load(cache: CRDCache | None, digest: str, folder: str) -> ImageCRDs | None:
    crds = await asyncio.to_thread(cache.load, digest, folder) if cache else None
    return ImageCRDs(digest, crds) if crds else None


async def _store(cache: CRDCache | None, digest: str, folder: str, crds: list[CRD]) -> None:
    if cache is None:
        return
    try:
        await asyncio.to_thread(cache.store, digest, folder, crds)
    except OSError as error:
        # They have been read, which is what was asked for; next time they are read again.
        _log.warning("cannot keep CRDs of an image in the cache: %s", error)
