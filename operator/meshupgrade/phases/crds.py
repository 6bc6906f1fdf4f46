"""Phase 3, CRDs: what the release ships, merged into what lives, server-side applied.

Helm upgrades no CRDs; the mesh's own bootstrap replaces them. We merge (see meshupgrade.domain.crds), before the
control plane that needs them runs. CRDs only roll forward.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.crds import immutable_findings, live_equals, merge_crd, written_by_newer
from meshupgrade.domain.versions import parse_version
from meshupgrade.kube.client import crd_ref
from meshupgrade.kube.errors import ApiStatusError, Conflict, Forbidden
from meshupgrade.phases.shape import Outcome, PhaseFailed, PhasePlan, Work

__all__ = ["CRDs"]

SERVED = ("Established", "NamesAccepted")
"""The conditions of a CRD that is served."""

ESTABLISH_TIMEOUT = 30.0
"""Seconds that the API server may take to serve a CRD; it takes well below one."""


@dataclass(frozen=True)
class _Change:
    """What becomes of one CRD."""

    name: str
    live: Mapping[str, Any] | None
    merged: Mapping[str, Any]
    only_marked: bool = False
    """Whether nothing but labels and annotations differs."""

    def __str__(self) -> str:
        return f"{'change' if self.live else 'create'} CRD {self.name}"


class CRDs:
    """Applies the CRDs of the target."""

    name = Phase.CRDS
    condition = ConditionType.CRDS_APPLIED

    def __init__(self) -> None:
        # CRDs are shared by all meshes of a cluster: one mesh at a time reads, merges and writes them.
        self._one_mesh_at_a_time = asyncio.Lock()

    async def plan(self, work: Work) -> PhasePlan:
        """Give what would change, and what the API server has against it."""
        findings, changes = await self._changes(work)
        return PhasePlan(findings, [str(change) for change in changes])

    async def apply(self, work: Work) -> Outcome:
        """Apply what is due, wait until it is served, and read it back."""
        total = len(work.need_target().crds)
        async with self._one_mesh_at_a_time:
            _, changes = await self._changes(work)
            for number, change in enumerate(changes, 1):
                await work.report(f"applying CRD {number} of {len(changes)}: {change.name}")
                await self._write(work, change)
            for change in changes:
                await self._served(work, change.name)
        work.tools.kube.forget_discovery()
        if not changes:
            return Outcome(Reason.NOTHING_TO_DO, f"all {total} CRDs are as this version needs them")
        created = sum(change.live is None for change in changes)
        marked = sum(change.only_marked for change in changes)
        changed = len(changes) - created - marked
        return Outcome(
            Reason.DONE,
            f"of {total} CRDs {created} created, {changed} changed, {total - created - changed} left as they were; "
            "no custom resource was touched",
        )

    async def _changes(self, work: Work) -> tuple[list[Finding], list[_Change]]:
        looked = await asyncio.gather(*(self._look(work, shipped) for shipped in work.need_target().crds))
        findings = [finding for found, _ in looked for finding in found]
        return findings, [change for _, change in looked if change is not None]

    async def _look(self, work: Work, shipped: Mapping[str, Any]) -> tuple[list[Finding], _Change | None]:
        """Compare one shipped CRD with the live one, and ask the API server about the merged one."""
        kube, name = work.tools.kube, shipped["metadata"]["name"]
        version = parse_version(work.spec.version)
        live = await kube.find(crd_ref(name))
        if live is not None and (newer := written_by_newer(live, shipped, work.distribution.name, version)):
            return [_newer_finding(name, newer)], None
        if live is not None and (immutable := immutable_findings(live, shipped)):
            return immutable, None
        keep = live is not None and await _conversion_is_served(work, live)
        merged = merge_crd(live, shipped, written_by=f"{work.distribution.name}/{version}", keep_conversion=keep)
        change = _Change(name, live, merged)
        if live is not None and _drops_webhook(live, merged):
            # The webhook stanza has another owner and goes in a step of its own before the apply can be tried.
            return [], change
        try:
            result = await kube.apply(merged, dry_run=True)
        except (Conflict, Forbidden):
            raise
        except ApiStatusError as error:
            return [_rejected(name, error)], None
        if live is not None and live_equals(live, result):
            return [], None
        return [], dataclasses.replace(change, only_marked=live is not None and live["spec"] == result["spec"])

    async def _write(self, work: Work, change: _Change) -> None:
        kube = work.tools.kube
        if change.live is not None and _drops_webhook(change.live, change.merged):
            await kube.json_patch(
                crd_ref(change.name), [{"op": "replace", "path": "/spec/conversion", "value": {"strategy": "None"}}]
            )
        await kube.apply(change.merged)

    async def _served(self, work: Work, name: str) -> None:
        """Wait until the API server serves the CRD under its names, and make sure that nothing wrote it back."""
        conditions: dict[str, Mapping[str, Any]] = {}
        try:
            async with asyncio.timeout(ESTABLISH_TIMEOUT):
                while True:
                    crd = await work.tools.kube.get(crd_ref(name))
                    conditions = {item["type"]: item for item in crd.get("status", {}).get("conditions") or []}
                    if all(conditions.get(kind, {}).get("status") == "True" for kind in SERVED):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            why = "; ".join(
                f"{kind}: {condition.get('message', '')}"
                for kind, condition in conditions.items()
                if condition["status"] != "True"
            )
            raise PhaseFailed(
                Reason.API_REJECTED, f"CRD {name} is not served after {ESTABLISH_TIMEOUT:.0f} s: {why}"
            ) from None


def _drops_webhook(live: Mapping[str, Any], merged: Mapping[str, Any]) -> bool:
    before = (live["spec"].get("conversion") or {}).get("strategy")
    return before == "Webhook" and merged["spec"]["conversion"]["strategy"] != "Webhook"


async def _conversion_is_served(work: Work, crd: Mapping[str, Any]) -> bool:
    """Tell whether somebody answers the CRD's conversion webhook; one that nobody serves locks the API (osm #4967)."""
    conversion = crd["spec"].get("conversion") or {}
    if conversion.get("strategy") != "Webhook":
        return False
    client = conversion["webhook"]["clientConfig"]
    service = client.get("service")
    if service is None:
        return True
    slices = work.tools.kube.list_objects(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        service["namespace"],
        labels=f"kubernetes.io/service-name={service['name']}",
    )
    async for endpoint_slice in slices:
        for endpoint in endpoint_slice.get("endpoints") or []:
            if endpoint.get("conditions", {}).get("ready", True):
                return True
    return False


def _newer_finding(name: str, newer: str) -> Finding:
    return Finding(
        name=FindingName.CRD_WRITTEN_BY_NEWER,
        severity=Severity.INFO,
        phase=Phase.CRDS,
        message=f"CRD {name} was written by the newer mesh version {newer} and is left as it is",
        remedy="",
    )


def _rejected(name: str, error: ApiStatusError) -> Finding:
    return Finding(
        name=FindingName.CRD_REJECTED,
        severity=Severity.ERROR,
        phase=Phase.CRDS,
        message=f"the API server refuses CRD {name} of this version: {error.message}",
        remedy="Choose another version; this one cannot be brought over what the cluster stores.",
    )
