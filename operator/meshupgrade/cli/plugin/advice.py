"""What each state, and each reason of a phase that failed, means and what to do about it, in plain words.

``{name}`` and ``{namespace}`` are those of the MeshUpgrade.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.domain.state import State

__all__ = ["BY_REASON", "BY_STATE", "UNSEEN", "Advice"]


@dataclass(frozen=True)
class Advice:
    """What a state means, and the next steps."""

    headline: str
    steps: tuple[str, ...] = ()


PLUGIN = "kubectl meshupgrade"
FRESH_RUN = (
    'kubectl annotate meshupgrade {name} -n {namespace} --overwrite meshupgrade.io/reconcile-requested-at="$(date +%s)"'
)
ANEW = f"Remove the cause. Then change the spec, or ask for new attempts: {FRESH_RUN}"

UNSEEN: Final = Advice(
    "Not Ready: the operator has not taken up this spec yet.",
    (
        "If that stays so, look whether the operator runs and may read MeshUpgrades: "
        "kubectl get pods -n meshupgrade-system",
    ),
)

BY_STATE: Final[Mapping[State, Advice]] = {
    State.RUNNING: Advice(
        "Not Ready yet: an upgrade is under way.", (f"Wait: {PLUGIN} status {{name}} -n {{namespace}} --watch",)
    ),
    State.COMPLETED: Advice("Ready: the mesh runs the version of the spec, and its control plane was seen healthy."),
    State.REFUSED: Advice(
        "Not Ready: the upgrade is refused, and nothing was changed.",
        ("Do what the findings say. It is looked at again once a minute, and when the spec changes.",),
    ),
    State.RETRYING: Advice(
        "Not Ready: an attempt failed, or something does not answer. It goes on by itself.",
        ("Remove the cause before the attempts are used up.",),
    ),
    State.AWAITING_APPROVAL: Advice(
        "Not Ready: the plan waits for somebody to approve it. Nothing was changed.",
        (
            f"Read the plan: {PLUGIN} plan {{name}} -n {{namespace}}",
            f"Approve it, for which you need the verb approve: {PLUGIN} approve {{name}} -n {{namespace}}",
        ),
    ),
    State.OUTSIDE_WINDOW: Advice(
        "Not Ready: the plan is made, and waits for the next maintenance window.",
        ("Wait until the window opens; it begins by itself. To begin earlier, change spec.upgrade.windows.",),
    ),
    State.SUSPENDED: Advice(
        "Not Ready: the MeshUpgrade is suspended, and nothing is done.",
        (
            "To go on: kubectl patch meshupgrade {name} -n {namespace} --type=merge "
            """-p '{{"spec":{{"suspend":false}}}}'""",
        ),
    ),
    State.PLANNED: Advice(
        "Not Ready: spec.mode is Plan, so the plan was made and nothing is changed.",
        (
            f"Read the plan: {PLUGIN} plan {{name}} -n {{namespace}}",
            "To carry it out, set spec.mode to Apply.",
        ),
    ),
    State.ROLLING_BACK: Advice(
        "Not Ready: the release is brought back to its last verified revision.",
        (f"Wait: {PLUGIN} status {{name}} -n {{namespace}} --watch",),
    ),
    State.ROLLED_BACK: Advice(
        "Not Ready: the release was brought back to its last verified revision, and was seen healthy there.",
        (
            f"See which attempts there were: {PLUGIN} history {{name}} -n {{namespace}}",
            f"After a failure: {ANEW}",
            "After a rollback that you asked for: set spec.version to what the mesh is to run.",
        ),
    ),
    State.ROLLBACK_FAILED: Advice(
        "Not Ready: the upgrade failed, and so did the rollback. The mesh needs a person.",
        ("Look at the Pods of the mesh: kubectl get pods -n {namespace}", ANEW),
    ),
    State.FAILED: Advice(
        "Not Ready: all attempts failed. The mesh stays as the last one left it.",
        (f"See which attempts there were: {PLUGIN} history {{name}} -n {{namespace}}", ANEW),
    ),
    State.INVALID: Advice(
        "Not Ready: the spec has something that cannot be.", ("Correct the field that the message names.",)
    ),
    State.DUPLICATE: Advice(
        "Not Ready: an older MeshUpgrade speaks of the same mesh, and that one alone counts.",
        ("Delete one of the two; this one is taken up when the older one goes.",),
    ),
}

BY_REASON: Final[Mapping[Reason, str]] = {
    Reason.UNHEALTHY: "Look at the workloads that are named: kubectl get pods -n {namespace}",
    Reason.TIMED_OUT: "Look at the workloads that are named; give more time with spec.upgrade.timeout.",
    Reason.INSUFFICIENT_RESOURCES: "Add nodes, free resources, or lower the requests in spec.values.",
    Reason.IMAGE_PULL: "Correct the image where the message says it is set, or the imagePullSecrets.",
    Reason.CRASH_LOOP: "Read the log of the container: kubectl logs -n {namespace} POD -c CONTAINER --previous",
    Reason.INVALID_CLI_PARAMETERS: (
        "Chart and image are of different versions: take image registry and tag out of spec.values, or set them to the "
        "chart's."
    ),
    Reason.PROBE_FAILING: "Read the log of the Pod that is named.",
    Reason.QUOTA: "Raise the quota that is named, or give the Pods the requests and limits that it asks for.",
    Reason.WEBHOOK_UNREACHABLE: "Bring up the Service of the webhook that is named, or take its configuration away.",
    Reason.HELM_FAILED: "Do what Helm's message says.",
    Reason.AUTHORITY_CHANGED: (
        "Put the Secret of the mesh's authority back, or restart all meshed workloads; then ask for a fresh run: "
        + FRESH_RUN
    ),
    Reason.INJECTION_BROKEN: (
        "Look at the injector of the mesh, its Pods and its log: kubectl get pods -n {namespace}. Once it works, the "
        "restart goes on."
    ),
    Reason.DISRUPTION_FORBIDDEN: (
        "Let the PodDisruptionBudget that is named allow a Pod to go, or have the workload left alone by the "
        "annotation meshupgrade.io/restart=Never."
    ),
    Reason.RESTART_UNDONE: (
        "Have whoever is named leave the annotation meshupgrade.io/restarted-for on Pod templates alone; "
        "docs/data-plane.md says how for Argo CD and Flux."
    ),
    Reason.API_REJECTED: "Do what the message of the API server says.",
    Reason.UNREACHABLE: "Make it answer; that costs no attempt.",
    Reason.INTERNAL_ERROR: f"Report it, with what this collects: {PLUGIN} report {{name}} -n {{namespace}}",
    Reason.ROLLBACK_REFUSED: (
        f"Nothing was rolled back. See which revisions are verified: {PLUGIN} history {{name}} -n {{namespace}}"
    ),
    Reason.DRIFTED: (
        "Somebody changed objects of the release by hand. Put them back, write the change into spec.values, or set "
        "spec.driftPolicy."
    ),
    Reason.REPORTED_ONLY: "Nothing is broken; it is due when it suits you.",
}
