"""Exports: the custom resources of one CRD in Secrets of the mesh's namespace, while the CRD changes its scope.

The parts are immutable Secrets, named by their checksum, and a manifest, written last, names them: without a manifest
there is no export. They have no owner, since they must outlive the MeshUpgrade; and they are looked for in the mesh's
own namespace alone, since whoever could put one elsewhere would have objects made that he may not make.
"""

import base64
import dataclasses
import gzip
import json
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from meshupgrade.api.v1alpha1.names import EXPORT_OF, EXPORT_PART, EXPORT_SET, EXPORT_STAGE, GROUP
from meshupgrade.domain.exports import ExportBroken, Packer, Segment, Unpacker, checksum
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict

__all__ = ["Export", "Exports", "Stage"]

MANIFEST = "manifest"
UPGRADE_UID = f"{GROUP}/upgrade-uid"


class Stage(StrEnum):
    """How far a change of scope has come; on the manifest, since it cannot be read off the cluster."""

    EXPORTED = "exported"
    """Nothing was deleted: the live objects count, and the export is made anew."""

    DELETING = "deleting"
    """Objects may be gone: the export counts."""

    IMPORTED = "imported"
    """All objects are there again; kept until the mesh is at rest at the target."""


@dataclass(frozen=True)
class Export:
    """One export that is complete."""

    crd: Mapping[str, Any]
    """The CRD as it was, with its uid."""

    version: str
    """The version that the objects were read in."""

    set_id: str
    segments: tuple[Segment, ...]
    stage: Stage
    resource_version: str
    namespace: str | None = None
    """Where objects go of which nothing else tells it: as the spec said when the change began."""

    @property
    def crd_name(self) -> str:
        """The name of the CRD."""
        return str(self.crd["metadata"]["name"])

    @property
    def api_version(self) -> str:
        """The apiVersion that the objects were read in."""
        return f"{self.crd['spec']['group']}/{self.version}"

    @property
    def kind(self) -> str:
        """Their kind."""
        return str(self.crd["spec"]["names"]["kind"])

    @property
    def count(self) -> int:
        """How many objects were written; one that changed meanwhile counts again."""
        return sum(segment.count for segment in self.segments)


class Exports:
    """The exports in the namespace of one mesh. Calls raise the errors of kube."""

    def __init__(self, kube: Kube, namespace: str, upgrade_uid: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._upgrade_uid = upgrade_uid

    async def find(self) -> list[Export]:
        """Give all that are complete. Raises ExportBroken for a manifest that cannot be read."""
        secrets = self._kube.list_objects("v1", "Secret", self._namespace, labels=f"{EXPORT_PART}={MANIFEST}")
        return [_export(secret) async for secret in secrets]

    async def make(
        self,
        crd: Mapping[str, Any],
        version: str,
        objects: AsyncIterable[Mapping[str, Any]],
        *,
        namespace: str | None = None,
    ) -> Export:
        """Export the objects, read everything back and compare it. Raises ExportBroken."""
        kept = {key: value for key, value in crd["metadata"].items() if key != "managedFields"}
        crd = {**crd, "metadata": kept}
        set_id = uuid.uuid4().hex[:8]
        segment = await self._write(crd["metadata"]["name"], set_id, objects)
        export = Export(crd, version, set_id, (segment,), Stage.EXPORTED, "", namespace)
        await self.verify(export)
        created = await self._kube.create(self._manifest(export))
        return dataclasses.replace(export, resource_version=created["metadata"]["resourceVersion"])

    async def append(self, export: Export, objects: AsyncIterable[Mapping[str, Any]]) -> Export:
        """Add objects that changed, or came, after the export was made; read them back and compare."""
        segment = await self._write(export.crd_name, export.set_id, objects)
        longer = dataclasses.replace(export, segments=(*export.segments, segment))
        await self.verify(dataclasses.replace(export, segments=(segment,)))
        return await self._rewrite(longer)

    async def advance(self, export: Export, stage: Stage) -> Export:
        """Write how far it has come. Raises Conflict when somebody else did meanwhile."""
        return await self._rewrite(dataclasses.replace(export, stage=stage))

    async def verify(self, export: Export) -> None:
        """Read every part back and compare checksums and number. Raises ExportBroken."""
        async for _ in self.objects(export):
            pass

    async def objects(self, export: Export) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects as they were exported, part by part. Raises ExportBroken."""
        for segment in export.segments:
            unpacker = Unpacker(segment)
            for part in segment.parts:
                secret = await self._kube.find(self._ref(_part_name(export.crd_name, export.set_id, part)))
                if secret is None:
                    raise ExportBroken(f"a part of the export of {export.crd_name} is gone")
                for obj in unpacker.feed(base64.b64decode(secret["data"]["objects"])):
                    yield obj
            unpacker.finish()

    async def discard(self, export: Export) -> None:
        """Delete it, the manifest first: what is not whole is no export."""
        await self._delete(await self._kube.find(self._ref(_manifest_name(export.crd_name, export.set_id))))
        await self._delete_parts(export.set_id)

    async def sweep(self) -> None:
        """Delete parts that no manifest names: an export that a crash ended before it was complete."""
        known: set[str] = set()
        parts: set[str] = set()
        listed = self._kube.list_objects("v1", "Secret", self._namespace, labels=EXPORT_SET, metadata_only=True)
        async for secret in listed:
            labels = secret["metadata"]["labels"]
            (known if labels.get(EXPORT_PART) == MANIFEST else parts).add(labels[EXPORT_SET])
        for set_id in parts - known:
            await self._delete_parts(set_id)

    async def _write(self, crd_name: str, set_id: str, objects: AsyncIterable[Mapping[str, Any]]) -> Segment:
        packer = Packer()
        async for obj in objects:
            content = {**obj, "metadata": {key: val for key, val in obj["metadata"].items() if key != "managedFields"}}
            for part in packer.add(content):
                await self._write_part(crd_name, set_id, part)
        for part in packer.finish():
            await self._write_part(crd_name, set_id, part)
        return packer.segment()

    async def _write_part(self, crd_name: str, set_id: str, part: bytes) -> None:
        digest = checksum(part)
        secret = self._secret(_part_name(crd_name, set_id, digest), crd_name, set_id, "part")
        data = {"objects": base64.b64encode(part).decode()}
        try:
            await self._kube.create({**secret, "immutable": True, "data": data})
        except Conflict:
            # Named by its content: what is there, from before a crash, is this part.
            return

    async def _rewrite(self, export: Export) -> Export:
        manifest = self._manifest(export)
        manifest["metadata"]["resourceVersion"] = export.resource_version
        ref = self._ref(manifest["metadata"]["name"])
        patch = {key: manifest[key] for key in ("metadata", "data")}
        written = await self._kube.merge_patch(ref, patch)
        return dataclasses.replace(export, resource_version=written["metadata"]["resourceVersion"])

    def _manifest(self, export: Export) -> dict[str, Any]:
        segments = [segment.as_json() for segment in export.segments]
        content = {
            "crd": export.crd_name,
            "version": export.version,
            "namespace": export.namespace,
            "count": export.count,
            "segments": segments,
        }
        secret = self._secret(_manifest_name(export.crd_name, export.set_id), export.crd_name, export.set_id, MANIFEST)
        secret["metadata"]["annotations"][EXPORT_STAGE] = str(export.stage)
        crd = gzip.compress(json.dumps(export.crd).encode(), mtime=0)
        secret["data"] = {
            "manifest": base64.b64encode(json.dumps(content).encode()).decode(),
            "crd": base64.b64encode(crd).decode(),
        }
        return secret

    def _secret(self, name: str, crd_name: str, set_id: str, part: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": f"{GROUP}/export",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": {
                    EXPORT_OF: _digest(crd_name),
                    EXPORT_SET: set_id,
                    EXPORT_PART: part,
                    UPGRADE_UID: self._upgrade_uid,
                },
                "annotations": {f"{GROUP}/crd": crd_name},
            },
        }

    async def _delete_parts(self, set_id: str) -> None:
        labels = f"{EXPORT_SET}={set_id}"
        parts = self._kube.list_objects("v1", "Secret", self._namespace, labels=labels, metadata_only=True)
        for secret in [part async for part in parts]:
            await self._delete(secret)

    async def _delete(self, secret: Mapping[str, Any] | None) -> None:
        if secret is not None:
            await self._kube.delete(self._ref(secret["metadata"]["name"]), uid=secret["metadata"]["uid"])

    def _ref(self, name: str) -> ObjectRef:
        return ObjectRef("v1", "Secret", name, self._namespace)


def _export(secret: Mapping[str, Any]) -> Export:
    metadata = secret["metadata"]
    try:
        content = json.loads(base64.b64decode(secret["data"]["manifest"]))
        crd = json.loads(gzip.decompress(base64.b64decode(secret["data"]["crd"])))
        return Export(
            crd,
            content["version"],
            metadata["labels"][EXPORT_SET],
            tuple(Segment.of(segment) for segment in content["segments"]),
            Stage(metadata["annotations"][EXPORT_STAGE]),
            metadata["resourceVersion"],
            content["namespace"],
        )
    except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
        raise ExportBroken(f"Secret {metadata['name']}, the manifest of an export, is not readable") from error


def _digest(crd_name: str) -> str:
    return checksum(crd_name.encode())[:10]


def _manifest_name(crd_name: str, set_id: str) -> str:
    return f"meshupgrade-export-{_digest(crd_name)}-{set_id}"


def _part_name(crd_name: str, set_id: str, part: str) -> str:
    return f"{_manifest_name(crd_name, set_id)}-{part[:20]}"
