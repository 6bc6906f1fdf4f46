"""A cluster that outlives the command that asked for it: one process holds it, a state file says which."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from .binaries import ensure_binaries
from .cluster import Cluster
from .errors import RigError
from .go_build import cache_root, locked
from .process import tail
from .process_identity import start_time, still_runs

__all__ = ["ROOT", "State", "bring_down", "bring_up", "hold"]

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05

Progress = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """What the holder writes once its cluster is ready.

    `processes` maps process ids to their start times, the holder's first.
    """

    kubeconfig: str
    server: str
    registry: str
    processes: dict[int, str]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The state in `folder`, or None when no cluster was ready there."""
        try:
            content = json.loads((folder / "state.json").read_text())
        except FileNotFoundError:
            return None
        content["processes"] = {int(pid): started for pid, started in content["processes"].items()}
        return cls(**content)

    def write(self, folder: Path) -> None:
        """Put it into `folder`, whole or not at all."""
        scratch = folder / "state.json.new"
        scratch.write_text(json.dumps(asdict(self), indent=1))
        scratch.replace(folder / "state.json")

    def left(self) -> list[int]:
        """The process ids that still mean the same process, the holder's first."""
        return [pid for pid, started in self.processes.items() if still_runs(pid, started)]

    @property
    def runs(self) -> bool:
        """Whether the holder runs, and with it the cluster."""
        return next(iter(self.processes)) in self.left()


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    # Not in the folder, which goes away with its cluster while another command waits for the lock.
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    with locked(cache_root() / f"up-{name}.lock", progress):
        yield


def bring_up(folder: Path, progress: Progress) -> State:
    """Start a cluster in `folder` that runs until `bring_down`, or find the one that runs there. Raises RigError."""
    if os.environ.get("CLUSTER") == "existing":
        raise RigError("CLUSTER=existing: there is nothing to start, use its kubeconfig")
    with _alone(folder, progress):
        state = State.read(folder)
        if state and state.runs:
            progress("the cluster runs already")
            return state
        _clear(folder, state)
        # Here and not in the holder, so that its progress is on this screen and Ctrl-C ends it.
        ensure_binaries(progress)
        folder.mkdir(parents=True, exist_ok=True)
        return _start_holder(folder)


def _start_holder(folder: Path) -> State:
    log = folder / "holder.log"
    with log.open("wb") as output:
        holder = subprocess.Popen(
            [sys.executable, "-m", __package__, "hold", "--folder", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    try:
        while (state := State.read(folder)) is None:
            if holder.poll() is not None or time.monotonic() > deadline:
                raise RigError(f"the cluster did not start:\n{tail(log)}")
            time.sleep(POLL_SECONDS)
    except BaseException:
        holder.terminate()
        holder.wait(STOP_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return state


def bring_down(folder: Path, progress: Progress) -> None:
    """Stop the cluster of `folder` and remove the folder; harmless when there is none."""
    with _alone(folder, progress):
        state = State.read(folder)
        progress("stopping the cluster" if state and state.runs else "no cluster runs")
        _clear(folder, state)


def _clear(folder: Path, state: State | None) -> None:
    if state:
        holder = next(iter(state.processes))
        _end([holder] if holder in state.left() else [], signal.SIGTERM, state)
        # Left over only where the kernel does not end the children of a holder that was killed.
        _end(state.left(), signal.SIGKILL, state)
    shutil.rmtree(folder, ignore_errors=True)


def _end(pids: list[int], number: signal.Signals, state: State) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + STOP_SECONDS
    while any(pid in state.left() for pid in pids) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def hold(folder: Path) -> None:
    """Be the holder: start a cluster in `folder`, write its state, and keep it until SIGTERM."""
    ends = {signal.SIGTERM, signal.SIGINT}
    # Before the start: a SIGTERM in the middle of it must find the code that ends the children.
    for number in ends:
        signal.signal(number, _exit)
    with Cluster.start(folder) as cluster:
        pids = [os.getpid(), *cluster.pids.values()]
        processes = {pid: started for pid in pids if (started := start_time(pid))}
        state = State(str(cluster.kubeconfig), cluster.server, cluster.registry, processes)
        state.write(folder)
        while True:
            signal.pause()


def _exit(number: int, frame: object) -> None:
    # Once is enough: a second signal must not interrupt the end that the first one has begun.
    for other in (signal.SIGTERM, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(0)
