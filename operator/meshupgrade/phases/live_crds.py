"""The live CRDs: as they are at this moment, or as they were when somebody in this run first asked for them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from meshupgrade.kube.client import crd_ref
from meshupgrade.phases.shape import Work

__all__ = ["ReadCRD", "crd_now", "forget_crds", "known_crd"]

ReadCRD = Callable[[Work, str], Awaitable[Mapping[str, Any] | None]]


async def crd_now(work: Work, name: str) -> Mapping[str, Any] | None:
    """Give a live CRD, or None when it is not there."""
    return await work.tools.kube.find(crd_ref(name))


async def known_crd(work: Work, name: str) -> Mapping[str, Any] | None:
    """Give a live CRD as it was when it was first asked for, or None. To decide only; a write reads anew.

    Several checks look at the same CRDs, and at the same time.
    """
    read = work.crd_reads.get(name)
    if read is None:
        read = work.crd_reads[name] = asyncio.ensure_future(crd_now(work, name))
    # A check that runs out of its time must not take the answer from the others.
    return await asyncio.shield(read)


def forget_crds(work: Work) -> None:
    """Forget what was read; for after a phase that writes CRDs, or lets others write them."""
    work.crd_reads.clear()
