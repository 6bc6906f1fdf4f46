"""What an injector knows of its cluster, up to date for thousands of Pods without as many requests."""

import contextlib
import threading
import time
from dataclasses import replace
from typing import Any

from meshupgrade.distributions import Distribution

from .api import Api
from .injection import InjectedImages, injected_images

__all__ = ["LiveFacts"]

FRESH_SECONDS = 0.05
JOIN_SECONDS = 10.0

Object = dict[str, Any]


class LiveFacts:
    """The namespaces, and the images that MeshConfig and injector name.

    Namespaces come by a watch, images by requests that are at most `FRESH_SECONDS` old. `crash` is what the watch has
    died of.
    """

    def __init__(self, api: Api, facts: Distribution, namespace: str) -> None:
        """Say which mesh; nothing is read before `start`."""
        self.crash: BaseException | None = None
        self._api = api
        self._facts = facts
        self._namespace = namespace
        self._namespaces: dict[str, Object] = {}
        self._images: InjectedImages | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="injector-namespaces", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; harmless the second time."""
        self._stop.set()
        self._thread.join(JOIN_SECONDS)

    def namespace(self, name: str) -> Object:
        """A namespace as it was a moment ago; one that the watch has not shown yet is asked for. Raises ApiError."""
        return self._namespaces.get(name) or self._api.get(f"/api/v1/namespaces/{name}")

    def images(self, sidecar: str = "") -> InjectedImages:
        """The images to inject; `sidecar`, if given, instead of the one that is configured. Raises ApiError."""
        with self._lock:
            now = time.monotonic()
            if self._images is None or now - self._read_at > FRESH_SECONDS:
                self._images = injected_images(self._facts, self._mesh_config(), self._injector())
                self._read_at = now
            found = self._images
        return replace(found, sidecar=sidecar) if sidecar else found

    def _mesh_config(self) -> Object | None:
        facts = self._facts.mesh_config
        group = self._api.find(f"/apis/{facts.group}")
        if group is None:
            return None
        version = group["preferredVersion"]["groupVersion"]
        return self._api.find(f"/apis/{version}/namespaces/{self._namespace}/meshconfigs/{facts.name}")

    def _injector(self) -> Object | None:
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{self._facts.injector.deployment}"
        return self._api.find(path)

    def _watch(self) -> None:
        try:
            for kind, namespace in self._api.watch("/api/v1/namespaces", self._stop):
                name = namespace["metadata"]["name"]
                if kind == "DELETED":
                    with contextlib.suppress(KeyError):
                        del self._namespaces[name]
                else:
                    self._namespaces[name] = namespace
        except BaseException as error:
            # Kept for the test: from here on every Pod is decided by what was known.
            self.crash = error
