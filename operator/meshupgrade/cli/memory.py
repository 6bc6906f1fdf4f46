"""Keeps the operator small at rest: what an upgrade took goes back to the system."""

import ctypes
import gc

__all__ = ["give_back_memory", "keep_memory_small"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Names of parameters. Source: mallopt(3) and malloc.h of glibc."""

SMALL = 128 * 1024
"""Bytes: glibc's own defaults for both thresholds, which it raises as it goes unless they are set."""


def keep_memory_small() -> None:
    """Have the C library give back what is freed; one that knows no such settings is left as it is.

    What has been imported is never looked at as garbage again, which makes looking for it a matter of milliseconds.

    asyncio takes a buffer of 256 KiB for each TLS connection, and a plan opens dozens of them. When the first one is
    freed, glibc would begin to keep them all, between other things, in a heap that never shrinks again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_TRIM_THRESHOLD, SMALL), (M_MMAP_THRESHOLD, SMALL), (M_ARENA_MAX, 1)):
            mallopt(parameter, value)
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """Free what a piece of work has left behind, and give the system what lies free between other things.

    Source: malloc_trim(3); other C libraries than glibc have none.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
