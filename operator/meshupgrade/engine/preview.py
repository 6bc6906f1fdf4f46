"""The plan of a MeshUpgrade that is not applied yet, made with the rights of whoever asks; nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.names import API_VERSION, KIND
from meshupgrade.api.v1alpha1.plan import Plan
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.ranges import Range, parse_range
from meshupgrade.engine.going_back import plan_back
from meshupgrade.engine.objects import spec_errors
from meshupgrade.engine.observation import read_release, version_before
from meshupgrade.engine.planner import make_plan
from meshupgrade.engine.planning import plan_path
from meshupgrade.engine.status import now, read_status
from meshupgrade.helm.process import Child
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.resolution import resolve_goal
from meshupgrade.phases.shape import Tools, Work
from meshupgrade.phases.values import resolve_values

__all__ = ["InvalidManifest", "Preview", "preview"]


class InvalidManifest(Exception):
    """The manifest is no MeshUpgrade that can be planned; the message names the field and what is wrong."""


@dataclass(frozen=True)
class Preview:
    """What an upgrade would do, and what speaks against it."""

    plan: Plan | None
    """None when a finding keeps it from being made."""

    findings: Sequence[Finding]


async def preview(tools: Tools, manifest: Mapping[str, Any]) -> Preview:
    """Plan what the manifest asks for, against the cluster as it is.

    Raises InvalidManifest, and what is worth another try: the errors of kube, helm and the repository, and Busy.
    """
    spec, wanted = _spec(manifest)
    ref = _ref(manifest)
    live = await tools.kube.find(ref)
    status = read_status(live or {})
    work = Work(
        tools=tools,
        namespace=str(ref.namespace),
        # The digest of values that are secret is salted with it: that of an object that is there is that of its plan.
        uid=str(live["metadata"]["uid"]) if live is not None else "preview",
        generation=0,
        spec=spec,
        wanted=wanted,
        distribution=load_distribution(spec.mesh.distribution),
        report=_silent,
        helm_started=_never,
        superseded=lambda: False,
        values_set=status.values_set,
        restart=status.data_plane.restart if status.data_plane is not None else None,
    )
    work.revisions = await work.storage.revisions()
    await read_release(work, status.history)
    await resolve_values(work)
    unresolved = await resolve_goal(work, None, keep=False)
    if unresolved:
        return Preview(None, unresolved)
    if (back := version_before(status.history, work)) is not None:
        way_back = await plan_back(work, back, status.history)
        return Preview(way_back, way_back.findings)
    planned = await plan_path(work)
    if not planned.complete:
        return Preview(None, planned.findings)
    plan = await make_plan(planned.hops, planned.findings, planned.afterwards, status.history, now())
    return Preview(plan, planned.findings)


def _spec(manifest: Mapping[str, Any]) -> tuple[MeshUpgradeSpec, Range]:
    if (manifest.get("apiVersion"), manifest.get("kind")) != (API_VERSION, KIND):
        raise InvalidManifest(f"the manifest is no {KIND} of {API_VERSION}, but {manifest.get('kind') or 'nothing'}")
    try:
        spec = MeshUpgradeSpec.model_validate(manifest.get("spec") or {})
        return spec, parse_range(spec.version)
    except ValidationError as error:
        raise InvalidManifest(spec_errors(error)) from error
    except ValueError as error:
        raise InvalidManifest(f"spec.version: {error}") from error


def _ref(manifest: Mapping[str, Any]) -> ObjectRef:
    metadata = manifest.get("metadata") or {}
    if not metadata.get("name"):
        raise InvalidManifest("metadata.name is missing: give the MeshUpgrade a name")
    return ObjectRef(API_VERSION, KIND, str(metadata["name"]), str(metadata.get("namespace") or "default"))


async def _silent(_: str) -> None:
    """Nobody watches the progress of a preview."""


async def _never(_: int, __: Child, ___: float) -> None:
    raise AssertionError("a preview starts no upgrade")
