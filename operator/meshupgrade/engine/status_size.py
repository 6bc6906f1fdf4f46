"""The bound on the size of a status: what is told at length is told in short before it grows beyond."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.status import Phase

__all__ = ["MAX_STATUS", "bounded"]

MAX_STATUS = 64 * 1024
"""Bytes as JSON: every list and every watch of MeshUpgrades carries all of their statuses."""

Content = dict[str, Any]

FIRST = 5
"""Entries of a list that keep what they tell: the newest of history, the heaviest of findings."""


def bounded(content: Mapping[str, Any]) -> Content:
    """Give the status within the bound, what is the least missed left out first. Nothing is left out that a run needs.

    History keeps its entries, with their versions, revisions and whether they are verified.
    """
    shrunk = dict(content)
    for shrink in _SHRINKS:
        if len(json.dumps(shrunk, separators=(",", ":"))) <= MAX_STATUS:
            break
        shrunk = shrink(shrunk)
    return shrunk


def _without_reasons(content: Content) -> Content:
    return _mapped(content, "availableVersions", lambda number, item: _cut(item, "message", 0))


def _short_history(content: Content) -> Content:
    def short(number: int, entry: Content) -> Content:
        if number < FIRST:
            return entry
        # By this phase a run knows which defaults the MeshConfig was brought up to.
        phases = [phase for phase in entry.get("phases") or [] if phase["name"] == Phase.MESH_CONFIG]
        kept = {key: value for key, value in _cut(entry, "message", 80).items() if key != "authorities"}
        return {**kept, "phases": phases}

    return _mapped(content, "history", short)


def _short_findings(content: Content) -> Content:
    return _mapped(content, "findings", lambda number, item: _cut(_cut(item, "message", 300), "remedy", 200))


def _short_conditions(content: Content) -> Content:
    return _mapped(content, "conditions", lambda number, item: _cut(item, "message", 700))


def _few_of_all(content: Content) -> Content:
    few = _mapped(content, "history", lambda number, entry: _cut(entry, "message", 200))
    return {**few, **{key: few[key][:FIRST] for key in ("findings", "availableVersions") if key in few}}


_SHRINKS: Sequence[Callable[[Content], Content]] = (
    _without_reasons,
    _short_history,
    _short_findings,
    _short_conditions,
    _few_of_all,
)


def _mapped(content: Content, key: str, change: Callable[[int, Content], Content]) -> Content:
    items = content.get(key)
    return content if items is None else {**content, key: [change(number, item) for number, item in enumerate(items)]}


def _cut(item: Content, key: str, most: int) -> Content:
    text = item.get(key)
    if not isinstance(text, str) or len(text) <= most:
        return item
    return {**item, key: f"{text[: most - 2]} …" if most else ""}
