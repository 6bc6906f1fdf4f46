"""Asks the API server about every object of the target: a server-side dry run each, as Helm will apply it.

`helm upgrade --dry-run=server` does not see a change of an immutable field; this does (design, section 8).
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Forbidden, KindNotServed, KubeError, NotFound, Rejected, Unreachable
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.shape import Work

__all__ = ["check", "immutable_objects"]

HELM_MANAGER = "helm"
"""The field manager under which the Helm CLI applies."""

NOT_CONTENT = ("apiVersion", "kind", "metadata", "status")
PARALLEL = 8
_IMMUTABLE = re.compile(r"immutable|may not change|cannot be changed|cannot change|updates to .* are forbidden")


@dataclass(frozen=True)
class _Refusal:
    ref: ObjectRef
    error: KubeError


async def check(work: Work) -> list[Finding]:
    """Give a finding for each object that the API server would not take; none when Helm has nothing to do."""
    if release_fits(work):
        return []
    return [_finding(refusal) for refusal in await _refusals(work)]


async def immutable_objects(work: Work) -> list[ObjectRef]:
    """Give the objects that can only be changed by deleting and creating them."""
    return [refusal.ref for refusal in await _refusals(work) if _is_immutable(refusal.error)]


async def _refusals(work: Work) -> list[_Refusal]:
    limit = asyncio.Semaphore(PARALLEL)
    arriving = {(crd["spec"]["group"], crd["spec"]["names"]["kind"]) for crd in work.need_target().crds}

    async def ask(obj: Mapping[str, Any]) -> _Refusal | None:
        group = obj["apiVersion"].rpartition("/")[0]
        async with limit:
            try:
                namespaced = await work.tools.kube.is_namespaced(obj["apiVersion"], obj["kind"])
                namespace = work.namespace if namespaced else None
                await _try(work.tools.kube, obj, namespace)
            except Unreachable:
                raise
            except KindNotServed as error:
                # It comes with the CRDs of this very hop, which are applied before Helm runs.
                return None if (group, obj["kind"]) in arriving else _Refusal(ObjectRef.of(obj, work.namespace), error)
            except KubeError as error:
                return _Refusal(ObjectRef.of(obj, namespace), error)
        return None

    answers = await asyncio.gather(*(ask(obj) for obj in work.need_target().rendered.objects()))
    return [answer for answer in answers if answer is not None]


async def _try(kube: Kube, obj: Mapping[str, Any], namespace: str | None) -> None:
    """Have the API server try the apply. Raises KubeError when it refuses."""
    try:
        await kube.apply(obj, namespace=namespace, manager=HELM_MANAGER, dry_run=True)
    except Rejected:
        live = await kube.find(ObjectRef.of(obj, namespace))
        if live is None or not _is_client_side(live):
            raise
        # Helm first makes the fields that it once wrote client-side its own, so that what the chart dropped goes. A dry
        # run cannot take that step; to replace the content of the object is what it comes to.
        content = [
            {"op": "add", "path": f"/{key}", "value": value} for key, value in obj.items() if key not in NOT_CONTENT
        ]
        await kube.json_patch(ObjectRef.of(obj, namespace), content, dry_run=True)


def _is_client_side(live: Mapping[str, Any]) -> bool:
    """Tell whether Helm wrote the object client-side, as Helm 3 does."""
    return any(
        entry.get("manager") == HELM_MANAGER and entry.get("operation") == "Update"
        for entry in live["metadata"].get("managedFields") or []
    )


def _is_immutable(error: KubeError) -> bool:
    return isinstance(error, Rejected) and _IMMUTABLE.search(error.message) is not None


def _finding(refusal: _Refusal) -> Finding:
    name, severity, remedy = _verdict(refusal)
    return Finding(
        name=name,
        severity=severity,
        phase=Phase.PREFLIGHT,
        message=f"{refusal.ref}: {_brief(refusal.error)}",
        remedy=remedy,
    )


def _verdict(refusal: _Refusal) -> tuple[FindingName, Severity, str]:
    error = refusal.error
    if _is_immutable(error):
        return (
            FindingName.IMMUTABLE_FIELD_CHANGED,
            Severity.RISK,
            f"Add ImmutableFieldChanged to spec.upgrade.acceptRisks to have {refusal.ref} deleted and created again, "
            "its Pods included, or choose a version without the change.",
        )
    match error:
        case KindNotServed():
            return (
                FindingName.REMOVED_APIS,
                Severity.ERROR,
                "Switch off, in spec.values, the part of the chart that makes it, or choose a newer chart version.",
            )
        case Forbidden() if re.search(r"cannot \w+ resource|attempting to grant", error.message):
            return FindingName.FORBIDDEN, Severity.ERROR, "Give the operator's account the right that is named."
        case NotFound() if "namespaces" in error.message:
            return FindingName.NAMESPACE_MISSING, Severity.ERROR, "Create the namespace, or correct spec.values."
        case Rejected() if "does not support dry run" in error.message:
            return (
                FindingName.DRY_RUN_UNSUPPORTED,
                Severity.WARNING,
                "An admission webhook cannot say beforehand whether it takes the object; set its sideEffects to None.",
            )
    return FindingName.OBJECT_REJECTED, Severity.ERROR, "Correct spec.values so that the API server takes the object."


def _brief(error: KubeError) -> str:
    """Give the API server's message without the name of the object, which is told already, and without long values."""
    text = re.sub(r'^[\w.]+ "[^"]+" is invalid: ', "", str(error))
    text = re.sub(r"Invalid value: (map\[.*?\]|[\w.]+\{.*\}|\{.{200,}?\}): ", "", text, flags=re.DOTALL)
    return text if len(text) <= 600 else text[:600] + " …"
