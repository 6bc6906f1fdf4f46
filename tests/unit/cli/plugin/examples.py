"""MeshUpgrades in every state, with the conditions that the operator's own writer of status gives them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.plan import (
    AvailableVersion,
    CRDAction,
    ObjectAction,
    Plan,
    PlannedCRD,
    PlannedHop,
    PlannedImage,
    PlannedObject,
    PlannedValue,
    PlannedVersion,
    Reversibility,
    SchemaChange,
)
from meshupgrade.api.v1alpha1.status import (
    Attempts,
    DataPlaneStatus,
    HistoryAction,
    HistoryEntry,
    HistoryState,
    Phase,
    Remediation,
)
from meshupgrade.cli.plugin.upgrades import Upgrade, read
from meshupgrade.domain.plans import summarize
from meshupgrade.domain.state import TABLE, State
from meshupgrade.engine.status import StatusWriter
from meshupgrade.kube.client import Kube

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMESPACE, NAME = "osm-system", "osm"
SPEC: Mapping[str, Any] = {"version": "1.2.1", "mesh": {"distribution": "osm-edge"}, "upgrade": {"retries": 2}}

MESSAGES = {
    State.RUNNING: "1.1.0 → 1.2.1: ControlPlane: waiting for Deployment osm-system/osm-controller",
    State.COMPLETED: "the mesh runs 1.2.1",
    State.REFUSED: "osm.image.tag is not there. Set it to 1.2.1.",
    State.RETRYING: "attempt 1 of 3 failed: ImagePull: Pod osm-injector-0; the next one is in 5s",
    State.AWAITING_APPROVAL: "the plan waits for approval",
    State.OUTSIDE_WINDOW: "the next window opens at 2026-03-02 01:00 +0100",
    State.SUSPENDED: "spec.suspend is true",
    State.PLANNED: "spec.mode is Plan: 1.1.0 → 1.2.1, nothing was changed",
    State.ROLLING_BACK: "all attempts failed; going back to revision 1",
    State.ROLLED_BACK: "release osm is back at chart 1.1.0",
    State.ROLLBACK_FAILED: "the rollback failed as well: TimedOut",
    State.FAILED: "all attempts failed; nothing is rolled back, since spec.upgrade.onFailure is Hold",
    State.INVALID: "spec.upgrade.windows: 25:00 is no time",
    State.DUPLICATE: "MeshUpgrade older speaks of the same mesh",
}

IMAGE_PULL = "Pod osm-system/osm-injector-7d-x: image registry.example/osm-injector:9 cannot be pulled"

ERROR = Finding(
    name=FindingName.VALUES_INVALID, severity=Severity.ERROR, phase="Preflight",
    message="osm.replicas is a string", remedy="Set osm.replicas to a number.",
)  # fmt: skip
RISK = Finding(
    name=FindingName.BREAKING_CHANGE, severity=Severity.RISK, phase="Path",
    message="1.1.0 → 2.0.0 is a breaking change", remedy="Add BreakingChange to spec.upgrade.acceptRisks.",
)  # fmt: skip
WARNING = Finding(
    name=FindingName.NOT_DIGEST_PINNED, severity=Severity.WARNING, phase="DataPlane",
    message="the sidecar image has no digest", remedy="Pin it.",
)  # fmt: skip


def plan() -> Plan:
    """Give a plan of two hops in which everything happens."""
    first = PlannedHop(
        version="1.2.0", previous="1.1.0", chart="osm-edge", chart_digest="sha256:aaa", crd_digest="sha256:bbb",
        crds=[
            PlannedCRD(
                name="meshconfigs.config.openservicemesh.io", action=CRDAction.CHANGE,
                stored_before="v1alpha1", stored_after="v1alpha2",
                versions=[
                    PlannedVersion(name="v1alpha2", added=True),
                    PlannedVersion(
                        name="v1alpha1",
                        changes={
                            SchemaChange.ADDITIVE: ["spec.sidecar.image"],
                            SchemaChange.TIGHTENING: ["spec.traffic.ports"],
                            SchemaChange.DROPPING: ["spec.old"],
                        },
                    ),
                ],
            ),
            PlannedCRD(name="retries.policy.openservicemesh.io", action=CRDAction.CREATE),
            PlannedCRD(name="meshes.flomesh.io", action=CRDAction.CHANGE_SCOPE),
        ],
        objects=[
            PlannedObject(object="Service osm-system/new", action=ObjectAction.CREATE),
            PlannedObject(
                object="Deployment osm-system/osm-controller", action=ObjectAction.UPDATE,
                paths=[f"spec.template.spec.containers[0].args[{number}]" for number in range(23)],
            ),
            PlannedObject(object="Deployment osm-system/osm-injector", action=ObjectAction.RECREATE),
            PlannedObject(object="Service osm-system/old", action=ObjectAction.DELETE),
        ],
        images=[
            PlannedImage(
                workload="Deployment osm-system/osm-controller", container="osm-controller",
                before="flomesh/osm-controller:1.1.0", after="flomesh/osm-controller:1.2.0",
            )
        ],
        values=[
            PlannedValue(path="osm.replicas", before=1, after=2),
            PlannedValue(path="osm.added", after="x"),
            PlannedValue(path="osm.gone", before=["a"]),
            PlannedValue(path="osm.password", secret=True),
        ],
        storage=["meshconfigs.config.openservicemesh.io"],
        restarts=["Deployment osm-system/osm-controller"],
        random=["ConfigMap osm-system/preset-mesh-config data.id"],
    )  # fmt: skip
    second = PlannedHop(version="1.2.1", previous="1.2.0", chart="osm-edge", chart_digest="sha256:ccc")
    made = Plan(
        created_at=AT, namespace=NAMESPACE, mesh="osm", current="1.1.0", target="1.2.1", hops=[first, second],
        mesh_config=[PlannedValue(path="spec.observability.osmLogLevel", before="info", after="debug")],
        findings=[WARNING, RISK],
        interruptions=["while osm-injector is replaced, new Pods may start without a sidecar"],
        reversibility=[
            Reversibility(phase="CRDs", reversible=False, note="CRDs only roll forward"),
            Reversibility(phase="ControlPlane", reversible=True, note="helm rollback to the last verified revision"),
        ],
        estimate_seconds=95.0,
    )  # fmt: skip
    return made.model_copy(update={"digest": "sha256:d1"})


def history() -> list[HistoryEntry]:
    """Give an adopted release, an upgrade of it, and one that failed, the newest first."""

    def entry(action: HistoryAction, version: str, revision: int, state: HistoryState, **fields: Any) -> HistoryEntry:
        times = {"started_time": AT.replace(minute=revision), "completion_time": AT.replace(minute=revision, second=45)}
        facts = {"action": action, "version": version, "revision": revision, "state": state}
        return HistoryEntry.model_validate(facts | times | fields)

    done = HistoryState.COMPLETED
    return [
        entry(
            HistoryAction.UPGRADE, "1.2.1", 3, HistoryState.FAILED, from_="1.2.0", message="it\nfailed",
            accepted_risks=["Prerelease"],
        ),
        entry(HistoryAction.UPGRADE, "1.2.0", 2, done, from_="1.1.0", verified=True),
        entry(HistoryAction.ADOPT, "1.1.0", 1, done, from_="1.1.0", verified=True),
    ]  # fmt: skip


def begun_attempt() -> HistoryEntry:
    """Give an attempt that has not ended."""
    return HistoryEntry.model_validate(
        {"version": "1.2.1", "from": "1.2.0", "state": HistoryState.PARTIAL, "started_time": AT}
    )


def live(state: State | None, **fields: Any) -> dict[str, Any]:
    """Give the object of a state as the API server has it; ``fields`` are more of its status."""
    obj: dict[str, Any] = {
        "apiVersion": "meshupgrade.io/v1alpha1",
        "kind": "MeshUpgrade",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "uid": "u-1", "resourceVersion": "7", "generation": 3,
            "annotations": {},
        },
        "spec": dict(SPEC),
    }  # fmt: skip
    if state is None:
        return obj
    # Nothing is written, so there is no client.
    writer = StatusWriter(Kube.__new__(Kube), obj)
    shown = TABLE[state]
    writer.update(
        observed_generation=3, current_version="1.1.0", target_version="1.2.1", hops=["1.2.0", "1.2.1"],
        data_plane=DataPlaneStatus(total=5, current=3, outdated=1, unknown=1), operator_version="0.1.0",
    )  # fmt: skip
    if shown.phase is None:
        writer.update(phase=Phase.CONTROL_PLANE)
    writer.show(state, MESSAGES[state], FindingName.VALUES_INVALID if shown.reason is None else None)
    writer.condition(ConditionType.AVAILABLE, "True", Reason.HEALTHY, "4 of 4 workloads are ready")
    _phases(writer, state)
    writer.update(**fields)
    content = writer.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    for condition in content["conditions"]:
        condition["lastTransitionTime"] = "2026-03-01T12:00:00Z"
    return obj | {"status": content}


def _phases(writer: StatusWriter, state: State) -> None:
    """Set the conditions of the phases, as far as the state has come, and what goes with them."""
    names = list(ConditionType)[4:12]
    done = {State.COMPLETED: 8, State.REFUSED: 1, State.INVALID: 0, State.DUPLICATE: 0, State.SUSPENDED: 0}
    count = done.get(state, 2 if state in (State.AWAITING_APPROVAL, State.OUTSIDE_WINDOW, State.PLANNED) else 3)
    for number, name in enumerate(names):
        if number < count:
            writer.condition(name, "True", Reason.DONE, f"{name} is done")
        else:
            writer.condition(name, "Unknown", Reason.PENDING, "")
    if state is State.RUNNING:
        said = "waiting for Deployment osm-system/osm-controller"
        writer.condition(ConditionType.CONTROL_PLANE_UPGRADED, "Unknown", Reason.IN_PROGRESS, said)
        begun = begun_attempt()
        writer.update(current_version="1.2.0", history=[begun])
    if state is State.COMPLETED:
        writer.update(current_version="1.2.1")
        writer.condition(ConditionType.DATA_PLANE_RESTARTED, "False", Reason.REPORTED_ONLY, "1 Pod is outdated")
    if state is State.REFUSED:
        writer.condition(ConditionType.PREFLIGHT_PASSED, "False", FindingName.VALUES_INVALID, ERROR.message)
        writer.findings([WARNING, RISK, ERROR])
    if state in (State.AWAITING_APPROVAL, State.OUTSIDE_WINDOW, State.PLANNED):
        approved = state is State.OUTSIDE_WINDOW
        writer.update(
            plan=summarize(plan(), secret="meshupgrade-plan-1", inputs="sha256:i", approved=approved, carried=False)
        )
        writer.findings([WARNING])
    if state in (State.RETRYING, State.FAILED, State.ROLLED_BACK, State.ROLLBACK_FAILED):
        writer.condition(ConditionType.CONTROL_PLANE_UPGRADED, "False", Reason.IMAGE_PULL, IMAGE_PULL)
        count = 1 if state is State.RETRYING else 3
        held = Remediation.HELD if state is State.FAILED else None
        writer.update(
            attempts=Attempts(input_digest="sha256:i", count=count, message=IMAGE_PULL, remediation=held),
            history=history(),
        )
    if state is State.ROLLED_BACK:
        writer.condition(ConditionType.ROLLED_BACK, "True", Reason.DONE, MESSAGES[state])


def upgrade(state: State | None, **fields: Any) -> Upgrade:
    """Give the MeshUpgrade of a state."""
    return read(live(state, **fields))


VERSIONS = [
    AvailableVersion(version="2.0.0", allowed=False, reason="BreakingChange", message="a new major version"),
    AvailableVersion(version="1.2.1", allowed=True),
    AvailableVersion(version="1.1.0", allowed=True),
]
