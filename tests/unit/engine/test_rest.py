"""When a mesh at rest is looked at again."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshupgrade.engine import rest
from meshupgrade.engine.session import Session
from tests.unit.phases.works import make_work

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "drifted", "opens_in", "seconds"),
    [
        ("Correct", True, timedelta(minutes=3), 180.1),
        # The window opens after the next look anyway.
        ("Correct", True, timedelta(hours=2), 600.0),
        # It is open: what could be put back was.
        ("Correct", True, timedelta(minutes=-3), 600.0),
        ("Correct", False, timedelta(minutes=3), 600.0),
        ("Warn", True, timedelta(minutes=3), 600.0),
    ],
)
def test_drift_that_waits_for_a_window_is_put_back_when_it_opens(
    monkeypatch: pytest.MonkeyPatch, policy: str, drifted: bool, opens_in: timedelta, seconds: float
) -> None:
    monkeypatch.setattr(rest, "now", lambda: AT)
    window = {"start": f"{AT + opens_in:%H:%M}", "end": f"{AT + opens_in + timedelta(hours=1):%H:%M}"}
    spec: dict[str, Any] = {"driftPolicy": policy, "upgrade": {"windows": [window]}}
    session = cast("Session", SimpleNamespace(report=SimpleNamespace(has_drifted=lambda: drifted)))
    assert rest.until_correction(session, make_work(spec), 600.0) == pytest.approx(seconds)
