"""A packed layer as the stream of bytes that tarfile reads, with an end to everything.

A layer of a few KiB can unpack to terabytes, and a tar header can announce one of its own extensions with any length,
which tarfile then reads into memory at once. So every byte is counted here, and every read has an allowance.
"""

import gzip
import zlib
from typing import BinaryIO

from meshupgrade.oci.errors import LayerRefused, UnsupportedLayer

__all__ = ["Budget", "Unpacked"]

_GZIP = b"\x1f\x8b"
_UNSUPPORTED = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}

_STEP = 256 * 1024


class Budget:
    """How many bytes may still come out of all layers of one image."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._left = size

    def spend(self, count: int) -> None:
        """Count the bytes; raises LayerRefused when there were too many."""
        self._left -= count
        if self._left < 0:
            raise LayerRefused(f"its layers unpack to more than {self.size} bytes; give an image that holds CRDs only")


class Unpacked:
    """The tar stream in a layer: read and seek forward, no more.

    What it is packed with is told by its first bytes and not by its media type, which tools get wrong. Raises
    UnsupportedLayer for what is not read here, and LayerRefused for what is damaged or beyond its bounds.
    """

    def __init__(self, packed: BinaryIO, budget: Budget) -> None:
        self._stream = _unpacker(packed)
        self._budget = budget
        self._position = 0
        self._allowance = 0
        self.last = b""
        """What the last read gave."""

    def allow(self, size: int) -> None:
        """Set how many bytes may be read, not counting those that are passed over, until this is called again."""
        self._allowance = size

    def read(self, size: int = -1) -> bytes:
        """Give the next bytes, fewer only at the end."""
        if not 0 <= size <= self._allowance:
            raise LayerRefused("a tar header in one of its layers is too long; build the image again")
        self._allowance -= size
        self.last = self._take(size)
        return self.last

    def seek(self, position: int, whence: int = 0) -> int:
        """Pass over bytes up to a position from the beginning; stops at the end."""
        if whence or position < self._position:
            raise LayerRefused("a tar header in one of its layers points backwards; build the image again")
        while position > self._position and self._take(min(_STEP, position - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        """Give the position, in unpacked bytes."""
        return self._position

    def write(self, data: bytes) -> int:
        """Never: it is here because tarfile's type asks for it."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing: the file belongs to the caller."""

    def _take(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise LayerRefused("one of its layers is damaged gzip; build the image again") from error
        self._position += len(data)
        self._budget.spend(len(data))
        return data


def _unpacker(packed: BinaryIO) -> BinaryIO | gzip.GzipFile:
    packed.seek(0)
    start = packed.read(8)
    packed.seek(0)
    for magic, name in _UNSUPPORTED.items():
        if start.startswith(magic):
            raise UnsupportedLayer(f"one of its layers is packed with {name}, which is not read; build it with gzip")
    return gzip.GzipFile(fileobj=packed) if start.startswith(_GZIP) else packed
