"""Custom resources packed for Secrets and unpacked again: JSON lines, one gzip stream, cut into parts.

A Secret holds at most 1 MiB, etcd takes requests of 1.5 MiB. The stream is cut wherever a part is full, so that a
single object of any size fits, and is read part by part, so that memory does not grow with the number of objects.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ExportBroken", "Packer", "Segment", "Unpacker", "checksum", "dump_line"]

PART_BYTES = 700 * 1024
GZIP = 16 + zlib.MAX_WBITS


class ExportBroken(Exception):
    """What is stored is not what was exported."""


@dataclass(frozen=True)
class Segment:
    """Objects that were exported in one go: how many, the checksum of their lines, and of each part."""

    count: int
    sha256: str
    parts: Sequence[str]
    """The sha256 of each part, in order."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Segment":
        """Give the segment out of the manifest of an export. Raises ExportBroken."""
        count, sha256, parts = data.get("count"), data.get("sha256"), data.get("parts")
        if not isinstance(count, int) or not isinstance(sha256, str) or not isinstance(parts, list):
            raise ExportBroken("the manifest of the export is not readable")
        return cls(count, sha256, parts)

    def as_json(self) -> dict[str, Any]:
        """Give what stands in the manifest."""
        return {"count": self.count, "sha256": self.sha256, "parts": list(self.parts)}


def checksum(data: bytes) -> str:
    """Give the sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def dump_line(obj: Mapping[str, Any]) -> bytes:
    """Give the object as one line, always the same for the same content."""
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Packer:
    """Packs objects one after the other and gives parts as they fill up."""

    def __init__(self, part_bytes: int = PART_BYTES) -> None:
        self._limit = part_bytes
        self._gzip = zlib.compressobj(wbits=GZIP)
        self._buffer = bytearray()
        self._lines = hashlib.sha256()
        self._count = 0
        self._parts: list[str] = []

    def add(self, obj: Mapping[str, Any]) -> Iterator[bytes]:
        """Take an object, and yield the parts that are full now."""
        line = dump_line(obj)
        self._count += 1
        self._lines.update(line)
        self._buffer += self._gzip.compress(line)
        yield from self._cut(self._limit)

    def finish(self) -> Iterator[bytes]:
        """Yield the rest; of no objects at all that is one part too."""
        self._buffer += self._gzip.flush()
        yield from self._cut(1)

    def segment(self) -> Segment:
        """Give what was packed, once it is finished."""
        return Segment(self._count, self._lines.hexdigest(), tuple(self._parts))

    def _cut(self, least: int) -> Iterator[bytes]:
        while len(self._buffer) >= least:
            part = bytes(self._buffer[: self._limit])
            del self._buffer[: self._limit]
            self._parts.append(checksum(part))
            yield part


class Unpacker:
    """Takes the parts of a segment in order and gives its objects; every part and the whole are verified."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._gzip = zlib.decompressobj(wbits=GZIP)
        self._rest = b""
        self._lines = hashlib.sha256()
        self._count = 0
        self._taken = 0

    def feed(self, part: bytes) -> Iterator[dict[str, Any]]:
        """Take the next part and yield the objects that it completes. Raises ExportBroken."""
        if self._taken >= len(self._segment.parts) or checksum(part) != self._segment.parts[self._taken]:
            raise ExportBroken(f"part {self._taken} of the export does not have its checksum")
        self._taken += 1
        try:
            text = self._rest + self._gzip.decompress(part)
        except zlib.error as error:
            raise ExportBroken(f"part {self._taken - 1} of the export is not readable: {error}") from error
        *lines, self._rest = text.split(b"\n")
        for line in lines:
            self._lines.update(line + b"\n")
            self._count += 1
            yield json.loads(line)

    def finish(self) -> None:
        """Make sure that everything was there. Raises ExportBroken."""
        whole = self._taken == len(self._segment.parts) and self._gzip.eof and not self._rest
        if not whole or self._count != self._segment.count or self._lines.hexdigest() != self._segment.sha256:
            raise ExportBroken(f"the export holds {self._count} objects instead of {self._segment.count}")
