"""Makes layers of images, good and bad ones, as the bytes that a registry would keep."""

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Entry", "directory", "file", "hard_link", "layer", "odd", "opaque", "open_layers", "symlink", "whiteout"]


@dataclass(frozen=True)
class Entry:
    """One entry of a layer's tar archive."""

    name: str
    kind: bytes = tarfile.REGTYPE
    content: bytes = b""
    target: str = ""


def file(name: str, content: bytes | str = b"") -> Entry:
    return Entry(name, content=content.encode() if isinstance(content, str) else content)


def directory(name: str) -> Entry:
    return Entry(name, tarfile.DIRTYPE)


def symlink(name: str, target: str) -> Entry:
    return Entry(name, tarfile.SYMTYPE, target=target)


def hard_link(name: str, target: str) -> Entry:
    return Entry(name, tarfile.LNKTYPE, target=target)


def odd(name: str) -> Entry:
    return Entry(name, tarfile.FIFOTYPE)


def whiteout(name: str) -> Entry:
    folder, slash, last = name.rpartition("/")
    return Entry(f"{folder}{slash}.wh.{last}")


def opaque(folder: str) -> Entry:
    return Entry(f"{folder}/.wh..wh..opq" if folder else ".wh..wh..opq")


def layer(*entries: Entry, pack: Callable[[bytes], bytes] = gzip.compress) -> bytes:
    """Give a packed layer with these entries in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.type, member.linkname, member.size = entry.kind, entry.target, len(entry.content)
            archive.addfile(member, io.BytesIO(entry.content))
    return pack(buffer.getvalue())


def open_layers(*layers: bytes) -> list[BinaryIO]:
    """Give the layers as files at their beginning."""
    return [io.BytesIO(content) for content in layers]
