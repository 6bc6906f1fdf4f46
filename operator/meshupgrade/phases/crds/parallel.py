"""Many small requests side by side, but not all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

__all__ = ["for_each"]

T = TypeVar("T")
PARALLEL = 8


async def for_each(items: Iterable[T], do: Callable[[T], Awaitable[None]], *, parallel: int = PARALLEL) -> None:
    """Do it for every item; a failure is raised only when nothing is under way any more."""
    limit = asyncio.Semaphore(parallel)

    async def one(item: T) -> None:
        async with limit:
            await do(item)

    for result in await asyncio.gather(*(one(item) for item in items), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
