"""`report`: a bundle for a bug report, with what helps and no secret."""

import contextlib
import io
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from meshupgrade import __version__
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.cli.plugin import redaction
from meshupgrade.cli.plugin.errors import UserError
from meshupgrade.cli.plugin.options import Where
from meshupgrade.cli.plugin.output import clean, note
from meshupgrade.cli.plugin.plans import full_plan
from meshupgrade.cli.plugin.session import Session, connect
from meshupgrade.cli.plugin.upgrades import Upgrade, find_one
from meshupgrade.distributions import load_distribution
from meshupgrade.kube.errors import KubeError

__all__ = ["make_report"]

MAX_OBJECTS = 500
"""Of each kind; the newest Events."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")

Facts = Any
Collect = Callable[[], Awaitable[Facts]]


async def make_report(where: Where, name: str | None, file: Path | None) -> None:
    """Write the bundle; ``-`` is the standard output. Raises UserError."""
    async with connect(where) as session:
        upgrade = await find_one(session, name)
        live = clean(await session.kube.get(upgrade.ref))
        parts, missing = await _collected(_collectors(session, upgrade, live))
    parts["not-read.txt"] = missing
    bundle = _packed({path: redaction.scrub(facts, live) for path, facts in parts.items() if facts not in (None, [])})
    made = file or Path(
        f"meshupgrade-report-{upgrade.namespace}-{upgrade.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    )
    if str(made) == "-":
        sys.stdout.buffer.write(bundle)
        return
    try:
        # Nobody but its owner may read it before he has looked at it.
        with contextlib.suppress(FileNotFoundError):
            made.unlink()
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(bundle)
    except OSError as error:
        raise UserError(f"{made} cannot be written: {error}") from error
    for line in missing:
        note(f"not in it: {line}")
    print(f"{made} is written. It has no values, no environment and no Secret; look at it before you send it.")


def _collectors(session: Session, upgrade: Upgrade, live: Mapping[str, Any]) -> dict[str, Collect]:
    kube, namespace = session.kube, upgrade.namespace

    async def versions() -> Facts:
        return {
            "plugin": __version__,
            "operator": upgrade.status.operator_version,
            "kubernetes": await kube.server_version(),
        }

    async def meshupgrade() -> Facts:
        return redaction.upgrade_facts(live)

    async def plan() -> Facts:
        found = await full_plan(session, upgrade)
        return redaction.plan_facts(found) if found is not None else None

    async def revisions() -> Facts:
        labels = f"owner=helm,name={_release(upgrade)}"
        listed = kube.list_objects("v1", "Secret", namespace, labels=labels, metadata_only=True)
        return [redaction.revision_facts(secret) async for secret in _bounded(listed)]

    async def workloads() -> Facts:
        found = []
        for kind in WORKLOADS:
            listed = kube.list_objects("apps/v1", kind, namespace)
            found += [redaction.workload_facts(obj) async for obj in _bounded(listed)]
        return found

    async def pods() -> Facts:
        return [redaction.pod_facts(obj) async for obj in _bounded(kube.list_objects("v1", "Pod", namespace))]

    async def events() -> Facts:
        found = [redaction.event_facts(obj) async for obj in kube.list_objects("v1", "Event", namespace)]
        newest = sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
        return newest[-MAX_OBJECTS:]

    return {
        "versions.yaml": versions,
        "meshupgrade.yaml": meshupgrade,
        "plan.yaml": plan,
        "helm-revisions.yaml": revisions,
        "workloads.yaml": workloads,
        "pods.yaml": pods,
        "events.yaml": events,
    }


async def _collected(collectors: Mapping[str, Collect]) -> tuple[dict[str, Facts], list[str]]:
    """Give each part that can be had, and why the others cannot: a report with gaps is better than none."""
    parts, missing = {}, []
    for path, collect in collectors.items():
        try:
            parts[path] = clean(await collect())
        except (KubeError, UserError) as error:
            missing.append(f"{path}: {error}")
    return parts, missing


async def _bounded(objects: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    number = 0
    async for obj in objects:
        yield obj
        number += 1
        if number == MAX_OBJECTS:
            return


def _release(upgrade: Upgrade) -> str:
    mesh = upgrade.spec.get("mesh") or {}
    return str(mesh.get("name") or load_distribution(DistributionName(mesh["distribution"])).mesh_name)


def _packed(parts: Mapping[str, Facts]) -> bytes:
    """Give a tar.gz of the parts, as YAML, or as text when they are lines of it."""
    stream = io.BytesIO()
    now = datetime.now(UTC).timestamp()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, facts in parts.items():
            text = "\n".join(facts) + "\n" if path.endswith(".txt") else _yaml(facts)
            member = tarfile.TarInfo(f"meshupgrade-report/{path}")
            data = text.encode()
            member.size, member.mode, member.mtime = len(data), 0o600, int(now)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _yaml(facts: Facts) -> str:
    # By JSON, which has no references to one and the same object.
    return yaml.safe_dump(json.loads(json.dumps(facts)), sort_keys=False, width=120, allow_unicode=True)
