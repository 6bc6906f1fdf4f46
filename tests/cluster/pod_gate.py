"""Keep chosen new Pods from becoming ready by themselves, for as long as somebody decides about it.

A mutating admission policy puts the gate annotation on them as they are created, so that a chart is installed and
upgraded as it is; kwok leaves Pods with the annotation alone (see `kwok`). The policy is made once in a cluster and
takes its parameters from ConfigMaps, one for each gate: a policy needs about a second to take effect or to lose it, a
ConfigMap milliseconds.
"""

import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from .api import STRATEGIC_PATCH, Api, ApiError
from .errors import RigError
from .kwok import GATE_ANNOTATION

__all__ = ["PodGate"]

POLICIES = "/apis/admissionregistration.k8s.io/v1"
POLICY = "rig.meshupgrade.io"
CONFIG_NAMESPACE = "kube-system"
CONFIGS = f"/api/v1/namespaces/{CONFIG_NAMESPACE}/configmaps"
CONFIG_LABEL = "rig.meshupgrade.io/gate"
PROBE_LABEL = "rig.meshupgrade.io/gate-probe"
EFFECTIVE_SECONDS = 20.0
POLL_SECONDS = 0.02
CONFLICT = 409

#: In a condition, `params` is the ConfigMap of a gate: lists separated by commas, an empty one of namespaces means all.
CONDITION = f"""
has(object.metadata.labels) && (
  ('app' in object.metadata.labels && object.metadata.labels['app'] in params.data.apps.split(',')
    && (params.data.namespaces == '' || request.namespace in params.data.namespaces.split(',')))
  || ('{PROBE_LABEL}' in object.metadata.labels && object.metadata.labels['{PROBE_LABEL}'] == params.metadata.name)
)
"""
MUTATION = f"Object{{metadata: Object.metadata{{annotations: {{'{GATE_ANNOTATION}': params.metadata.name}}}}}}"


class PodGate:
    """A gate for Pods with one of some values of the label `app`, in some namespaces or (None) in all of them.

    A context manager: inside, every such Pod that is created carries `name` as its gate annotation; leaving it opens
    the gate for good, and for the Pods that still wait behind it.
    """

    def __init__(self, api: Api, apps: Sequence[str], namespaces: Sequence[str] | None) -> None:
        """Describe a gate; nothing happens before it is entered. Raises ValueError for an empty list of namespaces."""
        if namespaces is not None and not namespaces:
            raise ValueError("a gate for no namespace at all")
        self.name = f"rig-gate-{uuid.uuid4().hex[:10]}"
        self._api = api
        self._data = {"apps": ",".join(apps), "namespaces": ",".join(namespaces or ())}

    def holds(self, pod: dict[str, Any]) -> bool:
        """Whether this Pod waits behind this gate."""
        return bool(pod["metadata"].get("annotations", {}).get(GATE_ANNOTATION) == self.name)

    def release(self, pod: dict[str, Any]) -> None:
        """Let kwok make a Pod ready; nothing happens when it is gone. Raises ApiError."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        # The uid: another Pod of the same name is not meant. kwok makes only pending Pods ready, and keeps the reasons
        # why they were not.
        conditions = [{"type": kind, "reason": None} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Pending", "conditions": conditions}
        try:
            self._api.patch(f"{path}/status", {"metadata": {"uid": metadata["uid"]}, "status": status}, STRATEGIC_PATCH)
            self._api.patch(path, {"metadata": {"uid": metadata["uid"], "annotations": {GATE_ANNOTATION: None}}})
        except ApiError as error:
            if error.status not in (404, CONFLICT):
                raise

    def __enter__(self) -> Self:
        """Close the gate, and wait until the API server acts on it. Raises RigError when it does not."""
        _ensure_policy(self._api)
        config = {"metadata": {"name": self.name, "labels": {CONFIG_LABEL: "true"}}, "data": self._data}
        self._api.create(CONFIGS, {"apiVersion": "v1", "kind": "ConfigMap", **config})
        try:
            self._wait_until_effective(True)
        except BaseException:
            self._api.delete(f"{CONFIGS}/{self.name}")
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Open the gate: no new Pod waits, and those that do become ready."""
        self._api.delete(f"{CONFIGS}/{self.name}")
        # Only then is the list of waiting Pods complete.
        self._wait_until_effective(False)
        for pod in self._api.get("/api/v1/pods")["items"]:
            if self.holds(pod):
                self.release(pod)

    def _wait_until_effective(self, wanted: bool) -> None:
        """Nothing reports from when on a policy or its parameter is in effect; a Pod that is only tried tells."""
        probe = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "gate-probe-", "labels": {PROBE_LABEL: self.name}},
            "spec": {"containers": [{"name": "probe", "image": "probe"}]},
        }
        deadline = time.monotonic() + EFFECTIVE_SECONDS
        while self.holds(self._api.create("/api/v1/namespaces/default/pods", probe, dryRun="All")) != wanted:
            if time.monotonic() > deadline:
                raise RigError(f"the gate for Pods had no effect within {EFFECTIVE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)


def _ensure_policy(api: Api) -> None:
    pods = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    policy = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": [pods]},
        "matchConditions": [{"name": "gated", "expression": CONDITION}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": MUTATION}}],
    }
    configs = {
        "namespace": CONFIG_NAMESPACE,
        "selector": {"matchLabels": {CONFIG_LABEL: "true"}},
        "parameterNotFoundAction": "Allow",
    }
    _ensure(api, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", policy)
    binding = {"policyName": POLICY, "paramRef": configs}
    _ensure(api, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", binding)


def _ensure(api: Api, plural: str, kind: str, spec: dict[str, Any]) -> None:
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": POLICY}, "spec": spec}
    try:
        api.create(f"{POLICIES}/{plural}", body)
    except ApiError as error:
        if error.status != CONFLICT:
            raise RigError(f"the API server takes no {kind}, which needs Kubernetes 1.36 or newer: {error}") from error
