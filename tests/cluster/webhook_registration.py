"""The webhook configuration of the injector stand-in, and since when the API server acts on it."""

import base64
import time
from typing import Any, Literal

from .admission_server import AdmissionServer
from .api import Api, ApiError
from .errors import RigError

__all__ = ["FailurePolicy", "WebhookRegistration"]

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
#: The path that Pods to inject are sent to, and the one (with a number) for Pods that only try how things are.
INJECT, PROBES = "/inject", "/probe/"
#: Label of a Pod that only tries, and the annotation that answers it.
PROBE = "rig.meshupgrade.io/injector-probe"
EFFECTIVE_SECONDS = 20.0
POLL_SECONDS = 0.02
REFUSED, UNTOUCHED = "refused", "untouched"

FailurePolicy = Literal["Ignore", "Fail"]
Object = dict[str, Any]


class WebhookRegistration:
    """One MutatingWebhookConfiguration of that name, which sends the new Pods of some namespaces to a server."""

    def __init__(self, api: Api, name: str, server: AdmissionServer, namespaces: Object) -> None:
        """Describe it; `namespaces` is the selector of the namespaces. Nothing happens before `write`."""
        self.name = name
        self._api = api
        self._server = server
        self._namespaces = namespaces
        self._writes = 0

    def write(self, failure_policy: FailurePolicy, *, up: bool) -> None:
        """Create or change it, and wait until it is in effect; `up`: whether its server takes connections.

        Raises RigError when it has no effect, ApiError.
        """
        self._writes += 1
        body = self._configuration(failure_policy)
        if self._writes == 1:
            self._api.create(CONFIGURATIONS, body)
        else:
            self._api.patch(f"{CONFIGURATIONS}/{self.name}", body)
        away = REFUSED if failure_policy == "Fail" else UNTOUCHED
        self._wait_for(str(self._writes) if up else away)

    def delete(self) -> None:
        """Take it away, and wait until that is in effect; harmless when there is none. Raises RigError, ApiError."""
        self._api.delete(f"{CONFIGURATIONS}/{self.name}")
        self._wait_for(UNTOUCHED)

    @staticmethod
    def answer_probe(path: str, pod: Object) -> list[Object] | None:
        """The JSON patch that tells a Pod that only tries which write is in effect; None for any other Pod."""
        if not path.startswith(PROBES):
            return None
        # It may have annotations by now, that of a gate for example.
        annotations = {**pod["metadata"].get("annotations", {}), PROBE: path.removeprefix(PROBES)}
        return [{"op": "add", "path": "/metadata/annotations", "value": annotations}]

    def _configuration(self, failure_policy: FailurePolicy) -> Object:
        pods = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
        shared = {
            "admissionReviewVersions": ["v1"],
            "sideEffects": "NoneOnDryRun",
            "failurePolicy": failure_policy,
            "timeoutSeconds": 20,
            "rules": [pods],
        }
        injector = {
            "name": "inject.rig.meshupgrade.io",
            "clientConfig": self._client(INJECT),
            "namespaceSelector": self._namespaces,
        }
        # In the same configuration, so that both take effect at once: its path tells which write of it is in effect.
        probe = {
            "name": "probe.rig.meshupgrade.io",
            "clientConfig": self._client(f"{PROBES}{self._writes}"),
            "objectSelector": {"matchLabels": {PROBE: self.name}},
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": [{**shared, **injector}, {**shared, **probe}],
        }

    def _client(self, path: str) -> dict[str, str]:
        return {"url": f"{self._server.url}{path}", "caBundle": base64.b64encode(self._server.ca).decode()}

    def _wait_for(self, wanted: str) -> None:
        """Nothing reports from when on a webhook is in effect; a Pod that is only tried tells."""
        deadline = time.monotonic() + EFFECTIVE_SECONDS
        while (found := self._probe()) != wanted:
            if time.monotonic() > deadline:
                raise RigError(f"the injector's webhook is {found}, not {wanted}, after {EFFECTIVE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)

    def _probe(self) -> str:
        """The number of the write in effect, UNTOUCHED when the Pod passes as it is, REFUSED when it does not."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "injector-probe-", "labels": {PROBE: self.name}},
            "spec": {"containers": [{"name": "probe", "image": "probe"}]},
        }
        try:
            tried = self._api.create("/api/v1/namespaces/default/pods", pod, dryRun="All")
        except ApiError:
            return REFUSED
        return str(tried["metadata"].get("annotations", {}).get(PROBE, UNTOUCHED))
