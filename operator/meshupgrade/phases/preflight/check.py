"""The one shape of a check, and how checks are run: together, each within its own time.

A check that cannot look is itself a finding, never a silent pass and never the end of the others. What is worth
another try without anybody changing anything, an API server that does not answer above all, is raised as it is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.errors import HelmError, HelmTimedOut, HelmUnreachable
from meshupgrade.kube.errors import Forbidden, KubeError, Unreachable
from meshupgrade.oci import OCIError
from meshupgrade.phases.shape import Busy, Superseded, Work

__all__ = ["Check", "enumerate_some", "finding", "run_checks", "together"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

ANOTHER_TRY = (Unreachable, HelmUnreachable, HelmTimedOut, Busy, Superseded)


@dataclass(frozen=True)
class Check:
    """One check: what it can find, what it looks at, and how."""

    names: tuple[FindingName, ...]
    """The findings that it can give, besides Forbidden and CheckFailed."""

    looks_at: str
    """What is looked at, in words, such as: the certificate of the mesh's authority."""

    run: Callable[[Work], Awaitable[Sequence[Finding]]]
    """Read only. May raise anything; see run_checks for what becomes of it."""

    worst: Severity = Severity.ERROR
    """The heaviest of what it can find: what would have refused the upgrade refuses it when it cannot be looked at."""

    timeout: float = 15.0
    """Seconds that it may take."""

    needs_target: bool = True
    """Whether it looks at the rendered target; one that does not runs while the target is made."""


def finding(name: FindingName, severity: Severity, message: str, remedy: str) -> Finding:
    """Give a finding of this phase."""
    return Finding(name=name, severity=severity, phase=Phase.PREFLIGHT, message=message, remedy=remedy)


def enumerate_some(items: Sequence[str], most: int = 10) -> str:
    """Give the items with commas between them; of many the first, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


async def run_checks(checks: Sequence[Check], work: Work) -> list[Finding]:
    """Run the checks together and give what they find, in the order of the checks.

    Raises Unreachable and what else is worth another try.
    """
    found = await together(*(_run(check, work) for check in checks))
    return [finding for findings in found for finding in findings]


async def together(*calls: Coroutine[Any, Any, T]) -> list[T]:
    """Wait for all, and give their results; the first that fails ends the others, and its error is raised."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(check: Check, work: Work) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(check.timeout):
            return await check.run(work)
    except ANOTHER_TRY:
        raise
    except Forbidden as error:
        return [_cannot_look(check, FindingName.FORBIDDEN, error.message, "Give the account the right that is named.")]
    except TimeoutError:
        why = f"it took longer than {check.timeout:.0f} s"
        remedy = "See whether the API server is slow or overloaded; it is looked at again by itself."
    except OCIError as error:
        if error.transient:
            raise
        why, remedy = str(error), "Repair what the message names."
    except (KubeError, HelmError) as error:
        why, remedy = str(error), "Repair what the message names."
    except Exception as error:
        # What went wrong is for developers, and may hold anything: the log has it, the finding only its kind.
        logger.exception("a check failed: %s", check.looks_at)
        why, remedy = f"a defect in the operator ({type(error).__name__})", "The operator's log tells more; report it."
    return [_cannot_look(check, FindingName.CHECK_FAILED, why, remedy)]


def _cannot_look(check: Check, name: FindingName, why: str, remedy: str) -> Finding:
    refuses = check.worst in (Severity.ERROR, Severity.RISK)
    return finding(
        name,
        Severity.ERROR if refuses else Severity.WARNING,
        f"could not look at {check.looks_at}, so {', '.join(check.names)} cannot be ruled out: {why}",
        remedy,
    )
