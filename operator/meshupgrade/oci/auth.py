"""How a registry is told who asks: basic, or a bearer token from the token service that the registry names.

Sources: RFC 9110 section 11.6.1 (WWW-Authenticate), RFC 7617 (basic), RFC 6750 (bearer), and the distribution
project's "Token Authentication Specification", which OCI registries share, and "OAuth2 Token Authentication", for
identity tokens.
"""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from meshupgrade.oci.errors import RegistryDenied, RegistryUnreachable
from meshupgrade.oci.transport import TLSChoice, follow, is_transient_status, post_form, read_bounded

__all__ = ["Challenge", "Credentials", "basic", "fetch_token", "parse_challenges"]

#: A token is a few KiB, and so is all that may come with it.
MAX_TOKEN_ANSWER = 256 * 1024

CLIENT_ID = "meshupgrade"

TOKEN_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_NAME})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_NAME}))\s*(?:,|$)')
_SCHEME = re.compile(rf"[\s,]*({_NAME})(?:\s+|\s*,|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?:,|$)")
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of a registry or of a chart repository."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    """What a token service gave for the password at a login (docker's ``identitytoken``); goes before it there."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a server offers; scheme and parameter names in lower case."""

    scheme: str
    parameters: dict[str, str]


def basic(credentials: Credentials) -> str:
    """Give the value of the Authorization header for a user and password (RFC 7617, UTF-8)."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Give the challenges in the values of WWW-Authenticate headers, in order; what cannot be read ends its header."""
    return [challenge for header in headers for challenge in _challenges(header)]


def _challenges(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        position = scheme.end()
        parameters: dict[str, str] = {}
        # A parameter is tried before the next scheme: only the former has an equals sign after its name.
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if not parameters and (opaque := _TOKEN68.match(header, position)):
            # Some schemes carry an opaque value instead; none of them is spoken here.
            position = opaque.end()
        found.append(Challenge(scheme.group(1).lower(), parameters))
    return found


async def fetch_token(
    session: aiohttp.ClientSession,
    challenge: Challenge,
    *,
    subject: str,
    scope: str,
    credentials: Credentials | None,
    insecure: bool,
    tls: TLSChoice | None = None,
) -> str:
    """Give the value of the Authorization header that answers a bearer challenge.

    The credentials go to the token service, as basic authentication or as an identity token, and only over https
    unless ``insecure``. ``subject`` begins the messages of what is raised: RegistryDenied, RegistryUnreachable, and
    what ``follow`` raises.
    """
    url = _token_url(challenge, subject=subject, insecure=insecure)
    query = {"scope": challenge.parameters.get("scope") or scope}
    if service := challenge.parameters.get("service"):
        query["service"] = service
    headers = {"Accept": "application/json"}
    if credentials and credentials.identity_token:
        form = {"grant_type": "refresh_token", "client_id": CLIENT_ID, **query}
        form["refresh_token"] = credentials.identity_token
        asked = post_form(session, url, form, timeout=TOKEN_TIMEOUT, headers=headers, tls=tls)
    else:
        authorization = basic(credentials) if credentials else None
        asked = follow(
            session,
            url.update_query(query),
            timeout=TOKEN_TIMEOUT,
            headers=headers,
            authorization=authorization,
            plain_http=insecure,
            tls=tls,
        )
    async with asked as response:
        if is_transient_status(response.status):
            raise RegistryUnreachable(f"{subject}: token service {url.host} answers {response.status}; try again later")
        if response.status != 200:
            raise RegistryDenied(_refusal(subject, url, response.status, credentials))
        body = await read_bounded(response, MAX_TOKEN_ANSWER)
    return f"Bearer {_token_in(body, subject=subject, host=url.host)}"


def _token_url(challenge: Challenge, *, subject: str, insecure: bool) -> URL:
    realm = challenge.parameters.get("realm", "")
    try:
        url = URL(realm)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise RegistryDenied(f"{subject}: the registry names no token service that can be asked")
    if url.scheme == "http" and not insecure:
        raise RegistryDenied(
            f"{subject}: the registry's token service on {url.host} speaks plain http, which is no way to log in; set "
            "it up with https, or allow insecure access"
        )
    return url


def _refusal(subject: str, url: URL, status: int, credentials: Credentials | None) -> str:
    remedy = "check user and password" if credentials else "give a pull secret for it"
    return f"{subject}: token service {url.host} gives no token ({status}); {remedy}, or check the name"


def _token_in(body: bytes, *, subject: str, host: str | None) -> str:
    # Both names are in use; the specification asks clients to take either.
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    # A line break in it would end the header and begin one of the token service's choice.
    if not isinstance(token, str) or not _BEARER_TOKEN.fullmatch(token):
        raise RegistryDenied(f"{subject}: token service {host} answers without a token; is it one?")
    return token
