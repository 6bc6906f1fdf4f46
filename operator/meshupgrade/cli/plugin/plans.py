"""`plan`: the plan of a MeshUpgrade, as the operator made it."""

from rich.console import Group

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.plan import Plan
from meshupgrade.cli.plugin.errors import ChangesDue, UserError
from meshupgrade.cli.plugin.options import Where
from meshupgrade.cli.plugin.output import Format, clean, note, show, write
from meshupgrade.cli.plugin.plan_view import findings_lines, plan_lines
from meshupgrade.cli.plugin.session import Session, connect
from meshupgrade.cli.plugin.summary_view import summary_lines
from meshupgrade.cli.plugin.upgrades import Upgrade, find_some
from meshupgrade.domain.state import State
from meshupgrade.engine.plan_store import PlanUnreadable, read_plan
from meshupgrade.kube.errors import Forbidden

__all__ = ["cleaned", "end", "full_plan", "show_plan", "show_plans"]


async def show_plans(where: Where, name: str | None, form: Format | None) -> None:
    """Show the plans of MeshUpgrades. Raises ChangesDue, and UserError where something speaks against one."""
    due, refused = False, []
    async with connect(where) as session:
        for upgrade in await find_some(session, name):
            due |= await _show_one(session, upgrade, form)
            if any(finding.blocks(upgrade.accepted_risks()) for finding in upgrade.status.findings):
                refused.append(str(upgrade))
    end(due=due, refused=", ".join(refused))


async def full_plan(session: Session, upgrade: Upgrade) -> Plan | None:
    """Give the whole plan of a MeshUpgrade, None when it is not there. Raises UserError, Forbidden."""
    summary = upgrade.status.plan
    if summary is None or not summary.secret:
        return None
    try:
        plan = await read_plan(session.kube, upgrade.namespace, summary.secret)
    except PlanUnreadable as error:
        raise UserError(str(error)) from error
    return cleaned(plan) if plan is not None else None


async def _show_one(session: Session, upgrade: Upgrade, form: Format | None) -> bool:
    """Show the plan of one MeshUpgrade, and tell whether it is due."""
    status, accepted = upgrade.status, upgrade.accepted_risks()
    if not upgrade.is_seen:
        note(f"{upgrade}: the operator has not taken up generation {upgrade.generation} yet; this is of the one before")
    try:
        plan = await full_plan(session, upgrade)
    except Forbidden as error:
        if form is not None:
            raise
        note(f"{upgrade}: the whole plan is in a Secret that you may not read ({error}); this is its summary")
        plan = None
    done = upgrade.state() is State.COMPLETED and upgrade.is_seen
    if plan is not None:
        show_plan(plan, [], accepted, form)
    elif form is not None:
        show_plan(None, status.findings, accepted, form)
    elif status.plan is not None:
        show(Group(*summary_lines(upgrade, status.plan)))
    elif status.findings:
        show(Group(*findings_lines(status.findings, accepted)))
    if status.plan is None and not done and not status.findings:
        raise UserError(f"{upgrade} has no plan yet; see kubectl meshupgrade why")
    if done and form is None:
        show(f"{upgrade}: nothing is due" + ("; this is carried out." if plan is not None else "."))
    return not done and status.plan is not None and status.plan.changes


def show_plan(plan: Plan | None, findings: list[Finding], accepted: frozenset[str], form: Format | None) -> None:
    """Show a plan, or the findings that kept it from being made."""
    if form is None:
        show(Group(*(plan_lines(plan, accepted) if plan is not None else findings_lines(findings, accepted))))
        return
    dumped = [finding.model_dump(mode="json", by_alias=True) for finding in findings]
    content = plan.model_dump(mode="json", by_alias=True, exclude_none=True) if plan else {"findings": dumped}
    write(content, form)


def end(*, due: bool, refused: str) -> None:
    """Raise what the exit code is to be of: a UserError for what is refused, ChangesDue for what is due."""
    if refused:
        raise UserError(f"the upgrade of {refused} is refused by what was found")
    if due:
        raise ChangesDue


def cleaned(plan: Plan) -> Plan:
    """Give the plan without characters that a terminal would act on."""
    return Plan.model_validate(clean(plan.model_dump(mode="json", by_alias=True, exclude_unset=True)))
