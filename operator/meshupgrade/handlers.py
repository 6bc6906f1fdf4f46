"""kopf: watches in, work queue out. The only module that imports kopf.

A slow change handler would hold up every later event of its object, its deletion too, so the only handler of objects
hands over what it saw and is done. kopf writes nothing: no finalizer, no annotation, no status, no Event.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from meshupgrade.api.v1alpha1.names import GROUP, PLURAL, VERSION
from meshupgrade.engine.engine import Engine

__all__ = ["serve"]


async def serve(engine: Engine, configuration: Configuration, *, ready: Callable[[], None]) -> None:
    """Watch and work until SIGTERM or SIGINT; then let every run end its Helm process before returning."""
    registry = kopf.OperatorRegistry()
    settings = _settings()
    stop = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _connection(configuration)

    @kopf.on.startup(registry=registry)
    async def start(**_: Any) -> None:
        task = asyncio.create_task(engine.run(), name="engine")
        # An engine that ends by itself is a defect: end the process, and let Kubernetes start it anew.
        task.add_done_callback(lambda _: stop.set())
        tasks.append(task)
        ready()

    @kopf.on.cleanup(registry=registry)
    async def end(**_: Any) -> None:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def seen(body: kopf.Body, type: str | None, **_: Any) -> None:
        engine.observe(dict(body), deleted=type == "DELETED")

    await kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True, stop_flag=stop)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.networking.request_timeout = 30
    settings.queueing.idle_timeout = 1
    return settings


async def _connection(configuration: Configuration) -> kopf.ConnectionInfo:
    # Asked for and not read, since this reads the ServiceAccount's token anew when it was rotated.
    scheme, _, token = (await configuration.get_api_key_with_prefix("BearerToken") or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        ca_data=configuration.ca_cert_data,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        username=configuration.username,
        password=configuration.password,
        scheme=scheme or None,
        token=token or None,
    )
