"""Chart archives from a real HTTP server: what is asked with which login, what is kept, what is refused."""

import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import semver
from aiohttp import web

from meshupgrade.helm.chart_cache import ChartCache, sha256
from meshupgrade.helm.charts import ChartSource, fetch_chart
from meshupgrade.helm.repository import (
    ChartNotListed,
    ChartVersion,
    RepositoryDenied,
    RepositoryError,
    RepositoryInvalid,
    RepositoryUnreachable,
)
from meshupgrade.oci.auth import Credentials, basic
from meshupgrade.oci.tls import ClientTLS
from tests.unit.oci.local_server import LocalServer, local_server, make_certificate

ARCHIVE, PROOF = b"an archive", b"a signature"
USER = Credentials("user", "hunter2-hunter2")


async def serve(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=PROOF if request.path.endswith(".prov") else ARCHIVE)


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(serve) as running:
        yield running


@pytest.fixture
async def elsewhere() -> AsyncIterator[LocalServer]:
    async with local_server(serve) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as running:
        yield running


def listed(url: str, **fields: Any) -> ChartVersion:
    return ChartVersion("osm", semver.Version(1, 2, 3), "1.2.3", urls=(f"{url}/osm-1.2.3.tgz",), **fields)


async def test_the_archive_with_its_digest_name_and_provenance(
    session: aiohttp.ClientSession, server: LocalServer, tmp_path: Path
) -> None:
    source, cache = ChartSource(server.url), ChartCache(tmp_path)
    archive = await fetch_chart(session, cache, source, listed(server.url), provenance=True)
    assert archive.path.read_bytes() == ARCHIVE
    assert (archive.digest, archive.name, archive.provenance) == (sha256(ARCHIVE), "osm-1.2.3.tgz", PROOF)
    assert [request.path for request in server.requests] == ["/osm-1.2.3.tgz", "/osm-1.2.3.tgz.prov"]


@pytest.mark.parametrize("prefix", ["", "sha256:"])
async def test_one_with_a_listed_digest_is_fetched_once(
    session: aiohttp.ClientSession, server: LocalServer, tmp_path: Path, prefix: str
) -> None:
    chart = listed(server.url, digest=prefix + sha256(ARCHIVE).removeprefix("sha256:"))
    for _ in range(2):
        await fetch_chart(session, ChartCache(tmp_path), ChartSource(server.url), chart, provenance=False)
    assert len(server.requests) == 1


async def test_one_without_is_fetched_anew_since_it_may_be_another(
    session: aiohttp.ClientSession, server: LocalServer, tmp_path: Path
) -> None:
    for _ in range(2):
        await fetch_chart(session, ChartCache(tmp_path), ChartSource(server.url), listed(server.url), provenance=False)
    assert len(server.requests) == 2


@pytest.mark.parametrize("digest", [sha256(b"another"), "../../etc/passwd", "md5:0"])
async def test_another_digest_than_is_listed_is_refused_and_not_kept(
    session: aiohttp.ClientSession, server: LocalServer, tmp_path: Path, digest: str
) -> None:
    chart = listed(server.url, digest=digest)
    with pytest.raises(RepositoryInvalid, match="digest"):
        await fetch_chart(session, ChartCache(tmp_path), ChartSource(server.url), chart, provenance=False)
    assert list(tmp_path.iterdir()) == []


async def test_an_archive_stays_packed_though_its_server_calls_it_encoded(
    session: aiohttp.ClientSession, server: LocalServer, tmp_path: Path
) -> None:
    packed = gzip.compress(ARCHIVE)

    async def encoded(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    server.answer = encoded
    chart = listed(server.url, digest=sha256(packed))
    archive = await fetch_chart(session, ChartCache(tmp_path), ChartSource(server.url), chart, provenance=False)
    assert archive.path.read_bytes() == packed


async def test_the_login_goes_to_the_repository_and_nowhere_else(
    session: aiohttp.ClientSession, server: LocalServer, elsewhere: LocalServer, tmp_path: Path
) -> None:
    source, cache = ChartSource(server.url, credentials=USER), ChartCache(tmp_path)
    await fetch_chart(session, cache, source, listed(server.url), provenance=True)
    assert server.authorizations == [basic(USER)] * 2
    # Neither where an index leads,
    await fetch_chart(session, cache, source, listed(elsewhere.url), provenance=True)

    async def redirect(_: web.BaseRequest) -> web.StreamResponse:
        raise web.HTTPFound(f"{elsewhere.url}/osm-1.2.3.tgz")

    # nor where the repository redirects to.
    server.answer = redirect
    await fetch_chart(session, cache, source, listed(server.url), provenance=False)
    assert elsewhere.authorizations == [None] * 3


async def test_the_query_of_the_repository_stays_there(
    session: aiohttp.ClientSession, server: LocalServer, elsewhere: LocalServer, tmp_path: Path
) -> None:
    source, cache = ChartSource(f"{server.url}?token=t0k3n"), ChartCache(tmp_path)
    await fetch_chart(session, cache, source, listed(server.url), provenance=True)
    await fetch_chart(session, cache, source, listed(elsewhere.url), provenance=True)
    assert [request.query.get("token") for request in server.requests] == ["t0k3n"] * 2
    assert [request.query.get("token") for request in elsewhere.requests] == [None] * 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, RepositoryDenied),
        (403, RepositoryDenied),
        (404, ChartNotListed),
        (429, RepositoryUnreachable),
        (503, RepositoryUnreachable),
    ],
)
async def test_what_the_server_refuses(
    session: aiohttp.ClientSession, server: LocalServer, tmp_path: Path, status: int, kind: type[RepositoryError]
) -> None:
    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    server.answer = refuse
    with pytest.raises(kind) as caught:
        await fetch_chart(
            session,
            ChartCache(tmp_path),
            ChartSource(server.url, credentials=USER),
            listed(server.url),
            provenance=False,
        )
    assert type(caught.value) is kind
    assert USER.password not in str(caught.value)


async def test_nobody_there(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with local_server(serve) as gone:
        url = gone.url
    with pytest.raises(RepositoryUnreachable):
        await fetch_chart(session, ChartCache(tmp_path), ChartSource(url), listed(url), provenance=False)


async def test_a_private_authority(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    tls, trusting = make_certificate(tmp_path)
    async with local_server(serve, tls=tls) as private:
        with pytest.raises(RepositoryDenied, match="not trusted"):
            await fetch_chart(
                session, ChartCache(tmp_path / "c"), ChartSource(private.url), listed(private.url), provenance=False
            )
        source = ChartSource(private.url, tls=ClientTLS(trusting, ssl.create_default_context()))
        archive = await fetch_chart(session, ChartCache(tmp_path / "c"), source, listed(private.url), provenance=False)
    assert archive.digest == sha256(ARCHIVE)
