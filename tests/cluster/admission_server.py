"""An HTTPS server on loopback that answers admission reviews, can go away as a crashed one does, and come back."""

import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .credentials import create_credentials
from .ports import LOOPBACK

__all__ = ["AdmissionServer"]

POLL_SECONDS = 0.03

Object = dict[str, Any]
#: From the path and the request of a review to its response, without the uid.
Answer = Callable[[str, Object], Object]


class AdmissionServer:
    """One server at one address; connections are refused before `start` and after `stop`, which can take turns.

    `url` is its address without a path, `ca` the certificate of the authority to trust, in PEM. `crash` is what
    `answer` has raised last; the Pod is refused then.
    """

    def __init__(self, answer: Answer) -> None:
        """Take a port and make a certificate."""
        self.crash: BaseException | None = None
        self._answer = answer
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            credentials = create_credentials(Path(folder))
            self._context.load_cert_chain(credentials.server, credentials.server_key)
            self.ca = credentials.ca.read_bytes()
        # Bound and never listening: it keeps the port for us while the server is away.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind((LOOPBACK, 0))
        self._port = int(self._reservation.getsockname()[1])
        self.url = f"https://{LOOPBACK}:{self._port}"
        self._server: _Server | None = None

    def start(self) -> None:
        """Take connections; nothing happens when it does already."""
        if self._server is None:
            self._server = _Server(self._port, self._context, self._respond)
            name = "admission-server"
            threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and cut those that are open, also in mid-request."""
        server, self._server = self._server, None
        if server is not None:
            server.end()

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._reservation.close()

    def _respond(self, path: str, review: Object) -> Object:
        try:
            response = self._answer(path, review["request"])
        except Exception as error:
            self.crash = error
            response = {"allowed": False, "status": {"code": 500, "message": f"the stand-in has failed: {error!r}"}}
        return {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], **response},
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = True
    request_queue_size = 128

    def __init__(self, port: int, context: ssl.SSLContext, respond: Answer) -> None:
        self.respond = respond
        self._open: set[socket.socket] = set()
        super().__init__((LOOPBACK, port), _Handler)
        # The handshake is left to the thread of the connection, or one slow client would hold up all others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            try:
                # Not the method of SSLSocket, which takes the session away from under the thread that reads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                continue

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a connection that is cut is meant, and AdmissionServer keeps what else goes wrong."""


class _Handler(BaseHTTPRequestHandler):
    # Keep-alive, and each answer in one packet: a bench has thousands of Pods admitted.
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(self.server.respond(urlsplit(self.path).path, review)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
