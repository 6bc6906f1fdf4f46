"""A packed archive as the stream of bytes that tarfile reads, with an end to everything.

A layer of a few KiB can unpack to terabytes, and a tar header can announce one of its own extensions with any length,
which tarfile then reads into memory at once. So every byte is counted here, and every read has an allowance.
"""

import gzip
import sys
import zlib
from typing import BinaryIO

from meshupgrade.oci.errors import LayerRefused, UnsupportedLayer

# The same library: the standard one took it in with 3.14.
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["Budget", "Unpacked"]

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_UNSUPPORTED = {b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}

#: Memory that a zstd frame may ask for, as a power of two in bytes: 128 MiB, what its tools write and read at most
#: unless they are told otherwise.
_ZSTD_WINDOW = 27

_STEP = 256 * 1024


class Budget:
    """How many bytes may still come out of all archives of one image or chart."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._left = size

    def spend(self, count: int) -> None:
        """Count the bytes; raises LayerRefused when there were too many."""
        self._left -= count
        if self._left < 0:
            raise LayerRefused(f"it unpacks to more than {self.size} bytes; give one that holds CRDs only")


class Unpacked:
    """The tar stream in a layer: read and seek forward, no more.

    What it is packed with is told by its first bytes and not by its media type, which tools get wrong. Raises
    UnsupportedLayer for what is not read here, and LayerRefused for what is damaged or beyond its bounds; ``name``
    is what their messages call it.
    """

    def __init__(self, packed: BinaryIO, budget: Budget, name: str = "one of its layers") -> None:
        self.name = name
        self._stream = _unpacker(packed, name)
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
            raise LayerRefused(f"a tar header in {self.name} is too long; build it again")
        self._allowance -= size
        self.last = self._take(size)
        return self.last

    def seek(self, position: int, whence: int = 0) -> int:
        """Pass over bytes up to a position from the beginning; stops at the end."""
        if whence or position < self._position:
            raise LayerRefused(f"a tar header in {self.name} points backwards; build it again")
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
        except (gzip.BadGzipFile, zlib.error) as error:
            raise LayerRefused(f"{self.name} is damaged gzip; build it again") from error
        except zstd.ZstdError as error:
            raise LayerRefused(f"{self.name} is damaged zstd, or wants too much memory; build it again") from error
        except EOFError as error:
            raise LayerRefused(f"{self.name} is cut off; build it again") from error
        self._position += len(data)
        self._budget.spend(len(data))
        return data


def _unpacker(packed: BinaryIO, name: str) -> BinaryIO | gzip.GzipFile | zstd.ZstdFile:
    packed.seek(0)
    start = packed.read(8)
    packed.seek(0)
    for magic, packing in _UNSUPPORTED.items():
        if start.startswith(magic):
            raise UnsupportedLayer(f"{name} is packed with {packing}, which is not read; build it with gzip or zstd")
    if start.startswith(_ZSTD) or _is_skippable(start):
        return zstd.ZstdFile(packed, options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW})
    return gzip.GzipFile(fileobj=packed) if start.startswith(_GZIP) else packed


def _is_skippable(start: bytes) -> bool:
    """Tell whether this begins a skippable frame (RFC 8878 section 3.1.2), with which some tools begin a zstd file."""
    return len(start) >= 4 and start[0] & 0xF0 == 0x50 and start[1:4] == b"\x2a\x4d\x18"
