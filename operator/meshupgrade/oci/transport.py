"""HTTP as registries and chart repositories need it: redirects by hand, bodies with an end.

Redirects are followed here and not by the client, for two rules: a credential never goes to another host than the one
it is for (RFC 9110 section 15.4 leaves that to the client), and https never becomes plain http unnoticed. Each hop is
a request of its own to the session, so whatever the session checks, it checks for every hop.

    TransportError
    ├── HostInvalid
    ├── RedirectRefused
    └── BodyTooLarge
"""

import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

__all__ = [
    "BodyTooLarge",
    "HostInvalid",
    "RedirectRefused",
    "TLSChoice",
    "TransportError",
    "follow",
    "is_tls_failure",
    "is_transient_status",
    "post_form",
    "read_bounded",
    "reason",
    "same_origin",
    "snippet",
    "speaks_plain_http",
]

MAX_REDIRECTS = 5

#: 303 is in it because only GET is sent here.
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_CHUNK = 64 * 1024

TLSChoice = Callable[[URL], ssl.SSLContext]
"""Gives the TLS context for a URL; without one the session's own is used."""


class TransportError(Exception):
    """An answer that is not taken."""


class HostInvalid(TransportError):
    """A host that no name server can have."""


class RedirectRefused(TransportError):
    """A redirect that leads nowhere, away from https, or on and on."""


class BodyTooLarge(TransportError):
    """A body beyond the bound."""


@asynccontextmanager
async def follow(
    session: aiohttp.ClientSession,
    url: URL,
    *,
    timeout: aiohttp.ClientTimeout,
    headers: Mapping[str, str],
    authorization: str | None = None,
    plain_http: bool = False,
    tls: TLSChoice | None = None,
    raw: bool = False,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """GET the URL and give the first answer that is not a redirect, whatever its status.

    ``authorization`` is the value of that header; it is dropped for good at the first redirect to another scheme,
    host or port. User information in a URL is never sent. ``plain_http`` allows a redirect from https to http.
    ``raw`` leaves a body packed that the server says it packed: some say so of every .tgz. ``timeout`` is per hop.
    Raises HostInvalid, RedirectRefused, and what aiohttp raises.
    """
    for _ in range(MAX_REDIRECTS + 1):
        _check_host(url)
        sent = {**headers, "Authorization": authorization} if authorization else headers
        async with session.get(
            url.with_user(None),
            headers=sent,
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            ssl=tls(url) if tls else True,
            auto_decompress=not raw,
        ) as response:
            if response.status not in _REDIRECTS:
                yield response
                return
            target = _target(url, response.headers.get("Location"), plain_http=plain_http)
        if not same_origin(target, url):
            authorization = None
        url = target
    raise RedirectRefused(f"more than {MAX_REDIRECTS} redirects, the last one to {url.host}")


@asynccontextmanager
async def post_form(
    session: aiohttp.ClientSession,
    url: URL,
    form: Mapping[str, str],
    *,
    timeout: aiohttp.ClientTimeout,
    headers: Mapping[str, str],
    tls: TLSChoice | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """POST a form and give the answer; a redirect is not followed, since the form would go along.

    Raises HostInvalid, and what aiohttp raises.
    """
    _check_host(url)
    async with session.post(
        url.with_user(None),
        data=form,
        headers=headers,
        timeout=timeout,
        allow_redirects=False,
        raise_for_status=False,
        ssl=tls(url) if tls else True,
    ) as response:
        yield response


def _check_host(url: URL) -> None:
    # RFC 1035 section 2.3.4; what it forbids leaves the resolver as a bare UnicodeError.
    labels = (url.raw_host or "").removesuffix(".").split(".")
    if not all(0 < len(label) <= 63 for label in labels):
        raise HostInvalid(f"{snippet(url.raw_host or '')!r} is no name of a host")


def _target(url: URL, location: str | None, *, plain_http: bool) -> URL:
    if not location:
        raise RedirectRefused(f"{url.host} redirects without saying where to")
    try:
        target = url.join(URL(location))
    except ValueError:
        raise RedirectRefused(f"{url.host} redirects to something that is not a URL") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise RedirectRefused(f"{url.host} redirects to a {target.scheme or 'nameless'} address")
    if url.scheme == "https" and target.scheme == "http" and not plain_http:
        raise RedirectRefused(f"{url.host} redirects from https to plain http on {target.host}")
    return target


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Give the whole body, of at most ``limit`` bytes after decompression; raises BodyTooLarge beyond it."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(f"{response.url.host} sends more than {limit} bytes")
    return bytes(body)


def same_origin(one: URL, other: URL) -> bool:
    """Tell whether two URLs are of one server: scheme, host and port, whether the port is said or not."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def is_transient_status(status: int) -> bool:
    """Tell whether a status says that the same request may succeed later: too many requests, or a server's fault."""
    return status in (408, 425, 429) or status >= 500


def is_tls_failure(error: BaseException) -> bool:
    """Tell whether TLS did not get through, which no waiting helps."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return True
    # With TLS 1.3 the other side judges a client certificate only when the handshake is over. An end without a word is
    # an SSLError too, and may be a passing one.
    return isinstance(error.__cause__, ssl.SSLError) and not isinstance(error.__cause__, ssl.SSLEOFError)


def speaks_plain_http(error: BaseException) -> bool:
    """Tell whether TLS did not get through since the other side does not speak it."""
    return isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason == "WRONG_VERSION_NUMBER"


def reason(error: aiohttp.ClientError | TimeoutError) -> str:
    """Say in a few words why there was no answer, without the URL, whose query may carry a signature."""
    if speaks_plain_http(error):
        return "it speaks plain http"
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorCertificateError():
            return _certificate_reason(error.certificate_error)
        case aiohttp.ClientConnectorDNSError():
            return "its name does not resolve"
        case _ if is_tls_failure(error):
            return f"TLS fails ({getattr(error.__cause__, 'reason', None) or 'no detail'})"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answers {error.status}"
        case aiohttp.ClientConnectorError() if error.os_error.errno or str(error.os_error):
            return os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
            return "the connection broke off"
        case aiohttp.InvalidURL():
            return "its URL is not valid"
    return f"no HTTP answer that can be read ({type(error).__name__})"


def _certificate_reason(error: Exception) -> str:
    # Set by the handshake, and by nobody else who makes such an error.
    detail = getattr(error, "verify_message", None) or "no detail"
    return f"its certificate is not trusted ({detail})"


def snippet(text: str, limit: int = 60) -> str:
    """Give the beginning of a text of others, fit for one line of a message: printable, blanks folded, bounded."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * limit]).split())
    return line if len(line) <= limit else f"{line[:limit]}…"
