"""The metrics over HTTP."""

import socket

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from meshupgrade.telemetry.server import PortTaken, serve_metrics
from tests.cluster.ports import free_ports


async def test_they_are_served_until_the_end() -> None:
    registry, port = CollectorRegistry(), free_ports(1)[0]
    Gauge("some", "Something.", registry=registry).set(3)
    url = f"http://127.0.0.1:{port}/metrics"
    async with aiohttp.ClientSession() as http:
        async with serve_metrics(registry, port), http.get(url) as answer:
            assert answer.content_type == "text/plain"
            (family,) = text_string_to_metric_families(await answer.text())
            assert [(sample.name, sample.value) for sample in family.samples] == [("some", 3.0)]
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(url)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} cannot be had: .*in use"):
            async with serve_metrics(CollectorRegistry(), port):
                pass
