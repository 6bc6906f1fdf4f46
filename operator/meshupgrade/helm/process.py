"""One child process that cannot outlive its purpose.

It is started in a session of its own behind a gate: a shell that waits for a word on a pipe and then becomes Helm. So
its process id can be recorded before it does anything; if the operator dies in between, the pipe closes and the child
ends without having started Helm. After that the kernel's parent-death signal ends it with the operator, and a deadline
of our own, above Helm's --timeout (which is no bound while the API server stalls), ends it in any case.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Child", "Output", "boot_id", "is_running", "run", "started_ticks"]

GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL: Helm marks the release failed on the first, when the API server answers."""

AFTER_KILL = 1.0
"""Seconds that a killed child may take to be gone."""

MAX_OUTPUT = 64 * 1024 * 1024
_GATE = 'read -r go && exec "$0" "$@" </dev/null'
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Child:
    """A started child that waits at its gate."""

    pid: int
    started_ticks: int


@dataclass(frozen=True)
class Output:
    """How a child ended. ``code`` is its exit code, or minus the number of the signal that ended it."""

    code: int
    stdout: bytes
    stderr: str
    timed_out: bool


async def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    deadline: float,
    recorded: Callable[[Child], Awaitable[None]] | None = None,
    pass_fds: Sequence[int] = (),
) -> Output:
    """Run a program for at most ``deadline`` seconds and give how it ended.

    ``recorded`` is awaited after the child exists and before it becomes the program; when it raises, the program never
    starts. The child gets the descriptors in ``pass_fds`` under their own numbers. Cancelling ends the child (SIGTERM,
    grace, SIGKILL to its whole group) before the cancellation goes on. It must run on the main thread: the parent-death
    signal follows the thread that starts the child.
    """
    gate_read, gate_write = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", _GATE, *argv,
            stdin=gate_read,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=_die_with_parent if _LIBC else None,
            limit=MAX_OUTPUT,
        )  # fmt: skip
    except BaseException:
        os.close(gate_write)
        raise
    finally:
        os.close(gate_read)
    try:
        try:
            if recorded is not None:
                await recorded(Child(process.pid, started_ticks(process.pid) or 0))
            os.write(gate_write, b"go\n")
        finally:
            os.close(gate_write)
        try:
            async with asyncio.timeout(deadline):
                stdout, stderr = await process.communicate()
            timed_out = False
        except TimeoutError:
            stdout, stderr = await _stop(process)
            timed_out = True
    except BaseException:
        await asyncio.shield(_stop(process))
        raise
    code = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Output(code, stdout, stderr.decode("utf-8", "replace"), timed_out)


async def _stop(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """End the child's whole group and give what it had written after all."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                return await process.communicate()
    _signal_group(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(AFTER_KILL):
            await process.wait()
    # What left the group may still hold the pipes, and asyncio would wait for that; it has no public way to let go.
    process._transport.close()  # type: ignore[attr-defined]
    return b"", b""


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _die_with_parent() -> None:
    """Between fork and exec: have the kernel end us when the operator dies.

    SIGKILL, since Helm ignores SIGTERM while the API server stalls, and a successor must be able to rely on it.
    """
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def boot_id() -> str:
    """Give what tells this boot of this host from every other; the host's name where the kernel gives no boot id."""
    path = Path("/proc/sys/kernel/random/boot_id")
    host = os.uname().nodename
    return f"{host}/{path.read_text().strip()}" if path.exists() else host


def started_ticks(pid: int) -> int | None:
    """Give when a process started, in clock ticks since boot, or None when there is none. Source: proc(5), stat."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def is_running(pid: int, ticks: int) -> bool:
    """Tell whether exactly that process, and not another with its id, still runs."""
    return started_ticks(pid) == ticks
