"""When a recorded Helm process is proved gone."""

import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from meshupgrade.api.v1alpha1.status import HelmProcess
from meshupgrade.engine.recovery import is_gone
from meshupgrade.helm.process import GRACE, boot_id, started_ticks

DEADLINE = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
LONG_AFTER = DEADLINE + timedelta(days=1)


def recorded(host: str, pid: int, ticks: int) -> HelmProcess:
    return HelmProcess(revision=2, host=host, pid=pid, started_ticks=ticks, deadline=DEADLINE)


def test_here_it_is_looked_up_whatever_its_deadline() -> None:
    ticks = started_ticks(os.getpid())
    assert ticks is not None
    assert not is_gone(recorded(boot_id(), os.getpid(), ticks), LONG_AFTER)
    # Its id is another process's now.
    assert is_gone(recorded(boot_id(), os.getpid(), ticks - 1), DEADLINE - timedelta(hours=1))


def test_here_it_is_gone_once_it_ended() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        process = recorded(boot_id(), child.pid, started_ticks(child.pid) or 0)
        assert not is_gone(process, LONG_AFTER)
        child.kill()
    assert is_gone(process, DEADLINE - timedelta(hours=1))


@pytest.mark.parametrize(
    ("after_deadline", "gone"),
    [(-3600.0, False), (0.0, False), (GRACE, False), (GRACE + 1, True), (86400.0, True)],
)
@pytest.mark.parametrize("host", ["other-host/0", f"{os.uname().nodename}/an-earlier-boot"])
def test_elsewhere_its_deadline_and_grace_must_have_passed(host: str, after_deadline: float, gone: bool) -> None:
    ticks = started_ticks(os.getpid()) or 0
    at = DEADLINE + timedelta(seconds=after_deadline)
    assert is_gone(recorded(host, os.getpid(), ticks), at) is gone
