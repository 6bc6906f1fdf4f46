"""Chart archives on disk by their digest, and their bound."""

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ChartArchive", "ChartCache", "sha256"]

MAX_BYTES = 256 * 1024 * 1024
"""What all archives may take; those of real meshes take some ten to a hundred KiB each."""

IN_USE = 3600.0
"""Seconds for which an archive is kept whatever the bound: a run that asked for it may not have ended."""


@dataclass(frozen=True)
class ChartArchive:
    """An archive on disk, its sha256 digest, and its name in the repository."""

    path: Path
    digest: str
    name: str
    provenance: bytes | None = field(default=None, repr=False)
    """The provenance file, when it was asked for and there is one."""


class ChartCache:
    """A folder of archives. Its calls block: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, digest: str) -> Path | None:
        """Give the archive with that digest, or None; one that is damaged is dropped, and not there."""
        path = self._file(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        if sha256(content) != digest:
            path.unlink(missing_ok=True)
            return None
        path.touch()
        return path

    def store(self, digest: str, content: bytes) -> Path:
        """Keep an archive that has that digest. Those longest unused go when all take too much room."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._file(digest)
        descriptor, written = tempfile.mkstemp(dir=self._folder, suffix=".partial")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(written).replace(path)
        finally:
            Path(written).unlink(missing_ok=True)
        self._prune()
        return path

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest.removeprefix('sha256:')}.tgz"

    def _prune(self) -> None:
        left, now = MAX_BYTES, time.time()
        # Files that a crash left half-written go the same way.
        entries = sorted(((path.stat(), path) for path in self._folder.iterdir()), key=lambda entry: -entry[0].st_mtime)
        for status, path in entries:
            left -= status.st_size
            if left < 0 and now - status.st_mtime > IN_USE:
                path.unlink(missing_ok=True)


def sha256(content: bytes) -> str:
    """Give the digest as registries and indexes write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
