"""Child processes that cannot outlive their purpose, with real ones."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from meshupgrade.helm import process
from meshupgrade.helm.process import Child, Output, boot_id, is_running, started_ticks

SOURCES = Path(process.__file__).parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"]}
LONG = 200.0
"""Seconds that no test comes near; the tests wait for events, and are ended by pytest's own timeout."""

FOREVER = 'trap "" TERM; echo ready > "$1"; while :; do sleep 0.1; done'
"""A program that ignores SIGTERM, and so do the programs that it starts."""


async def shell(script: str, *arguments: object, deadline: float = LONG) -> Output:
    argv = ["/bin/sh", "-c", script, "program", *map(str, arguments)]
    return await process.run(argv, environment=ENVIRONMENT, deadline=deadline)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something in another process, which tells nobody."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def appears(path: Path) -> str:
    await eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text().strip()


async def is_gone(pid: int, ticks: int) -> None:
    await eventually(lambda: not is_running(pid, ticks))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# How it ends


async def test_a_program_is_given_its_arguments_as_they_are() -> None:
    argv = ["/usr/bin/printf", "%s|", "two words", 'a "quoted" $HOME `x`', "", "-e", "*"]
    output = await process.run(argv, environment=ENVIRONMENT, deadline=LONG)
    assert output == Output(0, b'two words|a "quoted" $HOME `x`||-e|*|', "", timed_out=False)


async def test_how_it_ended_and_what_it_said_is_told() -> None:
    output = await shell("echo out; echo err >&2; exit 3")
    assert output == Output(3, b"out\n", "err\n", timed_out=False)


async def test_what_it_said_need_not_be_text() -> None:
    output = await shell(r"printf '\377\376'; printf '\377' >&2")
    assert (output.stdout, output.stderr) == (b"\xff\xfe", "�")


async def test_a_program_that_is_not_there() -> None:
    output = await process.run(["/no/such/program"], environment=ENVIRONMENT, deadline=LONG)
    assert output.code == 127
    assert "/no/such/program" in output.stderr


async def test_much_output_holds_up_nothing() -> None:
    output = await shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2")
    assert (len(output.stdout), len(output.stderr)) == (3_000_000, 3_000_000)


async def test_a_signal_that_ended_it_is_told() -> None:
    assert (await shell("kill -KILL $$")).code == -signal.SIGKILL


async def test_it_has_no_input() -> None:
    assert (await shell("cat; echo end")).stdout == b"end\n"


async def test_it_has_no_environment_but_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "not for the child")
    output = await process.run(["env"], environment={"PATH": ENVIRONMENT["PATH"], "A": "b c"}, deadline=LONG)
    variables = dict(line.split("=", 1) for line in output.stdout.decode().splitlines())
    # A shell may set these by itself.
    assert set(variables) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "A"}
    assert variables["A"] == "b c"


# The gate


async def test_it_exists_before_it_does_anything(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    seen: list[Child] = []

    async def recorded(child: Child) -> None:
        await asyncio.sleep(0.1)
        assert not marker.exists()
        assert is_running(child.pid, child.started_ticks)
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
        seen.append(child)

    script = f"echo $$ > {marker}"
    output = await process.run(["/bin/sh", "-c", script], environment=ENVIRONMENT, deadline=LONG, recorded=recorded)
    assert output.code == 0
    # The very process that was recorded became the program.
    assert [child.pid for child in seen] == [int(marker.read_text())]


async def test_the_gate_never_opens_when_recording_fails(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    seen: list[Child] = []

    async def recorded(child: Child) -> None:
        seen.append(child)
        raise RuntimeError("not recorded")

    with pytest.raises(RuntimeError, match="not recorded"):
        await process.run(["/usr/bin/touch", str(marker)], environment=ENVIRONMENT, deadline=LONG, recorded=recorded)
    (child,) = seen
    assert not Path(f"/proc/{child.pid}").exists()
    assert not marker.exists()


async def test_the_gate_never_opens_when_recording_is_cancelled(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    recording = asyncio.Event()
    seen: list[Child] = []

    async def recorded(child: Child) -> None:
        seen.append(child)
        recording.set()
        await asyncio.sleep(LONG)

    task = asyncio.create_task(
        process.run(["/usr/bin/touch", str(marker)], environment=ENVIRONMENT, deadline=LONG, recorded=recorded)
    )
    await recording.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{seen[0].pid}").exists()
    assert not marker.exists()


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    async def failing(child: Child) -> None:
        raise RuntimeError

    await shell("true")
    before = open_descriptors()
    await shell("true")
    with pytest.raises(RuntimeError):
        await process.run(["true"], environment=ENVIRONMENT, deadline=LONG, recorded=failing)
    with pytest.raises(ValueError, match="null byte"):
        await process.run(["nul\0"], environment=ENVIRONMENT, deadline=LONG)
    assert open_descriptors() == before


# Its end


async def test_at_the_deadline_it_is_asked_to_end() -> None:
    output = await process.run(["sleep", "1000"], environment=ENVIRONMENT, deadline=0.1)
    assert (output.code, output.timed_out) == (-signal.SIGTERM, True)


async def test_what_it_says_when_asked_to_end_is_kept() -> None:
    output = await shell("trap 'echo sorry; exit 7' TERM; while :; do sleep 0.01; done", deadline=0.5)
    assert (output.code, output.stdout, output.timed_out) == (7, b"sorry\n", True)


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.1)
    output = await shell(FOREVER, tmp_path / "ready", deadline=0.5)
    assert (output.code, output.timed_out) == (-signal.SIGKILL, True)


async def test_its_own_children_end_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.1)
    pid_file = tmp_path / "pid"
    script = 'trap "" TERM; sleep 1000 & echo $! > "$1"; wait; wait'
    task = asyncio.create_task(shell(script, pid_file))
    grandchild = int(await appears(pid_file))
    ticks = started_ticks(grandchild)
    assert ticks is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await is_gone(grandchild, ticks)


async def test_a_child_of_its_own_that_holds_its_output_ends_at_the_deadline(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    output = await shell('sleep 1000 & echo $! > "$1"', pid_file, deadline=1.0)
    assert (output.code, output.timed_out) == (0, True)
    pid = int(pid_file.read_text())
    await is_gone(pid, started_ticks(pid) or 0)


async def test_one_that_left_its_group_and_holds_its_output_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.1)
    script = """trap "" TERM; setsid /bin/sh -c 'echo $$ > "$0"; exec sleep 20' "$1" & wait; wait"""
    task = asyncio.create_task(shell(script, tmp_path / "pid", deadline=1.0))
    outsider = int(await appears(tmp_path / "pid"))
    ticks = started_ticks(outsider) or 0
    assert (await task).timed_out
    assert is_running(outsider, ticks)
    os.kill(outsider, signal.SIGKILL)


async def test_cancelling_asks_it_to_end_and_waits_for_that(tmp_path: Path) -> None:
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    script = """trap 'sleep 0.2; echo ended > "$2"; exit 0' TERM; echo ready > "$1"; while :; do sleep 0.01; done"""
    task = asyncio.create_task(shell(script, ready, ended))
    await appears(ready)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.read_text() == "ended\n"


async def test_cancelling_kills_one_that_ignores_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.1)
    ready = tmp_path / "ready"
    seen: list[Child] = []

    async def recorded(child: Child) -> None:
        seen.append(child)

    argv = ["/bin/sh", "-c", FOREVER, "program", str(ready)]
    task = asyncio.create_task(process.run(argv, environment=ENVIRONMENT, deadline=LONG, recorded=recorded))
    await appears(ready)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{seen[0].pid}").exists()


async def test_no_zombie_is_left() -> None:
    seen: list[Child] = []

    async def recorded(child: Child) -> None:
        seen.append(child)

    for argv, deadline in ((["true"], LONG), (["sleep", "1000"], 0.1)):
        await process.run(argv, environment=ENVIRONMENT, deadline=deadline, recorded=recorded)
    assert len(seen) == 2
    assert [child for child in seen if Path(f"/proc/{child.pid}").exists()] == []


# The end of the operator

PARENT = """
import asyncio, sys
from meshupgrade.helm import process

if sys.argv[1] == "gate alone":
    process._LIBC = None

async def recorded(child):
    print(child.pid, child.started_ticks, flush=True)
    if sys.argv[1] != "running":
        await asyncio.sleep(1000)

argv = ["/bin/sh", "-c", sys.argv[2], "program", sys.argv[3]]
asyncio.run(process.run(argv, environment={"PATH": sys.argv[4]}, deadline=1000, recorded=recorded))
"""


async def start_parent(how: str, script: str, marker: Path) -> tuple[asyncio.subprocess.Process, Child]:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(PARENT), how, script, str(marker), ENVIRONMENT["PATH"],
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(SOURCES)},
    )  # fmt: skip
    assert parent.stdout is not None
    pid, ticks = (await parent.stdout.readline()).split()
    return parent, Child(int(pid), int(ticks))


async def test_it_ends_when_the_operator_is_killed(tmp_path: Path) -> None:
    # It ignores SIGTERM, so only the kernel's signal can have ended it.
    parent, child = await start_parent("running", FOREVER, tmp_path / "ready")
    await appears(tmp_path / "ready")
    assert is_running(child.pid, child.started_ticks)
    parent.kill()
    await parent.communicate()
    await is_gone(child.pid, child.started_ticks)


@pytest.mark.parametrize("how", ["gate alone", "gate and signal"])
async def test_it_never_starts_when_the_operator_is_killed_before_the_gate_opens(how: str, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    parent, child = await start_parent(how, 'echo started > "$1"', marker)
    assert is_running(child.pid, child.started_ticks)
    parent.kill()
    await parent.communicate()
    await is_gone(child.pid, child.started_ticks)
    assert not marker.exists()


# Telling processes apart


def test_a_process_is_told_by_its_start() -> None:
    ticks = started_ticks(os.getpid())
    assert ticks is not None
    assert is_running(os.getpid(), ticks)
    assert not is_running(os.getpid(), ticks + 1)
    assert not is_running(os.getpid(), 0)


def test_the_start_is_in_clock_ticks_since_boot() -> None:
    ticks = started_ticks(os.getpid())
    assert ticks is not None
    since_boot = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 < ticks / os.sysconf("SC_CLK_TCK") <= since_boot
    with subprocess.Popen(["sleep", "1000"]) as child:
        assert (started_ticks(child.pid) or 0) >= ticks
        child.kill()


def test_a_process_that_ended_does_not_run_even_when_nobody_has_waited_for_it() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert started_ticks(child.pid) is None
    assert started_ticks(child.pid) is None
    assert not is_running(child.pid, 0)


def test_any_name_of_a_program_can_be_read(tmp_path: Path) -> None:
    program = tmp_path / ") Z 1 (2"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "1000"]) as child:
        plain = started_ticks(child.pid)
        assert plain is not None
        assert plain >= (started_ticks(os.getpid()) or 0)
        child.kill()


def test_a_boot_of_a_host_is_told_from_others() -> None:
    assert boot_id() == boot_id()
    assert boot_id().startswith(os.uname().nodename)
    assert len(boot_id().rpartition("/")[2]) == 36
