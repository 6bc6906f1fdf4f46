"""What a chart repository lists, from a real HTTP server with a good index, a bad one, and none."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import semver
import yaml
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.helm import repository as under_test
from meshupgrade.helm.index import NotAnIndex, parse_index
from meshupgrade.helm.repository import (
    ChartNotListed,
    ChartVersion,
    IndexCache,
    RepositoryDenied,
    RepositoryError,
    RepositoryInvalid,
    RepositoryUnreachable,
    list_versions,
)
from meshupgrade.oci.auth import Credentials, basic
from tests.unit.oci.local_server import Answer, LocalServer, local_server, make_certificate

NAMES = ["osm-edge", "osm"]
USER = Credentials("user", "hunter2")


def entry(version: str, **fields: object) -> dict[str, object]:
    return {"apiVersion": "v2", "name": "osm-edge", "version": version, "urls": [f"osm-edge-{version}.tgz"], **fields}


def index(**charts: object) -> str:
    return yaml.safe_dump({"apiVersion": "v1", "entries": {n.replace("_", "-"): v for n, v in charts.items()}})


GOOD = index(osm_edge=[entry("1.1.0", appVersion="1.1.0"), entry("1.2.0", appVersion="1.2.0")])


def answering(body: str | bytes = GOOD, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body.encode() if isinstance(body, str) else body, status=status, headers=headers)

    return answer


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(answering()) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as running:
        yield running


async def versions_of(session: aiohttp.ClientSession, server: LocalServer, body: str) -> list[str]:
    server.answer = answering(body)
    listing = await list_versions(session, server.url, NAMES)
    return [version.raw_version for version in listing.versions]


async def test_versions_come_newest_first(session: aiohttp.ClientSession, server: LocalServer) -> None:
    listed = ["1.2.0", "1.10.0", "1.2.0-rc.1", "1.2.0-rc.10", "1.2.0-rc.2", "0.9.0", "v1.9.0", "2.0.0-alpha"]
    body = index(osm_edge=[entry(version) for version in listed])
    assert await versions_of(session, server, body) == [
        "2.0.0-alpha",
        "1.10.0",
        "v1.9.0",
        "1.2.0",
        "1.2.0-rc.10",
        "1.2.0-rc.2",
        "1.2.0-rc.1",
        "0.9.0",
    ]


async def test_what_is_no_version_is_left_out(session: aiohttp.ClientSession, server: LocalServer) -> None:
    versions = ["1.2.0", "1.2", "latest", "", "1.02.0", "vv1.0.0", "9" * 5000 + ".0.0"]
    odd = [{"name": "osm-edge"}, "text", ["1.0.0"], {"name": "osm-edge", "version": {"a": 1}}]
    body = index(osm_edge=[*(entry(version) for version in versions), *odd])
    assert await versions_of(session, server, body) == ["1.2.0"]


async def test_the_first_of_one_version_counts(session: aiohttp.ClientSession, server: LocalServer) -> None:
    listed = [entry("1.2.0", digest="first"), entry("v1.2.0"), entry("1.2.0+b"), entry("1.2.0+a"), entry("1.2.0")]
    assert await versions_of(session, server, index(osm_edge=listed)) == ["1.2.0", "1.2.0+b", "1.2.0+a"]


async def test_all_that_is_known_of_a_version(session: aiohttp.ClientSession, server: LocalServer) -> None:
    server.answer = answering(
        """
        apiVersion: v1
        generated: "2024-01-01T00:00:00Z"
        entries:
          other: [{version: 9.9.9, maintainers: [{name: x}]}]
          osm-edge:
            - version: v1.2.0+build.1
              appVersion: 1.10
              kubeVersion: ">= 1.19.0-0"
              digest: 0011
              deprecated: true
              created: "2024-05-06T07:08:09.123456789+02:00"
              maintainers: [{name: someone}]
              urls: [osm-edge-1.2.0.tgz, /root.tgz, https://elsewhere.example/x.tgz, "http://[bad", {a: b}]
            - version: 1.1.0
              appVersion: null
              kubeVersion:
              created: 2024-05-06
              urls: none
        """
    )
    listing = await list_versions(session, f"{server.url}/charts", NAMES)
    assert listing.chart == "osm-edge"
    assert listing.versions == (
        ChartVersion(
            name="osm-edge",
            version=semver.Version(1, 2, 0, build="build.1"),
            raw_version="v1.2.0+build.1",
            # Not 1.1, as YAML alone would have it.
            app_version="1.10",
            kube_version=">= 1.19.0-0",
            digest="0011",
            urls=(
                f"{server.url}/charts/osm-edge-1.2.0.tgz",
                f"{server.url}/root.tgz",
                "https://elsewhere.example/x.tgz",
                f"{server.url}/charts/",
            ),
            deprecated=True,
            created=datetime(2024, 5, 6, 5, 8, 9, 123456, UTC),
        ),
        ChartVersion(name="osm-edge", version=semver.Version(1, 1, 0), raw_version="1.1.0"),
    )


@pytest.mark.parametrize(
    ("charts", "chosen"),
    [
        ({"osm_edge": [entry("1.0.0")], "osm": [entry("2.0.0")]}, "osm-edge"),
        ({"osm": [entry("2.0.0")]}, "osm"),
        ({"osm_edge": [], "osm": [entry("2.0.0")]}, "osm"),
        ({"osm_edge": None, "osm": [entry("2.0.0")]}, "osm"),
        ({"osm_edge": [entry("no version")], "osm": [entry("2.0.0")]}, "osm-edge"),
    ],
)
async def test_the_first_name_that_is_listed(
    session: aiohttp.ClientSession, server: LocalServer, charts: dict[str, object], chosen: str
) -> None:
    server.answer = answering(index(**charts))
    assert (await list_versions(session, server.url, NAMES)).chart == chosen


@pytest.mark.parametrize("path", ["", "/", "/charts", "/charts/", "/charts?token=t"])
async def test_where_the_index_is(session: aiohttp.ClientSession, server: LocalServer, path: str) -> None:
    await list_versions(session, server.url + path, NAMES)
    folder, _, query = path.partition("?")
    assert server.requests[0].path == folder.rstrip("/") + "/index.yaml"
    assert server.requests[0].query_string == query


async def test_a_compressed_index(session: aiohttp.ClientSession, server: LocalServer) -> None:
    server.answer = answering(gzip.compress(GOOD.encode()), headers={"Content-Encoding": "gzip"})
    assert (await list_versions(session, server.url, NAMES)).versions


@pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {"Last-Modified": "Mon, 06 May 2024 07:08:09 GMT"}])
async def test_an_index_that_has_not_changed_is_not_read_again(
    session: aiohttp.ClientSession, server: LocalServer, headers: dict[str, str]
) -> None:
    cache = IndexCache()
    server.answer = answering(headers=headers)
    first = await list_versions(session, server.url, NAMES, cache=cache)
    server.answer = answering("", 304)
    assert await list_versions(session, server.url, NAMES, cache=cache) == first
    sent = server.requests[1].headers
    assert (sent.get("If-None-Match") or sent.get("If-Modified-Since")) == next(iter(headers.values()))
    server.answer = answering(index(osm=[entry("7.0.0")]), headers=headers)
    assert (await list_versions(session, server.url, NAMES, cache=cache)).chart == "osm"


async def test_a_cache_is_about_one_index_and_its_names(session: aiohttp.ClientSession, server: LocalServer) -> None:
    cache = IndexCache()
    server.answer = answering(headers={"ETag": '"1"'})
    await list_versions(session, server.url, NAMES, cache=cache)
    await list_versions(session, server.url, ["osm-edge"], cache=cache)
    await list_versions(session, f"{server.url}/other", NAMES, cache=cache)
    assert not any("If-None-Match" in request.headers for request in server.requests)


async def test_a_cache_is_bounded(session: aiohttp.ClientSession, server: LocalServer) -> None:
    cache = IndexCache()
    server.answer = answering(headers={"ETag": '"1"'})
    for number in range(IndexCache.MAX_ENTRIES + 1):
        await list_versions(session, f"{server.url}/{number}", NAMES, cache=cache)
    assert cache.get(f"{server.url}/0/index.yaml", NAMES) is None
    assert cache.get(f"{server.url}/1/index.yaml", NAMES) is not None


async def test_an_index_without_validators_is_read_each_time(
    session: aiohttp.ClientSession, server: LocalServer
) -> None:
    cache = IndexCache()
    await list_versions(session, server.url, NAMES, cache=cache)
    server.answer = answering("", 304)
    with pytest.raises(RepositoryInvalid, match="answers 304"):
        await list_versions(session, server.url, NAMES, cache=cache)


@pytest.mark.parametrize(
    ("status", "kind", "names"),
    [
        (401, RepositoryDenied, "answers 401 for index.yaml; give a login for it"),
        (403, RepositoryDenied, "answers 403"),
        (404, RepositoryInvalid, "index.yaml has to be right below it"),
        (410, RepositoryInvalid, "answers 410"),
        (429, RepositoryUnreachable, "answers 429"),
        (500, RepositoryUnreachable, "answers 500"),
        (503, RepositoryUnreachable, "try again later"),
        (204, RepositoryInvalid, "answers 204"),
    ],
)
async def test_statuses(
    session: aiohttp.ClientSession, server: LocalServer, status: int, kind: type[RepositoryError], names: str
) -> None:
    server.answer = answering("", status)
    with pytest.raises(kind, match=names) as failed:
        await list_versions(session, server.url, NAMES)
    assert str(failed.value).startswith(f"chart repository {server.url}")
    assert failed.value.transient is (kind is RepositoryUnreachable)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("", "begins ''"),
        ("<!DOCTYPE html>\n<html><title>Log in</title>" + "x" * 500, "begins '<!DOCTYPE html> <html><title>Log in"),
        ("just text", "begins 'just text'"),
        ("- a\n- b\n", "begins '- a - b'"),
        ("apiVersion: v1\n", "begins 'apiVersion: v1'"),
        ("entries: 7\n", "begins 'entries: 7'"),
        ("entries: {osm: [\n", "no index of charts"),
        ("entries: {? [a] : b}\n", "no index of charts"),
        ("a: &a x\nentries: {osm: [*a]}\n", "no index of charts"),
        ("entries: {osm: " + "[" * 100_000, "no index of charts"),
        ("entries: {other: " + "[" * 100_000, "no index of charts"),
        ("x: " + "{a: " * 100_000, "no index of charts"),
        ("\x00", "no index of charts"),
        (b"\xff\xfe\xff", "no index of charts"),
    ],
)
async def test_what_is_no_index(
    session: aiohttp.ClientSession, server: LocalServer, body: str | bytes, names: str
) -> None:
    server.answer = answering(body)
    with pytest.raises(RepositoryInvalid) as failed:
        await list_versions(session, server.url, NAMES)
    assert names in str(failed.value)
    assert len(str(failed.value)) < 300
    assert str(failed.value).isprintable()


@pytest.mark.parametrize(
    ("others", "names"),
    [
        ([], "it lists no chart at all"),
        (["a"], "it lists a; check"),
        ([f"chart{n:02}" for n in range(10)], "chart08, chart09; check"),
        ([f"chart{n:02}" for n in range(25)], "chart08, chart09 and 15 more; check"),
    ],
)
async def test_a_chart_that_is_not_listed(
    session: aiohttp.ClientSession, server: LocalServer, others: list[str], names: str
) -> None:
    server.answer = answering(index(**{name: [entry("1.0.0")] for name in others}))
    with pytest.raises(ChartNotListed) as failed:
        await list_versions(session, server.url, NAMES)
    assert "lists no chart osm-edge or osm" in str(failed.value)
    assert names in str(failed.value)


async def test_an_index_beyond_the_bound(
    session: aiohttp.ClientSession, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "MAX_INDEX", 1000)
    server.answer = answering(gzip.compress(b" " * 100_000), headers={"Content-Encoding": "gzip"})
    with pytest.raises(RepositoryInvalid, match="more than 1000 bytes"):
        await list_versions(session, server.url, NAMES)


async def test_a_repository_that_does_not_answer(
    session: aiohttp.ClientSession, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "INDEX_TIMEOUT", aiohttp.ClientTimeout(total=0.3))

    async def stall(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    server.answer = stall
    with pytest.raises(RepositoryUnreachable, match="no answer in time"):
        await list_versions(session, server.url, NAMES)


async def test_a_repository_that_breaks_off(session: aiohttp.ClientSession, server: LocalServer) -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"apiVersion")
        assert request.transport is not None
        request.transport.close()
        return response

    server.answer = break_off
    with pytest.raises(RepositoryUnreachable, match="broke off"):
        await list_versions(session, server.url, NAMES)


@pytest.mark.parametrize(
    ("url", "kind", "names"),
    [
        ("http://127.0.0.1:1/charts", RepositoryUnreachable, "Connection refused"),
        ("http://no-such-host.invalid/", RepositoryUnreachable, "its name does not resolve"),
        ("http://" + "x" * 70 + ".example/", RepositoryInvalid, "is no name of a host"),
        ("ftp://host.example/", RepositoryInvalid, "begin it with https://"),
        ("host.example/charts", RepositoryInvalid, "begin it with https://"),
        ("http:///charts", RepositoryInvalid, "is no URL"),
        ("http://[::1", RepositoryInvalid, "is no URL"),
        ("http://host.example:99999/", RepositoryInvalid, "is no URL"),
        ("oci://", RepositoryInvalid, "is not a host"),
        ("oci://host.example/UPPER", RepositoryInvalid, "is not a repository"),
        ("oci://127.0.0.1:1/charts", RepositoryUnreachable, "Connection refused"),
    ],
)
async def test_urls_that_lead_nowhere(
    session: aiohttp.ClientSession, url: str, kind: type[RepositoryError], names: str
) -> None:
    with pytest.raises(kind) as failed:
        await list_versions(session, url, NAMES)
    assert names in str(failed.value)
    assert str(failed.value).startswith("chart repository")


@pytest.mark.parametrize("how", ["credentials", "url"])
async def test_a_login_is_sent_and_never_shown(session: aiohttp.ClientSession, server: LocalServer, how: str) -> None:
    url = server.url if how == "credentials" else server.url.replace("://", "://user:hunter2@")
    credentials = USER if how == "credentials" else None
    await list_versions(session, url, NAMES, credentials=credentials)
    assert server.authorizations == [basic(USER)]
    server.answer = answering("", 403)
    with pytest.raises(RepositoryDenied, match="check the login given") as failed:
        await list_versions(session, url, NAMES, credentials=credentials)
    assert "hunter2" not in str(failed.value)


async def test_a_token_in_the_url_is_never_shown(session: aiohttp.ClientSession, server: LocalServer) -> None:
    server.answer = answering("", 500)
    with pytest.raises(RepositoryUnreachable) as failed:
        await list_versions(session, f"{server.url}/charts?token=hunter2", NAMES)
    assert "hunter2" not in str(failed.value)


async def test_a_login_does_not_follow_to_another_host(session: aiohttp.ClientSession, server: LocalServer) -> None:
    async with local_server(answering()) as other:
        server.answer = answering("", 302, {"Location": f"{other.url}/index.yaml"})
        assert (await list_versions(session, server.url, NAMES, credentials=USER)).versions
        assert (server.authorizations, other.authorizations) == ([basic(USER)], [None])


async def test_a_login_follows_on_the_same_host(session: aiohttp.ClientSession, server: LocalServer) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/index.yaml":
            return web.Response(status=301, headers={"Location": "/moved/index.yaml"})
        return web.Response(text=GOOD)

    server.answer = answer
    assert (await list_versions(session, server.url, NAMES, credentials=USER)).versions
    assert server.authorizations == [basic(USER), basic(USER)]


@pytest.mark.parametrize(
    ("location", "names"),
    [
        ("/index.yaml", "more than 5 redirects"),
        ("", "without saying where to"),
        ("file:///etc/passwd", "redirects to a file address"),
        ("http://[", "not a URL"),
        ("http://x..y/", "no name of a host"),
    ],
)
async def test_redirects_that_are_not_followed(
    session: aiohttp.ClientSession, server: LocalServer, location: str, names: str
) -> None:
    server.answer = answering("", 302, {"Location": location} if location else None)
    with pytest.raises(RepositoryInvalid, match=names):
        await list_versions(session, server.url, NAMES)
    assert len(server.requests) <= 6


async def test_https(tmp_path: Path, session: aiohttp.ClientSession, server: LocalServer) -> None:
    serving, trusting = make_certificate(tmp_path)
    async with local_server(answering(), tls=serving) as secure:
        with pytest.raises(RepositoryDenied, match=r"certificate is not trusted .*give the CA"):
            await list_versions(session, secure.url, NAMES)
        with pytest.raises(RepositoryDenied, match="it speaks plain http"):
            await list_versions(session, server.url.replace("http:", "https:"), NAMES)
        connector = aiohttp.TCPConnector(ssl=trusting)
        async with aiohttp.ClientSession(connector=connector) as trusted:
            assert (await list_versions(trusted, secure.url, NAMES)).versions
            secure.answer = answering("", 302, {"Location": f"{server.url}/index.yaml"})
            with pytest.raises(RepositoryInvalid, match="from https to plain http"):
                await list_versions(trusted, secure.url, NAMES)
            assert (await list_versions(trusted, secure.url, NAMES, insecure=True)).versions


async def test_a_large_index_leaves_the_loop_alive(session: aiohttp.ClientSession, server: LocalServer) -> None:
    many = {f"chart{n}": [entry(f"1.{m}.0", description="x" * 100) for m in range(40)] for n in range(100)}
    server.answer = answering(index(**many, osm=[entry("1.0.0")]))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await list_versions(session, server.url, NAMES)).chart == "osm"
    took = loop.time() - started
    ticking.cancel()
    assert ticks >= took / 0.2


texts = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=["C", "Z"]), max_size=6)
trees = st.recursive(
    texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


@given(
    st.dictionaries(st.sampled_from(["osm", "osm-edge", "a", "b"]), st.lists(trees, max_size=3)),
    st.dictionaries(texts, trees, max_size=2),
)
def test_an_index_parses_to_what_was_written(entries: dict[str, list[Any]], rest: dict[str, Any]) -> None:
    document = yaml.safe_dump({**rest, "entries": entries}).encode()
    names, found = parse_index(document, NAMES)
    assert sorted(names) == sorted(entries)
    assert found == {name: value for name, value in entries.items() if name in NAMES}


@given(st.binary(max_size=100) | st.text("entris:[]{}-,\n &*a\"'", max_size=60).map(str.encode))
def test_any_bytes_are_an_index_or_not(body: bytes) -> None:
    with contextlib.suppress(NotAnIndex, yaml.YAMLError):
        parse_index(body, NAMES)
