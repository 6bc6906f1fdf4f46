"""A reader of OCI registries: manifests, blobs, tags; nothing is ever written there.

Source: OCI distribution specification 1.1, "Pull" and "Content Discovery". What aiohttp and the registry say is
turned into the errors of ``meshupgrade.oci.errors`` here, and nowhere else.
"""

import hashlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import aiohttp
from yarl import URL

from meshupgrade.oci.auth import Challenge, Credentials, basic, fetch_token, parse_challenges
from meshupgrade.oci.errors import (
    DigestMismatch,
    ImageInvalid,
    ImageNotFound,
    OCIError,
    ReferenceInvalid,
    RegistryDenied,
    RegistryPlain,
    RegistryUnreachable,
    RegistryUntrusted,
    naming,
)
from meshupgrade.oci.manifests import ACCEPT, Document, choose_manifest, is_index, parse_document
from meshupgrade.oci.reference import ImageReference, is_digest
from meshupgrade.oci.tls import ClientTLS
from meshupgrade.oci.transport import (
    TLSChoice,
    TransportError,
    follow,
    is_tls_failure,
    is_transient_status,
    read_bounded,
    reason,
    same_origin,
    snippet,
    speaks_plain_http,
)

__all__ = ["RegistryClient"]

#: What the specification asks registries to take ("Pushing Manifests"); real ones have a few KiB.
MAX_MANIFEST = 4 * 1024 * 1024
#: A layer, packed. Images that run anything in a cluster stay well below it.
MAX_BLOB = 1024 * 1024 * 1024
MAX_TAG_PAGE = 4 * 1024 * 1024
MAX_TAG_PAGES = 100
MAX_ERROR_BODY = 16 * 1024
#: An index may name an index; nobody nests deeper than this.
MAX_INDEX_DEPTH = 3

METADATA_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
#: Ten minutes for a layer; a registry that sends nothing for half a minute is taken as gone before that.
BLOB_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=10, sock_read=30)

_CHUNK = 256 * 1024
_TAGS_A_PAGE = 1000

#: The name of the default registry is not the host that serves it.
_API_HOSTS = {"docker.io": "registry-1.docker.io"}

#: Digests are over the bytes as stored, so no compression in between.
_RAW = {"Accept-Encoding": "identity"}


class RegistryClient:
    """Reads from registries through a session that the caller owns: its proxy, its CA, its checks of hosts.

    ``insecure`` means plain http, for the registry and for its token service. The credentials, and the client
    certificate of ``tls``, are used for every registry that is asked, so one client serves one. What it raises is an
    OCIError; see there.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        insecure: bool = False,
        credentials: Credentials | None = None,
        tls: ClientTLS | None = None,
    ) -> None:
        self._session = session
        self._insecure = insecure
        self._credentials = credentials
        self._tls = tls
        self._authorizations: dict[tuple[str, str], str] = {}

    async def manifest(self, ref: ImageReference) -> tuple[str, Document]:
        """Give the digest of what the reference names, and the manifest to read layers from.

        The digest is the sha256 of the body of the first answer, verified when the reference is pinned: for an image
        of several platforms that of its index, which is what people pin. The manifest is one for linux.
        """
        digest, document = await self.document(ref)
        return digest, await self.resolve(ref, document)

    async def document(self, ref: ImageReference) -> tuple[str, Document]:
        """Give the digest and the document that the reference names, an index as it is."""
        subject = f"image {ref}"
        async with self._open(
            ref, subject, f"manifests/{ref.target}", {"Accept": ACCEPT, **_RAW}, METADATA_TIMEOUT
        ) as response:
            body = await read_bounded(response, MAX_MANIFEST)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if ref.digest and ref.digest != digest:
            raise DigestMismatch(
                f"{subject}: registry {ref.registry} answers with {digest} instead; do not use it before somebody "
                "has found out why"
            )
        with naming(subject):
            return digest, parse_document(body)

    async def resolve(self, ref: ImageReference, document: Document) -> Document:
        """Give the manifest of one linux image that the document is or names; see ``choose_manifest``."""
        for _ in range(MAX_INDEX_DEPTH):
            if not is_index(document):
                return document
            with naming(f"image {ref}"):
                digest = choose_manifest(document).digest
            _, document = await self.document(ImageReference(ref.registry, ref.repository, ref.tag, digest))
        if is_index(document):
            raise ImageInvalid(f"image {ref}: its indexes are nested too deep; name the image of one platform")
        return document

    async def blob(self, ref: ImageReference, digest: str, *, limit: int = MAX_BLOB) -> AsyncGenerator[bytes]:
        """Give the bytes of a blob of the image's repository, in chunks of at most 256 KiB.

        It is verified once it has been read to the end, so nothing of it is to be used before: DigestMismatch is
        raised there, or as soon as it is longer than ``limit`` bytes. Close it when it is not read to the end.
        """
        subject = f"image {ref}"
        if not is_digest(digest):
            raise ReferenceInvalid(f"{subject}: {digest[:100]!r} is not a sha256 digest")
        computed, length = hashlib.sha256(), 0
        async with self._open(ref, subject, f"blobs/{digest}", _RAW, BLOB_TIMEOUT) as response:
            async for chunk in response.content.iter_chunked(_CHUNK):
                computed.update(chunk)
                length += len(chunk)
                if length > limit:
                    raise DigestMismatch(f"{subject}: layer {digest} is longer than the {limit} bytes it should have")
                yield chunk
        if f"sha256:{computed.hexdigest()}" != digest:
            raise DigestMismatch(f"{subject}: layer {digest} arrives with other bytes; push the image again")

    async def tags(self, repository: ImageReference) -> tuple[str, ...]:
        """Give all tags of the repository, in the registry's order; the reference's own tag and digest do not count.

        Source: OCI distribution specification 1.1, "Listing Tags"; pages follow the Link header (RFC 8288).
        """
        subject = f"repository {repository.registry}/{repository.repository}"
        found: list[str] = []
        path = f"tags/list?n={_TAGS_A_PAGE}"
        for _ in range(MAX_TAG_PAGES):
            async with self._open(
                repository, subject, path, {"Accept": "application/json"}, METADATA_TIMEOUT
            ) as response:
                body = await read_bounded(response, MAX_TAG_PAGE)
                following = _next_page(response, subject)
            found += _tags_in(body, subject)
            if following is None:
                return tuple(found)
            # Or the login would go there: what a page links to is no redirect.
            if not same_origin(following, self._url(repository, "")):
                raise ImageInvalid(f"{subject}: its list of tags goes on on another host, which is not asked")
            path = str(following)
        raise ImageInvalid(f"{subject}: more than {MAX_TAG_PAGES} pages of tags; remove old ones")

    def _url(self, ref: ImageReference, path: str) -> URL:
        host = _API_HOSTS.get(ref.registry, ref.registry)
        base = URL(f"{'http' if self._insecure else 'https'}://{host}/v2/{ref.repository}/")
        return base.join(URL(path))

    @asynccontextmanager
    async def _open(
        self, ref: ImageReference, subject: str, path: str, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """GET and give an answer with status 200; a challenge of the registry itself is answered once."""
        url, key = self._url(ref, path), (ref.registry, ref.repository)
        tls = self._tls.towards(url) if self._tls else None
        with _translated(subject, ref.registry):
            for challenges_allowed in (True, False):
                async with follow(
                    self._session,
                    url,
                    timeout=timeout,
                    headers=headers,
                    authorization=self._authorizations.get(key),
                    plain_http=self._insecure,
                    tls=tls,
                ) as response:
                    if response.status == 200:
                        yield response
                        return
                    # A challenge of a host that was redirected to is not answered: the credentials are not for it.
                    answerable = response.status == 401 and same_origin(response.url, url)
                    if not (challenges_allowed and answerable):
                        raise await self._refusal(subject, response)
                    challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
                self._authorizations[key] = await self._authorize(ref, subject, challenges, tls)

    async def _authorize(
        self, ref: ImageReference, subject: str, challenges: Sequence[Challenge], tls: TLSChoice | None
    ) -> str:
        offered = {challenge.scheme: challenge for challenge in reversed(challenges)}
        if "bearer" in offered:
            return await fetch_token(
                self._session,
                offered["bearer"],
                subject=subject,
                scope=f"repository:{ref.repository}:pull",
                credentials=self._credentials,
                insecure=self._insecure,
                tls=tls,
            )
        if "basic" not in offered:
            raise RegistryDenied(
                f"{subject}: registry {ref.registry} wants a login of a kind that is not spoken here "
                f"({snippet(', '.join(offered)) or 'it does not say which'}); use one with basic or token login"
            )
        if self._credentials is None:
            raise RegistryDenied(f"{subject}: registry {ref.registry} wants a login; give its pull secret")
        return basic(self._credentials)

    async def _refusal(self, subject: str, response: aiohttp.ClientResponse) -> OCIError:
        status, detail = response.status, await _detail(response)
        answer = f"{subject}: {response.url.host} answers {status}{detail}"
        if status == 404:
            return ImageNotFound(f"{answer}; check the name, and that it has been pushed")
        if status in (401, 403):
            remedy = "check the login given for it" if self._credentials else "give a pull secret for it"
            return RegistryDenied(
                f"{answer}; {remedy}, or check the name: some registries answer so for what does not exist"
            )
        if is_transient_status(status):
            return RegistryUnreachable(f"{answer}; try again later")
        plainly = " over plain http" if self._insecure else ""
        return ImageInvalid(f"{answer}{plainly}; check the name, and that this is an OCI registry")


@contextmanager
def _translated(subject: str, registry: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        cause = f"{subject}: registry {registry} cannot be read: {reason(error)}"
        if speaks_plain_http(error):
            raise RegistryPlain(f"{cause}; allow insecure access, or give a registry with TLS") from error
        if is_tls_failure(error):
            raise RegistryUntrusted(
                f"{cause}; give the CA that signed it, and a client certificate if it wants one"
            ) from error
        raise RegistryUnreachable(f"{cause}; check the name, and that it can be reached from here") from error
    except TransportError as error:
        raise ImageInvalid(f"{subject}: {error}; check the name, and that this is an OCI registry") from error


async def _detail(response: aiohttp.ClientResponse) -> str:
    """Give what the registry itself says of an error (specification, "Error Codes"), in brackets, or nothing."""
    try:
        body = await read_bounded(response, MAX_ERROR_BODY)
        first = json.loads(body)["errors"][0]
        said = f"{first.get('code', '')} {first.get('message', '')}"
    except (TransportError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        # Proxies and misplaced web servers answer in any form; then the status has to do.
        return ""
    return f" ({snippet(said, 200)})"


def _next_page(response: aiohttp.ClientResponse, subject: str) -> URL | None:
    try:
        link = response.links.get("next")
        following = None if link is None else URL(str(link["url"]))
        return following if following is None or following.host else None
    except ValueError:
        raise ImageInvalid(f"{subject}: its list of tags goes on at something that is no URL") from None


def _tags_in(body: bytes, subject: str) -> list[str]:
    try:
        tags = json.loads(body)["tags"]
    except (ValueError, RecursionError, LookupError, TypeError):
        raise ImageInvalid(f"{subject}: the answer is no list of tags; is this an OCI registry?") from None
    # A repository whose tags were all deleted answers null.
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
