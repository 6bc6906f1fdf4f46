"""`approve` and `rollback`: what an admin decides, written as an annotation on exactly what was shown."""

import sys

import typer
from rich.console import Group

from meshupgrade.api.v1alpha1.names import APPROVED_PLAN, ROLLBACK_REQUESTED
from meshupgrade.api.v1alpha1.plan import PlanSummary, Reversibility
from meshupgrade.api.v1alpha1.status import HistoryEntry
from meshupgrade.cli.plugin.errors import UserError
from meshupgrade.cli.plugin.options import Where
from meshupgrade.cli.plugin.output import show
from meshupgrade.cli.plugin.plan_view import reversibility_lines
from meshupgrade.cli.plugin.plans import full_plan
from meshupgrade.cli.plugin.rollback_target import rollback_target
from meshupgrade.cli.plugin.session import Session, connect
from meshupgrade.cli.plugin.summary_view import summary_lines
from meshupgrade.cli.plugin.upgrades import Upgrade, annotate, find_one
from meshupgrade.cli.plugin.words import when
from meshupgrade.domain.state import State
from meshupgrade.kube.errors import Conflict, Forbidden

__all__ = ["approve_plan", "request_rollback", "waiting_plan"]

TRIES = 5
"""How often it is looked again whether what was decided on still stands, when the object changed meanwhile."""


async def approve_plan(where: Where, name: str | None, digest: str | None, *, yes: bool) -> None:
    """Approve the plan that waits, when it has that digest. Raises UserError."""
    async with connect(where) as session:
        upgrade = await find_one(session, name)
        plan = waiting_plan(upgrade, digest)
        show(Group(*summary_lines(upgrade, plan)))
        if upgrade.annotations.get(APPROVED_PLAN) == plan.digest:
            show("This plan is approved already.")
            return
        show(f"All of it: kubectl meshupgrade plan {upgrade.name} -n {upgrade.namespace}")
        _confirm(f"Approve this plan for {upgrade}?", yes=yes)
        for _ in range(TRIES):
            if await _annotated(session, upgrade, APPROVED_PLAN, plan.digest):
                show(f"{upgrade}: approved {plan.digest}")
                return
            upgrade = await find_one(session, upgrade.name)
            waiting_plan(upgrade, plan.digest)
        raise UserError(f"{upgrade} changes all the time; try again")


def waiting_plan(upgrade: Upgrade, digest: str | None) -> PlanSummary:
    """Give the plan that waits for approval. Raises UserError when none does, or it has another digest."""
    state, plan = upgrade.state(), upgrade.status.plan
    if not upgrade.is_seen:
        raise UserError(
            f"{upgrade}: the operator has not taken up generation {upgrade.generation} yet; wait for its plan"
        )
    if state is not State.AWAITING_APPROVAL or plan is None:
        now = f"it is {state}" if state else "it was not looked at yet"
        raise UserError(f"{upgrade} does not wait for approval: {now}; see kubectl meshupgrade why")
    if digest is not None and digest != plan.digest:
        raise UserError(f"{upgrade}: the plan is {plan.digest} by now, and not {digest}; look at it again")
    return plan


async def request_rollback(where: Where, name: str | None, revision: int | None, *, yes: bool) -> None:
    """Ask for a rollback to a verified revision, after it was shown what that takes back. Raises UserError."""
    async with connect(where) as session:
        upgrade = await find_one(session, name)
        entry = rollback_target(upgrade, revision)
        await _show_rollback(session, upgrade, entry)
        if upgrade.annotations.get(ROLLBACK_REQUESTED) == str(entry.revision):
            undo = f"kubectl annotate meshupgrade {upgrade.name} -n {upgrade.namespace} {ROLLBACK_REQUESTED}-"
            raise UserError(
                f"a rollback to revision {entry.revision} was asked for already; to ask again, take that away: {undo}"
            )
        if upgrade.spec.get("suspend"):
            show("It is suspended: the rollback begins when spec.suspend is false again.")
        _confirm(f"Roll {upgrade} back to revision {entry.revision}?", yes=yes)
        for _ in range(TRIES):
            if await _annotated(session, upgrade, ROLLBACK_REQUESTED, str(entry.revision)):
                show(f"{upgrade}: asked for a rollback to revision {entry.revision}")
                return
            upgrade = await find_one(session, upgrade.name)
            if rollback_target(upgrade, entry.revision).version != entry.version:
                break
        raise UserError(f"{upgrade} was changed meanwhile; look again")


async def _show_rollback(session: Session, upgrade: Upgrade, entry: HistoryEntry) -> None:
    current = upgrade.status.current_version or "what runs"
    show(f"Rollback of {upgrade}: {current} → {entry.version}, revision {entry.revision}")
    show(f"Verified {when(entry.completion_time or entry.started_time)}, {entry.action}.")
    try:
        plan = await full_plan(session, upgrade)
    except Forbidden:
        plan = None
    if plan is not None and plan.reversibility:
        show(f"By the plan {plan.digest} to {plan.target}:")
        show(Group(*reversibility_lines(plan.reversibility)))
        return
    show("There is no plan of the upgrade any more, so in general:")
    show(Group(*reversibility_lines(IN_GENERAL)))


IN_GENERAL = (
    Reversibility(phase="ControlPlane", reversible=True, note="helm rollback to that revision"),
    Reversibility(
        phase="CRDs",
        reversible=False,
        note="they are not rolled back; but a bootstrap that replaces CRDs writes its own when it starts, and fields "
        "that only the newer ones have are lost from objects that are written then",
    ),
    Reversibility(phase="Storage", reversible=False, note="objects stay stored in the version that they have now"),
    Reversibility(phase="MeshConfig", reversible=False, note="it is not rolled back; patch it back in the spec"),
)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("nobody is there to be asked; give --yes when you have looked at it")
    if not typer.confirm(question, err=True):
        raise UserError("nothing was done")


async def _annotated(session: Session, upgrade: Upgrade, name: str, value: str) -> bool:
    """Set the annotation; False when the object was changed since it was seen. Raises UserError."""
    try:
        await annotate(session, upgrade, name, value)
    except Conflict:
        return False
    except Forbidden as error:
        raise UserError(
            f"you may not set {name} on {upgrade}: that needs the verbs patch and approve on "
            f"meshupgrades.meshupgrade.io, which ClusterRole meshupgrade-approver has. The API server says: {error}"
        ) from error
    return True
