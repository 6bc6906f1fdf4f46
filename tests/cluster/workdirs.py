"""Temporary folders that do not pile up: those of a process that was killed are removed by the next one."""

import os
import shutil
import tempfile
from pathlib import Path

from .process_identity import start_time, still_runs

__all__ = ["temporary_workdir"]

PREFIX = "meshupgrade-rig-"


def temporary_workdir(parent: Path | None = None) -> Path:
    """A new folder that is marked as ours; folders of processes that are gone are removed on the way."""
    root = parent or Path(tempfile.gettempdir())
    for folder in root.glob(f"{PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    pid = os.getpid()
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{pid}-{start_time(pid)}-".replace(" ", "_"), dir=root))


def _is_abandoned(folder: Path) -> bool:
    parts = folder.name.removeprefix(PREFIX).split("-")
    if len(parts) != 3 or not parts[0].isdigit():
        return False
    return not still_runs(int(parts[0]), parts[1].replace("_", " "))
