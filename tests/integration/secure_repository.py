"""A chart repository behind https that wants a login and a client certificate, and a proxy in front of it."""

import base64
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["USER", "SecureRepository", "proxy", "secure_repository"]

USER = ("ci", "corr3ct-h0rse-battery")


class SecureRepository:
    """Where it is, and how often somebody came in vain."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.denied = 0


@contextmanager
def secure_repository(
    folder: Path, identity: tuple[Path, Path], *, clients: Path | None = None
) -> Iterator[SecureRepository]:
    """Serve a folder to who logs in as USER; ``clients`` is the authority of the certificates they have to show."""
    repository = SecureRepository()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, repository=repository, directory=str(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    # The handshake is the thread's of the connection, or one that hangs would stop them all.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    repository.port = server.server_port
    repository.url = f"https://127.0.0.1:{server.server_port}"
    with _running(server):
        yield repository


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, repository: SecureRepository, **kwargs: Any) -> None:
        self._repository = repository
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(":".join(USER).encode()).decode()
        if self.headers.get("Authorization") == wanted:
            super().do_GET()
        else:
            self._repository.denied += 1
            self.send_error(401)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            # Who does not trust the certificate, or has none to show, is gone again.
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def proxy(names: dict[str, int]) -> Iterator[tuple[str, Sequence[str]]]:
    """Run a proxy that knows names by their ports on this machine; gives its URL, and what it was asked for so far."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Proxy, names=names, asked=asked))
    with _running(server):
        yield f"http://127.0.0.1:{server.server_port}", asked


class _Proxy(BaseHTTPRequestHandler):
    def __init__(self, *args: Any, names: dict[str, int], asked: list[str], **kwargs: Any) -> None:
        self._names = names
        self._asked = asked
        super().__init__(*args, **kwargs)

    def do_CONNECT(self) -> None:
        self._asked.append(self.path)
        port = self._names.get(self.path.partition(":")[0])
        if port is None:
            self.send_error(403)
            return
        with socket.create_connection(("127.0.0.1", port)) as there:
            self.send_response(200)
            self.end_headers()
            _relay(self.connection, there)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _relay(one: socket.socket, other: socket.socket) -> None:
    while True:
        for source in select.select([one, other], [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)


@contextmanager
def _running(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
