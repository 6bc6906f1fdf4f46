"""Watches and discovery, against a server that answers as the API server does."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Forbidden, KindNotServed, Rejected, Unreachable
from meshupgrade.kube.readiness import watch_readiness

Object = dict[str, Any]

DISCOVERY = {"resources": [{"kind": "Deployment", "name": "deployments", "namespaced": True}]}
PLACE = ("apps/v1", "Deployment", "mesh")


class ApiServer:
    """Serves one kind; ``chunks`` is what a watch gives before it stays silent, ``status`` refuses it."""

    def __init__(self) -> None:
        self.chunks: Sequence[bytes] = ()
        self.status = 200
        self.ends = False
        self.watches: list[dict[str, str]] = []
        self.discoveries = 0

    async def discovery(self, request: web.Request) -> web.Response:
        self.discoveries += 1
        return web.json_response(DISCOVERY)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        self.watches.append(dict(request.query))
        if self.status != 200:
            return web.json_response({"message": "no"}, status=self.status)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for chunk in self.chunks:
            await answer.write(chunk)
            await asyncio.sleep(0)
        if not self.ends:
            await asyncio.sleep(60)
        return answer


@pytest.fixture
def api() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def kube(api: ApiServer) -> AsyncIterator[Kube]:
    app = web.Application()
    app.router.add_get("/apis/apps/v1", api.discovery)
    app.router.add_get("/apis/apps/v1/namespaces/mesh/deployments", api.watch)
    async with TestServer(app) as server, Kube(Configuration(host=str(server.make_url("")).rstrip("/"))) as client:
        yield client


def deployment(name: str, *, ready: bool = True, padding: int = 0) -> Object:
    counts = {"updatedReplicas": 1, "replicas": 1, "availableReplicas": int(ready), "observedGeneration": 1}
    metadata = {"name": name, "namespace": "mesh", "generation": 1, "annotations": {"padding": "x" * padding}}
    return {"metadata": metadata, "spec": {"replicas": 1}, "status": counts}


def event(kind: str, obj: Object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


async def seen(kube: Kube) -> list[tuple[str, str]]:
    return [(kind, obj["metadata"]["name"]) async for kind, obj in kube.watch(*PLACE, since="7", seconds=30)]


async def test_a_watch_gives_events_whichever_way_they_are_cut(api: ApiServer, kube: Kube) -> None:
    whole = event("ADDED", deployment("a")) + event("MODIFIED", deployment("b")) + event("DELETED", deployment("c"))
    api.chunks, api.ends = [whole[at : at + 50] for at in range(0, len(whole), 50)], True
    assert await seen(kube) == [("ADDED", "a"), ("MODIFIED", "b"), ("DELETED", "c")]
    assert api.watches[0]["resourceVersion"] == "7"


async def test_a_watch_takes_the_largest_objects(api: ApiServer, kube: Kube) -> None:
    # etcd takes 1.5 MiB; aiohttp by itself takes lines of 128 KiB.
    api.chunks, api.ends = [event("ADDED", deployment("large", padding=2 * 1024 * 1024))], True
    assert await seen(kube) == [("ADDED", "large")]


async def test_a_watch_tells_of_a_refusal(api: ApiServer, kube: Kube) -> None:
    api.status = 403
    with pytest.raises(Forbidden):
        await seen(kube)


async def test_a_watch_tells_that_it_is_too_late(api: ApiServer, kube: Kube) -> None:
    api.chunks = [event("ERROR", {"code": 410, "message": "too old resource version"})]
    with pytest.raises(Rejected):
        await seen(kube)


async def test_a_watch_tells_when_nobody_answers() -> None:
    async with Kube(Configuration(host="http://127.0.0.1:1")) as kube:
        with pytest.raises(Unreachable):
            await seen(kube)


def ref(name: str) -> ObjectRef:
    return ObjectRef("apps/v1", "Deployment", name, "mesh")


async def test_one_more_workload_is_ready(api: ApiServer, kube: Kube) -> None:
    api.chunks = [event("ADDED", deployment("a", ready=False)), event("MODIFIED", deployment("a"))]
    async with watch_readiness(kube, [ref("a")]) as one_more:
        assert await one_more(30)


@pytest.mark.parametrize(
    "told",
    [
        [],
        [event("ADDED", deployment("a", ready=False))],
        [event("ADDED", deployment("somebody-elses"))],
    ],
)
async def test_none_is_ready(api: ApiServer, kube: Kube, told: list[bytes]) -> None:
    api.chunks = told
    async with watch_readiness(kube, [ref("a")]) as one_more:
        assert not await one_more(0.2)


@pytest.mark.parametrize("status", [403, 500])
async def test_without_a_watch_the_seconds_remain(api: ApiServer, kube: Kube, status: int) -> None:
    api.status = status
    async with watch_readiness(kube, [ref("a")]) as one_more:
        assert not await one_more(0.2)
    assert api.watches


async def test_a_watch_that_ends_is_taken_up_again(api: ApiServer, kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshupgrade.kube.readiness.WATCH_AGAIN", 0.0)
    api.ends = True
    async with watch_readiness(kube, [ref("a")]) as one_more:
        assert not await one_more(0.2)
        api.chunks, api.ends = [event("ADDED", deployment("a"))], False
        assert await one_more(30)
    assert len(api.watches) > 1


async def test_many_who_ask_at_once_share_one_discovery(api: ApiServer, kube: Kube) -> None:
    for expected in (1, 2):
        paths = await asyncio.gather(*(kube.path(*PLACE) for _ in range(20)))
        assert set(paths) == {"/apis/apps/v1/namespaces/mesh/deployments"}
        assert api.discoveries == expected
        kube.forget_discovery({"apps"})


async def test_what_is_known_of_other_groups_is_not_forgotten(api: ApiServer, kube: Kube) -> None:
    await kube.path(*PLACE)
    kube.forget_discovery({"mesh.example", "v1"})
    await kube.path(*PLACE)
    assert api.discoveries == 1


async def test_a_kind_that_is_not_known_is_looked_up_anew(api: ApiServer, kube: Kube) -> None:
    await kube.path(*PLACE)
    with pytest.raises(KindNotServed):
        await kube.path("apps/v1", "DaemonSet", "mesh")
    assert api.discoveries == 2
