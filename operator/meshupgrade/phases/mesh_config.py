"""Phase 6, MeshConfig: the live configuration, which no Helm upgrade touches, patched as the spec says."""

import asyncio
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import FIELD_MANAGER
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.crds import served_version
from meshupgrade.domain.merge import dotted, leaf_paths, merge_patch
from meshupgrade.domain.plans import value_changes
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import ApiStatusError, Forbidden
from meshupgrade.phases.live_crds import ReadCRD, crd_now, known_crd
from meshupgrade.phases.shape import Outcome, PhaseFailed, PhasePlan, Work

__all__ = ["MeshConfig", "find_mesh_config"]


class MeshConfig:
    """Patches the MeshConfig; one that already fits is not written."""

    name = Phase.MESH_CONFIG
    condition = ConditionType.MESH_CONFIG_PATCHED

    async def plan(self, work: Work) -> PhasePlan:
        """Ask the API server about the patch by a dry run, when the MeshConfig is there already."""
        patch = work.spec.mesh_config.patch
        live = await find_mesh_config(work, known_crd) if patch else None
        if live is None or not _changes(live, patch):
            return PhasePlan()
        try:
            await work.tools.kube.merge_patch(ObjectRef.of(live), {"spec": patch}, dry_run=True)
        except Forbidden:
            raise
        except ApiStatusError as error:
            return PhasePlan([_invalid(error)])
        spec = live.get("spec") or {}
        return PhasePlan(
            changes=[f"patch {ObjectRef.of(live)}: {_paths(patch)}"],
            values=value_changes(spec, merge_patch(spec, patch)),
        )

    async def apply(self, work: Work) -> Outcome:
        """Wait for the MeshConfig, which the mesh's bootstrap makes, then patch it."""
        patch = work.spec.mesh_config.patch
        if not patch:
            return Outcome(Reason.NOTHING_TO_DO, "spec.meshConfig.patch is empty; the MeshConfig stays as it is")
        live = await self._wait(work)
        if not _changes(live, patch):
            return Outcome(Reason.NOTHING_TO_DO, f"{ObjectRef.of(live)} has what spec.meshConfig.patch asks for")
        try:
            patched = await work.tools.kube.merge_patch(ObjectRef.of(live), {"spec": patch})
        except ApiStatusError as error:
            raise PhaseFailed(Reason.API_REJECTED, f"{ObjectRef.of(live)}: {error.message[:1000]}") from error
        if _changes(patched, patch):
            lost = [dotted(path) for path in leaf_paths(_missing(patched.get("spec"), patch))]
            raise PhaseFailed(
                Reason.API_REJECTED,
                f"{ObjectRef.of(live)} does not keep what spec.meshConfig.patch sets: {', '.join(lost)[:500]}; "
                "its CRD has no such fields",
            )
        return Outcome(Reason.DONE, f"{ObjectRef.of(live)} patched by {FIELD_MANAGER}: {_paths(patch)}")

    async def _wait(self, work: Work) -> dict[str, Any]:
        name = work.distribution.mesh_config.name
        try:
            async with asyncio.timeout(work.timeout.total_seconds()):
                while True:
                    if live := await find_mesh_config(work):
                        return live
                    await work.report(f"waiting for MeshConfig {name}, which the mesh's bootstrap makes")
                    await asyncio.sleep(1)
        except TimeoutError:
            raise PhaseFailed(
                Reason.TIMED_OUT,
                f"there is no MeshConfig {name} in namespace {work.namespace} after {work.spec.upgrade.timeout}; the "
                f"mesh's bootstrap makes it: kubectl logs -n {work.namespace} "
                f"deploy/{work.distribution.bootstrap.deployment}",
            ) from None


async def find_mesh_config(work: Work, read: ReadCRD = crd_now) -> dict[str, Any] | None:
    """Give the live MeshConfig in the newest version that is served, or None."""
    facts = work.distribution.mesh_config
    crd = await read(work, f"meshconfigs.{facts.group}")
    if crd is None or (version := served_version(crd)) is None:
        return None
    return await work.tools.kube.find(ObjectRef(f"{facts.group}/{version}", "MeshConfig", facts.name, work.namespace))


def _changes(live: dict[str, Any], patch: dict[str, Any]) -> bool:
    spec = live.get("spec") or {}
    return bool(merge_patch(spec, patch) != spec)


def _missing(spec: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """Give the part of the patch that the spec does not show."""
    present = spec if isinstance(spec, dict) else {}
    return {
        key: _missing(present.get(key), value) if isinstance(value, dict) and value else value
        for key, value in patch.items()
        if merge_patch(present, {key: value}) != present
    }


def _paths(patch: dict[str, Any]) -> str:
    return ", ".join(dotted(path) for path in leaf_paths(patch))[:500]


def _invalid(error: ApiStatusError) -> Finding:
    return Finding(
        name=FindingName.MESH_CONFIG_PATCH_INVALID,
        severity=Severity.ERROR,
        phase=Phase.MESH_CONFIG,
        message=f"the API server refuses spec.meshConfig.patch: {error.message}",
        remedy="Correct spec.meshConfig.patch; it is a JSON merge patch on the spec of the MeshConfig.",
    )
