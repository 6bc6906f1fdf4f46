"""A stand-in for osm-bootstrap and fsm-bootstrap.

kwok's Pods run no code. This plays the code of the bootstrap Pods, for any chart of the meshes in `bootstrap_facts`: a
new bootstrap Pod brings its own CRDs into the cluster in the way of its release, makes the MeshConfig when there is
none, and only then is ready; the controllers and injectors of the same namespace wait for that. With
--enable-reconciler it also undoes what others do to CRDs.
"""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from .api import Api
from .bootstrap_facts import MESHES, Mode, mesh_of
from .bootstrap_program import Action, BootstrapEvent, BootstrapProgram, write_status
from .cluster import Cluster
from .errors import NotSupported
from .pod_gate import PodGate
from .pod_status import waiting_in_init

__all__ = ["Action", "BootstrapEvent", "BootstrapStandIn", "Mode"]

JOIN_SECONDS = 10.0
POLL_SECONDS = 0.02

Pod = dict[str, Any]


class BootstrapStandIn:
    """Plays the bootstrap Pods of some namespaces (None: of all) while it is entered.

    Outside of it every Pod is ready at once. `events` lists what they have done, in order; a Pod that fails in the
    same way at each restart is one event. `mode` overrides what `bootstrap_facts` says about the release. Pods that
    exist already when it is entered are left as they are: a bootstrap Pod that is ready counts as such, but no
    reconciler is played for it.
    """

    def __init__(self, cluster: Cluster, namespaces: Sequence[str] | None = None, *, mode: Mode | None = None) -> None:
        """Describe the stand-in; nothing happens before it is entered. Raises NotSupported for an existing cluster."""
        if cluster.existing:
            raise NotSupported("the Pods of an existing cluster run code of their own")
        self.events: list[BootstrapEvent] = []
        self._cluster = cluster
        self._api = Api(cluster.kubeconfig, cluster.ca)
        self._namespaces = namespaces
        self._mode = mode
        self._apps = [app for mesh in MESHES for app in mesh.apps]
        self._gate = PodGate(self._api, self._apps, namespaces)
        self._stop = threading.Event()
        self._pods: dict[str, Pod] = {}
        self._programs: dict[str, BootstrapProgram] = {}
        self._waiting: set[str] = set()
        self._seen: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._crash: BaseException | None = None

    def __enter__(self) -> Self:
        """Switch it on: new Pods of these meshes wait for it. Raises RigError when the gate cannot be closed."""
        self._gate.__enter__()
        self._spawn(self._watch, "bootstrap-stand-in")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Switch it off: Pods that wait become ready. Raises what a thread of it has died of."""
        self._stop.set()
        for program in list(self._programs.values()):
            program.gone.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        self._gate.__exit__(kind, error, trace)
        if self._crash and error is None:
            raise self._crash

    @property
    def playing(self) -> list[str]:
        """The names of its threads that still run the program of a bootstrap Pod."""
        return [thread.name for thread in self._threads[1:] if thread.is_alive()]

    def wait_for(self, action: Action, text: str = "", timeout: float = 30.0) -> BootstrapEvent:
        """The first event with that action and `text` in its message; raises TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for event in list(self.events):
                if event.action is action and text in event.message:
                    return event
            if self._crash:
                raise self._crash
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"no {action.value} event with {text!r} within {timeout:g} s, only {self.events}")

    def _spawn(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            # Kept for the test, which would otherwise only see that nothing happens.
            self._crash = error

    def _watch(self) -> None:
        selector = f"app in ({','.join(self._apps)})"
        for kind, pod in self._api.watch("/api/v1/pods", self._stop, labelSelector=selector):
            uid, namespace = pod["metadata"]["uid"], pod["metadata"]["namespace"]
            if self._namespaces is not None and namespace not in self._namespaces:
                continue
            if kind == "DELETED" or "deletionTimestamp" in pod["metadata"]:
                self._pods.pop(uid, None)
                if uid in self._programs:
                    self._programs[uid].gone.set()
            else:
                self._pods[uid] = pod
                self._start(pod)
            self._let_waiting_pods_go_on(namespace)

    def _start(self, pod: Pod) -> None:
        """Begin to play a Pod, once it has a node and unless that has been done."""
        uid, app = pod["metadata"]["uid"], pod["metadata"]["labels"]["app"]
        if uid in self._seen or not pod["spec"].get("nodeName") or not self._gate.holds(pod):
            return
        self._seen.add(uid)
        mesh = mesh_of(app)
        if app == mesh.bootstrap:
            program = BootstrapProgram(self._cluster, self._gate, pod, mesh, self._mode, tell=self._tell)
            self._programs[uid] = program
            self._spawn(program.run, pod["metadata"]["name"])
        else:
            write_status(self._api, pod, waiting_in_init(pod))
            self._waiting.add(uid)

    def _let_waiting_pods_go_on(self, namespace: str) -> None:
        pods = [pod for pod in self._pods.values() if pod["metadata"]["namespace"] == namespace]
        ready = {pod["metadata"]["labels"]["app"] for pod in pods if _is_ready(pod)}
        for pod in pods:
            uid, app = pod["metadata"]["uid"], pod["metadata"]["labels"]["app"]
            if uid in self._waiting and mesh_of(app).bootstrap in ready:
                # Once: what is known of the Pod may be older than its release, and a second one would undo kwok's work.
                self._waiting.remove(uid)
                self._gate.release(pod)

    def _tell(self, event: BootstrapEvent) -> None:
        if event.action is not Action.FAILED or event not in self.events:
            self.events.append(event)


def _is_ready(pod: Pod) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
