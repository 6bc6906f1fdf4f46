"""What a chart repository lists, over http(s) as an index, or in an OCI registry as tags.

    RepositoryError
    ├── RepositoryUnreachable    transient: try again
    ├── RepositoryDenied         somebody has to change credentials, CA or settings
    ├── RepositoryInvalid        what answers is no chart repository
    └── ChartNotListed           it is one, without this chart

Sources: Helm's documentation, "The Chart Repository Guide" (index.yaml) and "Use OCI-based registries" (a tag for each
version, with ``_`` for ``+``, which a tag cannot hold).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import aiohttp
import semver
import yaml
from yarl import URL

from meshupgrade.domain.versions import parse_version
from meshupgrade.helm.index import NotAnIndex, Value, parse_index
from meshupgrade.oci.auth import Credentials, basic
from meshupgrade.oci.errors import ImageInvalid, ImageNotFound, OCIError, RegistryDenied, RegistryUnreachable
from meshupgrade.oci.reference import ImageReference
from meshupgrade.oci.registry import RegistryClient
from meshupgrade.oci.tls import ClientTLS
from meshupgrade.oci.transport import (
    TransportError,
    follow,
    is_tls_failure,
    is_transient_status,
    read_bounded,
    reason,
    snippet,
)

__all__ = [
    "ChartListing",
    "ChartNotListed",
    "ChartVersion",
    "IndexCache",
    "RepositoryDenied",
    "RepositoryError",
    "RepositoryInvalid",
    "RepositoryUnreachable",
    "common_refusal",
    "list_versions",
]

#: In bytes, unpacked: several times what the large public repositories with thousands of versions have.
MAX_INDEX = 64 * 1024 * 1024
#: How many other charts a message names.
MAX_NAMED = 10

INDEX_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10, sock_read=30)


class RepositoryError(Exception):
    """Anything that keeps the versions of a chart from being listed."""

    transient: ClassVar[bool] = False
    """Whether trying again may help without anybody changing anything."""


class RepositoryUnreachable(RepositoryError):
    """It does not answer, or answers that it cannot now."""

    transient = True


class RepositoryDenied(RepositoryError):
    """It wants other credentials, or TLS does not get through."""


class RepositoryInvalid(RepositoryError):
    """The URL is none, or what is there is no chart repository."""


class ChartNotListed(RepositoryError):
    """The repository lists none of the names that were looked for."""


@dataclass(frozen=True, slots=True)
class ChartVersion:
    """One version of a chart.

    ``raw_version`` is the version as the repository writes it, which is what Helm is to be asked for. A registry
    tells nothing but versions: then ``app_version`` is empty, and so is the rest. URLs are absolute.
    """

    name: str
    version: semver.Version
    raw_version: str
    app_version: str = ""
    kube_version: str | None = None
    digest: str | None = None
    urls: tuple[str, ...] = ()
    deprecated: bool = False
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChartListing:
    """The versions of one chart, newest first by semver precedence."""

    chart: str
    versions: tuple[ChartVersion, ...]


@dataclass(frozen=True, slots=True)
class _Validators:
    """What makes the next request for an index conditional (RFC 9110 section 13), and what it then stands for."""

    etag: str | None
    last_modified: str | None
    listing: ChartListing


class IndexCache:
    """Listings of the last indexes that were read, in memory; a server is still asked each time whether they hold."""

    MAX_ENTRIES: ClassVar[int] = 64

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, tuple[str, ...]], _Validators] = OrderedDict()

    def get(self, url: str, chart_names: Sequence[str]) -> _Validators | None:
        """Give what was kept for these names in the index at this URL."""
        return self._entries.get((url, tuple(chart_names)))

    def put(self, url: str, chart_names: Sequence[str], kept: _Validators) -> None:
        """Keep it, and drop what was put longest ago beyond the bound."""
        key = (url, tuple(chart_names))
        self._entries[key] = kept
        self._entries.move_to_end(key)
        while len(self._entries) > self.MAX_ENTRIES:
            self._entries.popitem(last=False)


async def list_versions(
    session: aiohttp.ClientSession,
    repository: str,
    chart_names: Sequence[str],
    *,
    insecure: bool = False,
    credentials: Credentials | None = None,
    tls: ClientTLS | None = None,
    cache: IndexCache | None = None,
) -> ChartListing:
    """Give the versions of the first of the charts that the repository lists.

    What is no semantic version is left out; a leading v is accepted. ``repository`` is a URL that begins with
    http://, https:// or oci://, for the latter the folder above the charts. ``insecure`` allows plain http where the
    URL does not say it: for oci://, and in redirects from https. Login and client certificate go to the repository's
    host only. Raises a RepositoryError: RepositoryUnreachable
    (transient), RepositoryDenied, RepositoryInvalid, ChartNotListed.
    """
    scheme, _, _ = repository.partition("://")
    if scheme == "oci":
        client = RegistryClient(session, insecure=insecure, credentials=credentials, tls=tls)
        return await _list_tags(client, repository, chart_names)
    if scheme not in ("http", "https"):
        raise RepositoryInvalid(
            f"chart repository {snippet(repository)!r} is no URL; begin it with https://, http:// or oci://"
        )
    return await _Index(session, repository, credentials, tls, insecure=insecure).list_versions(chart_names, cache)


def common_refusal(answer: str, status: int, *, with_login: bool) -> RepositoryError | None:
    """Give the error for a status that means the same whatever was asked for, None for any other."""
    if status in (401, 403):
        remedy = "check the login given for it" if with_login else "give a login for it"
        return RepositoryDenied(f"{answer}; {remedy}")
    if is_transient_status(status):
        return RepositoryUnreachable(f"{answer}; try again later")
    return None


class _Index:
    """A repository with an index.yaml."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        repository: str,
        credentials: Credentials | None,
        tls: ClientTLS | None,
        *,
        insecure: bool,
    ) -> None:
        try:
            url = URL(repository)
        except ValueError:
            url = URL()
        if not url.host:
            raise RepositoryInvalid(f"chart repository {snippet(repository)!r} is no URL; correct it")
        # Helm keeps a query, in which some repositories want a token.
        self._url = (url.with_user(None) / "index.yaml").with_query(url.query)
        if credentials is None and url.user:
            credentials = Credentials(url.user, url.password or "")
        self._authorization = basic(credentials) if credentials else None
        self._tls = tls.towards(url) if tls else None
        self._base = url.with_user(None).with_query(None).with_fragment(None)
        self._subject = f"chart repository {self._base}"
        self._session = session
        self._insecure = insecure

    async def list_versions(self, chart_names: Sequence[str], cache: IndexCache | None) -> ChartListing:
        known = cache.get(str(self._url), chart_names) if cache else None
        with self._translated():
            async with follow(
                self._session,
                self._url,
                timeout=INDEX_TIMEOUT,
                headers=_conditions(known),
                authorization=self._authorization,
                plain_http=self._insecure,
                tls=self._tls,
            ) as response:
                if known and response.status == 304:
                    return known.listing
                if response.status != 200:
                    raise self._refusal(response)
                body = await read_bounded(response, MAX_INDEX)
                etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        # Seconds for a large index.
        listing = await asyncio.to_thread(self._read, body, chart_names)
        if cache and (etag or modified):
            cache.put(str(self._url), chart_names, _Validators(etag, modified, listing))
        return listing

    def _read(self, body: bytes, chart_names: Sequence[str]) -> ChartListing:
        try:
            others, entries = parse_index(body, chart_names)
        except (NotAnIndex, yaml.YAMLError) as error:
            start = snippet(body[:400].decode("utf-8", "replace"))
            raise RepositoryInvalid(
                f"{self._subject}: its index.yaml is no index of charts that can be read, it begins {start!r}; check "
                "the URL, and what answers there"
            ) from error
        for name in chart_names:
            if found := entries.get(name):
                return ChartListing(name, _newest_first(_chart_version(name, entry, self._base) for entry in found))
        raise ChartNotListed(
            f"{self._subject} lists no chart {' or '.join(chart_names)}; {_listed(others)}; check the chart's name"
        )

    def _refusal(self, response: aiohttp.ClientResponse) -> RepositoryError:
        status = response.status
        answer = f"{self._subject}: {response.url.host} answers {status} for index.yaml"
        common = common_refusal(answer, status, with_login=self._authorization is not None)
        return common or RepositoryInvalid(f"{answer}; check the URL: index.yaml has to be right below it")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError) as error:
            cause = f"{self._subject} cannot be read: {reason(error)}"
            if is_tls_failure(error):
                raise RepositoryDenied(f"{cause}; give the CA that signed it, or correct the URL") from error
            raise RepositoryUnreachable(f"{cause}; check the URL, and that it can be reached from here") from error
        except TransportError as error:
            raise RepositoryInvalid(f"{self._subject}: {error}; check the URL") from error


def _conditions(known: _Validators | None) -> dict[str, str]:
    headers = {"Accept": "application/yaml, text/yaml, */*"}
    if known and known.etag:
        headers["If-None-Match"] = known.etag
    if known and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    return headers


async def _list_tags(client: RegistryClient, repository: str, chart_names: Sequence[str]) -> ChartListing:
    folder = repository.removeprefix("oci://").strip("/")
    denied: OCIError | None = None
    for name in chart_names:
        try:
            host, _, path = f"{folder}/{name}".partition("/")
            tags = await client.tags(ImageReference(host, path))
        except ImageNotFound:
            continue
        except RegistryDenied as error:
            # Registries answer so for what does not exist, too, so the next name has its turn.
            denied = denied or error
            continue
        except RegistryUnreachable as error:
            raise RepositoryUnreachable(f"chart repository: {error}") from error
        except ImageInvalid as error:
            raise RepositoryInvalid(f"chart repository: {error}") from error
        if tags:
            return ChartListing(name, _newest_first(_tagged_version(name, f"oci://{folder}/{name}", t) for t in tags))
    if denied:
        raise RepositoryDenied(f"chart repository: {denied}") from denied
    raise ChartNotListed(
        f"chart repository oci://{folder} has no chart {' or '.join(chart_names)} right below it; check its URL, which "
        "is that of the folder above the chart, and the chart's name"
    )


def _tagged_version(name: str, chart: str, tag: str) -> ChartVersion | None:
    raw = tag.replace("_", "+")
    try:
        return ChartVersion(name, parse_version(raw), raw, urls=(f"{chart}:{tag}",))
    except ValueError:
        return None


def _chart_version(name: str, entry: Value, base: URL) -> ChartVersion | None:
    """Give the version that an entry of an index is about, None when it is no semantic version."""
    if not isinstance(entry, dict):
        return None
    raw = _text(entry, "version")
    try:
        version = parse_version(raw)
    except ValueError:
        return None
    return ChartVersion(
        name=name,
        version=version,
        raw_version=raw,
        app_version=_text(entry, "appVersion"),
        kube_version=_text(entry, "kubeVersion") or None,
        digest=_text(entry, "digest") or None,
        urls=_absolute(entry.get("urls"), base),
        deprecated=_text(entry, "deprecated") == "true",
        created=_time(_text(entry, "created")),
    )


def _text(entry: Mapping[str, Value], key: str) -> str:
    value = entry.get(key, "")
    return value if isinstance(value, str) and value not in ("null", "~") else ""


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def _absolute(urls: Value | None, base: URL) -> tuple[str, ...]:
    """Give the URLs, relative ones taken from the repository's own, as Helm does; what is no URL is left out."""
    found = []
    for url in urls if isinstance(urls, list) else []:
        try:
            found.append(str((base / "").join(URL(url if isinstance(url, str) else ""))))
        except ValueError:
            continue
    return tuple(found)


def _newest_first(versions: Iterator[ChartVersion | None]) -> tuple[ChartVersion, ...]:
    # The first of two with the same version counts, as for Helm; two that differ in build metadata are both kept, in
    # the order of the repository.
    distinct: dict[str, ChartVersion] = {}
    for version in versions:
        if version:
            distinct.setdefault(str(version.version), version)
    return tuple(sorted(distinct.values(), key=lambda each: each.version, reverse=True))


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "it lists no chart at all"
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"it lists {', '.join(snippet(name) for name in names[:MAX_NAMED])}{more}"
