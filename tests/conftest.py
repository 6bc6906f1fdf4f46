"""What all tests share."""

import asyncio

import pytest
from hypothesis import HealthCheck, settings

# How quickly values are made says something of the machine, which other tests keep busy, and nothing of the tests.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


@pytest.fixture(scope="session", autouse=True)
def no_event_loop_by_accident() -> None:
    """Have no event loop made but by the tests that need one.

    looptime asks for the current loop before each test, synchronous ones too. Python then makes one, which nobody
    closes, and some later test fails for the warning about that.
    """
    asyncio.set_event_loop(None)
