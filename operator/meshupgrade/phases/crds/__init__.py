"""Phase 3, CRDs: what the release ships, merged into what lives, server-side applied."""

from meshupgrade.phases.crds.lift import lift, lift_bootstrap, lift_orphans
from meshupgrade.phases.crds.phase import CRDs
from meshupgrade.phases.crds.plan import look_at_crds
from meshupgrade.phases.crds.scope_change import clean

__all__ = ["CRDs", "clean", "lift", "lift_bootstrap", "lift_orphans", "look_at_crds"]
