"""The proof that the injector works: a Pod that is only tried has to come back with the sidecar that is wanted.

A Pod that is made while the injector is broken has no sidecar, or that of before; so nothing is restarted before.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meshupgrade.api.v1alpha1.conditions import AnyReason, Reason
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.domain.sidecars import Images, Running, SidecarState, judge, sidecar_of
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import ApiStatusError, Forbidden, KubeError, WebhookUnreachable
from meshupgrade.phases.data_plane.live import LiveWorkloads
from meshupgrade.phases.preflight.refusals import brief
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["injection_of", "pod_like", "prove_injection"]

Object = Mapping[str, Any]

PROOF_SECONDS = 30.0
"""How long the injector may take to see what was last changed in the MeshConfig, and to come up."""

PROOF_PAUSE = 1.0


@dataclass(frozen=True)
class _Verdict:
    why: str
    """What is wrong; empty when nothing is."""

    reason: AnyReason = Reason.INJECTION_BROKEN
    created: datetime | None = None
    """When the API server took the Pod."""

    may_pass: bool = False
    """Whether it may be over in a moment."""


async def prove_injection(work: Work, workloads: LiveWorkloads, ref: ObjectRef, images: Images) -> datetime | None:
    """Try a Pod of a workload, and give the time at the API server; None when the workload is gone.

    Raises PhaseFailed when the Pod would not get its sidecar, and the errors of kube.
    """
    workload = await workloads.refresh(ref)
    if workload is None:
        return None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PROOF_SECONDS
    while True:
        verdict = await _try(work, ref, workload, images)
        if not verdict.why:
            return verdict.created
        if not verdict.may_pass or loop.time() >= deadline:
            raise PhaseFailed(
                verdict.reason,
                f"nothing more is restarted, since the injector is not proved to work: a Pod of {ref}, which was only "
                f"tried, {verdict.why}",
            )
        await work.report(f"waiting for the injector: a Pod of {ref}, which was only tried, {verdict.why}")
        await asyncio.sleep(PROOF_PAUSE)


async def _try(work: Work, ref: ObjectRef, workload: Object, images: Images) -> _Verdict:
    try:
        pod = await work.tools.kube.create(pod_like(workload), dry_run=True)
    except (WebhookUnreachable, ApiStatusError) as error:
        return _refused(ref, error)
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return _Verdict(injection_of(pod, images, work), created=created, may_pass=True)


def _refused(ref: ObjectRef, error: KubeError) -> _Verdict:
    why = f"is not taken: {brief(ObjectRef('v1', 'Pod', ref.name, ref.namespace), error)}"
    match error:
        case WebhookUnreachable():
            return _Verdict(why, Reason.WEBHOOK_UNREACHABLE, may_pass=True)
        case Forbidden() if "exceeded quota" in error.message:
            return _Verdict(why, Reason.QUOTA)
        case Forbidden() if re.search(r"cannot \w+ resource", error.message):
            return _Verdict(why, FindingName.FORBIDDEN)
    return _Verdict(why, Reason.API_REJECTED, may_pass="denied the request" in str(error))


def injection_of(pod: Object, images: Images, work: Work) -> str:
    """Say what is wrong with what a Pod was injected with; empty when nothing is."""
    facts = work.distribution.sidecar
    found = sidecar_of(pod, facts)
    if found is None or found.sidecar is None:
        return "came back without a sidecar"
    # As the Pod names them: nothing was pulled for it.
    if judge(found, Images(images.sidecar, images.init)) is SidecarState.CURRENT:
        return ""
    parts = [_other("sidecar", found.sidecar, images.sidecar), _other("init container", found.init, images.init)]
    return f"came back with {' and '.join(part for part in parts if part) or 'images that cannot be compared'}"


def _other(what: str, has: Running | None, wanted: str | None) -> str:
    if has is None or has.image == wanted:
        return ""
    return f"the {what} {has.image} instead of {wanted or 'one that cannot be told'}"


def pod_like(workload: Object) -> dict[str, Any]:
    """Give a Pod as the controller of a workload would make it, under a name of its own."""
    metadata, spec = workload["metadata"], workload["spec"]
    template, name = spec["template"], metadata["name"]
    pod_spec = dict(template["spec"])
    if claims := spec.get("volumeClaimTemplates"):
        volumes = [
            {
                "name": claim["metadata"]["name"],
                "persistentVolumeClaim": {"claimName": f"{claim['metadata']['name']}-{name}-0"},
            }
            for claim in claims
        ]
        own = {volume["name"] for volume in volumes}
        kept = [volume for volume in pod_spec.get("volumes") or [] if volume["name"] not in own]
        pod_spec["volumes"] = [*kept, *volumes]
    of_template = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name[:200]}-",
            "namespace": metadata["namespace"],
            "labels": of_template.get("labels") or {},
            "annotations": of_template.get("annotations") or {},
        },
        "spec": pod_spec,
    }
