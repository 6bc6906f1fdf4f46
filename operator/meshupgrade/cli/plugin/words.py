"""How views write marks, bars, times and changes."""

from datetime import UTC, datetime

from rich.text import Text

from meshupgrade.api.v1alpha1.conditions import Condition, Reason
from meshupgrade.api.v1alpha1.findings import Finding, Severity

__all__ = ["bar", "duration", "finding_lines", "mark", "step", "when"]

BAR = 20
STYLES = {Severity.ERROR: "bold red", Severity.RISK: "magenta", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def bar(done: int, total: int) -> Text:
    """Give a progress bar with its numbers."""
    filled = BAR * done // total if total else 0
    return Text.assemble(("█" * filled, "green"), ("░" * (BAR - filled), "dim"), f" {done}/{total}")


def mark(condition: Condition) -> Text:
    """Give the mark of a phase's condition: done, failed, reported only, under way or to come."""
    if condition.reason in (Reason.REPORTED_ONLY, Reason.DRIFTED):
        return Text("!", style="yellow")
    if condition.status == "True" or condition.reason == Reason.CORRECTED:
        return Text("✓", style="green")
    if condition.status == "False":
        return Text("✗", style="red")
    return Text("▶", style="cyan") if condition.reason == Reason.IN_PROGRESS else Text("·", style="dim")


def step(before: str | None, after: str | None) -> str:
    """Give the way from a version to another one."""
    if not before or before == after:
        return after or before or "not known"
    return f"{before} → {after}" if after else before


def duration(seconds: float) -> str:
    """Give a length of time such as 1h2m or 45s."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def when(time: datetime | None) -> str:
    """Give a time in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if time else ""


def finding_lines(finding: Finding, accepted: frozenset[str], indent: str = "  ") -> list[Text]:
    """Give a finding in two lines: what was found, and what to do about it."""
    passed = finding.severity is Severity.RISK and not finding.blocks(accepted)
    weight = f"{finding.severity} accepted" if passed else str(finding.severity)
    first = Text.assemble(
        indent,
        (f"{weight} {finding.name}", "dim" if passed else STYLES[finding.severity]),
        f" ({finding.phase}): {_below(finding.message, indent)}",
    )
    return [first, Text(f"{indent}  → {_below(finding.remedy, indent)}")] if finding.remedy and not passed else [first]


def _below(text: str, indent: str) -> str:
    """Give a text whose further lines begin below the first one."""
    return text.strip().replace("\n", f"\n{indent}    ")
