"""To which verified revision a rollback goes."""

from meshupgrade.api.v1alpha1.status import HistoryEntry
from meshupgrade.cli.plugin.errors import UserError
from meshupgrade.cli.plugin.upgrades import Upgrade
from meshupgrade.domain.versions import parse_version

__all__ = ["rollback_target"]


def rollback_target(upgrade: Upgrade, revision: int | None) -> HistoryEntry:
    """Give the entry of the history to go back to: of that revision, else the newest of a version before.

    An upgrade that failed and was left as it is goes back to the newest verified revision, of whatever version. Raises
    UserError when there is none.
    """
    history = upgrade.status.history
    verified = [entry for entry in history if entry.verified and entry.revision is not None]
    known = ", ".join(f"{entry.revision} ({entry.version})" for entry in verified) or "none"
    if revision is not None:
        found = next((entry for entry in verified if entry.revision == revision), None)
        if found is None:
            raise UserError(f"{upgrade}: revision {revision} was never verified; these were: {known}")
        return found
    if verified and history[0] is not verified[0]:
        return verified[0]
    current = upgrade.status.current_version
    before = [entry for entry in verified if current and parse_version(entry.version) < parse_version(current)]
    if not before:
        raise UserError(f"{upgrade} has no verified revision of a version before {current}; verified are: {known}")
    return before[0]
