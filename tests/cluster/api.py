"""Plain JSON over HTTPS to the API server, for code that must see and send exactly what goes over the wire.

The stand-ins of the rig play other programs with other field managers and several threads; a client without a
discovery cache and without models has nothing that could get in between.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

__all__ = ["Api", "ApiError", "Change"]

REQUEST_SECONDS = 30.0
#: How long a watch stays silent at most before `stop` is looked at again.
WATCH_SECONDS = 1
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
OUTAGE_SECONDS = 30.0
GONE = 410

Object = dict[str, Any]
#: ADDED, MODIFIED or DELETED, and the object as it was then.
Change = tuple[str, Object]


class ApiError(Exception):
    """The API server has refused; `status` is the HTTP status, the text is its own message."""

    def __init__(self, status: int, message: str) -> None:
        """Keep what the server said."""
        super().__init__(message)
        self.status = status


class Api:
    """The API server behind a kubeconfig of the rig (one cluster, one token); safe to share between threads."""

    def __init__(self, kubeconfig: Path, ca: Path) -> None:
        """Prepare to talk to it; nothing is sent yet."""
        config = yaml.safe_load(kubeconfig.read_text())
        self._server = config["clusters"][0]["cluster"]["server"]
        headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "User-Agent": "meshupgrade-rig"}
        self._pool = urllib3.PoolManager(ca_certs=str(ca), headers=headers, maxsize=16, retries=False)

    def get(self, path: str, **query: str) -> Object:
        """The object or list at that path. Raises ApiError."""
        return self._request("GET", path, query)

    def find(self, path: str) -> Object | None:
        """The object at that path, or None when there is none. Raises ApiError."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def create(self, path: str, body: Object, **query: str) -> Object:
        """Create an object in the collection at that path; it as the server has stored it. Raises ApiError."""
        return self._request("POST", path, query, body)

    def update(self, path: str, body: Object, **query: str) -> Object:
        """Replace the object at that path (a plain Update); it as the server has stored it. Raises ApiError."""
        return self._request("PUT", path, query, body)

    def patch(self, path: str, body: Object, kind: str = MERGE_PATCH, **query: str) -> Object:
        """Patch the object at that path; it as the server has stored it. Raises ApiError."""
        return self._request("PATCH", path, query, body, kind)

    def delete(self, path: str) -> None:
        """Delete the object at that path; nothing happens when there is none. Raises ApiError."""
        try:
            self._request("DELETE", path, {})
        except ApiError as error:
            if error.status != 404:
                raise

    def _request(
        self, method: str, path: str, query: dict[str, str], body: Object | None = None, kind: str = "application/json"
    ) -> Object:
        url = self._server + path + _query(query)
        data = None if body is None else json.dumps(body)
        headers = {**self._pool.headers, "Content-Type": kind}
        deadline = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                answer = self._pool.request(method, url, body=data, headers=headers, timeout=REQUEST_SECONDS)
                break
            except urllib3.exceptions.HTTPError as error:
                # An API server that is restarted is part of some tests.
                if time.monotonic() > deadline:
                    raise ApiError(503, f"the API server does not answer: {error}") from error
                time.sleep(0.1)
        if answer.status >= 400:
            raise ApiError(answer.status, _message(answer.data))
        content: Object = json.loads(answer.data)
        return content

    def watch(self, path: str, stop: threading.Event, **query: str) -> Iterator[Change]:
        """Everything in the collection at that path as ADDED, then what changes, until `stop` is set.

        An outage of the API server is waited out. Raises ApiError when the server refuses the watch for good.
        """
        known: dict[str, Object] = {}
        while not stop.is_set():
            try:
                listed = self.get(path, **query)
                current = {item["metadata"]["uid"]: item for item in listed["items"]}
                yield from (("DELETED", item) for uid, item in known.items() if uid not in current)
                yield from (("ADDED" if uid not in known else "MODIFIED", item) for uid, item in current.items())
                known = current
                yield from self._follow(path, listed["metadata"]["resourceVersion"], stop, query, known)
            except urllib3.exceptions.HTTPError:
                continue
            except ApiError as error:
                if error.status != GONE:
                    raise

    def _follow(
        self, path: str, version: str, stop: threading.Event, query: dict[str, str], known: dict[str, Object]
    ) -> Iterator[Change]:
        while not stop.is_set():
            full = {**query, "watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
            full["allowWatchBookmarks"] = "true"
            answer = self._pool.request(
                "GET", self._server + path + _query(full), preload_content=False, timeout=REQUEST_SECONDS
            )
            try:
                for kind, item in _changes(answer):
                    if kind == "ERROR":
                        raise ApiError(item.get("code", 500), item.get("message", ""))
                    version = item["metadata"]["resourceVersion"]
                    if kind == "BOOKMARK":
                        continue
                    known[item["metadata"]["uid"]] = item
                    if kind == "DELETED":
                        del known[item["metadata"]["uid"]]
                    yield kind, item
                    if stop.is_set():
                        return
            finally:
                answer.close()


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data).get("message", ""))
    except ValueError:
        # Of a group that is not served it says so in plain text.
        return data.decode(errors="replace").strip()


def _changes(answer: urllib3.BaseHTTPResponse) -> Iterator[Change]:
    rest = b""
    for chunk in answer.stream(None):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            event = json.loads(line)
            yield event["type"], event["object"]


def _query(query: dict[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""
