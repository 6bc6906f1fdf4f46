"""Real registries of a test's own: with a login, a token service, TLS."""

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from yarl import URL

from meshupgrade.oci import Credentials
from meshupgrade.oci.auth import basic
from tests.cluster.ports import with_free_ports
from tests.cluster.process import Child
from tests.unit.oci.images import Image, digest_of

__all__ = ["HTPASSWD", "USER", "Pusher", "running_registry"]

USER = Credentials("user", "correct horse")

HTPASSWD = "user:$2b$04$SeZ8m8NS9ZiAzIGt8QgvuuTHr.RoCMQV/tfWX2sBdMFIwTeebAE5i\n"
"""bcrypt of that password, cost 4."""


@dataclass
class Pusher:
    """Pushes to a registry."""

    session: aiohttp.ClientSession
    registry: str
    credentials: Credentials | None = None
    scheme: str = "http"
    tls: ssl.SSLContext | bool = True

    async def push(self, repository: str, tag: str, pushed: Image) -> str:
        """Give the reference of the image."""
        for content in pushed.blobs.values():
            await self._push_blob(repository, content)
        return await self.push_manifest(repository, tag, pushed.manifest)

    async def push_manifest(self, repository: str, tag: str, manifest: bytes) -> str:
        headers = {"Content-Type": json.loads(manifest)["mediaType"]}
        await self._send("PUT", f"{self.scheme}://{self.registry}/v2/{repository}/manifests/{tag}", manifest, headers)
        return f"{self.registry}/{repository}:{tag}"

    async def _push_blob(self, repository: str, content: bytes) -> None:
        started = await self._send("POST", f"{self.scheme}://{self.registry}/v2/{repository}/blobs/uploads/", b"", {})
        location = URL(started["Location"]).update_query(digest=digest_of(content))
        await self._send("PUT", str(location), content, {"Content-Type": "application/octet-stream"})

    async def _send(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Any:
        sent = headers | ({"Authorization": basic(self.credentials)} if self.credentials else {})
        async with self.session.request(method, url, data=body, headers=sent, ssl=self.tls) as response:
            assert response.status < 300, await response.text()
            return response.headers


@contextmanager
def running_registry(
    program: Path,
    folder: Path,
    *,
    locked: bool = False,
    auth: Mapping[str, Any] | None = None,
    tls: Mapping[str, Any] | None = None,
    name: str = "registry",
) -> Iterator[str]:
    """Run a registry with its storage in the folder and give its host and port.

    ``locked``: only USER may read and write. ``auth`` and ``tls``: what its configuration takes under auth, http.tls.
    """
    folder.mkdir(exist_ok=True)
    (folder / "htpasswd").write_text(HTPASSWD)
    if locked:
        auth = {"htpasswd": {"realm": "locked", "path": str(folder / "htpasswd")}}

    def start(port: int) -> tuple[Child, str]:
        address = f"127.0.0.1:{port}"
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
            "http": {"addr": address} | ({"tls": dict(tls)} if tls else {}),
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config | ({"auth": dict(auth)} if auth else {})))
        command: list[str | Path] = [program, "serve", folder / f"{name}.yaml"]
        child = Child.start(name, command, folder / f"{name}.log", env={"OTEL_TRACES_EXPORTER": "none"})

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        child.wait_until(listens, 20)
        return child, address

    child, address = with_free_ports(1, start)
    try:
        yield address
    finally:
        child.stop()
