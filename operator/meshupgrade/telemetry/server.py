"""The metrics over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

__all__ = ["PortTaken", "serve_metrics"]


class PortTaken(Exception):
    """Nothing can be served at a port; the message says why."""


@asynccontextmanager
async def serve_metrics(registry: CollectorRegistry, port: int) -> AsyncIterator[None]:
    """Serve what the registry has at /metrics of that port, in all networks of the Pod. Raises PortTaken."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            raise PortTaken(f"port {port} cannot be had: {error.strerror or error}") from error
        yield
    finally:
        await runner.cleanup()
