"""Why workloads of any kind get no Pods, or none that runs, as real controllers and a real scheduler say it."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.access import load_access
from meshupgrade.kube.causes import Cause
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.diagnosis import diagnose
from tests.cluster.cluster import Cluster
from tests.integration.harness import eventually

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
PATIENCE = 60.0
POD = {"containers": [{"name": "app", "image": "app:1"}]}


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    access = await load_access(cluster.kubeconfig, None)
    async with Kube(access.configuration) as client:
        yield client


@pytest.fixture
def broken_webhook(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A webhook whose Service is not there, for the Pods of the namespace."""
    webhook = {
        "name": "inject.meshupgrade.test",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"service": {"name": "gone", "namespace": namespace}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [webhook],
    }
    apply(cluster, namespace, configuration)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "probe-"}, "spec": POD}
    # The API server notices a webhook after a moment.
    eventually(
        lambda: create(cluster, namespace, pod, "--dry-run=server").returncode != 0, lambda: "the webhook is not asked"
    )
    yield "inject.meshupgrade.test"
    cluster.kubectl("delete", "mutatingwebhookconfiguration", namespace)


def create(cluster: Cluster, namespace: str, obj: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump(obj)
    return cluster.kubectl("create", f"--namespace={namespace}", "-f", "-", *options, input=text, check=False)


def apply(cluster: Cluster, namespace: str, *objects: Any) -> None:
    cluster.kubectl("apply", f"--namespace={namespace}", "-f", "-", input=yaml.safe_dump_all(objects))


def workload(kind: str, cpu: str = "1m") -> dict[str, Any]:
    """A workload that finds its Pods by an expression."""
    name = kind.lower()
    container = {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}
    spec: dict[str, Any] = {
        "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": [name, "other"]}]},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


async def cause_of(kube: Kube, namespace: str, kind: str) -> Cause:
    """Wait until something tells why the workload has no Pods that run."""
    deadline = time.monotonic() + PATIENCE
    while True:
        live = await kube.get(ObjectRef("apps/v1", kind, kind.lower(), namespace))
        if cause := await diagnose(kube, namespace, [live]):
            return cause
        assert time.monotonic() < deadline, json.dumps(live["status"])
        await asyncio.sleep(0.1)


async def is_full(kube: Kube, namespace: str) -> bool:
    quota = await kube.get(ObjectRef("v1", "ResourceQuota", "none", namespace))
    return bool(quota.get("status", {}).get("hard"))


async def test_a_quota(kube: Kube, cluster: Cluster, namespace: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    apply(cluster, namespace, quota)
    deadline = time.monotonic() + PATIENCE
    while not await is_full(kube, namespace):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    apply(cluster, namespace, *(workload(kind) for kind in KINDS))
    for kind in KINDS:
        cause = await cause_of(kube, namespace, kind)
        assert cause.reason is Reason.QUOTA
        assert cause.message.startswith(f"{kind} {kind.lower()} cannot make Pods: ")
        assert "exceeded quota: none" in cause.message

    # What was refused once and came to pass then is no cause any more.
    cluster.kubectl("delete", "resourcequota", "none", f"--namespace={namespace}")
    for kind in KINDS:
        ref = ObjectRef("apps/v1", kind, kind.lower(), namespace)
        deadline = time.monotonic() + PATIENCE
        while await diagnose(kube, namespace, [await kube.get(ref)]) is not None:
            assert time.monotonic() < deadline, f"{kind} has Pods, or could have"
            # Each try of a controller waits longer than the one before; a change is looked at at once.
            annotations = {"again": str(time.monotonic_ns())}
            await kube.merge_patch(ref, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
            await asyncio.sleep(0.5)


async def test_a_webhook_that_does_not_answer(
    kube: Kube, cluster: Cluster, namespace: str, broken_webhook: str
) -> None:
    apply(cluster, namespace, *(workload(kind) for kind in KINDS))
    for kind in KINDS:
        cause = await cause_of(kube, namespace, kind)
        assert cause.reason is Reason.WEBHOOK_UNREACHABLE
        assert f"the webhook {broken_webhook} of Service {namespace}/gone does not answer" in cause.message
        assert f"Bring Service {namespace}/gone up" in cause.remedy


async def test_no_room(kube: Kube, cluster: Cluster, namespace: str) -> None:
    apply(cluster, namespace, *(workload(kind, cpu="4000") for kind in KINDS))
    for kind in KINDS:
        cause = await cause_of(kube, namespace, kind)
        assert cause.reason is Reason.INSUFFICIENT_RESOURCES
        assert "Insufficient cpu" in cause.message
