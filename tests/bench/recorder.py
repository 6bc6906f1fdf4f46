"""Watches the cluster while samples are taken, so that every side is timed by the same events and nothing polls."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from meshupgrade.kube.readiness import is_ready
from tests.cluster.api import Api

__all__ = ["BenchFailed", "Event", "Recorder"]

Object = dict[str, Any]

PATIENCE = 120.0
"""Seconds that anything may take; a bound against hanging."""


class BenchFailed(Exception):
    """Something that is to be measured does not work."""


@dataclass(frozen=True)
class Event:
    """What the API server told, and when it came in (time.monotonic)."""

    at: float
    obj: Object


class Recorder:
    """Keeps what became of the MeshUpgrade, the Deployments and the release of one namespace. A context manager."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._events: dict[str, list[Event]] = {}
        self._error: Exception | None = None
        paths = {
            "MeshUpgrade": f"/apis/meshupgrade.io/v1alpha1/namespaces/{namespace}/meshupgrades",
            "Deployment": f"/apis/apps/v1/namespaces/{namespace}/deployments",
            "Secret": f"/api/v1/namespaces/{namespace}/secrets",
        }
        self._threads = [
            threading.Thread(target=self._watch, args=item, name=f"watch {item[0]}", daemon=True)
            for item in paths.items()
        ]

    def __enter__(self) -> Self:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the watches."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def since(self, kind: str, at: float) -> list[Event]:
        """Give what happened to objects of a kind since that moment, in order."""
        with self._changed:
            return [event for event in self._events.get(kind, []) if event.at >= at]

    def wait(self, kind: str, done: Callable[[Object], bool], complaint: str, since: float) -> Event:
        """Wait for an event, as it comes in, and give it. Raises BenchFailed when it never does."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                for event in self._events.get(kind, []):
                    if event.at >= since and done(event.obj):
                        return event
                if self._error is not None:
                    raise BenchFailed(f"a watch ended: {self._error}") from self._error
                if not self._changed.wait(deadline - time.monotonic()):
                    status = [str(event.obj.get("status"))[:2000] for event in self._events.get(kind, [])[-1:]]
                    raise BenchFailed(f"{complaint} after {PATIENCE:.0f} s: {status}")

    def deployments(self) -> dict[str, Object]:
        """Give the Deployments as they were told of last."""
        with self._changed:
            return {event.obj["metadata"]["name"]: event.obj for event in self._events.get("Deployment", [])}

    def wait_rolled_out(self, before: dict[str, Object]) -> tuple[float, float]:
        """Wait until every Deployment was changed and is ready.

        Gives when the first one was changed and when the last one was ready. Raises BenchFailed when that never comes.
        """
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                began, ready = _rollout(before, self._events.get("Deployment", []))
                if began is not None and len(ready) == len(before):
                    return began, max(ready.values())
                if not self._changed.wait(deadline - time.monotonic()):
                    raise BenchFailed(
                        f"of the Deployments {sorted(before)} only {sorted(ready)} were changed and ready"
                    )

    def forget(self) -> None:
        """Forget all but the last event of each object: the next sample begins."""
        with self._changed:
            for kind, events in self._events.items():
                last = {event.obj["metadata"]["uid"]: event for event in events}
                self._events[kind] = list(last.values())

    def _watch(self, kind: str, path: str) -> None:
        try:
            for _, obj in self._api.watch(path, self._stop):
                with self._changed:
                    self._events.setdefault(kind, []).append(Event(time.monotonic(), obj))
                    self._changed.notify_all()
        except Exception as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()


def _rollout(before: dict[str, Object], events: Sequence[Event]) -> tuple[float | None, dict[str, float]]:
    """Give when the first Deployment was changed, and when each one was first ready after that."""
    began: float | None = None
    ready: dict[str, float] = {}
    for event in events:
        name = event.obj["metadata"]["name"]
        # Its Pods count, not its generation: the operator also holds off the bootstrap of before while it writes CRDs.
        if name not in before or event.obj["spec"]["template"] == before[name]["spec"]["template"]:
            continue
        began = event.at if began is None else began
        if is_ready({"kind": "Deployment", **event.obj}):
            ready.setdefault(name, event.at)
    return began, ready
