"""`status --watch`: what the API's watch tells, redrawn in a terminal, or written line by line into a pipe."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from rich.console import Group
from rich.live import Live

from meshupgrade.api.v1alpha1.names import API_VERSION, KIND
from meshupgrade.cli.plugin.errors import UserError
from meshupgrade.cli.plugin.output import console, note
from meshupgrade.cli.plugin.session import Session
from meshupgrade.cli.plugin.status_view import change_line, status_tree
from meshupgrade.cli.plugin.upgrades import Upgrade, find_some, read
from meshupgrade.cli.plugin.words import when
from meshupgrade.kube.errors import Gone, Unreachable

__all__ = ["watch_status"]

SECONDS = 300.0
"""How long one request for changes lasts; then it is made anew."""

PAUSE = 2.0

Seen = dict[str, Upgrade]


async def watch_status(session: Session, name: str | None) -> None:
    """Show the MeshUpgrades and every change of them until interrupted, or until the last one is deleted."""
    seen = {str(upgrade): upgrade for upgrade in await find_some(session, name)}
    target = console()
    if not target.is_terminal:
        lines: dict[str, str] = {}
        _write_lines(seen, lines)
        async for _ in _changes(session, seen):
            _write_lines(seen, lines)
    else:
        with Live(_drawn(seen), console=target, auto_refresh=False, vertical_overflow="visible") as live:
            async for _ in _changes(session, seen):
                live.update(_drawn(seen), refresh=True)
    raise UserError("what was watched is deleted")


async def _changes(session: Session, seen: Seen) -> AsyncIterator[None]:
    """Keep ``seen`` as the cluster has it, and yield after each change, until nothing is left."""
    only = next(iter(seen.values())) if session.namespace is not None else None
    while seen:
        try:
            async for _ in _from_now_on(session, seen, only):
                yield
        except Gone:
            continue
        except Unreachable as error:
            note(f"{error}; trying again")
            await asyncio.sleep(PAUSE)


async def _from_now_on(session: Session, seen: Seen, only: Upgrade | None) -> AsyncIterator[None]:
    namespace = only.namespace if only else None
    fields = f"metadata.name={only.name}" if only else None
    path = await session.kube.path(API_VERSION, KIND, namespace)
    listed = await session.kube.json("GET", path, query={"fieldSelector": fields} if fields else None)
    found = [read(obj) for obj in listed.get("items") or []]
    seen.clear()
    seen.update({str(upgrade): upgrade for upgrade in found})
    yield
    since = listed["metadata"]["resourceVersion"]
    while seen:
        changes = session.kube.watch(API_VERSION, KIND, namespace, since=since, seconds=SECONDS, fields=fields)
        async for kind, obj in changes:
            upgrade = read(obj)
            since = upgrade.resource_version
            if kind == "DELETED":
                seen.pop(str(upgrade), None)
            else:
                seen[str(upgrade)] = upgrade
            yield
            if not seen:
                return


def _drawn(seen: Seen) -> Group:
    return Group(*(status_tree(upgrade) for _, upgrade in sorted(seen.items())))


def _write_lines(seen: Seen, lines: dict[str, str]) -> None:
    """Write a line for each MeshUpgrade that tells another one than before."""
    for name, upgrade in sorted(seen.items()):
        line = change_line(upgrade)
        if lines.get(name) != line:
            lines[name] = line
            print(f"{when(datetime.now(UTC))} {line}", flush=True)
