"""What `status` shows: one tree for a MeshUpgrade, or one line for each change of it."""

from rich.text import Text
from rich.tree import Tree

from meshupgrade.api.v1alpha1.conditions import Condition, ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, Severity
from meshupgrade.api.v1alpha1.status import MeshUpgradeStatus
from meshupgrade.cli.plugin.upgrades import Upgrade
from meshupgrade.cli.plugin.words import bar, mark, step
from meshupgrade.domain.state import State

__all__ = ["change_line", "status_tree"]

WHOLE = (ConditionType.READY, ConditionType.AVAILABLE, ConditionType.RECONCILING, ConditionType.STALLED)
"""The conditions of the whole object; the others are of one phase each, or of something that happened."""

HAPPENED = (ConditionType.ROLLED_BACK, ConditionType.DRIFTED)
"""Conditions that are no steps on the way; they come last."""

GOOD = {"True": "green", "False": "red", "Unknown": "yellow"}
BAD = {"True": "red", "False": "green", "Unknown": "yellow"}


def status_tree(upgrade: Upgrade) -> Tree:
    """Give the tree of a MeshUpgrade."""
    status, mesh = upgrade.status, upgrade.spec.get("mesh") or {}
    title = Text.assemble((str(upgrade), "bold"), f"  {mesh.get('distribution', '')} {mesh.get('name') or ''}".rstrip())
    tree = Tree(title, guide_style="dim")
    asked = f"   (spec: {upgrade.spec.get('version')})"
    tree.add(
        Text.assemble("Version     ", (step(status.current_version, status.target_version), "bold"), (asked, "dim"))
    )
    tree.add(Text.assemble("Phase       ", (str(status.phase or "not looked at yet"), "bold")))
    if not upgrade.is_seen:
        seen = status.observed_generation or "none"
        tree.add(Text(f"Generation {upgrade.generation} is not taken up yet, the operator saw {seen}", style="yellow"))
    for condition in status.conditions:
        if condition.type in WHOLE:
            tree.add(_whole(condition))
    _add_hops(tree, upgrade)
    _add_phases(tree, status)
    _add_rest(tree, upgrade)
    return tree


def change_line(upgrade: Upgrade) -> str:
    """Give the state of a MeshUpgrade in one line, for a log."""
    status, ready = upgrade.status, upgrade.condition(ConditionType.READY)
    said = f"Ready={ready.status} {ready.reason}: {ready.message}" if ready else "not looked at yet"
    running = next((item for item in status.conditions if item.reason == Reason.IN_PROGRESS), None)
    doing = f" [{running.type}: {running.message}]" if running and ready and running.message != ready.message else ""
    way = step(status.current_version, status.target_version)
    return " ".join(f"{upgrade} {way} {status.phase or '-'} {said}{doing}".split())


def _whole(condition: Condition) -> Text:
    styles = BAD if condition.type is ConditionType.STALLED else GOOD
    return Text.assemble(
        f"{condition.type:<12}",
        (condition.status, styles[condition.status]),
        f" {condition.reason}: {condition.message}",
    )


def _add_hops(tree: Tree, upgrade: Upgrade) -> None:
    status = upgrade.status
    hops = status.hops or (status.plan.hops if status.plan else [])
    if not hops:
        return
    attempt = upgrade.open_attempt()
    current = attempt.version if attempt is not None and attempt.version in hops else None
    if upgrade.state() is State.COMPLETED:
        done = len(hops)
    elif current is not None:
        done = hops.index(current)
    else:
        done = hops.index(status.current_version) + 1 if status.current_version in hops else 0
    branch = tree.add(Text.assemble("Hops        ", bar(done, len(hops))))
    for number, hop in enumerate(hops):
        if number < done:
            branch.add(Text.assemble(("✓ ", "green"), hop))
        else:
            branch.add(Text.assemble(("▶ ", "cyan"), hop) if hop == current else Text(f"· {hop}", style="dim"))


def _add_phases(tree: Tree, status: MeshUpgradeStatus) -> None:
    steps = [item for item in status.conditions if item.type not in WHOLE and item.type not in HAPPENED]
    if steps:
        done = sum(item.status == "True" or item.reason == Reason.REPORTED_ONLY for item in steps)
        branch = tree.add(Text.assemble("Phases      ", bar(done, len(steps))))
        for item in steps:
            branch.add(_line(item))
    for item in status.conditions:
        if item.type in HAPPENED:
            tree.add(_line(item))


def _line(condition: Condition) -> Text:
    said = f" {condition.reason}" + (f": {condition.message}" if condition.message else "")
    return Text.assemble(mark(condition), " ", (str(condition.type), "bold"), said)


def _add_rest(tree: Tree, upgrade: Upgrade) -> None:
    status = upgrade.status
    if status.plan is not None and status.plan.changes:
        approved = "approved" if status.plan.approved else "not approved"
        tree.add(Text(f"Plan        {status.plan.digest} ({approved})"))
    if status.findings:
        tree.add(Text(f"Findings    {_counts(status.findings)}; see kubectl meshupgrade why"))
    if status.attempts is not None and status.attempts.count:
        retries = (upgrade.spec.get("upgrade") or {}).get("retries")
        budget = f" of {retries + 1}" if isinstance(retries, int) else ""
        why = f": {status.attempts.message}" if status.attempts.message else ""
        tree.add(Text(f"Attempts    {status.attempts.count}{budget} failed{why}"))
    if (pods := status.data_plane) is not None:
        counts = {"current": pods.current, "outdated": pods.outdated, "unknown": pods.unknown}
        said = f"{pods.total} Pods: " + ", ".join(f"{n} {what}" for what, n in counts.items())
        said += f"; {pods.unmanaged} of them unmanaged" if pods.unmanaged else ""
        said += f"; {pods.uninjected} beside them without a sidecar" if pods.uninjected else ""
        tree.add(Text(f"Data plane  {said}"))


def _counts(findings: list[Finding]) -> str:
    weights = [finding.severity for finding in findings]
    return ", ".join(f"{weights.count(weight)} {weight}" for weight in Severity if weight in weights)
