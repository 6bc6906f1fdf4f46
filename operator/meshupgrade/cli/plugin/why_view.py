"""What `why` shows: why a MeshUpgrade is as it is, and what to do next, in plain words."""

from collections.abc import Iterator

from rich.text import Text

from meshupgrade.api.v1alpha1.conditions import Condition, ConditionType
from meshupgrade.api.v1alpha1.status import Remediation
from meshupgrade.cli.plugin.advice import BY_REASON, BY_STATE, UNSEEN
from meshupgrade.cli.plugin.status_view import WHOLE
from meshupgrade.cli.plugin.upgrades import Upgrade
from meshupgrade.cli.plugin.words import finding_lines
from meshupgrade.domain.state import State

__all__ = ["why_lines"]


def why_lines(upgrade: Upgrade) -> list[Text]:
    """Give the explanation in lines."""
    return list(_why(upgrade))


def _why(upgrade: Upgrade) -> Iterator[Text]:
    state = upgrade.state()
    advice = BY_STATE[state] if state is not None and upgrade.is_seen else UNSEEN
    style = "green" if state is State.COMPLETED and upgrade.is_seen else "yellow"
    yield Text.assemble((f"{upgrade}: ", "bold"), (advice.headline, f"bold {style}"))
    ready = upgrade.condition(ConditionType.READY)
    if ready is not None and ready.message:
        before = "" if upgrade.is_seen else "Of the spec before: "
        yield Text(f"  {before}{ready.message}")
    if upgrade.is_seen and (left := _attempts(upgrade)):
        yield Text(f"  {left}")
    steps = [step.format(name=upgrade.name, namespace=upgrade.namespace) for step in advice.steps]
    yield from _findings(upgrade)
    yield from _conditions(upgrade)
    if steps:
        yield Text("What to do", style="bold")
        yield from (Text(f"  → {step}") for step in steps)


def _attempts(upgrade: Upgrade) -> str:
    attempts = upgrade.status.attempts
    if attempts is None or not attempts.count:
        return ""
    held = "; nothing is rolled back" if attempts.remediation is Remediation.HELD else ""
    return f"Failed attempts so far: {attempts.count}{held}."


def _findings(upgrade: Upgrade) -> Iterator[Text]:
    accepted = upgrade.accepted_risks()
    blocking = [finding for finding in upgrade.status.findings if finding.blocks(accepted)]
    others = [finding for finding in upgrade.status.findings if not finding.blocks(accepted)]
    for title, findings in (("What speaks against it", blocking), ("Also found", others)):
        if findings:
            yield Text(title, style="bold")
            for finding in findings:
                yield from finding_lines(finding, accepted)


def _conditions(upgrade: Upgrade) -> Iterator[Text]:
    """Tell of the conditions that are not as they should be, but for a refusal, which the findings tell of."""
    named = {str(finding.name) for finding in upgrade.status.findings}
    wrong = [item for item in upgrade.status.conditions if _is_wrong(item) and item.reason not in named]
    if wrong:
        yield Text("Conditions", style="bold")
    for item in wrong:
        yield Text.assemble("  ", (str(item.type), "bold"), f" {item.reason}: {item.message}")
        if remedy := next((text for reason, text in BY_REASON.items() if reason == item.reason), None):
            yield Text("    → " + remedy.format(name=upgrade.name, namespace=upgrade.namespace))


def _is_wrong(condition: Condition) -> bool:
    if condition.type is ConditionType.DRIFTED:
        return condition.status == "True"
    if condition.type in WHOLE:
        return condition.type is ConditionType.AVAILABLE and condition.status == "False"
    return condition.status == "False"
