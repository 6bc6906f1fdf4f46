"""A chart repository: a folder behind a real HTTP server on loopback, which can be told to misbehave."""

import threading
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .ports import LOOPBACK

__all__ = ["ChartRepository", "serve_directory"]


class ChartRepository:
    """A running server; a context manager that closes it.

    `requests` lists the paths that were asked for, in order. Set `fail_with` to an HTTP status to answer everything
    with it, and `unreachable` to True to cut every connection without an answer.
    """

    def __init__(self, directory: Path) -> None:
        """Serve a folder until `close`; raises OSError when no port can be had."""
        self.requests: list[str] = []
        self.fail_with: int | None = None
        self.unreachable = False
        self._server = ThreadingHTTPServer((LOOPBACK, 0), partial(_Handler, repository=self, directory=str(directory)))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="chart-repository", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL of the folder, without a slash at its end."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving and free the port. Harmless the second time."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """The repository itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, repository: ChartRepository, **kwargs: Any) -> None:
        self._repository = repository
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self._repository.requests.append(self.path)
        if self._repository.unreachable:
            self.close_connection = True
        elif self._repository.fail_with is not None:
            self.send_error(HTTPStatus(self._repository.fail_with))
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the list of requests says it all, and stderr belongs to the tests."""


def serve_directory(directory: Path) -> ChartRepository:
    """Serve `directory` (with its index.yaml) as a chart repository on a free port."""
    return ChartRepository(directory)
