"""What all tests share."""

import asyncio

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_event_loop_by_accident() -> None:
    """Have no event loop made but by the tests that need one.

    looptime asks for the current loop before each test, synchronous ones too. Python then makes one, which nobody
    closes, and some later test fails for the warning about that.
    """
    asyncio.set_event_loop(None)
