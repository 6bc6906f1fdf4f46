"""Makes the plan out of what the phases found: for every hop what changes, and for the whole what it interrupts."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import semver

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.plan import CRDAction, Plan, PlannedCRD, PlannedHop
from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.api.v1alpha1.status import HistoryEntry
from meshupgrade.domain.merge import leaf_paths, lookup
from meshupgrade.domain.object_changes import image_changes, object_changes, replaced_workloads
from meshupgrade.domain.plans import estimate, plan_digest, reversibility, value_changes
from meshupgrade.domain.schema_changes import crd_change
from meshupgrade.domain.secrets import texts
from meshupgrade.domain.versions import parse_version
from meshupgrade.domain.windows import closes_at, next_opening
from meshupgrade.domain.words import amount
from meshupgrade.engine.planning import Afterwards
from meshupgrade.helm.release import Release
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.shape import Work
from meshupgrade.phases.storage.look import replaces_crds
from meshupgrade.phases.values import slow_digest

__all__ = ["make_back_plan", "make_plan"]


async def make_plan(
    hops: Sequence[Work],
    findings: Sequence[Finding],
    afterwards: Afterwards,
    history: Sequence[HistoryEntry],
    at: datetime,
) -> Plan:
    """Give the plan of hops whose targets are all made; the secrets of the run are masked in it."""
    first = hops[0]
    digests = [await _values_digest(hop) for hop in hops]
    planned = await asyncio.to_thread(lambda: [_hop(hop, digest) for hop, digest in zip(hops, digests, strict=True)])
    changed = any(hop.crds for hop in planned)
    replacing = _replacing(first, first.running()) if changed else ""
    return _plan(first, planned, findings, afterwards, history, at, replacing)


def make_back_plan(
    work: Work,
    release: Release,
    entry: HistoryEntry,
    findings: Sequence[Finding],
    afterwards: Afterwards,
    history: Sequence[HistoryEntry],
    at: datetime,
) -> Plan:
    """Give the plan of going back to a release that was verified before."""
    assert work.live is not None
    before, after, namespace = work.live.objects(), release.objects(), work.namespace
    recreated = {str(ref) for ref in work.recreated}
    hop = PlannedHop(
        version=entry.version,
        previous=_running(work),
        chart=release.chart_name,
        chart_digest=entry.chart_digest,
        values_digest=f"revision {release.revision}",
        objects=object_changes(before, after, namespace, recreated=recreated),
        images=image_changes(before, after, namespace),
        values=value_changes(
            work.live.config, release.config, [*_hidden(work, work.live.config), *_hidden(work, release.config)]
        ),
        restarts=replaced_workloads(before, after, namespace, recreated=recreated),
    )
    replacing = _replacing(work, parse_version(entry.version))
    return _plan(work, [hop], findings, afterwards, history, at, replacing)


def _plan(
    work: Work,
    hops: Sequence[PlannedHop],
    findings: Sequence[Finding],
    afterwards: Afterwards,
    history: Sequence[HistoryEntry],
    at: datetime,
    replacing: str,
) -> Plan:
    """Put the plan together, mask the secrets of the run in it, and give it its digest."""
    plan = Plan(
        created_at=at,
        namespace=work.namespace,
        mesh=work.release,
        current=_running(work),
        target=str(work.need_goal()),
        hops=list(hops),
        mesh_config=list(afterwards.mesh_config),
        data_plane=afterwards.data_plane,
        addons=list(afterwards.addons),
        findings=list(findings),
        interruptions=_interruptions(work, hops, afterwards, at),
        reversibility=reversibility(hops, findings, afterwards.mesh_config, afterwards.data_plane, replacing=replacing),
        estimate_seconds=estimate(history, hops),
    )
    plan = Plan.model_validate(work.tools.secrets.scrub_all(plan.model_dump(mode="json", by_alias=True)))
    return plan.model_copy(update={"digest": plan_digest(plan)})


def _replacing(work: Work, version: semver.Version | None) -> str:
    """Give the version gone back to when its bootstrap replaces CRDs, else nothing."""
    return str(version) if version is not None and replaces_crds(work, version) else ""


def _running(work: Work) -> str:
    return str(work.running() or "")


def _hop(work: Work, values_digest: str) -> PlannedHop:
    target = work.need_target()
    before = work.live.objects() if work.live is not None else []
    after = target.rendered.objects()
    fits = release_fits(work)
    namespace, random = work.namespace, target.random
    recreated = {str(ref) for ref in work.recreated}
    config = work.live.config if work.live is not None else {}
    return PlannedHop(
        version=str(work.version),
        previous=_running(work),
        chart=target.rendered.chart_name,
        chart_digest=target.chart_digest,
        crd_digest=target.crd_digest,
        values_digest=values_digest,
        crds=_crds(work),
        objects=[] if fits else object_changes(before, after, namespace, recreated=recreated, random=random),
        images=[] if fits else image_changes(before, after, namespace),
        values=value_changes(config, target.request.values, _hidden(work, config)),
        storage=sorted(f"{due.name} in {due.wanted}" for due in work.planned_dues),
        restarts=[] if fits else replaced_workloads(before, after, namespace, recreated=recreated, random=random),
        random=sorted(f"{name} {path}" for name, path in random),
    )


def _crds(work: Work) -> list[PlannedCRD]:
    wanted = {due.name: due.wanted for due in work.planned_dues}
    found = []
    for look in work.crd_looks:
        if look.scope is not None:
            found.append(PlannedCRD(name=look.scope.name, action=CRDAction.CHANGE_SCOPE))
        elif look.change is not None:
            changed = crd_change(look.name, look.change.live, look.change.spec)
            stored = wanted.get(look.name, changed.stored_after)
            found.append(changed.model_copy(update={"stored_after": stored}))
    return sorted(found, key=lambda crd: crd.name)


def _hidden(work: Work, stored: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Give the paths whose values are not shown: those that a Secret reaches now, or may have reached before.

    Where a stored value came from cannot be told: a text that the spec does not set itself, and that is no default of
    the chart, counts as secret. The image of an addon is none, wherever it came from.
    """
    images = [addon.image_value for addon in work.distribution.addons]
    public = {*texts(work.live.defaults if work.live is not None else {}), *texts(work.spec.values)}
    unknown = [
        path
        for path in leaf_paths(stored)
        if lookup(work.spec.values, path) is None
        and not public.issuperset(texts(lookup(stored, path)))
        and not any(path[: len(image)] == image for image in images)
    ]
    return [*work.secret_paths, *unknown]


async def _values_digest(work: Work) -> str:
    values = work.need_target().request.values
    content = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    if work.secret_paths or work.spec.values_policy is not ValuesPolicy.RESET:
        # What is secret in it must not be found by trying.
        return await slow_digest(content, work.uid)
    return hashlib.sha256(content).hexdigest()


def _closing(work: Work, at: datetime) -> datetime | None:
    """Give when the window closes that is open, or opens next; None when none ever does."""
    windows = work.spec.upgrade.windows
    opening = next_opening(windows, at)
    return closes_at(windows, opening) if opening is not None else None


def _interruptions(work: Work, hops: Sequence[PlannedHop], afterwards: Afterwards, at: datetime) -> list[str]:
    """Say what does not work meanwhile. Source: design, section 2: what the controllers do, and sidecars do alone."""
    restarted = {workload.rpartition("/")[2] for hop in hops for workload in hop.restarts}
    told = []
    injector = work.distribution.injector.deployment
    if injector in restarted:
        told.append(f"while {injector} is replaced, new Pods may be refused or start without a sidecar")
    controllers = sorted(restarted & {name for name in work.distribution.control_plane if name.endswith("-controller")})
    if controllers:
        told.append(
            f"while {', '.join(controllers)} is replaced, changes of SMI and policy objects wait, and certificates "
            "are not rotated; sidecars that run go on"
        )
    scopes = [crd.name for hop in hops for crd in hop.crds if crd.action is CRDAction.CHANGE_SCOPE]
    if scopes:
        told.append(f"the objects of {', '.join(scopes)} are away for a moment, and what they allow or route with them")
    if (restart := afterwards.data_plane) is not None and restart.workloads:
        told.append(
            f"{amount(restart.workloads, 'workload')} of the data plane {'is' if restart.workloads == 1 else 'are'} "
            f"restarted, at most {restart.wave_size} at once; each is as available meanwhile as its own update "
            "strategy keeps it"
        )
        if (closes := _closing(work, at)) is not None:
            told.append(f"waves that have not begun at {closes:%Y-%m-%dT%H:%M:%SZ}, when the window closes, wait")
    return told
