"""The files of one folder of an image, out of its layers; nothing is unpacked to disk, and nothing is run.

Source: OCI image specification 1.1, "Image Layer Filesystem Changeset": what a layer replaces, whiteouts, opaque
whiteouts. Only entries in the folder, and those that hide or replace it, are looked at; the odd things that real
images have elsewhere (absolute links, devices) do no harm to somebody who unpacks nothing.
"""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from meshupgrade.oci.errors import LayerRefused
from meshupgrade.oci.tars import content_of, damage_refused, entries_of, parts_of
from meshupgrade.oci.unpack import Budget, Unpacked

__all__ = ["DEFAULT_LIMITS", "Limits", "extract_folder"]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
#: Names that aufs keeps for itself, and that some builders leave in layers; they hide nothing.
_AUFS = ".wh..wh."

_LINK_HOPS = 8

#: A path in the image: its parts from the root.
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds over all layers of one image; sizes in bytes, unpacked.

    All of it is read to find the folder, so the first two bound time. The others bound memory: a file has room for
    more than an API server takes in one object, which is 1.5 MiB.
    """

    unpacked: int = 2 * 1024 * 1024 * 1024
    entries: int = 500_000
    files: int = 2_000
    file: int = 4 * 1024 * 1024
    folder: int = 32 * 1024 * 1024


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Link:
    """A symbolic link, with its target as the layer has it."""

    target: str


@dataclass(frozen=True, slots=True)
class _HardLink:
    """Another name for a file that comes earlier, in this layer or below."""

    target: Path


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory; it keeps what is in it, and replaces a file of its name."""


_Node = bytes | _Link
_Tree = dict[Path, _Node]


@dataclass(slots=True)
class _Changes:
    """What one layer does to the folder."""

    hidden: list[Path] = field(default_factory=list)
    emptied: list[Path] = field(default_factory=list)
    entries: list[tuple[Path, bytes | _Link | _HardLink | _Directory]] = field(default_factory=list)


def extract_folder(layers: Sequence[BinaryIO], folder: str, *, limits: Limits = DEFAULT_LIMITS) -> dict[str, bytes]:
    """Give the files under the folder, by path relative to it, sorted; none when the image has no such folder.

    ``layers`` are the packed layers, the lowest first, each seekable. Symbolic links within the folder to a file of
    it give that file. Raises UnsupportedLayer; and LayerRefused for damage, for anything beyond
    the limits, and for what leads out of the image or out of the folder.
    """
    wanted = parts_of(folder)
    if not wanted:
        raise LayerRefused(f"{folder!r} names no folder; give one such as /crds")
    budget, reader = Budget(limits.unpacked), _Reader(wanted, limits)
    tree: _Tree = {}
    for layer in layers:
        stream = Unpacked(layer, budget)
        with damage_refused(stream.name):
            changes = reader.changes(stream)
        _apply(changes, tree)
    return dict(sorted(_files(tree, wanted)))


class _Reader:
    """Reads layers one after the other, and counts what they have in common."""

    def __init__(self, wanted: Path, limits: Limits) -> None:
        self._wanted = wanted
        self._limits = limits
        self._entries = 0
        self._files = 0
        self._bytes = 0

    def changes(self, stream: Unpacked) -> _Changes:
        """Give what the layer does to the folder."""
        changes = _Changes()
        for archive, member in entries_of(stream, largest=self._limits.file):
            self._entries += 1
            if self._entries > self._limits.entries:
                raise LayerRefused(f"its layers have more than {self._limits.entries} entries; give one of CRDs only")
            self._note(changes, archive, member)
        return changes

    def _note(self, changes: _Changes, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = parts_of(member.name)
        name = path[-1] if path else ""
        if name == _OPAQUE:
            if self._concerns(path[:-1]):
                changes.emptied.append(path[:-1])
        elif name.startswith(_AUFS):
            return
        elif name.startswith(_WHITEOUT):
            hidden = parts_of(name.removeprefix(_WHITEOUT))
            if not hidden:
                raise LayerRefused(f"{_shown(path)} in it is a whiteout of nothing; build the image again")
            if self._concerns(path[:-1] + hidden):
                changes.hidden.append(path[:-1] + hidden)
        elif path and self._concerns(path):
            changes.entries.append((path, self._node(path, archive, member)))

    def _concerns(self, path: Path) -> bool:
        """Tell whether a path is in the folder, is the folder, or is above it."""
        return all(part == wanted for part, wanted in zip(path, self._wanted, strict=False))

    def _node(
        self, path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo
    ) -> bytes | _Link | _HardLink | _Directory:
        if member.isdir():
            return _Directory()
        if member.issym():
            return _Link(member.linkname)
        inside = len(path) > len(self._wanted)
        if member.islnk() and inside:
            return _HardLink(parts_of(member.linkname))
        if member.isreg() and inside:
            return self._content(path, archive, member)
        if inside:
            raise LayerRefused(f"{_shown(path)} in it is neither a file nor a folder; build the image again")
        # A file where the folder, or one above it, would be: that it is there is all that counts.
        return b""

    def _content(self, path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        # Counted before it is read, and with what is overwritten later: this is about memory.
        self._files += 1
        self._bytes += member.size
        if member.size > self._limits.file:
            raise LayerRefused(f"{_shown(path)} in it is larger than {self._limits.file} bytes")
        if self._files > self._limits.files:
            raise LayerRefused(f"{_shown(self._wanted)} in it has more than {self._limits.files} files")
        if self._bytes > self._limits.folder:
            raise LayerRefused(f"{_shown(self._wanted)} in it is larger than {self._limits.folder} bytes")
        return content_of(archive, member)


def _apply(changes: _Changes, tree: _Tree) -> None:
    # Whiteouts are about the layers below, wherever in the layer they stand (specification, "Whiteouts").
    for path in changes.emptied:
        _remove_below(tree, path)
    for path in changes.hidden:
        _remove_below(tree, path)
        tree.pop(path, None)
    for path, node in changes.entries:
        _replace_file_above(tree, path)
        if isinstance(node, _Directory):
            tree.pop(path, None)
            continue
        node = _linked(tree, path, node) if isinstance(node, _HardLink) else node
        _remove_below(tree, path)
        tree[path] = node


def _remove_below(tree: _Tree, path: Path) -> None:
    for known in [known for known in tree if len(known) > len(path) and known[: len(path)] == path]:
        del tree[known]


def _replace_file_above(tree: _Tree, path: Path) -> None:
    """Let a path make folders of its parents; a link among them stays, and is refused at the end."""
    for length in range(1, len(path)):
        if isinstance(tree.get(path[:length]), bytes):
            del tree[path[:length]]


def _linked(tree: _Tree, path: Path, link: _HardLink) -> _Node:
    if link.target not in tree:
        raise LayerRefused(f"{_shown(path)} in it is a hard link out of its folder; copy the file there instead")
    return tree[link.target]


def _files(tree: _Tree, wanted: Path) -> Iterator[tuple[str, bytes]]:
    for path, node in tree.items():
        if len(path) > len(wanted):
            content = _resolve(tree, path, wanted)
            if content is not None:
                yield "/".join(path[len(wanted) :]), content
        elif isinstance(node, _Link):
            raise LayerRefused(f"{_shown(path)} in it is a symbolic link; put the CRDs in a real folder")


def _resolve(tree: _Tree, path: Path, wanted: Path) -> bytes | None:
    """Give the file that a path of the folder leads to, None when a link leads to a folder or to nothing."""
    start = path
    for _ in range(_LINK_HOPS):
        node = tree.get(path)
        if not isinstance(node, _Link):
            return node
        path = _target(path, node)
        if path[: len(wanted)] != wanted:
            raise LayerRefused(f"{_shown(start)} in it is a symbolic link out of {_shown(wanted)}; copy the file")
    raise LayerRefused(f"{_shown(start)} in it is a symbolic link without an end; copy the file instead")


def _target(path: Path, link: _Link) -> Path:
    parts = [] if link.target.startswith("/") else list(path[:-1])
    for part in link.target.split("/"):
        if part == "..":
            # As in a chroot: above the root of the image is its root.
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def _shown(path: Path) -> str:
    return ascii("/" + "/".join(path))[1:-1][:200]
