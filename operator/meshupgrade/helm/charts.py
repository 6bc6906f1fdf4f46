"""Chart archives: fetched over http(s) or out of an OCI registry, checked against what lists them, and kept by digest.

They are fetched here and not by Helm, so that no login ever leaves this process: Helm takes one only as an argument, or
from a file that it also writes to. A login goes to the host of the repository and to no other, whatever an index names.
Sources: Helm's documentation, "The Chart Repository Guide" and "Use OCI-based registries"; media types from
helm.sh/helm/v4/pkg/registry/constants.go.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from meshupgrade.helm.chart_cache import ChartArchive, ChartCache, sha256
from meshupgrade.helm.repository import (
    ChartNotListed,
    ChartVersion,
    RepositoryDenied,
    RepositoryError,
    RepositoryInvalid,
    RepositoryUnreachable,
    common_refusal,
)
from meshupgrade.oci.auth import Credentials, basic
from meshupgrade.oci.errors import ImageNotFound, OCIError, RegistryDenied
from meshupgrade.oci.reference import ImageReference
from meshupgrade.oci.registry import RegistryClient
from meshupgrade.oci.tls import ClientTLS
from meshupgrade.oci.transport import (
    TransportError,
    follow,
    is_tls_failure,
    read_bounded,
    reason,
    same_origin,
    snippet,
)

__all__ = ["ChartArchive", "ChartSource", "fetch_chart"]

MAX_ARCHIVE = 100 * 1024 * 1024
"""Bytes; Helm takes no chart that has more, unpacked."""

MAX_PROVENANCE = 1024 * 1024

ARCHIVE_TYPES = ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/tar+gzip")
PROVENANCE_TYPES = ("application/vnd.cncf.helm.chart.provenance.v1.prov",)

TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10, sock_read=30)


@dataclass(frozen=True)
class ChartSource:
    """A chart repository and how to get in."""

    repository: str
    insecure: bool = False
    credentials: Credentials | None = None
    tls: ClientTLS | None = None


async def fetch_chart(
    session: aiohttp.ClientSession, cache: ChartCache, source: ChartSource, chart: ChartVersion, *, provenance: bool
) -> ChartArchive:
    """Give the chart archive, from the cache when what lists it tells its digest and it is there.

    With ``provenance`` the file that proves its origin comes along. Raises a RepositoryError: RepositoryUnreachable
    (transient), ChartNotListed for what is listed and not there, RepositoryInvalid for an archive that has another
    digest than is listed.
    """
    if not chart.urls:
        raise RepositoryInvalid(f"{source.repository} lists chart {chart.name} {chart.raw_version} without a URL")
    url = URL(chart.urls[0])
    fetch = _fetch_from_registry if url.scheme == "oci" else _fetch_over_http
    return await fetch(session, cache, source, chart, url, provenance=provenance)


async def _fetch_over_http(
    session: aiohttp.ClientSession,
    cache: ChartCache,
    source: ChartSource,
    chart: ChartVersion,
    url: URL,
    *,
    provenance: bool,
) -> ChartArchive:
    repository = URL(source.repository)
    own = same_origin(url, repository)
    if own and not url.query:
        # Helm keeps a query, in which some repositories want a token.
        url = url.with_query(repository.query)
    server = _Server(session, source, repository, own=own)
    listed = _listed_digest(chart)
    path = await asyncio.to_thread(cache.find, listed) if listed else None
    digest = listed
    if path is None:
        content = await server.get(url, MAX_ARCHIVE)
        digest = sha256(content)
        if listed and digest != listed:
            raise RepositoryInvalid(
                f"the archive {url.name} has digest {digest}, and the index of {repository.host} lists {listed}; do "
                "not use it before somebody has found out why"
            )
        path = await asyncio.to_thread(cache.store, digest, content)
    proof = await server.get(url.with_path(f"{url.path}.prov", keep_query=True), MAX_PROVENANCE) if provenance else None
    return ChartArchive(path, digest, url.name, proof)


class _Server:
    """What gives archives over http(s)."""

    def __init__(self, session: aiohttp.ClientSession, source: ChartSource, repository: URL, *, own: bool) -> None:
        credentials = source.credentials
        if credentials is None and repository.user:
            credentials = Credentials(repository.user, repository.password or "")
        self._authorization = basic(credentials) if credentials and own else None
        self._session = session
        self._insecure = source.insecure
        self._tls = source.tls.towards(repository) if source.tls else None

    async def get(self, url: URL, limit: int) -> bytes:
        with _translated(url):
            async with follow(
                self._session,
                url,
                timeout=TIMEOUT,
                # The digest is that of the archive as it is kept.
                headers={"Accept": "application/gzip, application/octet-stream, */*", "Accept-Encoding": "identity"},
                authorization=self._authorization,
                plain_http=self._insecure,
                tls=self._tls,
                raw=True,
            ) as response:
                if response.status != 200:
                    raise self._refusal(url, response.status)
                return await read_bounded(response, limit)

    def _refusal(self, url: URL, status: int) -> RepositoryError:
        answer = f"{url.host} answers {status} for {snippet(url.name, 120)}"
        common = common_refusal(answer, status, with_login=self._authorization is not None)
        return common or ChartNotListed(f"{answer}; check that the repository is complete")


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        cause = f"{snippet(url.name, 120)} cannot be read from {url.host}: {reason(error)}"
        raise (RepositoryDenied if is_tls_failure(error) else RepositoryUnreachable)(cause) from error
    except TransportError as error:
        raise RepositoryInvalid(f"{snippet(url.name, 120)}: {error}") from error


async def _fetch_from_registry(
    session: aiohttp.ClientSession,
    cache: ChartCache,
    source: ChartSource,
    chart: ChartVersion,
    url: URL,
    *,
    provenance: bool,
) -> ChartArchive:
    reference = _reference(url)
    own = source.repository.startswith(f"oci://{reference.registry}/")
    client = RegistryClient(
        session,
        insecure=source.insecure,
        credentials=source.credentials if own else None,
        tls=source.tls if own else None,
    )
    name = f"{chart.name}-{chart.raw_version}.tgz"
    try:
        _, manifest = await client.document(reference)
        digest = _layer(manifest, ARCHIVE_TYPES)
        if digest is None:
            raise RepositoryInvalid(f"{reference} is no Helm chart; check spec.chart")
        path = await asyncio.to_thread(cache.find, digest)
        if path is None:
            content = await _blob(client, reference, digest, MAX_ARCHIVE)
            path = await asyncio.to_thread(cache.store, digest, content)
        proof = _layer(manifest, PROVENANCE_TYPES) if provenance else None
        proven = await _blob(client, reference, proof, MAX_PROVENANCE) if proof else None
    except OCIError as error:
        kinds = {ImageNotFound: ChartNotListed, RegistryDenied: RepositoryDenied}
        kind = next((kind for cause, kind in kinds.items() if isinstance(error, cause)), RepositoryInvalid)
        raise (RepositoryUnreachable if error.transient else kind)(f"chart {name}: {error}") from error
    return ChartArchive(path, digest, name, proven)


def _reference(url: URL) -> ImageReference:
    path, _, tag = url.path.strip("/").rpartition(":")
    return ImageReference(url.authority, path, tag)


def _layer(manifest: Mapping[str, Any], types: tuple[str, ...]) -> str | None:
    layers = manifest.get("layers")
    found = [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    return next((str(layer.get("digest")) for layer in found if layer.get("mediaType") in types), None)


async def _blob(client: RegistryClient, reference: ImageReference, digest: str, limit: int) -> bytes:
    content = bytearray()
    async with aclosing(client.blob(reference, digest, limit=limit)) as chunks:
        async for chunk in chunks:
            content += chunk
    return bytes(content)


def _listed_digest(chart: ChartVersion) -> str:
    if not chart.digest:
        return ""
    digest = chart.digest.removeprefix("sha256:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise RepositoryInvalid(
            f"the index lists chart {chart.name} {chart.raw_version} with the digest {snippet(chart.digest)!r}, which "
            "is no sha256"
        )
    return f"sha256:{digest}"
