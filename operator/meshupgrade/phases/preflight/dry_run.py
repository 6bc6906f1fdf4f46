"""Asks the API server about objects: a server-side dry run each, as Helm will apply it.

`helm upgrade --dry-run=server` does not see a change of an immutable field; this does (design, section 8).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshupgrade.domain.handover import HELM_MANAGER
from meshupgrade.helm.release import Release, manifest_objects
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict, KindNotServed, KubeError, Rejected, Unreachable, WebhookUnreachable
from meshupgrade.phases.adoption import is_made_elsewhere, makers
from meshupgrade.phases.preflight.check import together
from meshupgrade.phases.shape import Work

__all__ = ["HELM_MANAGER", "Answer", "owners_of", "try_hooks", "try_objects"]

NOT_CONTENT = ("apiVersion", "kind", "metadata", "status")
PARALLEL = 8
_OWNER = re.compile(r'conflict with "([^"]+)"')


@dataclass(frozen=True)
class Taken:
    """What is known of an object that the API server would take."""

    owners: tuple[tuple[str, str], ...] = ()
    """Fields that Helm takes over by force, each after the manager that set it to something else."""

    is_helms: bool = False
    """Whether it is certain that nobody has to hand it over to Helm."""


Attempt = Callable[[Mapping[str, Any], str | None], Awaitable[Taken]]


@dataclass(frozen=True)
class Answer:
    """What the API server says to one object."""

    ref: ObjectRef
    obj: Mapping[str, Any] = field(repr=False)
    error: KubeError | None = None
    """Why it would not take it; None when it would."""

    taken: Taken = Taken()


async def try_objects(work: Work, release: Release, *, owners: bool = True) -> list[Answer]:
    """Have the API server try each object of the release; without ``owners`` nobody asks whose fields they are.

    Raises Unreachable.
    """

    async def attempt(obj: Mapping[str, Any], namespace: str | None) -> Taken:
        return await _apply(work.tools.kube, obj, namespace, owners=owners)

    return await _each(work, release.objects(), attempt)


async def try_hooks(work: Work, release: Release, events: Sequence[str]) -> list[Answer]:
    """Have the API server try each object of the hooks of these events. Raises Unreachable.

    Helm deletes what is left of a hook's last run before it creates it anew, so one that is there is no obstacle.
    """

    async def attempt(obj: Mapping[str, Any], namespace: str | None) -> Taken:
        try:
            await _create(work.tools.kube, obj, namespace)
        except Conflict as error:
            if error.reason != "AlreadyExists":
                raise
        return Taken()

    hooks = [hook for hook in release.hooks if set(hook.get("events") or ()) & set(events)]
    return await _each(work, [obj for hook in hooks for obj in manifest_objects(hook["manifest"])], attempt)


async def _create(kube: Kube, obj: Mapping[str, Any], namespace: str | None) -> None:
    """Try to create the object. Raises Conflict AlreadyExists when all is well but its name, which is taken."""
    ref = ObjectRef.of(obj, namespace)
    path = await kube.path(ref.api_version, ref.kind, ref.namespace)
    await kube.json("POST", path, query={"dryRun": "All", "fieldManager": HELM_MANAGER}, body=dict(obj))


async def _each(work: Work, objects: Sequence[Mapping[str, Any]], attempt: Attempt) -> list[Answer]:
    limit = asyncio.Semaphore(PARALLEL)

    async def ask(obj: Mapping[str, Any]) -> Answer:
        ref = ObjectRef.of(obj, work.namespace)
        async with limit:
            try:
                ref = await work.tools.kube.placed(ref)
                return Answer(ref, obj, taken=await attempt(obj, ref.namespace))
            except WebhookUnreachable as error:
                return Answer(ref, obj, error)
            except Unreachable:
                raise
            except (KindNotServed, KubeError) as error:
                return Answer(ref, obj, error)

    return await together(*(ask(obj) for obj in objects))


async def _apply(kube: Kube, obj: Mapping[str, Any], namespace: str | None, *, owners: bool) -> Taken:
    """Try the apply, and give whose fields it takes. Raises KubeError when the API server refuses."""
    taken = Taken()
    try:
        if owners:
            try:
                would_be = await kube.apply(obj, namespace=namespace, manager=HELM_MANAGER, force=False, dry_run=True)
                return Taken(is_helms=not is_made_elsewhere(would_be))
            except Conflict as error:
                taken = Taken(owners_of(error))
        await kube.apply(obj, namespace=namespace, manager=HELM_MANAGER, dry_run=True)
    except Rejected:
        live = await kube.find(ObjectRef.of(obj, namespace))
        if live is None or not is_made_elsewhere(live):
            raise
        # What was once applied otherwise is made Helm's own first, so that what the chart dropped goes. A dry run
        # cannot take that step; to replace the content of the object is what it comes to.
        content = [
            {"op": "add", "path": f"/{key}", "value": value} for key, value in obj.items() if key not in NOT_CONTENT
        ]
        await kube.json_patch(ObjectRef.of(obj, namespace), content, dry_run=True)
    return taken


def owners_of(error: Conflict) -> tuple[tuple[str, str], ...]:
    """Give manager and field of each conflict but those with what made the release, whose fields become Helm's own."""
    pairs = (
        (match[1], str(cause.get("field") or ""))
        for cause in error.causes
        if cause.get("reason") == "FieldManagerConflict" and (match := _OWNER.match(str(cause.get("message") or "")))
    )
    return tuple(pair for pair in pairs if pair[0] not in makers())
