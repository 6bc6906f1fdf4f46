"""The life of one bootstrap Pod: what the program in it would do, restarts included."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .api import STRATEGIC_PATCH, Api, ApiError
from .bootstrap_facts import Mesh, Mode, crd_image, init_container, reconciles
from .cluster import Cluster
from .crd_installer import CrdsRefused, ReconcileLabel, create_or_update, kubectl_apply, parse
from .crd_reconciler import reconcile_crds
from .image_files import ImageUnavailable, read_folder
from .mesh_config_maker import MeshConfigFailed, ensure_mesh_config
from .pod_gate import PodGate
from .pod_status import crashing, running_not_ready, unpullable, waiting_in_init

__all__ = ["Action", "BootstrapEvent", "BootstrapProgram", "write_status"]

#: Long enough to be seen by a watcher, short enough for a test; a kubelet starts with ten seconds.
RESTART_SECONDS = 1.0

Pod = dict[str, Any]
Status = dict[str, Any]


class Action(Enum):
    """What a bootstrap Pod has done, or what has happened to it."""

    CRD = "CRD"
    MESH_CONFIG = "MeshConfig"
    READY = "Ready"
    FAILED = "Failed"
    RESTORED = "Restored"


@dataclass(frozen=True)
class BootstrapEvent:
    """One thing that a bootstrap Pod has done; the message is what the real program would log."""

    namespace: str
    pod: str
    action: Action
    message: str


class BootstrapProgram:
    """Plays one bootstrap Pod of `mesh` until `gone` is set.

    It brings its CRDs, makes the MeshConfig and lets the Pod be ready. Everything it does is told to `tell`. `mode`
    overrides what its release does with existing CRDs.
    """

    def __init__(
        self,
        cluster: Cluster,
        gate: PodGate,
        pod: Pod,
        mesh: Mesh,
        mode: Mode | None,
        *,
        tell: Callable[[BootstrapEvent], None],
    ) -> None:
        """Describe the program of a Pod that waits behind `gate`; it runs with `run`."""
        self.gone = threading.Event()
        self._cluster = cluster
        self._api = Api(cluster.kubeconfig, cluster.ca)
        self._gate = gate
        self._pod = pod
        self._mesh = mesh
        self._mode = mode or mesh.mode(pod)
        self._tell = tell

    def run(self) -> None:
        """Run until the Pod is gone; a start that fails is tried again. Raises ApiError when the API fails."""
        reconcile = reconciles(self._mesh, self._pod)
        label = ReconcileLabel(self._mesh.reconcile_label, self._mesh.label(self._pod, reconcile))
        restarts = 0
        while (status := self._start(label, restarts)) is not None:
            write_status(self._api, self._pod, status)
            restarts += 1
            if self.gone.wait(RESTART_SECONDS):
                return
        if not self.gone.is_set():
            self._gate.release(self._pod)
            self._say(Action.READY, "started")
        if reconcile:
            reconcile_crds(self._api, label, self._mesh.bootstrap, self.gone, self._say_restored)

    def _start(self, label: ReconcileLabel, restarts: int) -> Status | None:
        """One start of the program: None when it has got through, else what the Pod's status is after it."""
        init = init_container(self._mesh, self._pod)
        carrier = str(init["name"]) if init else self._mesh.bootstrap
        starting = waiting_in_init(self._pod, carrier) if init else running_not_ready(self._pod)
        write_status(self._api, self._pod, starting)
        failing = carrier
        try:
            self._bring_crds(label)
            failing = self._mesh.bootstrap
            if ensure_mesh_config(self._api, self._mesh, self._pod["metadata"]["namespace"]):
                self._say(Action.MESH_CONFIG, f"{self._mesh.mesh_config} created")
        except ImageUnavailable as error:
            self._say(Action.FAILED, str(error))
            return unpullable(self._pod, carrier, str(error))
        except (CrdsRefused, MeshConfigFailed) as error:
            self._say(Action.FAILED, str(error))
            return crashing(self._pod, failing, str(error), restarts + 1)
        return None

    def _bring_crds(self, label: ReconcileLabel) -> None:
        image = crd_image(self._mesh, self._pod)
        crds = parse(read_folder(image, self._mesh.crd_folder, self._cluster.registry))
        lines: Iterable[str]
        if self._mode is Mode.APPLY:
            lines = kubectl_apply(self._cluster, crds, label)
        else:
            lines = create_or_update(self._api, crds, self._mode, label, self._mesh.bootstrap)
        for line in lines:
            self._say(Action.CRD, line)

    def _say(self, action: Action, message: str) -> None:
        metadata = self._pod["metadata"]
        self._tell(BootstrapEvent(metadata["namespace"], metadata["name"], action, message))

    def _say_restored(self, worked: bool, message: str) -> None:
        self._say(Action.RESTORED if worked else Action.FAILED, message)


def write_status(api: Api, pod: Pod, status: Status) -> None:
    """Write a Pod's status, as its kubelet would; nothing happens when the Pod is gone. Raises ApiError."""
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
    try:
        # The uid: another Pod of the same name is not meant.
        api.patch(path, {"metadata": {"uid": metadata["uid"]}, "status": status}, STRATEGIC_PATCH)
    except ApiError as error:
        if error.status not in (404, 409):
            raise
