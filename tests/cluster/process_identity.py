"""Tell whether a process id still means the process that it meant when it was written down."""

import subprocess
from pathlib import Path

__all__ = ["start_time", "still_runs"]

PROC = Path("/proc")
#: Index of the start time among the fields that follow the program's name in /proc/PID/stat.
STARTED_FIELD = 19


def start_time(pid: int) -> str | None:
    """When a process started, in a form that is only good for comparing; None when there is no such process."""
    if not PROC.joinpath("self", "stat").exists():
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return answer.stdout.strip() or None
    try:
        stat = PROC.joinpath(str(pid), "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name stands in parentheses and may hold any character, further parentheses too.
    fields = stat.rpartition(")")[2].split()
    # A zombie runs no more, even when nobody has taken its exit code yet.
    return None if fields[0] == "Z" else fields[STARTED_FIELD]


def still_runs(pid: int, started: str) -> bool:
    """Whether the process that had this id and this `start_time` runs."""
    return start_time(pid) == started
