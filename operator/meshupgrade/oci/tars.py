"""The entries of a tar stream, one after the other, with an end to everything that tarfile would keep or read."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from meshupgrade.oci.errors import LayerRefused
from meshupgrade.oci.unpack import Unpacked

__all__ = ["content_of", "damage_refused", "entries_of", "parts_of"]

#: What one header with its extensions (long names, extended attributes) may take, in bytes.
_HEADER = 1024 * 1024
#: Global pax headers stay in memory up to the end of the archive, and real archives have a handful.
_GLOBAL_HEADERS = 100


def entries_of(stream: Unpacked, *, largest: int) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield the entries; while one is looked at, up to ``largest`` bytes of its content may be read.

    Raises LayerRefused for damage and for what is beyond the bounds, and what tarfile raises: see damage_refused.
    """
    stream.allow(_HEADER)
    archive = tarfile.TarFile(fileobj=stream)
    while member := archive.next():
        if len(archive.pax_headers) > _GLOBAL_HEADERS:
            raise LayerRefused(f"{stream.name} has too many global tar headers; build it again")
        stream.allow(largest)
        yield archive, member
        # Or it would hold on to every entry of the archive.
        archive.members.clear()  # type: ignore[attr-defined]
        stream.allow(_HEADER)
    if stream.last.strip(b"\0"):
        # tarfile takes a header that it cannot read for the end, and would leave out what follows.
        raise LayerRefused(f"{stream.name} has a damaged tar header; build it again")


def content_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Give the content of a regular file."""
    content = archive.extractfile(member)
    return content.read() if content else b""


def parts_of(name: str) -> tuple[str, ...]:
    """Give the parts of a name in an archive, from its root, which is where a leading slash starts too.

    Raises LayerRefused for a name that leads out of where it is.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise LayerRefused(f"{name[:100]!r} in it leads out of where it is; such an archive is not read")
    return parts


@contextmanager
def damage_refused(name: str) -> Iterator[None]:
    """Raise LayerRefused for what tarfile raises; ``name`` is what the message calls the archive."""
    try:
        yield
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise LayerRefused(f"{name} is no tar archive that can be read") from error
