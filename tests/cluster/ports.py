"""Free ports of the loopback interface, and HTTP to them."""

import socket
import ssl
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from .errors import PortTaken

__all__ = ["DIRECT", "LOOPBACK", "direct_opener", "free_ports", "with_free_ports"]

LOOPBACK = "127.0.0.1"
ATTEMPTS = 5

T = TypeVar("T")


def direct_opener(ca: Path | None = None) -> urllib.request.OpenerDirector:
    """What opens URLs without the proxy of the environment, which would look for this machine's ports elsewhere.

    With `ca` only servers with a certificate of that authority are trusted.
    """
    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca))
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)


DIRECT = direct_opener()


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listened on a moment ago."""
    with ExitStack() as open_until_all_are_chosen:
        sockets = [open_until_all_are_chosen.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def with_free_ports(count: int, start: Callable[..., T]) -> T:
    """What `start(*ports)` gives back, tried with other ports while it raises PortTaken; the last one is passed on.

    Between choosing a port and listening on it another process can take it; the kernel offers no way around that for a
    program that wants its port on the command line.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return start(*free_ports(count))
        except PortTaken:
            continue
    return start(*free_ports(count))
