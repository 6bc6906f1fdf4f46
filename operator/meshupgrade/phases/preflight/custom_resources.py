"""CustomResourceInvalid and FieldsPruned: stored objects that the new schemas reject, or that would lose fields.

Objects are read page by page, and only of CRDs whose schema became narrower: a schema that only gained fields can hurt
none of them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import CRDPolicy, MeshConfigDefaults
from meshupgrade.domain.crd_marks import written_by_newer
from meshupgrade.domain.crds import merge_versions
from meshupgrade.domain.resource_loss import Examination, examine
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import KindNotServed, Unreachable
from meshupgrade.phases.live_crds import known_crd
from meshupgrade.phases.mesh_config import mesh_config_unpruned, plan_under, violations_of
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding
from meshupgrade.phases.shape import Work

__all__ = ["CHECK"]

Object = Mapping[str, Any]

PAGE = 100
"""Whole objects in memory at a time, of each of PARALLEL CRDs."""

PARALLEL = 4
MOST_OBJECTS, MOST_FIELDS = 10, 3

INVALID_REMEDY = (
    "Correct the objects named, so that both the old and the new schema take them; or add CustomResourceInvalid to "
    "spec.upgrade.acceptRisks: they stay as they are, and can be changed only by correcting them."
)
OWN_REMEDY = (
    "The control plane takes it as it is; spec.meshConfig.patch sets the fields that this version has in their place."
)
MERGE_REMEDY = (
    "The control plane takes it as it is. Set spec.meshConfig.defaults to Merge, which brings in what this version "
    "adds and takes out what it no longer has, where nobody changed it; or set the fields by spec.meshConfig.patch."
)
PRUNED_REMEDY = (
    "Take what is lost out of the objects named, or write it in the fields that the new version has for it; or add "
    "FieldsPruned to spec.upgrade.acceptRisks: the fields are dropped."
)


@dataclass
class _Offenders:
    """Objects with what is wrong with them, the first by name and the rest by number."""

    total: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, obj: Mapping[str, Any], wrong: list[str]) -> None:
        """Count an object, and name it while there is room."""
        self.total += 1
        if len(self.named) < MOST_OBJECTS:
            self.named.append(f"{ObjectRef.of(obj)} ({enumerate_some(wrong, MOST_FIELDS)})")

    def __str__(self) -> str:
        more = f" and {self.total - len(self.named)} more" if self.total > len(self.named) else ""
        return "; ".join(self.named) + more


@dataclass
class _Seen:
    """What was seen of all CRDs, the mesh's own configuration apart from the objects of users."""

    invalid: _Offenders = field(default_factory=_Offenders)
    pruned: _Offenders = field(default_factory=_Offenders)
    own_invalid: _Offenders = field(default_factory=_Offenders)
    own_pruned: _Offenders = field(default_factory=_Offenders)
    unreadable: list[str] = field(default_factory=list)
    """CRDs whose conversion webhook does not answer."""


async def _check(work: Work) -> list[Finding]:
    if work.spec.crds.policy is CRDPolicy.SKIP:
        return []
    limit, seen = asyncio.Semaphore(PARALLEL), _Seen()

    async def read(shipped: Mapping[str, Any]) -> None:
        async with limit:
            await _read(work, shipped, seen)

    await asyncio.gather(*(read(shipped) for shipped in work.need_target().crds))
    merges = work.spec.mesh_config.defaults is MeshConfigDefaults.MERGE or work.undo is not None
    return _findings(seen, OWN_REMEDY if merges else MERGE_REMEDY)


async def _read(work: Work, shipped: Mapping[str, Any], seen: _Seen) -> None:
    live = await known_crd(work, shipped["metadata"]["name"])
    if live is None or written_by_newer(live, shipped, work.distribution.name, work.version):
        return
    examination = examine(live, shipped)
    if examination is None:
        return
    coming = {"spec": {"versions": merge_versions(live, shipped)}}
    api_version = f"{live['spec']['group']}/{examination.read_version}"
    try:
        async for page in work.tools.kube.pages(api_version, live["spec"]["names"]["kind"], limit=PAGE):
            for obj in page.items:
                await _look(work, obj, examination, coming, seen)
    except KindNotServed:
        return  # The CRD is not established, or goes: there are no objects to be had.
    except Unreachable as error:
        if (live["spec"].get("conversion") or {}).get("strategy") != "Webhook":
            raise
        # A webhook that nobody serves any more is taken away by this very upgrade, so it must not be refused for that.
        seen.unreadable.append(f"{live['metadata']['name']} ({str(error)[:200]})")


async def _look(work: Work, obj: Object, examination: Examination, coming: Object, seen: _Seen) -> None:
    own = _is_mesh_config(work, obj)
    lost, broken = examination.lost(obj), examination.broken(obj)
    if own and (lost or broken) and obj["metadata"]["namespace"] == work.namespace:
        still_lost = examination.lost({**obj, "spec": await mesh_config_unpruned(work, obj)})
        still_broken = {text for _, text in violations_of(await plan_under(work, obj, coming))}
        lost = [path for path in lost if path in still_lost]
        broken = [text for text in broken if text in still_broken]
    if lost:
        (seen.own_pruned if own else seen.pruned).add(obj, lost)
    if broken:
        (seen.own_invalid if own else seen.invalid).add(obj, broken)


def _is_mesh_config(work: Work, obj: Mapping[str, Any]) -> bool:
    """Tell whether the object is a mesh's own configuration, which its bootstrap made."""
    facts = work.distribution.mesh_config
    return (obj["kind"], obj["metadata"]["name"]) == ("MeshConfig", facts.name) and str(obj["apiVersion"]).startswith(
        f"{facts.group}/"
    )


def _findings(seen: _Seen, own_remedy: str) -> list[Finding]:
    """Refuse for what users wrote; for the MeshConfig only tell, since an upgrade without us leaves it just so."""
    found = []
    for own, offenders in ((False, seen.invalid), (True, seen.own_invalid)):
        if offenders.total:
            found.append(
                finding(
                    FindingName.CUSTOM_RESOURCE_INVALID,
                    Severity.WARNING if own else Severity.RISK,
                    f"{_count(offenders)} not valid by the CRDs of this version: {offenders}",
                    own_remedy if own else INVALID_REMEDY,
                )
            )
    for own, offenders in ((False, seen.pruned), (True, seen.own_pruned)):
        if offenders.total:
            found.append(
                finding(
                    FindingName.FIELDS_PRUNED,
                    Severity.WARNING if own else Severity.RISK,
                    f"{_count(offenders)} to lose fields that the CRDs of this version do not have: {offenders}",
                    own_remedy if own else PRUNED_REMEDY,
                )
            )
    if seen.unreadable:
        found.append(
            finding(
                FindingName.CHECK_FAILED,
                Severity.WARNING,
                "could not look at the stored objects of these CRDs, their conversion webhook does not answer, so "
                f"CustomResourceInvalid and FieldsPruned cannot be ruled out: {enumerate_some(seen.unreadable)}",
                "Nothing to do: the upgrade takes such a webhook away, and the objects can be read again.",
            )
        )
    return found


def _count(offenders: _Offenders) -> str:
    return "1 stored object is" if offenders.total == 1 else f"{offenders.total} stored objects are"


CHECK = Check(
    names=(FindingName.CUSTOM_RESOURCE_INVALID, FindingName.FIELDS_PRUNED),
    looks_at="the stored custom resources",
    run=_check,
    worst=Severity.RISK,
    timeout=120.0,
)
