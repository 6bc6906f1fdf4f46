"""What the workloads of a mesh are restarted for, and how far that has come, in words."""

import hashlib
import re

__all__ = ["is_for", "next_value", "progress", "restart_target", "time_left"]

_AGAIN = re.compile(r"\.([2-9]|[1-9][0-9]{1,5})")


def restart_target(version: str, sidecar: str, init: str | None) -> str:
    """Give a short name for what is injected at a version: other images, or another version, are another target."""
    images = hashlib.sha256(f"{sidecar}\n{init or ''}".encode()).hexdigest()[:8]
    return f"{version}-{images}"


def is_for(value: str, target: str) -> bool:
    """Tell whether the value of the annotation says that a workload was restarted for the target, once or again."""
    return value == target or (value.startswith(target) and _AGAIN.fullmatch(value[len(target) :]) is not None)


def next_value(value: str, target: str) -> str:
    """Give what the annotation is set to for the next restart, which is never what it was before."""
    if not is_for(value, target):
        return target
    before = value[len(target) :]
    return f"{target}.{int(before[1:]) + 1 if before else 2}"


def progress(done: int, total: int, wave: int, waves: int, seconds: float | None) -> str:
    """Give how far the restart has come; ``seconds`` are those that are left, None when they cannot be told."""
    left = "" if seconds is None else f", about {time_left(seconds)} left"
    return f"{done} of {total} workloads, wave {wave} of {waves}{left}"


def time_left(seconds: float) -> str:
    """Give a span of time as people say it: 4 s, 40 s, 6 min, 2 h 5 min."""
    if seconds < 90:
        return f"{round(seconds, -1) if seconds >= 10 else max(1, round(seconds)):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
