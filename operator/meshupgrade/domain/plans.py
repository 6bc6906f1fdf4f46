"""The plan: its digest, its summary, and how values and times in it are told."""

import hashlib
import json
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, Severity
from meshupgrade.api.v1alpha1.plan import (
    ObjectAction,
    Plan,
    PlannedHop,
    PlannedRestart,
    PlannedValue,
    PlanSummary,
    Reversibility,
)
from meshupgrade.api.v1alpha1.status import HistoryAction, HistoryEntry, HistoryState, Phase
from meshupgrade.domain.merge import dotted, leaf_paths, lookup, same

__all__ = ["estimate", "plan_digest", "reversibility", "summarize", "value_changes"]

COVERED = ("version", "chart_digest", "crd_digest", "values_digest", "crds", "objects", "images", "storage")
"""Of a hop, what the digest covers; the rest tells the same in other words, or is no decision."""

_MISSING = object()


def plan_digest(plan: Plan) -> str:
    """Give the digest of what will be done: equal for equal plans, whenever and by whichever operator they are made.

    Findings count by the names of the Risks alone: their words may change with the weather.
    """
    covered = {
        "mesh": f"{plan.namespace}/{plan.mesh}",
        "current": plan.current,
        "hops": [hop.model_dump(mode="json", include=set(COVERED), exclude_defaults=True) for hop in plan.hops],
        "meshConfig": [value.model_dump(mode="json", exclude_defaults=True) for value in plan.mesh_config],
        "addons": [image.model_dump(mode="json", exclude_defaults=True) for image in plan.addons],
        # Which workloads there are is no decision; what they are restarted for is.
        "restart": plan.data_plane.target if plan.data_plane is not None else "",
        "risks": sorted({finding.name for finding in plan.findings if finding.severity is Severity.RISK}),
    }
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def summarize(plan: Plan, *, secret: str, inputs: str, approved: bool, carried: bool) -> PlanSummary:
    """Give the plan in short, as it stands in the status."""
    actions = [change.action for hop in plan.hops for change in hop.objects]
    weights = [finding.severity for finding in plan.findings]
    return PlanSummary(
        digest=plan.digest,
        created_at=plan.created_at,
        secret=secret,
        changes=plan.changes(),
        approved=approved,
        carried=carried,
        inputs=inputs,
        current=plan.current,
        hops=[hop.version for hop in plan.hops],
        charts=[hop.chart_digest for hop in plan.hops],
        crds=len({crd.name for hop in plan.hops for crd in hop.crds}),
        created=actions.count(ObjectAction.CREATE),
        updated=actions.count(ObjectAction.UPDATE),
        recreated=actions.count(ObjectAction.RECREATE),
        deleted=actions.count(ObjectAction.DELETE),
        restarts=len({workload for hop in plan.hops for workload in hop.restarts}),
        mesh_config=len(plan.mesh_config),
        addons=len(plan.addons),
        data_plane=plan.data_plane.workloads if plan.data_plane is not None else 0,
        waves=plan.data_plane.waves if plan.data_plane is not None else 0,
        errors=weights.count(Severity.ERROR),
        risks=weights.count(Severity.RISK),
        warnings=weights.count(Severity.WARNING),
        estimate_seconds=plan.estimate_seconds,
    )


def value_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], secret: Collection[tuple[str, ...]] = ()
) -> list[PlannedValue]:
    """Give the values that differ, by path; of those at or below a ``secret`` path the path alone."""
    found = []
    for path in sorted({*leaf_paths(before), *leaf_paths(after)}):
        old, new = lookup(before, path, _MISSING), lookup(after, path, _MISSING)
        if same(old, new) or (isinstance(old, Mapping) and isinstance(new, Mapping)):
            # One of them is empty: what is in the other is told leaf by leaf.
            continue
        if any(path[: len(hidden)] == hidden for hidden in secret):
            found.append(PlannedValue(path=dotted(path), secret=True))
        else:
            # A whole tree is never shown: a part of it could be secret.
            both = (("before", old), ("after", new))
            shown = {name: value for name, value in both if value is not _MISSING and not _is_tree(value)}
            found.append(PlannedValue(path=dotted(path), **shown))
    return found


def estimate(history: Sequence[HistoryEntry], hops: Sequence[PlannedHop]) -> float | None:
    """Give how many seconds the hops will take: as many as those of before took in the median; None without any.

    Of before count upgrades and installs that ended well; one that changed no version is none.
    """
    took = [
        sum(phase.seconds for phase in entry.phases)
        for entry in history
        if entry.action in (HistoryAction.UPGRADE, HistoryAction.INSTALL)
        and entry.state is HistoryState.COMPLETED
        and entry.phases
        and entry.version != entry.from_
    ]
    return round(statistics.median(took) * len(hops), 1) if took and hops else None


def reversibility(
    hops: Sequence[PlannedHop],
    findings: Sequence[Finding],
    mesh_config: Sequence[PlannedValue],
    data_plane: PlannedRestart | None = None,
    *,
    replacing: str = "",
) -> list[Reversibility]:
    """Say of each phase that changes something whether a rollback takes that back.

    ``replacing`` is the version gone back to, when its bootstrap replaces CRDs by its own and does not merge them.
    """
    told = list(_reversibility(hops, findings, mesh_config, replacing))
    if data_plane is not None and data_plane.workloads:
        note = "workloads keep the sidecar that they were restarted with until they are restarted again"
        told.append(Reversibility(phase=Phase.DATA_PLANE, reversible=False, note=note))
    return told


def _reversibility(
    hops: Sequence[PlannedHop], findings: Sequence[Finding], mesh_config: Sequence[PlannedValue], replacing: str
) -> Iterator[Reversibility]:
    blocked = next((finding for finding in findings if finding.name == "RollbackBlocked"), None)
    if replacing and blocked is None:
        yield Reversibility(
            phase=Phase.CRDS,
            reversible=False,
            note=f"the bootstrap of {replacing} replaces the CRDs by its own when it starts: versions that only the "
            "newer ones have are served no more, and fields that only they have are lost from objects that are written "
            "then",
        )
    elif any(hop.crds for hop in hops):
        yield Reversibility(
            phase=Phase.CRDS,
            reversible=False,
            note="CRDs only roll forward; every version that was served stays served",
        )
    if blocked is not None:
        yield Reversibility(phase=Phase.CONTROL_PLANE, reversible=False, note=blocked.message)
    elif any(hop.objects for hop in hops):
        yield Reversibility(
            phase=Phase.CONTROL_PLANE,
            reversible=True,
            note="helm rollback to the last verified revision",
        )
    if any(hop.storage for hop in hops):
        yield Reversibility(
            phase=Phase.STORAGE,
            reversible=False,
            note="objects stay stored in the new version, which the old release reads as well",
        )
    if mesh_config and blocked is not None:
        yield Reversibility(
            phase=Phase.MESH_CONFIG,
            reversible=False,
            note="it is put back in a rollback alone, which could not start",
        )
    elif mesh_config:
        yield Reversibility(
            phase=Phase.MESH_CONFIG,
            reversible=True,
            note="what changes in the MeshConfig is put back out of a snapshot, but for what people change meanwhile",
        )


def _is_tree(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value)
