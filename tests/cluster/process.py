"""Child processes of the rig: each with a log file, its own session, and a life no longer than ours."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .errors import ChildFailed, PortTaken

__all__ = ["Child", "stop_all", "tail"]

WRAPPER = Path(__file__).with_name("die_with_parent.py")
POLL_SECONDS = 0.03
PORT_TAKEN_MARKS = ("address already in use", "Address already in use")


def tail(path: Path, lines: int = 20) -> str:
    """The last `lines` lines of a text file, joined; empty when there is no such file."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Child:
    """One running child process.

    It has a session of its own, so that Ctrl-C in the terminal reaches only us and we stop it in order; on Linux the
    kernel kills it when we die in whatever way.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        """Wrap a process that was just started; use `start` instead."""
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> "Child":
        """Start a program with stdout and stderr in `log`; gives it back at once, ready or not.

        `argv[0]` must be a path. Raises RuntimeError outside the main thread: the parent-death signal follows the
        thread that started the child, so a child of a short-lived thread would die with that thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"start {name} from the main thread: it would die with this thread")
        # -I and -S: the wrapper needs nothing but the standard library, and starts in a third of the time without site.
        command = [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), *map(str, argv)]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """The process id; also that of its session and its process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """The exit code (negative: the signal that ended it), or None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Return as soon as `ready()` is true; `timeout` in seconds.

        Raises PortTaken or ChildFailed when the child ends before, ChildFailed when the time is over; the message
        carries the end of its log.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            code = self.exit_code()
            if code is not None:
                raise self._failure(f"{self.name} ended with code {code}")
            if time.monotonic() > deadline:
                raise self._failure(f"{self.name} was not ready within {timeout:g} s")
            time.sleep(POLL_SECONDS)

    def _failure(self, what: str) -> ChildFailed:
        last = tail(self.log)
        kind = PortTaken if any(mark in last for mark in PORT_TAKEN_MARKS) else ChildFailed
        return kind(f"{what}; the end of {self.log}:\n{last}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child and all of its children; nothing happens when they are gone."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def stop(self, grace: float = 5.0) -> None:
        """End the child: SIGTERM, `grace` seconds, SIGKILL; it is reaped afterwards. Harmless on one that has ended."""
        stop_all([self], grace)

    def reap(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the child to end and take its exit code; whether it has ended."""
        try:
            self._process.wait(max(timeout, 0))
        except subprocess.TimeoutExpired:
            return False
        return True


def stop_all(children: Iterable[Child], grace: float = 5.0) -> None:
    """End several children side by side: SIGTERM to all, one grace period (seconds) for all, SIGKILL to those left."""
    alive = list(children)
    for child in alive:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for child in alive:
        if not child.reap(deadline - time.monotonic()):
            child.send(signal.SIGKILL)
            child.reap(10)
