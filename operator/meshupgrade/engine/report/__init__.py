"""What a run tells: each step of it put into conditions, findings, attempts and history, and written at once."""

from meshupgrade.engine.report.plan import finding_events
from meshupgrade.engine.report.run import Report

__all__ = ["Report", "finding_events"]
