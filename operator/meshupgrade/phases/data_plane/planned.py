"""What the restart of the data plane will be, known before the first write.

Before an upgrade no sidecar is outdated yet, and the upgrade makes all of them so: the Pods are compared with what will
be injected after it, by the MeshConfig as its phase will leave it and the injector of the new release.
"""

from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.data_plane import Restart
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.plan import PlannedRestart
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.restarts import restart_target
from meshupgrade.domain.sidecars import Images
from meshupgrade.domain.waves import count_waves
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.in_use import InUse, find_in_use
from meshupgrade.phases.data_plane.injected import images_in
from meshupgrade.phases.data_plane.live import LiveWorkloads
from meshupgrade.phases.data_plane.selection import Selection, select
from meshupgrade.phases.mesh_config import planned_mesh_config
from meshupgrade.phases.shape import PhasePlan, Work

__all__ = ["plan_restart", "planned_images", "target_of"]

MOST_NAMES = 500
"""How many workloads a plan names."""

MOST_TOLD = 10


def target_of(work: Work, images: Images) -> str:
    """Give what workloads are restarted for."""
    return restart_target(str(work.need_goal()), images.sidecar or "", images.init)


async def planned_images(work: Work) -> Images:
    """Give what a new Pod gets after the upgrade. Raises the errors of kube."""
    facts = work.distribution
    injector: Mapping[str, Any] | None
    if work.target is not None:
        injector = next(
            (
                obj
                for obj in work.target.rendered.objects()
                if obj["kind"] == "Deployment" and obj["metadata"]["name"] == facts.injector.deployment
            ),
            None,
        )
    else:
        injector = await work.tools.kube.find(
            ObjectRef("apps/v1", "Deployment", facts.injector.deployment, work.namespace)
        )
    return images_in(await planned_mesh_config(work) or {}, injector, facts)


async def plan_restart(work: Work) -> PhasePlan:
    """Say which workloads will be restarted, and what speaks against it. Reads only. Raises the errors of kube."""
    spec = work.spec.data_plane
    if spec.restart is Restart.NEVER:
        return PhasePlan()
    images = await planned_images(work)
    in_use = await find_in_use(work, images)
    live = LiveWorkloads(work, in_use.namespaces)
    await live.read()
    selection = select(work, in_use, live.get, target_of(work, images))
    findings = [*_canary(work, in_use), *_not_restartable(in_use, selection)]
    canary = sum(spec.canary is not None and ref.namespace == spec.canary.namespace for ref in selection.all)
    count = len(selection.all)
    planned = PlannedRestart(
        target=selection.target,
        workloads=count,
        names=[str(ref) for ref in selection.all[:MOST_NAMES]],
        waves=count_waves([canary, count - canary], selection.size),
        wave_size=selection.size,
        canary=spec.canary.namespace if canary and spec.canary is not None else "",
    )
    return PhasePlan(findings, changes=_changes(planned, len(in_use.workloads)), data_plane=planned)


def _changes(planned: PlannedRestart, total: int) -> list[str]:
    if not planned.workloads:
        return []
    waves = f"{planned.waves} wave{'s' * (planned.waves != 1)} of at most {planned.wave_size}"
    first = f", first namespace {planned.canary}" if planned.canary else ""
    return [f"restart {planned.workloads} of {total} workloads in {waves}{first}"]


def _canary(work: Work, in_use: InUse) -> list[Finding]:
    canary = work.spec.data_plane.canary
    if canary is None or canary.namespace in in_use.namespaces:
        return []
    label = work.distribution.sidecar.namespace_label
    return [
        _finding(
            FindingName.CANARY_NOT_IN_MESH,
            Severity.ERROR,
            f"namespace {canary.namespace} of spec.dataPlane.canary has no label {label}={work.release}",
            "Name a namespace of the mesh, or take spec.dataPlane.canary away.",
        )
    ]


def _not_restartable(in_use: InUse, selection: Selection) -> list[Finding]:
    """Tell what keeps its sidecar: what nobody brings back, and what would lose it."""
    found = []
    pods = sum(len(pods) for pods in in_use.unmanaged.values())
    if pods:
        found.append(
            _finding(
                FindingName.WORKLOAD_NOT_RESTARTABLE,
                Severity.INFO,
                f"{pods} Pods are brought back by no Deployment, StatefulSet or DaemonSet, and are not touched: "
                f"{_some(sorted(in_use.unmanaged))}",
                "Restart them yourself when it suits them.",
            )
        )
    if selection.not_injected:
        found.append(
            _finding(
                FindingName.WORKLOAD_NOT_RESTARTABLE,
                Severity.INFO,
                "injection is switched off by now for workloads whose Pods have a sidecar; a restart would take it, so "
                f"they are not touched: {_some([str(ref) for ref in selection.not_injected])}",
                "Restart them yourself to take them out of the mesh, or switch injection on again.",
            )
        )
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return ", ".join(names[:MOST_TOLD]) + more


def _finding(name: FindingName, severity: Severity, message: str, remedy: str) -> Finding:
    return Finding(name=name, severity=severity, phase=Phase.DATA_PLANE, message=message, remedy=remedy)
