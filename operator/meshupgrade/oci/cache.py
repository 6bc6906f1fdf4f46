"""CRDs of images that have been read before, on disk.

What a digest names never changes, so an entry never goes stale; a reader needs no registry for it. Who knows the
digest of a private image therefore gets its CRDs, as with the images that a node has pulled.
"""

import hashlib
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["CRDCache"]

#: An upgrade path has a few hops; this is many meshes' worth, at a few hundred KiB each.
MAX_ENTRIES = 64

#: Age in seconds of a half-written file that only a crash can have left.
_ABANDONED = 3600


class CRDCache:
    """A directory of JSON files, one for each digest and folder. Its calls block: call them in a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, digest: str, folder: str) -> list[dict[str, Any]] | None:
        """Give what was stored, or None; a file that is damaged or cannot be read counts as not there."""
        try:
            entry = json.loads(self._file(digest, folder).read_bytes())
            return list(entry["crds"]) if (entry["digest"], entry["folder"]) == (digest, folder) else None
        except (OSError, ValueError, RecursionError, LookupError, TypeError):
            return None

    def store(self, digest: str, folder: str, crds: list[dict[str, Any]]) -> None:
        """Keep the CRDs, atomically, and drop the oldest entries beyond the bound; raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"digest": digest, "folder": folder, "crds": crds}, separators=(",", ":"))
        descriptor, written = tempfile.mkstemp(dir=self._directory, suffix=".partial")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(written).replace(self._file(digest, folder))
        finally:
            Path(written).unlink(missing_ok=True)
        self._prune()

    def _file(self, digest: str, folder: str) -> Path:
        # The folder may hold any character; the digest is checked by whoever made the reference, and hashed all the
        # same so that no name ever leads out of the directory.
        key = hashlib.sha256(f"{digest}\n{folder}".encode()).hexdigest()
        return self._directory / f"crds-{key}.json"

    def _prune(self) -> None:
        entries = sorted(self._directory.glob("crds-*.json"), key=_written, reverse=True)
        for path in entries[MAX_ENTRIES:]:
            path.unlink(missing_ok=True)
        for path in self._directory.glob("*.partial"):
            if _written(path) < time.time() - _ABANDONED:
                path.unlink(missing_ok=True)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # Another reader was faster with dropping it.
        return math.inf
