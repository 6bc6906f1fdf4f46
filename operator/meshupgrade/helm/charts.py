"""Chart archives, fetched once and kept by what they are."""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from meshupgrade.helm.driver import ChartSource, Helm

__all__ = ["ChartArchive", "fetch_chart"]


@dataclass(frozen=True)
class ChartArchive:
    """An archive on disk and its sha256 digest."""

    path: Path
    digest: str


async def fetch_chart(helm: Helm, cache: Path, source: ChartSource, listed_digest: str | None) -> ChartArchive:
    """Give the chart archive, from the cache when the repository lists its digest and it is there.

    Raises the errors of Helm.pull. An archive without a listed digest is fetched anew each time, since a tag can move.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if listed_digest:
        path = cache / f"{listed_digest.removeprefix('sha256:')}.tgz"
        if path.exists():
            return ChartArchive(path, _digest(path))
    folder = Path(tempfile.mkdtemp(dir=cache))
    try:
        archive = await helm.pull(source, folder)
        digest = _digest(archive)
        path = cache / f"{digest.removeprefix('sha256:')}.tgz"
        archive.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ChartArchive(path, digest)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
