"""A stand-in for osm-injector and fsm-injector.

kwok's Pods run no code. This plays the code of the injector's Pods: an admission webhook that puts init container,
sidecar and label into the new Pods of a mesh. It has a webhook configuration of its own, so nothing that a chart or
an upgrade does to the chart's own one matters.
"""

import base64
import json
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution

from .admission_server import AdmissionServer
from .api import Api, ApiError
from .cluster import Cluster
from .errors import NotSupported
from .injection import InjectedImages, InjectionRefused, image_id, patch_of, wants_injection
from .injector_facts import LiveFacts
from .kwok import IMAGE_IDS_ANNOTATION
from .webhook_registration import FailurePolicy, WebhookRegistration

__all__ = ["Admission", "FailurePolicy", "InjectorStandIn"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Admission:
    """One Pod that it was asked about; `image` is that of the sidecar it was given, empty for none."""

    namespace: str
    pod: str
    image: str
    dry_run: bool


class InjectorStandIn:
    """Plays the injector of the mesh in `namespace` while it is entered; entering and all methods wait for the effect.

    Faults, each of which can be switched at any time: `go_down` and `come_back`; the attributes `skipping` (it
    answers, and injects nothing), `image` (of the sidecar, whatever the MeshConfig says) and `rejecting` (the message
    with which it refuses every Pod). `admissions` lists what it was asked, in order. `digests` says which digest an
    image with a tag has at this time: Pods that are injected from then on report it as their image id.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        *,
        distribution: str = DistributionName.OSM_EDGE,
        mesh: str | None = None,
        failure_policy: FailurePolicy = "Fail",
    ) -> None:
        """Describe the stand-in; nothing happens before it is entered. `mesh`: its name, else the distribution's.

        Raises NotSupported for an existing cluster, which does not reach the loopback interface of this machine.
        """
        if cluster.existing:
            raise NotSupported("an existing cluster does not reach a webhook on this machine")
        self.skipping = False
        self.image = ""
        self.rejecting = ""
        self.admissions: list[Admission] = []
        self.digests: dict[str, str] = {}
        self._facts = load_distribution(DistributionName(distribution))
        api = Api(cluster.kubeconfig, cluster.ca)
        self._live = LiveFacts(api, self._facts, namespace)
        self._server = AdmissionServer(self._answer)
        own = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace]}
        monitored = {self._facts.sidecar.namespace_label: mesh or self._facts.mesh_name}
        self.name = f"rig-injector-{uuid.uuid4().hex[:10]}"
        self._webhook = WebhookRegistration(
            api, self.name, self._server, {"matchLabels": monitored, "matchExpressions": [own]}
        )
        self._failure_policy: FailurePolicy = failure_policy
        self._up = False

    def __enter__(self) -> Self:
        """Switch it on, for Pods that are created from now on. Raises RigError when it has no effect."""
        self._live.start()
        self._server.start()
        self._up = True
        try:
            self._webhook.write(self._failure_policy, up=True)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Switch it off: Pods are created without a sidecar. Raises what it has died of."""
        self._end()
        crash = self._server.crash or self._live.crash
        if crash and error is None:
            raise crash

    def go_down(self, failure_policy: FailurePolicy | None = None) -> None:
        """Refuse connections, as an injector without a ready Pod; Fail or Ignore says what becomes of Pods then."""
        self._server.stop()
        self._up = False
        self.fail_with(failure_policy or self._failure_policy)

    def come_back(self) -> None:
        """Take connections again; the failure policy stays as it is."""
        self._server.start()
        self._up = True
        self.fail_with(self._failure_policy)

    def fail_with(self, failure_policy: FailurePolicy) -> None:
        """Change what becomes of Pods when it does not answer: Fail refuses them, Ignore lets them in as they are."""
        self._failure_policy = failure_policy
        self._webhook.write(failure_policy, up=self._up)

    def _end(self) -> None:
        try:
            self._webhook.delete()
        finally:
            self._live.stop()
            self._server.close()

    def _answer(self, path: str, request: Object) -> Object:
        probed = self._webhook.answer_probe(path, request["object"])
        if probed:
            return _patched(probed)
        try:
            return self._inject(request)
        # ApiError: what it has to know has just gone, a namespace for example; the real one refuses then too.
        except (InjectionRefused, ApiError) as error:
            return {"allowed": False, "status": {"code": 403, "message": str(error)}}

    def _inject(self, request: Object) -> Object:
        if self.rejecting:
            raise InjectionRefused(self.rejecting)
        pod, namespace, image = request["object"], request["namespace"], ""
        patch: list[Object] = []
        if not self.skipping and wants_injection(self._facts, pod, self._live.namespace(namespace)):
            images = self._live.images(self.image)
            patch, image = patch_of(self._facts, pod, images, str(uuid.uuid4())), images.sidecar
            patch += self._image_ids(pod, images)
        metadata = pod["metadata"]
        name = metadata.get("name") or metadata.get("generateName", "")
        self.admissions.append(Admission(namespace, name, image, bool(request.get("dryRun"))))
        return _patched(patch)

    def _image_ids(self, pod: Object, images: InjectedImages) -> list[Object]:
        """What makes kwok report the digests that are known."""
        sidecar = self._facts.sidecar
        named = {sidecar.container: images.sidecar, sidecar.init_container: images.init}
        known = {name: image_id(image, self.digests[image]) for name, image in named.items() if image in self.digests}
        if not known:
            return []
        annotations = {**pod["metadata"].get("annotations", {}), IMAGE_IDS_ANNOTATION: json.dumps(known)}
        return [{"op": "add", "path": "/metadata/annotations", "value": annotations}]


def _patched(patch: list[Object]) -> Object:
    if not patch:
        return {"allowed": True}
    encoded = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}
