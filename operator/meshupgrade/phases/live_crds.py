"""The live CRDs: as they were when a run planned, read once for all who ask, or as they are at this moment."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from meshupgrade.kube.client import crd_ref
from meshupgrade.phases.shape import Work

__all__ = ["ReadCRD", "crd_now", "planned_crd"]

ReadCRD = Callable[[Work, str], Awaitable[Mapping[str, Any] | None]]


async def crd_now(work: Work, name: str) -> Mapping[str, Any] | None:
    """Give a live CRD, or None when it is not there."""
    return await work.tools.kube.find(crd_ref(name))


async def planned_crd(work: Work, name: str) -> Mapping[str, Any] | None:
    """Give a live CRD as it was when it was first asked for in this run, or None. For planning only.

    Several checks look at the same CRDs, and at the same time.
    """
    read = work.crd_reads.get(name)
    if read is None:
        read = work.crd_reads[name] = asyncio.ensure_future(crd_now(work, name))
    # A check that runs out of its time must not take the answer from the others.
    return await asyncio.shield(read)
