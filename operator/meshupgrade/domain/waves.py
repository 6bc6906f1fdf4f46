"""Waves: which of the workloads that are due are restarted next, at most so many at a time."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

__all__ = ["count_waves", "next_wave", "wave_size", "waves_over"]

K = TypeVar("K", bound=Hashable)
B = TypeVar("B", bound=Hashable)


def wave_size(limit: int | str, workloads: int) -> int:
    """Give how many workloads a wave has at most: the number, or the percentage of all, rounded down; at least one."""
    if isinstance(limit, int):
        return max(1, limit)
    return max(1, workloads * int(limit.removesuffix("%")) // 100)


def count_waves(stages: Sequence[int], size: int) -> int:
    """Give how many waves it takes for so many workloads in each stage; stages share no wave."""
    return sum(-(-workloads // size) for workloads in stages)


def waves_over(wave: int, waves: int, left: int, *, in_flight: bool) -> int:
    """Give how many waves are over when a run takes up a restart that had begun its ``wave`` of ``waves``.

    ``left`` is how many waves what is due still takes. The last one was interrupted, and is begun again, when workloads
    of it are in flight; and when none was touched yet, which shows in that more waves would be needed than there were.
    """
    interrupted = in_flight or wave + left > waves
    return max(0, wave - interrupted)


def next_wave(
    due: Sequence[K],
    in_flight: Collection[K],
    size: int,
    *,
    blocked: Collection[K] = (),
    budgets: Mapping[K, Collection[B]] | None = None,
    allowed: Mapping[B, int] | None = None,
) -> list[K]:
    """Give the workloads of the next wave, in the order in which they are due.

    All that are in flight are in it and count against its size. A workload that is blocked is not, nor is one that has
    a budget with nothing left: each that has it, those in flight too, takes one of what is ``allowed``.
    """
    wave = [key for key in due if key in in_flight]
    left = dict(allowed or {})
    of = budgets or {}
    for key in wave:
        _take(left, of.get(key, ()))
    for key in due:
        if len(wave) >= size:
            break
        if key in in_flight or key in blocked or any(left.get(budget, 0) < 1 for budget in of.get(key, ())):
            continue
        _take(left, of.get(key, ()))
        wave.append(key)
    return wave


def _take(left: dict[B, int], budgets: Collection[B]) -> None:
    for budget in budgets:
        left[budget] = left.get(budget, 0) - 1
