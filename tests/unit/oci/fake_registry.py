"""A registry with one image, until a test puts a fault in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.unit.oci.images import Image
from tests.unit.oci.local_server import Answer, LocalServer, local_server

__all__ = ["FakeRegistry", "fake_registry"]


class FakeRegistry:
    """Serves the image team/mesh:1.0 as a registry does."""

    def __init__(self, served: Image) -> None:
        self.served = served
        self.server = LocalServer(self.answer)
        self.faults: dict[str, Answer] = {}
        """What to answer instead, by a part of the path."""
        self.documents: dict[str, bytes] = {}
        """Other manifests than that of the image, by tag or digest."""

    @property
    def ref(self) -> str:
        return f"{self.server.host}/team/mesh:1.0"

    @property
    def asked(self) -> list[str]:
        """What was asked for, in order: manifests, blobs, tags."""
        return [request.path.split("/")[-2] for request in self.server.requests]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        for part, fault in self.faults.items():
            if part in request.path:
                return await fault(request)
        return await self.serve(request)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer without a fault."""
        kind, name = request.path.split("/")[-2:]
        if kind == "manifests":
            document = self.documents.get(name, self.served.manifest)
            return web.Response(body=document, headers={"Content-Type": self.served.manifest_type})
        return web.Response(body=self.served.blobs[name])


@asynccontextmanager
async def fake_registry(served: Image) -> AsyncIterator[FakeRegistry]:
    """Serve the image over plain http."""
    fake = FakeRegistry(served)
    async with local_server(fake.answer) as server:
        fake.server = server
        yield fake
