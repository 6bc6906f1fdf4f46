"""The whole plan, kept in a compressed Secret that its digest names, next to the MeshUpgrade that owns it."""

import base64
import gzip
import zlib
from collections.abc import Iterable
from typing import Any

from meshupgrade.api.v1alpha1.names import API_VERSION, KIND, PLAN_OF
from meshupgrade.api.v1alpha1.plan import Plan, PlannedValue
from meshupgrade.kube.client import Kube, ObjectRef

__all__ = ["PlanUnreadable", "keep_plan", "plan_secret", "read_plan"]

KEY = "plan.json.gz"

_TYPE = {"apiVersion": "v1", "kind": "Secret"}

MAX_BYTES = 900 * 1024
"""Compressed; a Secret takes 1 MiB. Source: Kubernetes' documentation, "Secrets"."""


class PlanUnreadable(Exception):
    """The Secret is not what was written."""


def plan_secret(digest: str) -> str:
    """Give the name of the Secret for a digest."""
    return f"meshupgrade-plan-{digest.removeprefix('sha256:')[:16]}"


async def keep_plan(kube: Kube, owner: ObjectRef, uid: str, plan: Plan) -> str:
    """Write the plan, remove the plans of before, and give the name of the Secret. Twice is as good as once."""
    name = plan_secret(plan.digest)
    body = _secret(owner, uid, name, _packed(plan))
    await kube.apply(body)
    async for secret in kube.list_objects(
        "v1", "Secret", owner.namespace, labels=f"{PLAN_OF}={uid}", metadata_only=True
    ):
        if secret["metadata"]["name"] != name:
            await kube.delete(ObjectRef.of(secret | _TYPE), uid=secret["metadata"]["uid"])
    return name


async def read_plan(kube: Kube, namespace: str, name: str) -> Plan | None:
    """Give the plan in a Secret, None when there is none. Raises PlanUnreadable."""
    secret = await kube.find(ObjectRef("v1", "Secret", name, namespace))
    if secret is None:
        return None
    try:
        return Plan.model_validate_json(gzip.decompress(base64.b64decode(secret["data"][KEY])))
    except (LookupError, TypeError, ValueError, OSError, EOFError, zlib.error) as error:
        raise PlanUnreadable(f"Secret {namespace}/{name} holds no plan that can be read: {error}") from error


def _packed(plan: Plan) -> str:
    """Give the plan as a Secret takes it.

    One that is too large goes without the fields of each object; one that still is, without what values are.
    """
    shortened = _without_fields(plan)
    for shown in (plan, shortened, _without_values(shortened)):
        text = shown.model_dump_json(by_alias=True, exclude_none=True)
        packed = gzip.compress(text.encode(), mtime=0)
        if len(packed) <= MAX_BYTES:
            break
    return base64.b64encode(packed).decode()


def _without_fields(plan: Plan) -> Plan:
    hops = [
        hop.model_copy(update={"objects": [change.model_copy(update={"paths": []}) for change in hop.objects]})
        for hop in plan.hops
    ]
    return plan.model_copy(update={"hops": hops})


def _without_values(plan: Plan) -> Plan:
    hops = [hop.model_copy(update={"values": _not_shown(hop.values), "random": []}) for hop in plan.hops]
    return plan.model_copy(update={"hops": hops, "mesh_config": _not_shown(plan.mesh_config)})


def _not_shown(values: Iterable[PlannedValue]) -> list[PlannedValue]:
    return [PlannedValue(path=value.path, secret=True) for value in values]


def _secret(owner: ObjectRef, uid: str, name: str, packed: str) -> dict[str, Any]:
    reference = {"apiVersion": API_VERSION, "kind": KIND, "name": owner.name, "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {PLAN_OF: uid},
            "ownerReferences": [reference],
        },
        "type": "meshupgrade.io/plan",
        "data": {KEY: packed},
    }
