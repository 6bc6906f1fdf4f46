"""Phase 6, MeshConfig: the live configuration, which no Helm upgrade touches, brought to what the spec says."""

import asyncio
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import ApiStatusError, Forbidden, KindNotServed
from meshupgrade.phases.live_crds import crd_now
from meshupgrade.phases.mesh_config.find import find_mesh_config
from meshupgrade.phases.mesh_config.planned import Planned, asks_for_anything, plan_mesh_config, planned_now, schema_in
from meshupgrade.phases.mesh_config.snapshots import read_snapshot
from meshupgrade.phases.mesh_config.told import (
    changes_of,
    conflict_findings,
    differing,
    invalid,
    listed,
    lost_finding,
    opened_findings,
    patched_by,
    schema_findings,
    spec_findings,
    taken_back,
    unknown_fields,
)
from meshupgrade.phases.mesh_config.write import patch_of, write_mesh_config
from meshupgrade.phases.shape import Outcome, PhaseFailed, PhasePlan, Work

__all__ = ["MeshConfig", "restore_mesh_config"]


class MeshConfig:
    """Merges the new defaults, patches, and sets the sidecar's image; a MeshConfig that fits is not written."""

    name = Phase.MESH_CONFIG
    condition = ConditionType.MESH_CONFIG_PATCHED

    async def plan(self, work: Work) -> PhasePlan:
        """Say what would change, and have the API server look at it, or the schema that this upgrade brings."""
        if not asks_for_anything(work):
            return PhasePlan()
        planned = await plan_mesh_config(work)
        findings = spec_findings(work, planned)
        if planned is None or findings:
            return PhasePlan(findings)
        if planned.lost:
            findings.append(lost_finding(planned.lost))
        findings += opened_findings(planned)
        if not (patch := patch_of(planned)) and not planned.unknown:
            return PhasePlan([*findings, *conflict_findings(planned)])
        name = planned.live["metadata"]["name"] if planned.live is not None else work.distribution.mesh_config.name
        values = changes_of(planned)
        return PhasePlan(
            [*findings, *await _refused(work, planned, patch), *conflict_findings(planned)],
            changes=[f"patch MeshConfig {work.namespace}/{name}: {listed([value.path for value in values])}"],
            values=values,
        )

    async def apply(self, work: Work) -> Outcome:
        """Wait for the MeshConfig, which the mesh's bootstrap makes, then write what changes in it.

        Raises PhaseFailed when it does not come, or the API server refuses the change.
        """
        if not asks_for_anything(work):
            planned = await planned_now(work)
            text = "the spec asks for no change of the MeshConfig; it stays as it is"
            return Outcome(Reason.NOTHING_TO_DO, text + (differing(work, planned) if planned is not None else ""))
        ref = ObjectRef.of(await self._wait(work))
        planned, changed = await written_or_failed(work, ref)
        if planned.unknown:
            raise PhaseFailed(
                Reason.API_REJECTED,
                f"{ref} does not keep what spec.meshConfig.patch sets: {listed(unknown_fields(planned))}; its CRD has "
                "no such fields",
            )
        return Outcome(
            Reason.DONE if changed else Reason.NOTHING_TO_DO,
            f"{ref} {patched_by(planned) if changed else 'has what the spec asks for'}"
            + taken_back(planned)
            + differing(work, planned),
        )

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


async def restore_mesh_config(work: Work) -> str:
    """Take back what the attempts that are rolled back changed; give what to tell of it, empty when there is nothing.

    What the spec sets is not set again: it belongs to what is rolled back. Raises PhaseFailed.
    """
    if not work.undo:
        return ""
    live = await find_mesh_config(work)
    if live is None:
        return f"; there is no MeshConfig {work.distribution.mesh_config.name} to put back"
    planned, changed = await written_or_failed(work, ObjectRef.of(live), with_spec=False)
    if not changed and work.snapshot is not None and await read_snapshot(work, work.snapshot.name) is not None:
        # A run that died had put it back already.
        await work.snapshot.record(work.snapshot.name)
    return taken_back(planned)


async def written_or_failed(work: Work, ref: ObjectRef, *, with_spec: bool = True) -> tuple[Planned, bool]:
    """Write the MeshConfig, and give what was planned and whether it was written. Raises PhaseFailed."""
    try:
        written = await write_mesh_config(work, with_spec=with_spec)
    except Forbidden:
        raise
    except ApiStatusError as error:
        raise PhaseFailed(Reason.API_REJECTED, f"{ref}: {error.message[:1000]}") from error
    if written is None:
        raise PhaseFailed(Reason.API_REJECTED, f"{ref} was deleted while it was looked at")
    return written


async def _refused(work: Work, planned: Planned, patch: dict[str, Any]) -> list[Finding]:
    """Give what speaks against the MeshConfig as it is to be; the API server is asked where it knows the schema."""
    found = schema_findings(planned)
    if found or planned.live is None:
        return found
    crd = await crd_now(work, f"meshconfigs.{work.distribution.mesh_config.group}")
    if schema_in(crd) != planned.schema:
        return found
    try:
        await work.tools.kube.merge_patch(ObjectRef.of(planned.live), {"spec": patch}, dry_run=True)
    except (Forbidden, KindNotServed):
        raise
    except ApiStatusError as error:
        return [invalid(error)]
    return found
