"""Checks run together; one that cannot look is a finding, and only what is worth another try is raised."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.helm.errors import HelmUnreachable
from meshupgrade.kube.errors import Forbidden, KubeError, Rejected, Unreachable
from meshupgrade.oci import ImageNotFound, OCIError, RegistryUnreachable
from meshupgrade.phases.preflight import CHECKS
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding, run_checks, together
from meshupgrade.phases.shape import Busy, Superseded, Work
from tests.unit.phases.works import make_work

WORK = make_work()


def raising(error: BaseException) -> Callable[[Work], Awaitable[Sequence[Finding]]]:
    async def run(_: Work) -> Sequence[Finding]:
        raise error

    return run


def giving(name: FindingName) -> Callable[[Work], Awaitable[Sequence[Finding]]]:
    async def run(_: Work) -> Sequence[Finding]:
        return [finding(name, Severity.WARNING, "seen", "do")]

    return run


async def stuck(_: Work) -> Sequence[Finding]:
    await asyncio.Event().wait()
    return []


def check_of(run: Callable[[Work], Awaitable[Sequence[Finding]]], worst: Severity = Severity.ERROR) -> Check:
    return Check((FindingName.OBJECT_REJECTED,), "the objects", run, worst, timeout=0.01)


@pytest.mark.parametrize(
    ("run", "name", "said"),
    [
        (raising(Forbidden(403, {"message": "cannot list nodes"})), FindingName.FORBIDDEN, "cannot list nodes"),
        (raising(Rejected(422, {"message": "no such field"})), FindingName.CHECK_FAILED, "no such field"),
        (raising(KubeError("odd")), FindingName.CHECK_FAILED, "odd"),
        (raising(ImageNotFound("no image")), FindingName.CHECK_FAILED, "no image"),
        (stuck, FindingName.CHECK_FAILED, "longer than"),
        (raising(ValueError("the password is hunter2")), FindingName.CHECK_FAILED, "defect in the operator"),
    ],
)
@pytest.mark.parametrize(
    ("worst", "severity"),
    [
        (Severity.ERROR, Severity.ERROR),
        (Severity.RISK, Severity.ERROR),
        (Severity.WARNING, Severity.WARNING),
        (Severity.INFO, Severity.WARNING),
    ],
)
async def test_a_check_that_cannot_look_is_a_finding(
    run: Callable[[Work], Awaitable[Sequence[Finding]]],
    name: FindingName,
    said: str,
    worst: Severity,
    severity: Severity,
) -> None:
    found = await run_checks([check_of(run, worst), check_of(giving(FindingName.VALUES_DROPPED))], WORK)
    assert [(item.name, item.severity) for item in found] == [
        (name, severity),
        (FindingName.VALUES_DROPPED, Severity.WARNING),
    ]
    assert said in found[0].message
    assert "the objects" in found[0].message
    assert "ObjectRejected cannot be ruled out" in found[0].message
    assert "hunter2" not in found[0].message
    assert found[0].remedy


async def test_a_defect_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        await run_checks([check_of(raising(ZeroDivisionError("x")))], WORK)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "error",
    [Unreachable("down"), HelmUnreachable("down"), RegistryUnreachable("down"), Busy("at work"), Superseded()],
)
async def test_what_is_worth_another_try_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await run_checks([check_of(raising(error)), check_of(stuck)], WORK)


async def test_they_run_together() -> None:
    """Each waits for the other, so one after the other they would not end."""
    one, other = asyncio.Event(), asyncio.Event()

    async def first(_: Work) -> Sequence[Finding]:
        one.set()
        await other.wait()
        return []

    async def second(_: Work) -> Sequence[Finding]:
        other.set()
        await one.wait()
        return []

    checks = [Check((), "one", first, timeout=5), Check((), "the other", second, timeout=5)]
    assert await run_checks(checks, WORK) == []


async def test_the_first_failure_ends_the_others() -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise OCIError("no")

    with pytest.raises(OCIError):
        await together(endless(), fails())
    assert ended.is_set()


@pytest.mark.parametrize(("count", "told"), [(0, ""), (2, "0, 1"), (4, "0, 1, 2 and 1 more")])
def test_of_many_the_first_are_named(count: int, told: str) -> None:
    assert enumerate_some([str(number) for number in range(count)], most=3) == told


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.looks_at)
def test_every_check_says_what_it_is(check: Check) -> None:
    assert check.names
    assert check.looks_at
    assert check.timeout > 0
