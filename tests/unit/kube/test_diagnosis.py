"""Why a Pod is not ready, from its status as the kubelet and the scheduler write it."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.causes import of_data_plane
from meshupgrade.kube.diagnosis import _crashed, cause_of_pod

IMAGE = "r.example/osm-edge-controller:1.3.0"
RUNNING = {"running": {"startedAt": "2026-11-22T18:00:00Z"}}
CRASHED = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-22T18:00:00Z"}
FATAL = (
    '{"level":"info","component":"osm-controller/main","message":"Starting osm-controller v1.3.0"}\n'
    '{"level":"fatal","component":"osm-controller/main","reason":"FatalInvalidCLIParameters",'
    '"message":"Error validating CLI parameters: Please specify the init container image using '
    '--init-container-image"}\n'
    "exit\n"
)


def container(
    state: dict[str, Any], *, name: str = "osm-controller", ready: bool = False, restarts: int = 0
) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "ready": ready, "restartCount": restarts, "state": state}


def waiting(reason: str, message: str = "", restarts: int = 0, name: str = "osm-controller") -> dict[str, Any]:
    return container(
        {"waiting": {"reason": reason, **({"message": message} if message else {})}}, name=name, restarts=restarts
    )


def pod(
    *containers: dict[str, Any],
    init: tuple[dict[str, Any], ...] = (),
    phase: str = "Pending",
    conditions: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    return {
        "metadata": {"name": "osm-controller-7d4f", "namespace": "osm-system"},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            **({"initContainerStatuses": list(init)} if init else {}),
            **({"containerStatuses": list(containers)} if containers else {}),
        },
    }


def unschedulable(message: str) -> dict[str, Any]:
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


NOT_READY = {
    "type": "Ready",
    "status": "False",
    "reason": "ContainersNotReady",
    "message": "containers with unready status",
}
READY = {"type": "Ready", "status": "True"}
NAME = "Pod osm-controller-7d4f"


@pytest.mark.parametrize(
    ("status", "logs", "reason", "message"),
    [
        pytest.param(
            pod(conditions=(unschedulable("0/1 nodes are available: 1 Insufficient cpu."),)),
            {},
            Reason.INSUFFICIENT_RESOURCES,
            f"{NAME} cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu",
            id="no cpu",
        ),
        pytest.param(
            pod(conditions=(unschedulable("0/3 nodes are available: 3 Insufficient memory."),)),
            {},
            Reason.INSUFFICIENT_RESOURCES,
            f"{NAME} cannot be scheduled: 0/3 nodes are available: 3 Insufficient memory",
            id="no memory",
        ),
        *(
            pytest.param(
                pod(waiting(reason, "not found")),
                {},
                Reason.IMAGE_PULL,
                f"{NAME}: the image {IMAGE} of container osm-controller cannot be pulled ({reason}: not found)",
                id=reason,
            )
            for reason in (
                "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
            )
        ),
        pytest.param(
            pod(waiting("PodInitializing"), init=(waiting("ImagePullBackOff", name="init-osm-bootstrap"),)),
            {},
            Reason.IMAGE_PULL,
            f"{NAME}: the image {IMAGE} of init container init-osm-bootstrap cannot be pulled (ImagePullBackOff)",
            id="image of an init container",
        ),
        pytest.param(
            pod(waiting("CrashLoopBackOff", "back-off 10s", restarts=3), phase="Running", conditions=(NOT_READY,)),
            {"osm-controller": "starting\npanic: no CA\n\n"},
            Reason.CRASH_LOOP,
            f"{NAME}: container osm-controller crashes (CrashLoopBackOff, 3 restarts); it last said: panic: no CA",
            id="crash loop",
        ),
        pytest.param(
            pod(waiting("CrashLoopBackOff", restarts=1)),
            {},
            Reason.CRASH_LOOP,
            f"{NAME}: container osm-controller crashes (CrashLoopBackOff, 1 restarts)",
            id="crash loop without a log",
        ),
        pytest.param(
            pod(container({"terminated": CRASHED}, restarts=2), phase="Running"),
            {"osm-controller": "no way\n"},
            Reason.CRASH_LOOP,
            f"{NAME}: container osm-controller crashes (Error, 2 restarts); it last said: no way",
            id="just crashed",
        ),
        pytest.param(
            pod(waiting("RunContainerError", 'exec: "/osm": no such file')),
            {},
            Reason.CRASH_LOOP,
            f"{NAME}: container osm-controller crashes (RunContainerError, 0 restarts)",
            id="cannot be run",
        ),
        pytest.param(
            pod(waiting("CrashLoopBackOff", restarts=4), phase="Running", conditions=(NOT_READY,)),
            {"osm-controller": FATAL},
            Reason.INVALID_CLI_PARAMETERS,
            f"{NAME}: container osm-controller refuses its command line: {FATAL.splitlines()[1]}",
            id="command line of another version",
        ),
        pytest.param(
            pod(container(RUNNING), phase="Running", conditions=(NOT_READY,)),
            {},
            Reason.PROBE_FAILING,
            f"{NAME} runs but is not ready: osm-controller",
            id="probe",
        ),
        pytest.param(
            pod(
                container(RUNNING, name="proxy", ready=True),
                container(RUNNING),
                phase="Running",
                conditions=(NOT_READY,),
            ),
            {},
            Reason.PROBE_FAILING,
            f"{NAME} runs but is not ready: osm-controller",
            id="probe of one of two",
        ),
    ],
)  # fmt: skip
def test_causes(status: dict[str, Any], logs: dict[str, str], reason: Reason, message: str) -> None:
    cause = cause_of_pod(status, logs)
    assert cause is not None
    assert (cause.reason, cause.message) == (reason, message)
    assert cause.remedy
    assert str(cause) == f"{message}. {cause.remedy}"


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError"])
def test_a_container_that_cannot_be_made_is_a_cause(reason: str) -> None:
    assert cause_of_pod(pod(waiting(reason, 'secret "osm-ca-bundle" not found')), {}) is not None


@pytest.mark.parametrize(
    "status",
    [
        pod(),
        pod(conditions=({"type": "PodScheduled", "status": "True"},)),
        pod(waiting("ContainerCreating")),
        pod(waiting("PodInitializing"), init=(container(RUNNING, name="init"),)),
        pod(container(RUNNING, ready=True), phase="Running", conditions=(READY,)),
        # It crashed before, and is well now.
        pod(container(RUNNING, ready=True, restarts=3), phase="Running", conditions=(READY,)),
        pod(container({"terminated": {"exitCode": 0, "reason": "Completed"}}), phase="Succeeded"),
        # Scheduling gates wait for a person, not for resources.
        pod(conditions=({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"},)),
    ],
)
def test_a_pod_that_is_well_or_on_its_way_has_no_cause(status: dict[str, Any]) -> None:
    assert cause_of_pod(status, {}) is None


def test_the_command_line_remedy_names_image_and_chart() -> None:
    cause = cause_of_pod(pod(waiting("CrashLoopBackOff", restarts=4)), {"osm-controller": FATAL})
    assert cause is not None
    assert "set the image registry and tag in spec.values to those of the chart" in cause.remedy


def test_a_long_line_is_cut() -> None:
    cause = cause_of_pod(pod(waiting("CrashLoopBackOff")), {"osm-controller": "x" * 5000})
    assert cause is not None
    assert len(cause.message) < 700


def test_logs_are_read_of_containers_that_crashed() -> None:
    status = pod(
        container(RUNNING, name="well"),
        container(RUNNING, name="restarted", restarts=1),
        container({"terminated": CRASHED}, name="crashed"),
        container({"terminated": {"exitCode": 0}}, name="completed"),
        init=(waiting("CrashLoopBackOff", restarts=1, name="init"),),
    )
    assert _crashed(status) == ["init", "restarted", "crashed"]


OTHERS = of_data_plane(["sidecar", "osm-init"])


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        pytest.param(
            pod(waiting("ImagePullBackOff", name="sidecar")),
            f"{NAME}: the image {IMAGE} of sidecar container sidecar cannot be pulled (ImagePullBackOff)",
            "Set spec.dataPlane.sidecarImage to an image that exists and that the nodes may pull",
            id="image of the sidecar",
        ),
        pytest.param(
            pod(waiting("PodInitializing", name="app"), init=(waiting("ErrImagePull", name="osm-init"),)),
            f"{NAME}: the image {IMAGE} of init container osm-init cannot be pulled (ErrImagePull)",
            "Set spec.dataPlane.sidecarImage to an image that exists and that the nodes may pull",
            id="image of the init container",
        ),
        pytest.param(
            pod(waiting("ImagePullBackOff", name="app")),
            f"{NAME}: the image {IMAGE} of container app cannot be pulled (ImagePullBackOff)",
            "Correct the image of the workload, or its imagePullSecrets",
            id="its own image",
        ),
        pytest.param(
            pod(waiting("CrashLoopBackOff", restarts=2, name="sidecar")),
            f"{NAME}: sidecar container sidecar crashes (CrashLoopBackOff, 2 restarts)",
            "Look at its log: kubectl logs -n osm-system osm-controller-7d4f -c sidecar",
            id="the sidecar crashes",
        ),
        pytest.param(
            pod(waiting("PodInitializing", name="app"), init=(container({"terminated": CRASHED}, name="osm-init"),)),
            f"{NAME}: init container osm-init crashes (Error, 0 restarts)",
            "Look at its log: kubectl logs -n osm-system osm-controller-7d4f -c osm-init",
            id="the init container crashes",
        ),
        pytest.param(
            pod(conditions=(unschedulable("0/1 nodes are available: 1 Insufficient cpu."),)),
            f"{NAME} cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu",
            "Add nodes or free resources, or lower the requests of the workload",
            id="no room",
        ),
    ],
)
def test_what_is_told_of_a_workload_of_the_data_plane(status: dict[str, Any], message: str, remedy: str) -> None:
    cause = cause_of_pod(status, {}, OTHERS)
    assert cause is not None
    assert (cause.message, cause.remedy) == (message, remedy)
