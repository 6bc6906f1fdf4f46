"""Drift: objects of the release that somebody changed while the mesh was at rest.

Only what the manifest of the release that runs has is looked at and written, hooks not included: control plane and
addons. Workloads of the data plane are no part of it.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from meshupgrade.api.v1alpha1.spec import DriftPolicy
from meshupgrade.domain.drift import (
    DriftedField,
    as_helm_applies,
    drifted_fields,
    with_what_lives,
)
from meshupgrade.domain.drift_told import Drift, Told, tell
from meshupgrade.domain.handover import HELM_MANAGER
from meshupgrade.domain.windows import is_open
from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import (
    ApiStatusError,
    Conflict,
    Forbidden,
    KubeError,
    Rejected,
    Unreachable,
    WebhookUnreachable,
)
from meshupgrade.phases.addon_images import with_images
from meshupgrade.phases.crds.record import read_record
from meshupgrade.phases.preflight.check import together
from meshupgrade.phases.replicas import autoscaled
from meshupgrade.phases.shape import Work

__all__ = ["correct_drift", "find_drift", "look_for_drift"]

PARALLEL = 8
TRIES = 5
PAUSE = 0.2
"""Seconds until the next try: a controller that follows a change writes more than once."""

Object = Mapping[str, Any]
T = TypeVar("T")


async def look_for_drift(work: Work, at: datetime) -> Told | None:
    """Do what spec.driftPolicy says, and give what condition Drifted is to say; None for no drift.

    For a mesh at rest only, whose newest revision is deployed. Raises Unreachable.
    """
    policy = work.spec.drift_policy
    if policy is DriftPolicy.IGNORE:
        return None
    drifts = await find_drift(work)
    if policy is DriftPolicy.WARN or not any(drift.certain for drift in drifts):
        return tell(drifts)
    if not is_open(work.spec.upgrade.windows, at):
        return tell(drifts, note="; it is put back when a window of spec.upgrade.windows opens")
    put_back, left = await correct_drift(work, drifts)
    return tell(left, put_back)


async def find_drift(work: Work) -> list[Drift]:
    """Give the objects of the release that runs that are not as its manifest says, and those that cannot be compared.

    An addon's image is the one that the spec names, where the chart has no value to say it. Raises Unreachable.
    """
    assert work.live is not None
    return await _look(work, work.live, with_images(work, work.live))


async def correct_drift(work: Work, drifts: Sequence[Drift]) -> tuple[list[Drift], list[Drift]]:
    """Apply the objects of the manifest that have drifted, one by one, in Helm's name.

    Gives what is as it should be by now, and what is still, or again, different. Each write is guarded against changes
    that were not seen, so that to die between two of them, or to do it twice, does no harm. Nothing is written when
    the release is not the newest any more. Raises Unreachable.
    """
    assert work.live is not None
    newest = next(iter(await work.storage.revisions()), None)
    if newest is None or (newest.revision, newest.status) != (work.live.revision, ReleaseStatus.DEPLOYED):
        return [], list(drifts)
    errors: dict[str, str] = {}
    keeps_replicas = await _autoscaled(work, work.live)
    for drift in drifts:
        if work.superseded():
            break
        if drift.certain:
            errors[drift.object] = await _put_back(work, work.live, drift.manifest, keeps_replicas(drift.manifest))
    now = {drift.object: drift for drift in await _look(work, work.live, [drift.manifest for drift in drifts])}
    left = [
        dataclasses.replace(now[drift.object], error=errors.get(drift.object) or now[drift.object].error)
        for drift in drifts
        if drift.object in now
    ]
    return [drift for drift in drifts if drift.certain and drift.object not in now], left


async def _look(work: Work, release: Release, objects: Sequence[Object]) -> list[Drift]:
    limit = asyncio.Semaphore(PARALLEL)
    keeps_replicas = await _autoscaled(work, release)

    async def look(obj: Object) -> Drift | None:
        async with limit:
            return await _compare(work, release, obj, keeps_replicas(obj))

    return [drift for drift in await together(*(look(obj) for obj in objects)) if drift is not None]


async def _compare(work: Work, release: Release, obj: Object, keeps_replicas: bool) -> Drift | None:
    ref = ObjectRef.of(obj, work.namespace)
    try:
        ref = await work.tools.kube.placed(ref)

        async def compare() -> Drift | None:
            live = await work.tools.kube.find(ref)
            if live is None:
                return None if _ends_by_itself(obj) else Drift(str(ref), obj, missing=True)
            if read_record(live) is not None:
                return None  # held off by the operator itself, and put back by it
            wanted = with_what_lives(
                as_helm_applies(obj, release.name, release.namespace), live, autoscaled=keeps_replicas
            )
            would_be = await _apply(work, wanted, ref, live, dry_run=True)
            fields = tuple(drifted_fields(wanted, would_be, live))
            return Drift(str(ref), obj, fields) if fields else None

        return await _unchanged_meanwhile(compare)
    except KubeError as error:
        if isinstance(error, Unreachable) and not isinstance(error, WebhookUnreachable):
            raise
        fields = _refused_fields(error) if isinstance(error, Rejected) else ()
        return Drift(str(ref), obj, fields, error=_words(error, obj))


async def _put_back(work: Work, release: Release, obj: Object, keeps_replicas: bool) -> str:
    """Apply the object; give why that was not possible, or nothing."""
    try:
        ref = await work.tools.kube.placed(ObjectRef.of(obj, work.namespace))

        async def write() -> None:
            wanted, live = as_helm_applies(obj, release.name, release.namespace), await work.tools.kube.find(ref)
            if live is not None:
                wanted = with_what_lives(wanted, live, autoscaled=keeps_replicas)
            await _apply(work, wanted, ref, live, dry_run=False)

        await _unchanged_meanwhile(write)
    except KubeError as error:
        if isinstance(error, Unreachable) and not isinstance(error, WebhookUnreachable):
            raise
        return _words(error, obj)
    return ""


async def _apply(work: Work, wanted: Object, ref: ObjectRef, live: Object | None, *, dry_run: bool) -> dict[str, Any]:
    """Apply, unless the object changed since ``live`` was read. Raises Conflict then, and the errors of kube."""
    guard = {key: live["metadata"][key] for key in ("uid", "resourceVersion")} if live is not None else {}
    body = {**wanted, "metadata": {**wanted["metadata"], **guard}}
    return await work.tools.kube.apply(body, namespace=ref.namespace, manager=HELM_MANAGER, dry_run=dry_run)


async def _unchanged_meanwhile(attempt: Callable[[], Awaitable[T]]) -> T:
    """Make the attempt again when somebody wrote the object meanwhile. Raises Conflict in the end."""
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except Conflict:
            await asyncio.sleep(PAUSE)
    return await attempt()


async def _autoscaled(work: Work, release: Release) -> Callable[[Object], bool]:
    """Give what tells of an object whether its replicas are an autoscaler's.

    When autoscalers may not be looked at, any Deployment can be one's: better not to see a scaling than to undo one.
    """
    try:
        names = {deployment["metadata"]["name"] for deployment in await autoscaled(work, release)}
    except Forbidden:
        return lambda obj: obj["kind"] == "Deployment"
    return lambda obj: obj["kind"] == "Deployment" and obj["metadata"]["name"] in names


def _ends_by_itself(obj: Object) -> bool:
    """Tell whether the cluster removes the object when it is done."""
    return obj["kind"] == "Job" and (obj.get("spec") or {}).get("ttlSecondsAfterFinished") is not None


def _refused_fields(error: ApiStatusError) -> tuple[DriftedField, ...]:
    """Give the fields for which the API server does not take the manifest again, such as immutable ones."""
    return tuple(
        DriftedField(str(cause["field"])) for cause in error.causes if cause.get("field") not in (None, "", "<nil>")
    )


def _words(error: KubeError, obj: Object) -> str:
    """Give the error in words, but none that may hold the content of a Secret."""
    return "the API server does not take it" if obj["kind"] == "Secret" else str(error)[:300]
