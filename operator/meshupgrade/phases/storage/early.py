"""The objects that cannot wait: stored in a version that the new bootstrap would take away, and be refused.

A bootstrap that replaces CRDs by its own does not start while status.storedVersions names a version that its CRD lacks.
The merged CRD has all versions, so this may come before the control plane; the old one goes on reading its own.
"""

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.phases.shape import PhaseFailed, Work
from meshupgrade.phases.storage.look import due_crds, forced, replaces_crds
from meshupgrade.phases.storage.migrate import migrate

__all__ = ["free_dropped_versions"]


async def free_dropped_versions(work: Work) -> None:
    """Migrate the CRDs of which the new bootstrap drops a version in which objects may be stored.

    Raises PhaseFailed, and the errors of kube.
    """
    if not replaces_crds(work) or not work.spec.crds.migrate_storage:
        return
    if not any(forced(work, due) for due in work.planned_dues):
        return
    dues = [due for due in await due_crds(work) if forced(work, due)]
    if not dues:
        return
    done = await migrate(work, dues)
    if done.left:
        left = "; ".join(f"{name}: {', '.join(objects)}" for name, objects in sorted(done.left.items()))
        raise PhaseFailed(
            Reason.API_REJECTED,
            f"objects were refused when they were written as they are, so the new bootstrap would not start: {left}",
        )
