"""CRDs and chart versions out of a real registry, and out of servers with the faults that no real one has."""

import asyncio
import contextlib
import hashlib
import json
import ssl
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import aiohttp
import pytest
import yaml
from aiohttp import web

from meshupgrade.helm.repository import ChartNotListed, RepositoryDenied, list_versions
from meshupgrade.oci import (
    ClientTLS,
    Credentials,
    DigestMismatch,
    ImageCRDs,
    ImageInvalid,
    ImageNotFound,
    LayerRefused,
    OCIError,
    ReferenceInvalid,
    RegistryClient,
    RegistryDenied,
    RegistryPlain,
    RegistryUnreachable,
    RegistryUntrusted,
    ScratchUnavailable,
    UnsupportedLayer,
    client_tls,
    parse_reference,
    read_crds,
    registry,
)
from meshupgrade.oci import crds as crds_module
from meshupgrade.oci.auth import basic
from meshupgrade.oci.cache import CRDCache
from tests.cluster.cluster import Cluster
from tests.integration.registries import USER, Pusher, running_registry
from tests.unit.oci.certificates import Authority, Identity
from tests.unit.oci.fake_registry import FakeRegistry, fake_registry
from tests.unit.oci.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX,
    LAYER,
    MANIFEST,
    ZSTD_LAYER,
    Image,
    crd,
    crd_file,
    digest_of,
    image,
    index_of,
)
from tests.unit.oci.layer_builder import Entry, file, layer, opaque, symlink, whiteout
from tests.unit.oci.local_server import Answer, LocalServer, local_server, make_certificate

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WRONG = Credentials("user", "battery staple")

A, B, C = crd("a.example"), crd("b.example"), crd("c.example")
ONE = image(crd_file("a.yaml", A))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as running:
        yield running


@pytest.fixture
def pusher(cluster: Cluster, session: aiohttp.ClientSession) -> Pusher:
    return Pusher(session, cluster.registry)


@pytest.fixture
def repository() -> str:
    """A name that no other test has used."""
    return f"test/{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def locked(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry that wants a login; its host and port."""
    with running_registry(cluster.binaries.registry, tmp_path_factory.mktemp("locked"), locked=True) as address:
        yield address


async def read(
    session: aiohttp.ClientSession,
    ref: str,
    *,
    credentials: Credentials | None = None,
    logins: Sequence[Credentials | None] = (),
    tls: ClientTLS | None = None,
    cache_dir: Path | None = None,
    insecure: bool = True,
) -> ImageCRDs:
    return await read_crds(
        ref,
        "/osm-crds",
        session=session,
        insecure=insecure,
        logins=logins or (credentials,),
        tls=tls,
        cache_dir=cache_dir,
    )


def in_frames(tar: bytes) -> bytes:
    """Pack as zstd in two frames, as parallel packers do."""
    return zstd.compress(tar[:700]) + zstd.compress(tar[700:])


class TestRealRegistry:
    """Against a real registry."""

    async def test_layers_add_up(self, session: aiohttp.ClientSession, pusher: Pusher, repository: str) -> None:
        pushed = Image(
            [
                layer(crd_file("old.yaml", C), file("etc/passwd", "x"), symlink("bin", "/usr/bin")),
                layer(crd_file("a.yaml", crd("a.example", scope="Cluster")), crd_file("b.yaml", B)),
                layer(whiteout("osm-crds/old.yaml"), crd_file("a.yaml", A), file("osm-crds/README", "read me")),
            ]
        )
        ref = await pusher.push(repository, "1.0", pushed)
        assert await read(session, ref) == ImageCRDs(pushed.digest, [A, B])

    async def test_a_folder_made_anew(self, session: aiohttp.ClientSession, pusher: Pusher, repository: str) -> None:
        old, new = layer(crd_file("a.yaml", A), crd_file("b.yaml", B)), layer(crd_file("c.yaml", C), opaque("osm-crds"))
        ref = await pusher.push(repository, "1.0", Image([old, new]))
        assert (await read(session, ref)).crds == [C]

    async def test_one_layer_twice(self, session: aiohttp.ClientSession, pusher: Pusher, repository: str) -> None:
        again = layer(crd_file("a.yaml", A))
        ref = await pusher.push(repository, "1.0", Image([again, layer(whiteout("osm-crds")), again]))
        assert (await read(session, ref)).crds == [A]

    @pytest.mark.parametrize(("index_type", "manifest_type"), [(INDEX, MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)])
    async def test_an_index_is_pinned_as_a_whole(
        self, session: aiohttp.ClientSession, pusher: Pusher, repository: str, index_type: str, manifest_type: str
    ) -> None:
        arm = Image([layer(crd_file("a.yaml", A), file("arm"))], manifest_type)
        intel = Image([layer(crd_file("a.yaml", A, B))], manifest_type)
        for each in (arm, intel):
            await pusher.push(repository, each.digest, each)
        body = index_of(("linux", "arm64", arm), ("linux", "amd64", intel), media_type=index_type)
        ref = await pusher.push_manifest(repository, "1.0", body)
        assert await read(session, ref) == ImageCRDs(digest_of(body), [A, B])
        assert await read(session, f"{ref}@{digest_of(body)}") == ImageCRDs(digest_of(body), [A, B])
        client = RegistryClient(session, insecure=True)
        assert await client.manifest(parse_reference(ref)) == (digest_of(body), json.loads(intel.manifest))

    async def test_a_pinned_tag_that_moved_on(
        self, session: aiohttp.ClientSession, pusher: Pusher, repository: str
    ) -> None:
        first, second = image(crd_file("a.yaml", A)), image(crd_file("b.yaml", B))
        ref = await pusher.push(repository, "1.0", first)
        await pusher.push(repository, "1.0", second)
        assert (await read(session, ref)).crds == [B]
        assert (await read(session, f"{ref}@{first.digest}")).crds == [A]

    @pytest.mark.parametrize(
        "name",
        ["{registry}/nothing/here:1.0", "{ref}x", "{repository}@sha256:" + "0" * 64],
        ids=["name", "tag", "digest"],
    )
    async def test_what_is_not_there(
        self, session: aiohttp.ClientSession, pusher: Pusher, repository: str, name: str
    ) -> None:
        ref = await pusher.push(repository, "1.0", ONE)
        asked = name.format(registry=pusher.registry, ref=ref, repository=ref.rpartition(":")[0])
        with pytest.raises(ImageNotFound) as failed:
            await read(session, asked)
        assert str(failed.value).startswith(f"image {asked}: 127.0.0.1 answers 404 (")
        assert "check the name" in str(failed.value)

    @pytest.mark.parametrize(
        ("entries", "kind", "names"),
        [
            ([file("x")], ImageInvalid, "no files in the folder /osm-crds"),
            (
                [file("osm-crds/README"), file("osm-crds/x.yaml", "a: 1")],
                ImageInvalid,
                "holds a CustomResourceDefinition",
            ),
            ([file("osm-crds/a.yaml", "a: [")], ImageInvalid, "a.yaml is not YAML that can be read"),
            (
                [crd_file("a.yaml", A), crd_file("b.yaml", crd("a.example", x=1))],
                ImageInvalid,
                "CRD a.example is in a.yaml",
            ),
            ([symlink("osm-crds/a.yaml", "/etc/passwd")], LayerRefused, "symbolic link out of /osm-crds"),
            ([file("../osm-crds/a.yaml")], LayerRefused, "leads out"),
        ],
    )
    async def test_images_that_are_no_use(
        self,
        session: aiohttp.ClientSession,
        pusher: Pusher,
        repository: str,
        tmp_path: Path,
        entries: list[Entry],
        kind: type[OCIError],
        names: str,
    ) -> None:
        ref = await pusher.push(repository, "1.0", image(*entries))
        with pytest.raises(kind) as failed:
            await read(session, ref, cache_dir=tmp_path)
        assert str(failed.value).startswith(f"image {ref}: ")
        assert names in str(failed.value)
        assert not failed.value.transient
        assert list(tmp_path.iterdir()) == []

    async def test_zstd_and_gzip_layers(self, session: aiohttp.ClientSession, pusher: Pusher, repository: str) -> None:
        old = layer(crd_file("a.yaml", crd("a.example", scope="Cluster")), crd_file("old.yaml", C), pack=zstd.compress)
        new = layer(whiteout("osm-crds/old.yaml"), crd_file("a.yaml", A), pack=in_frames)
        pushed = Image([old, new, layer(crd_file("b.yaml", B))], layer_types=[ZSTD_LAYER, ZSTD_LAYER, LAYER])
        ref = await pusher.push(repository, "1.0", pushed)
        assert await read(session, ref) == ImageCRDs(pushed.digest, [A, B])

    @pytest.mark.parametrize(("packed", "kind"), [(b"BZh rest", UnsupportedLayer), (b"\x28\xb5\x2f\xfd", LayerRefused)])
    async def test_a_packing_that_is_not_read(
        self, session: aiohttp.ClientSession, pusher: Pusher, repository: str, packed: bytes, kind: type[OCIError]
    ) -> None:
        ref = await pusher.push(repository, "1.0", Image([packed]))
        with pytest.raises(kind, match=f"image {ref}: one of its layers is "):
            await read(session, ref)

    async def test_blobs_are_streamed(self, session: aiohttp.ClientSession, pusher: Pusher, repository: str) -> None:
        pushed = Image([bytes(900_000)])
        ref = parse_reference(await pusher.push(repository, "1.0", pushed))
        client, digest = RegistryClient(session, insecure=True), digest_of(pushed.layers[0])
        chunks = [chunk async for chunk in client.blob(ref, digest)]
        assert b"".join(chunks) == pushed.layers[0]
        assert max(map(len, chunks)) <= 256 * 1024
        async with aclosing(client.blob(ref, digest)) as some:
            assert await anext(some)
        with pytest.raises(DigestMismatch, match="longer than the 1000 bytes"):
            [chunk async for chunk in client.blob(ref, digest, limit=1000)]

    async def test_tags_come_page_by_page(
        self,
        session: aiohttp.ClientSession,
        pusher: Pusher,
        repository: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tags = [f"1.{number}.0" for number in range(7)]
        for tag in tags:
            ref = await pusher.push(repository, tag, ONE)
        client = RegistryClient(session, insecure=True)
        assert sorted(await client.tags(parse_reference(ref))) == tags
        monkeypatch.setattr(registry, "_TAGS_A_PAGE", 3)
        assert sorted(await client.tags(parse_reference(ref))) == tags
        monkeypatch.setattr(registry, "MAX_TAG_PAGES", 2)
        with pytest.raises(ImageInvalid, match="more than 2 pages"):
            await client.tags(parse_reference(ref))

    async def test_a_login(self, session: aiohttp.ClientSession, locked: str, repository: str) -> None:
        pushed = image(crd_file("a.yaml", A))
        ref = await Pusher(session, locked, USER).push(repository, "1.0", pushed)
        assert await read(session, ref, credentials=USER) == ImageCRDs(pushed.digest, [A])
        with pytest.raises(RegistryDenied, match=r"wants a login; give its pull secret"):
            await read(session, ref)
        with pytest.raises(RegistryDenied, match=r"check the login given for it") as failed:
            await read(session, ref, credentials=WRONG)
        assert "battery" not in str(failed.value)

    async def test_several_logins_are_tried_in_their_order(
        self, session: aiohttp.ClientSession, locked: str, pusher: Pusher, repository: str
    ) -> None:
        ref = await Pusher(session, locked, USER).push(repository, "1.0", ONE)
        assert (await read(session, ref, logins=[WRONG, None, USER])).crds == [A]
        with pytest.raises(RegistryDenied, match="check the login given for it"):
            await read(session, ref, logins=[WRONG, None])
        public = await pusher.push(repository, "1.0", ONE)
        assert (await read(session, public, logins=[WRONG])).crds == [A]

    async def test_a_registry_without_tls(self, session: aiohttp.ClientSession, cluster: Cluster) -> None:
        with pytest.raises(RegistryPlain, match="it speaks plain http; allow insecure access"):
            await read(session, f"{cluster.registry}/x", insecure=False)


class TestCache:
    """What is read only once."""

    async def test_a_pinned_image_needs_no_registry(
        self, session: aiohttp.ClientSession, pusher: Pusher, repository: str, tmp_path: Path
    ) -> None:
        pushed = image(crd_file("a.yaml", A))
        ref = await pusher.push(repository, "1.0", pushed)
        first = await read(session, ref, cache_dir=tmp_path)
        gone = f"127.0.0.1:1/{repository}@{pushed.digest}"
        assert await read(session, gone, cache_dir=tmp_path) == first
        with pytest.raises(RegistryUnreachable):
            await read(session, gone)

    async def test_a_tag_is_asked_for_again_and_its_layers_are_not(
        self, session: aiohttp.ClientSession, tmp_path: Path
    ) -> None:
        async with fake_registry(ONE) as fake:
            for _ in range(2):
                assert (await read(session, fake.ref, cache_dir=tmp_path)).crds == [A]
            assert fake.asked == ["manifests", "blobs", "manifests"]

    async def test_another_folder_is_another_entry(self, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        async with fake_registry(image(crd_file("a.yaml", A), file("other/b.yaml", yaml.safe_dump(B)))) as fake:
            assert (await read(session, fake.ref, cache_dir=tmp_path)).crds == [A]
            other = await read_crds(fake.ref, "/other", session=session, insecure=True, cache_dir=tmp_path)
            assert other.crds == [B]

    async def test_nothing_but_entries_is_left(self, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        async with fake_registry(ONE) as fake:
            await read(session, fake.ref, cache_dir=tmp_path / "new")
        assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".json"]

    async def test_no_room_for_layers(self, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        async with fake_registry(ONE) as fake:
            with pytest.raises(ScratchUnavailable, match="no place to keep its layers") as failed:
                await read(session, fake.ref, cache_dir=tmp_path / "file")
        assert failed.value.transient

    async def test_no_room_for_an_entry(
        self, session: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(CRDCache, "store", full)
        async with fake_registry(ONE) as fake:
            assert (await read(session, fake.ref, cache_dir=tmp_path)).crds == [A]


def answering(body: str | bytes = b"", status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body.encode() if isinstance(body, str) else body, status=status, headers=headers)

    return answer


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(bytes(1_000_000))
    return response


async def stalling(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"{")
    await asyncio.sleep(60)
    return response


async def breaking_off(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.close()
    return response


def moved(to: str, suffix: str = "") -> Answer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{to}{request.path}{suffix}"})

    return answer


def wanting(authorization: str, then: Answer, *, challenge: dict[str, str] | None = None) -> Answer:
    """Answer only to who sends this header."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") == authorization:
            return await then(request)
        return web.Response(status=401, headers=challenge or {"WWW-Authenticate": 'Basic realm="x"'})

    return answer


def challenge(tokens: LocalServer) -> dict[str, str]:
    return {"WWW-Authenticate": f'Bearer realm="{tokens.url}/token",service="registry.example"'}


@asynccontextmanager
async def guarded_registry() -> AsyncIterator[tuple[FakeRegistry, LocalServer]]:
    """A registry that wants the token "good", and the service that gives it."""
    async with fake_registry(ONE) as fake, local_server(answering('{"token": "good"}')) as tokens:
        fake.faults[""] = wanting("Bearer good", fake.serve, challenge=challenge(tokens))
        yield fake, tokens


@dataclass
class Trusting:
    """A context for https servers, and a session that trusts them."""

    server: ssl.SSLContext
    session: aiohttp.ClientSession


@pytest.fixture
async def trusting(tmp_path: Path) -> AsyncIterator[Trusting]:
    server, client = make_certificate(tmp_path)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client)) as session:
        yield Trusting(server, session)


REFUSED = '{"errors": [{"code": "DENIED", "message": "not\\nyou"}]}'


class TestFaults:
    """What no real registry does, or not when asked to."""

    @pytest.mark.parametrize(
        ("part", "fault", "kind", "names"),
        [
            ("manifests", answering(status=500), RegistryUnreachable, "answers 500; try again later"),
            ("manifests", answering(status=429), RegistryUnreachable, "answers 429"),
            ("manifests", answering(REFUSED, 403), RegistryDenied, "answers 403 (DENIED not you); give a pull secret"),
            ("manifests", answering("<html>", 404), ImageNotFound, "answers 404; check the name"),
            ("manifests", answering("x" * 100_000, 404), ImageNotFound, "answers 404; check the name"),
            ("manifests", answering('{"errors": 7}', 404), ImageNotFound, "answers 404; check the name"),
            ("manifests", answering(status=400), ImageInvalid, "answers 400 over plain http; check the name"),
            ("manifests", answering(status=206), ImageInvalid, "answers 206"),
            ("manifests", answering("<!DOCTYPE html>"), ImageInvalid, "is it a registry?"),
            ("manifests", answering('{"schemaVersion": 1}'), ImageInvalid, "schema 1"),
            ("manifests", endless, ImageInvalid, "sends more than 4194304 bytes"),
            ("manifests", stalling, RegistryUnreachable, "no answer in time"),
            ("manifests", breaking_off, RegistryUnreachable, "broke off"),
            ("blobs", answering(status=502), RegistryUnreachable, "answers 502"),
            ("blobs", answering(status=404), ImageNotFound, "answers 404"),
            ("blobs", answering("other bytes"), DigestMismatch, "arrives with other bytes"),
            ("blobs", endless, DigestMismatch, "is longer than the"),
            ("blobs", stalling, RegistryUnreachable, "no answer in time"),
            ("blobs", breaking_off, RegistryUnreachable, "broke off"),
        ],
    )
    async def test_faults(
        self,
        session: aiohttp.ClientSession,
        monkeypatch: pytest.MonkeyPatch,
        part: str,
        fault: Answer,
        kind: type[OCIError],
        names: str,
    ) -> None:
        for timeout in ("METADATA_TIMEOUT", "BLOB_TIMEOUT"):
            monkeypatch.setattr(registry, timeout, aiohttp.ClientTimeout(total=10, sock_read=0.3))
        async with fake_registry(ONE) as fake:
            fake.faults[part] = fault
            with pytest.raises(OCIError) as failed:
                await read(session, fake.ref)
            assert type(failed.value) is kind
            assert names in str(failed.value)
            assert str(failed.value).startswith(f"image {fake.ref}: ")
            assert str(failed.value).isprintable()
            assert failed.value.transient is (kind is RegistryUnreachable)

    async def test_a_manifest_under_the_wrong_digest(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake:
            with pytest.raises(DigestMismatch, match=f"answers with {ONE.digest} instead"):
                await read(session, f"{fake.ref}@sha256:{'0' * 64}")

    async def test_an_index_may_name_an_index(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake:
            body, kept = index_of(("linux", "amd64", ONE)), dict[str, bytes]()
            for depth in range(1, 5):
                kept["1.0"] = kept[digest_of(body)] = body
                fake.documents = dict(kept)
                if depth < 4:
                    assert (await read(session, fake.ref)).digest == digest_of(body)
                outer = json.loads(body)
                outer["manifests"][0]["digest"] = digest_of(body)
                body = json.dumps(outer).encode()
            with pytest.raises(ImageInvalid, match="nested too deep"):
                await read(session, fake.ref)

    async def test_an_index_without_linux(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake:
            fake.documents["1.0"] = index_of(("windows", "amd64", ONE), ("unknown", "unknown", ONE))
            with pytest.raises(ImageInvalid, match=f"image {fake.ref}: its index lists no linux image"):
                await read(session, fake.ref)

    async def test_layers_beyond_the_bound_are_not_fetched(
        self, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(crds_module, "MAX_PACKED", 10)
        async with fake_registry(ONE) as fake:
            with pytest.raises(ImageInvalid, match="more than 10; give an image that holds CRDs only"):
                await read(session, fake.ref)
            assert fake.asked == ["manifests"]

    @pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
    async def test_a_registry_that_is_not_there(self, session: aiohttp.ClientSession, host: str) -> None:
        with pytest.raises(RegistryUnreachable, match=r"cannot be read: .*check the name, and that it can be reached"):
            await read(session, f"{host}/team/mesh:1.0")

    async def test_tags_that_go_on_elsewhere(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake, local_server(answering('{"tags": ["x"]}')) as other:
            fake.faults["tags"] = answering('{"tags": ["1"]}', headers={"Link": f'<{other.url}/v2/x>; rel="next"'})
            with pytest.raises(ImageInvalid, match="goes on on another host"):
                await RegistryClient(session, insecure=True).tags(parse_reference(fake.ref))
            assert other.requests == []

    @pytest.mark.parametrize("link", ["http://[", "mailto:someone", "", "http://x:99999/"])
    async def test_tags_that_go_on_nowhere(self, session: aiohttp.ClientSession, link: str) -> None:
        async with fake_registry(ONE) as fake:
            fake.faults["tags"] = answering('{"tags": ["1"]}', headers={"Link": f'<{link}>; rel="next"'})
            with contextlib.suppress(ImageInvalid):
                await RegistryClient(session, insecure=True).tags(parse_reference(fake.ref))
            assert set(fake.asked) == {"tags"}

    @pytest.mark.parametrize(
        ("body", "tags"), [('{"name": "x", "tags": null}', ()), ('{"tags": ["1", 2, "3"]}', ("1", "3"))]
    )
    async def test_odd_tags(self, session: aiohttp.ClientSession, body: str, tags: tuple[str, ...]) -> None:
        async with fake_registry(ONE) as fake:
            fake.faults["tags"] = answering(body)
            assert await RegistryClient(session, insecure=True).tags(parse_reference(fake.ref)) == tags

    @pytest.mark.parametrize("body", ["", "[]", "{}", "<html>", "[" * 100_000])
    async def test_what_is_no_list_of_tags(self, session: aiohttp.ClientSession, body: str) -> None:
        async with fake_registry(ONE) as fake:
            fake.faults["tags"] = answering(body)
            with pytest.raises(ImageInvalid, match=r"repository .*/team/mesh: the answer is no list of tags"):
                await RegistryClient(session, insecure=True).tags(parse_reference(fake.ref))

    async def test_a_digest_that_is_none(self, session: aiohttp.ClientSession) -> None:
        client = RegistryClient(session, insecure=True)
        with pytest.raises(ReferenceInvalid, match="not a sha256 digest"):
            [chunk async for chunk in client.blob(parse_reference("127.0.0.1:1/x"), "../../secrets")]


class TestRedirects:
    """Storage behind a registry: followed, without the login."""

    async def test_layers_from_another_host(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake, local_server(fake.serve) as storage:
            fake.faults["blobs"] = moved(storage.url, "?signature=secret")
            fake.faults["manifests"] = wanting(basic(USER), fake.serve)
            assert (await read(session, fake.ref, credentials=USER)).crds == [A]
            assert fake.server.authorizations == [None, basic(USER), basic(USER)]
            assert storage.authorizations == [None]
            assert storage.requests[0].query_string == "signature=secret"

    async def test_another_host_that_wants_a_login_does_not_get_it(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake:
            greedy = answering("", 401, {"WWW-Authenticate": "Basic"})
            async with local_server(greedy) as storage:
                fake.faults["blobs"] = moved(storage.url)
                with pytest.raises(RegistryDenied, match="answers 401"):
                    await read(session, fake.ref, credentials=USER)
                assert storage.authorizations == [None]

    async def test_back_again_is_still_without_a_login(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake, local_server(answering()) as detour:
            detour.answer = moved(fake.server.url, "/again")
            fake.faults["again"] = answering("x")
            fake.faults["blobs"] = moved(detour.url)
            fake.faults["manifests"] = wanting(basic(USER), fake.serve)
            with pytest.raises(DigestMismatch):
                await read(session, fake.ref, credentials=USER)
            assert fake.server.authorizations == [None, basic(USER), basic(USER), None]

    async def test_in_a_circle(self, session: aiohttp.ClientSession) -> None:
        async with fake_registry(ONE) as fake:
            fake.faults["blobs"] = moved(fake.server.url)
            with pytest.raises(ImageInvalid, match="more than 5 redirects"):
                await read(session, fake.ref)
            assert fake.asked.count("blobs") == 6

    async def test_from_https_to_plain_http(self, trusting: Trusting) -> None:
        async with (
            fake_registry(ONE) as storage,
            local_server(moved(storage.server.url), tls=trusting.server) as server,
        ):
            with pytest.raises(ImageInvalid, match="redirects from https to plain http"):
                await read(trusting.session, f"{server.host}/team/mesh:1.0", insecure=False)
            assert storage.asked == []


class TestTokens:
    """The token service that a registry names."""

    async def test_a_token_is_fetched_once_and_used(self, session: aiohttp.ClientSession) -> None:
        async with guarded_registry() as (fake, tokens):
            assert (await read(session, fake.ref, credentials=USER)).crds == [A]
            (request,) = tokens.requests
            assert dict(request.query) == {"service": "registry.example", "scope": "repository:team/mesh:pull"}
            assert tokens.authorizations == [basic(USER)]
            assert fake.server.authorizations == [None, "Bearer good", "Bearer good"]

    async def test_a_real_registry_that_names_a_token_service(
        self, session: aiohttp.ClientSession, cluster: Cluster, repository: str, tmp_path: Path
    ) -> None:
        authority = Authority()
        issuer = authority.identity("issuer")
        (tmp_path / "bundle.pem").write_bytes(issuer.certificate + authority.certificate)

        async def issue(request: web.BaseRequest) -> web.StreamResponse:
            if request.headers.get("Authorization") != basic(USER):
                return web.Response(status=401)
            kind, name, actions = request.query["scope"].split(":")
            now = int(time.time())
            access = [{"type": kind, "name": name, "actions": actions.split(",")}]
            times = {"nbf": now - 60, "iat": now - 60, "exp": now + 600}
            claims = {"iss": "tests", "sub": USER.username, "aud": request.query["service"], "access": access}
            return web.json_response({"token": issuer.token({**claims, **times, "jti": "1"})})

        async with local_server(issue) as tokens:
            settings = {"realm": f"{tokens.url}/token", "service": "mesh", "issuer": "tests"}
            auth = {"token": {**settings, "rootcertbundle": str(tmp_path / "bundle.pem")}}
            with running_registry(cluster.binaries.registry, tmp_path / "registry", auth=auth) as address:
                claims = {"iss": "tests", "sub": "", "aud": "mesh", "exp": int(time.time()) + 600, "jti": "0"}
                access = [{"type": "repository", "name": repository, "actions": ["push", "pull"]}]
                bearer = f"Bearer {issuer.token({**claims, 'access': access})}"
                async with aiohttp.ClientSession(headers={"Authorization": bearer}) as pushing:
                    ref = await Pusher(pushing, address).push(repository, "1.0", ONE)
                assert (await read(session, ref, credentials=USER)).crds == [A]
                with pytest.raises(RegistryDenied, match="gives no token"):
                    await read(session, ref, credentials=WRONG)
        assert [dict(request.query) for request in tokens.requests] == [
            {"service": "mesh", "scope": f"repository:{repository}:pull"}
        ] * 2

    async def test_an_identity_token_is_exchanged(self, session: aiohttp.ClientSession) -> None:
        async with guarded_registry() as (fake, tokens):
            asked = []

            async def exchange(request: web.BaseRequest) -> web.StreamResponse:
                asked.append((request.method, dict(parse_qsl(await request.text()))))
                return web.Response(text='{"access_token": "good"}')

            tokens.answer = exchange
            assert (await read(session, fake.ref, credentials=Credentials("user", "", "refresher"))).crds == [A]
            form = {
                "grant_type": "refresh_token",
                "client_id": "meshupgrade",
                "service": "registry.example",
                "scope": "repository:team/mesh:pull",
                "refresh_token": "refresher",
            }
            assert asked == [("POST", form)]
            assert tokens.requests[0].query_string == ""
            assert tokens.authorizations == [None]

    async def test_an_identity_token_goes_along_with_no_redirect(self, session: aiohttp.ClientSession) -> None:
        async with guarded_registry() as (fake, tokens), local_server(answering('{"token": "good"}')) as other:
            tokens.answer = moved(other.url)
            with pytest.raises(RegistryDenied, match="gives no token"):
                await read(session, fake.ref, credentials=Credentials("", "", "refresher"))
            assert other.requests == []

    async def test_without_a_login_a_token_is_asked_for_all_the_same(self, session: aiohttp.ClientSession) -> None:
        async with guarded_registry() as (fake, tokens):
            assert (await read(session, fake.ref)).crds == [A]
            assert tokens.authorizations == [None]

    async def test_a_token_that_runs_out_is_renewed(self, session: aiohttp.ClientSession) -> None:
        async with guarded_registry() as (fake, tokens):
            client = RegistryClient(session, insecure=True)
            ref = parse_reference(fake.ref)
            await client.manifest(ref)
            tokens.answer = answering('{"access_token": "better"}')
            fake.faults[""] = wanting("Bearer better", fake.serve, challenge=challenge(tokens))
            await client.manifest(ref)
            assert fake.server.authorizations == [None, "Bearer good", "Bearer good", "Bearer better"]

    async def test_a_token_that_is_not_taken(self, session: aiohttp.ClientSession) -> None:
        async with guarded_registry() as (fake, tokens):
            tokens.answer = answering('{"token": "worse"}')
            with pytest.raises(RegistryDenied, match="answers 401; check the login"):
                await read(session, fake.ref, credentials=USER)
            assert len(tokens.requests) == 1

    @pytest.mark.parametrize(
        ("fault", "kind", "names"),
        [
            (answering(status=401), RegistryDenied, "gives no token (401); check user and password"),
            (answering(status=404), RegistryDenied, "gives no token (404)"),
            (answering(status=503), RegistryUnreachable, "answers 503; try again later"),
            (answering("<html>"), RegistryDenied, "answers without a token"),
            (answering("[]"), RegistryDenied, "answers without a token"),
            (answering('{"token": ""}'), RegistryDenied, "answers without a token"),
            (answering('{"token": 7}'), RegistryDenied, "answers without a token"),
            (answering('{"token": "a\\r\\nX-Injected: b"}'), RegistryDenied, "answers without a token"),
            (endless, ImageInvalid, "sends more than 262144 bytes"),
            (breaking_off, RegistryUnreachable, "broke off"),
        ],
    )
    async def test_faults(
        self, session: aiohttp.ClientSession, fault: Answer, kind: type[OCIError], names: str
    ) -> None:
        async with guarded_registry() as (fake, tokens):
            tokens.answer = fault
            with pytest.raises(kind) as failed:
                await read(session, fake.ref, credentials=USER)
            assert names in str(failed.value)
            assert str(failed.value).startswith(f"image {fake.ref}: ")
            assert "correct horse" not in str(failed.value)

    async def test_a_login_does_not_follow_a_redirect_of_the_service(self, session: aiohttp.ClientSession) -> None:
        async with guarded_registry() as (fake, tokens), local_server(answering('{"token": "good"}')) as other:
            tokens.answer = moved(other.url)
            assert (await read(session, fake.ref, credentials=USER)).crds == [A]
            assert (tokens.authorizations, other.authorizations) == ([basic(USER)], [None])

    @pytest.mark.parametrize(
        ("value", "names"),
        [
            ('Bearer service="x"', "names no token service"),
            ('Bearer realm="file:///etc/passwd"', "names no token service"),
            ('Bearer realm="http://["', "names no token service"),
            ("Negotiate", "a kind that is not spoken here (negotiate)"),
            (None, "it does not say which"),
        ],
    )
    async def test_challenges_that_cannot_be_answered(
        self, session: aiohttp.ClientSession, value: str | None, names: str
    ) -> None:
        async with fake_registry(ONE) as fake:
            fake.faults[""] = answering("", 401, {"WWW-Authenticate": value} if value else None)
            with pytest.raises(RegistryDenied) as failed:
                await read(session, fake.ref, credentials=USER)
            assert names in str(failed.value)

    async def test_a_service_without_tls_gets_nothing(self, trusting: Trusting) -> None:
        async with local_server(answering('{"token": "good"}')) as tokens:
            answer = answering("", 401, challenge(tokens))
            async with local_server(answer, tls=trusting.server) as server:
                with pytest.raises(RegistryDenied, match="speaks plain http, which is no way to log in"):
                    await read(trusting.session, f"{server.host}/team/mesh:1.0", insecure=False, credentials=USER)
            assert tokens.requests == []


@dataclass
class Guarded:
    """A real registry with TLS, which wants a client certificate."""

    address: str
    authority: Authority
    me: Identity

    def tls(self, me: Identity | None = None) -> ClientTLS:
        if me is None:
            return client_tls(self.authority.certificate, None, None)
        return client_tls(self.authority.certificate, me.certificate, me.key)


@pytest.fixture(scope="module")
def guarded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder, authority = tmp_path_factory.mktemp("guarded"), Authority()
    (folder / "ca.crt").write_bytes(authority.certificate)
    files = authority.identity("registry").write(folder, "registry")
    tls = {**files, "clientcas": [str(folder / "ca.crt")]}
    with running_registry(cluster.binaries.registry, folder, tls=tls) as address:
        yield Guarded(address, authority, authority.identity("client"))


class TestTLS:
    """A private CA, and a client certificate."""

    async def test_a_private_ca(self, session: aiohttp.ClientSession, trusting: Trusting) -> None:
        async with fake_registry(ONE) as fake, local_server(fake.serve, tls=trusting.server) as server:
            ref = f"{server.host}/team/mesh:1.0"
            assert (await read(trusting.session, ref, insecure=False)).crds == [A]
            with pytest.raises(RegistryUntrusted, match=r"certificate is not trusted .*give the CA"):
                await read(session, ref, insecure=False)

    async def test_a_client_certificate(
        self, session: aiohttp.ClientSession, guarded: Guarded, repository: str
    ) -> None:
        tls = guarded.tls(guarded.me)
        pusher = Pusher(session, guarded.address, scheme="https", tls=tls.identified)
        ref = await pusher.push(repository, "1.0", ONE)
        assert (await read(session, ref, insecure=False, tls=tls)).crds == [A]
        stranger = Authority().identity("stranger")
        for refused in (guarded.tls(), guarded.tls(stranger), None):
            with pytest.raises(RegistryUntrusted) as failed:
                await read(session, ref, insecure=False, tls=refused)
            assert not failed.value.transient
            assert "a client certificate if it wants one" in str(failed.value)
        with pytest.raises(ImageInvalid, match="answers 400 over plain http"):
            await read(session, ref)

    async def test_a_client_certificate_stays_with_its_registry(
        self, session: aiohttp.ClientSession, tmp_path: Path
    ) -> None:
        """Neither storage that the registry redirects to, nor its token service elsewhere, is shown it."""
        authority = Authority()
        files, me = authority.identity("server").write(tmp_path, "server"), authority.identity("client")
        (tmp_path / "ca.crt").write_bytes(authority.certificate)
        curious = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        curious.load_cert_chain(files["certificate"], files["key"])
        curious.load_verify_locations(tmp_path / "ca.crt")
        curious.verify_mode = ssl.CERT_OPTIONAL
        shown: dict[str, list[bool]] = {"registry": [], "storage": [], "tokens": []}

        def noting(where: str, then: Answer) -> Answer:
            async def answer(request: web.BaseRequest) -> web.StreamResponse:
                assert request.transport is not None
                shown[where].append(bool(request.transport.get_extra_info("peercert")))
                return await then(request)

            return answer

        async with (
            fake_registry(ONE) as fake,
            local_server(noting("registry", fake.answer), tls=curious) as registry_server,
            local_server(noting("storage", fake.serve), tls=curious) as storage,
            local_server(noting("tokens", answering('{"token": "good"}')), tls=curious) as tokens,
        ):
            fake.faults["blobs"] = moved(storage.url)
            fake.faults["manifests"] = wanting("Bearer good", fake.serve, challenge=challenge(tokens))
            tls = client_tls(authority.certificate, me.certificate, me.key)
            assert (await read(session, f"{registry_server.host}/team/mesh:1.0", insecure=False, tls=tls)).crds == [A]
        assert shown == {"registry": [True, True, True], "storage": [False], "tokens": [False]}


def write_chart(folder: Path, version: str) -> Path:
    chart = folder / version
    chart.mkdir()
    described = {"name": "osm-edge", "version": version, "appVersion": "1.10", "kubeVersion": ">=1.19-0"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", **described}))
    return chart


VERSIONS = ["1.1.0", "1.10.0", "1.2.0", "1.2.0-rc.1", "1.2.1+build.5"]
NEWEST_FIRST = ["1.10.0", "1.2.1+build.5", "1.2.0", "1.2.0-rc.1", "1.1.0"]


@pytest.fixture(scope="module")
def packages(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of charts, packed by helm, with its index."""
    folder = tmp_path_factory.mktemp("charts")
    for version in VERSIONS:
        chart = write_chart(tmp_path_factory.mktemp("chart"), version)
        cluster.helm("package", str(chart), "--destination", str(folder))
    cluster.helm("repo", "index", str(folder))
    return folder


class TestChartRepositories:
    """What helm itself has made is read back."""

    async def test_an_index_of_helm(self, session: aiohttp.ClientSession, packages: Path) -> None:
        async with local_server(answering((packages / "index.yaml").read_bytes())) as server:
            listing = await list_versions(session, server.url, ["osm-edge", "osm"])
        assert [version.raw_version for version in listing.versions] == NEWEST_FIRST
        newest = listing.versions[0]
        archive = packages / "osm-edge-1.10.0.tgz"
        assert newest.urls == (f"{server.url}/{archive.name}",)
        assert newest.digest == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert (newest.app_version, newest.kube_version, newest.deprecated) == ("1.10", ">=1.19-0", False)
        assert newest.created is not None

    async def test_tags_of_helm(
        self, session: aiohttp.ClientSession, cluster: Cluster, packages: Path, repository: str, pusher: Pusher
    ) -> None:
        url = f"oci://{cluster.registry}/{repository}"
        for archive in packages.glob("*.tgz"):
            cluster.helm("push", str(archive), url, "--plain-http")
        await pusher.push(f"{repository}/osm-edge", "latest", ONE)
        listing = await list_versions(session, url, ["no-such-chart", "osm-edge"], insecure=True)
        assert listing.chart == "osm-edge"
        assert [version.raw_version for version in listing.versions] == NEWEST_FIRST
        assert listing.versions[1].urls == (f"{url}/osm-edge:1.2.1_build.5",)
        assert listing.versions[1].app_version == ""
        with pytest.raises(ChartNotListed, match=f"{url} has no chart osm or fsm right below it"):
            await list_versions(session, f"{url}/", ["osm", "fsm"], insecure=True)

    async def test_a_chart_is_no_image(
        self, session: aiohttp.ClientSession, cluster: Cluster, packages: Path, repository: str
    ) -> None:
        cluster.helm(
            "push", str(packages / "osm-edge-1.1.0.tgz"), f"oci://{cluster.registry}/{repository}", "--plain-http"
        )
        with pytest.raises(ImageInvalid, match="no files in the folder /osm-crds"):
            await read(session, f"{cluster.registry}/{repository}/osm-edge:1.1.0")

    async def test_a_login(self, session: aiohttp.ClientSession, locked: str, repository: str) -> None:
        await Pusher(session, locked, USER).push(f"{repository}/osm", "1.0.0", ONE)
        url = f"oci://{locked}/{repository}"
        listing = await list_versions(session, url, ["osm-edge", "osm"], insecure=True, credentials=USER)
        assert (listing.chart, [str(each.version) for each in listing.versions]) == ("osm", ["1.0.0"])
        with pytest.raises(RepositoryDenied, match="wants a login"):
            await list_versions(session, url, ["osm-edge", "osm"], insecure=True)
