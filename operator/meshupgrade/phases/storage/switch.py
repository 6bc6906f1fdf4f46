"""The stored version of CRDs switched, and the wait until API servers follow."""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.domain.crds import stored_version
from meshupgrade.domain.storage import Due, storage_switch, write_versions
from meshupgrade.kube.client import crd_ref
from meshupgrade.kube.errors import Conflict, NotFound
from meshupgrade.phases.shape import PhaseFailed, Work
from meshupgrade.phases.storage.settle import Canary, answers, find_canary, settle

__all__ = ["switch"]

TRIES = 5


async def switch(work: Work, dues: Sequence[Due]) -> int:
    """Make the wanted versions the stored ones where they are not yet, and wait until API servers store so.

    Give the number of objects that were stored anew by that. Raises PhaseFailed, and the errors of kube.
    """
    kube = work.tools.kube
    canary: Canary | None = None
    told_by: Due | None = None
    switched = []
    for due in dues:
        crd = await kube.find(crd_ref(due.name))
        if crd is None or not (served := write_versions(crd, due.wanted)):
            continue
        switched.append((due, f"{due.group}/{served[0]}"))
        if canary is None and stored_version(crd) != due.wanted:
            canary = await find_canary(kube, f"{due.group}/{served[0]}", due.kind)
            told_by = due if canary is not None else None
    # The one with the canary goes last: what the API server knows of it, it knows of all before it.
    for due, _ in sorted(switched, key=lambda pair: pair[0] == told_by):
        await work.report(f"storing {due.name} in {due.wanted}")
        await _switch(work, due)
    if not switched:
        return 0
    told = await settle(kube, canary)
    for due, api_version in switched:
        await answers(kube, api_version, due.kind)
    return int(told)


async def _switch(work: Work, due: Due) -> Mapping[str, Any] | None:
    kube, ref = work.tools.kube, crd_ref(due.name)
    for _ in range(TRIES):
        crd = await kube.find(ref)
        if crd is None or stored_version(crd) == due.wanted:
            return crd
        if all(version["name"] != due.wanted for version in crd["spec"]["versions"]):
            raise PhaseFailed(
                Reason.API_REJECTED,
                f"CRD {due.name} has no version {due.wanted}, in which this release stores its objects: somebody has "
                "put an older CRD back",
            )
        try:
            return await kube.json_patch(ref, storage_switch(crd, due.wanted))
        except Conflict:
            continue
        except NotFound:
            return None
    raise PhaseFailed(Reason.API_REJECTED, f"CRD {due.name} is changed by others all the time")
