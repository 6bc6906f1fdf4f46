"""Helm's release storage: Secrets of type helm.sh/release.v1, read and, when a release is provably ours, unlocked.

Source of the format: helm.sh/helm/v4/pkg/storage/driver, Secrets: base64 of gzip of JSON under the key "release"
(and once more base64, as for every Secret).
"""

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.kube.client import Kube, ObjectRef

__all__ = ["ReleaseStorage", "StoredRevision"]


@dataclass(frozen=True)
class StoredRevision:
    """What the labels of a stored revision say."""

    revision: int
    status: ReleaseStatus
    labels: Mapping[str, str]


class ReleaseStorage:
    """The stored revisions of one release."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name

    async def revisions(self) -> list[StoredRevision]:
        """Give the stored revisions, newest first; by their labels, without reading their content."""
        found = []
        async for secret in self._kube.list_objects(
            "v1", "Secret", self._namespace, labels=f"owner=helm,name={self._name}", metadata_only=True
        ):
            labels = secret["metadata"]["labels"]
            found.append(StoredRevision(int(labels["version"]), ReleaseStatus(labels["status"]), labels))
        return sorted(found, key=lambda stored: stored.revision, reverse=True)

    async def read(self, revision: int) -> Release:
        """Give one stored revision. Raises NotFound."""
        return Release.from_json(_decode(await self._kube.get(self._ref(revision))))

    async def mark_failed(self, revision: int, why: str) -> None:
        """Mark a pending revision failed, so that Helm will work on the release again.

        Guarded by the Secret's resourceVersion: raises Conflict when somebody changed it meanwhile. A revision that is
        pending no more is left alone.
        """
        secret = await self._kube.get(self._ref(revision))
        data = _decode(secret)
        if not ReleaseStatus(data["info"]["status"]).pending:
            return
        data["info"]["status"] = ReleaseStatus.FAILED.value
        data["info"]["description"] = f"{data['info'].get('description', '')} ({why})"
        await self._kube.merge_patch(
            self._ref(revision),
            {
                "metadata": {
                    "resourceVersion": secret["metadata"]["resourceVersion"],
                    "labels": {"status": ReleaseStatus.FAILED.value},
                },
                "data": {"release": _encode(data)},
            },
        )

    async def label(self, revision: int, name: str, value: str) -> None:
        """Set a label of a stored revision. Raises NotFound."""
        await self._kube.merge_patch(self._ref(revision), {"metadata": {"labels": {name: value}}})

    def _ref(self, revision: int) -> ObjectRef:
        return ObjectRef("v1", "Secret", f"sh.helm.release.v1.{self._name}.v{revision}", self._namespace)


def _decode(secret: Mapping[str, Any]) -> dict[str, Any]:
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    # Helm writes gzip but still reads the uncompressed form of its first releases.
    text = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    data: dict[str, Any] = json.loads(text)
    return data


def _encode(data: Mapping[str, Any]) -> str:
    packed = gzip.compress(json.dumps(data).encode())
    return base64.b64encode(base64.b64encode(packed)).decode()
