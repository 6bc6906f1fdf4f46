"""Who holds the Lease, by his own clock."""

import asyncio

import pytest

from meshupgrade.kube.lease import HeldLease, LeaseLost, LeaseTimes

TIMES = LeaseTimes()


def test_a_holder_stops_before_another_may_begin() -> None:
    assert TIMES.renew < TIMES.deadline < TIMES.duration


async def test_without_a_renewal_it_is_lost_and_with_one_it_is_kept() -> None:
    now = asyncio.get_running_loop().time()
    held = HeldLease(TIMES, now - TIMES.deadline - 1)
    with pytest.raises(LeaseLost):
        held.check()
    held.renewed(now)
    held.check()


async def test_what_somebody_else_took_does_not_come_back() -> None:
    now = asyncio.get_running_loop().time()
    held = HeldLease(TIMES, now)
    held.taken()
    held.renewed(now)
    with pytest.raises(LeaseLost):
        held.check()
