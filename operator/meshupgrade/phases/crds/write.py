"""Writing CRDs: all at once, each guarded against what was not seen, waited for until it is served, and read back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.domain.crd_changes import CRDChange, ExpectedCRD, was_written_back
from meshupgrade.domain.crds import LAST_APPLIED, merge_versions
from meshupgrade.kube.client import crd_ref
from meshupgrade.kube.errors import Conflict
from meshupgrade.phases.crds.fence import hold_reconciler
from meshupgrade.phases.crds.look import Looker
from meshupgrade.phases.live_crds import known_crd
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["Guard", "put_right", "write_all", "written_back"]

T = TypeVar("T")
Object = Mapping[str, Any]
Guard = Callable[[], None]
"""Called before each write; raises when the phase may not write any more."""

CRD_API = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")

SERVED = ("Established", "NamesAccepted")
"""The conditions of a CRD that is served."""

ESTABLISH_TIMEOUT = 30.0
"""Seconds that the API server may take to serve a CRD; it takes well below one."""

LOOK = 0.05
"""Seconds between two looks at a CRD that is not served yet."""

ATTEMPTS = 5
"""How often a CRD is looked at anew, or put right, since somebody else writes it as well."""

SETTLE = 3.0
"""Seconds in which a reconciler puts a CRD back; a real one takes less than one."""


async def write_all(
    work: Work, looker: Looker, changes: Sequence[CRDChange], expected: Mapping[str, ExpectedCRD], guard: Guard
) -> bool:
    """Write the changes and wait until each CRD is served under its names; tell whether all are as expected then.

    Raises PhaseFailed, what ``guard`` raises, and the errors of kube; no write is under way any more then.
    """

    async def one(change: CRDChange) -> bool:
        served = await _served(work, await _write(work, looker, change, guard))
        return not was_written_back(expected[change.name], served)

    return all(await _all(one(change) for change in changes))


async def written_back(work: Work, expected: Mapping[str, ExpectedCRD]) -> list[str]:
    """Give the names of the CRDs that are not any more what they were left as."""

    async def one(name: str) -> str | None:
        live = await known_crd(work, name)
        return name if live is None or was_written_back(expected[name], live) else None

    return [name for name in await _all(one(name) for name in sorted(expected)) if name]


async def put_right(
    work: Work, expected: Mapping[str, ExpectedCRD], guard: Guard, *, watch: bool = False
) -> dict[str, str]:
    """Look whether somebody wrote CRDs back and put those right; give their names, and who did it.

    When nobody did, and with ``watch`` does not within some seconds either, this is one read of each. Raises
    PhaseFailed when somebody does it again and again.
    """
    names, again = set(expected), dict[str, str]()
    for _ in range(ATTEMPTS):
        seen = await _all(_repair(work, name, expected[name], guard) for name in sorted(names))
        repaired = {name: writer for name, writer, _ in seen if writer}
        again |= repaired
        if not seen or not (repaired or watch):
            return again
        # Whoever wrote one back may do it once more.
        names = await _changed_since(work, expected, max((version for _, _, version in seen), key=int))
        if not names:
            return again
    told = ", ".join(f"{name} (by {writer})" for name, writer in sorted(again.items()))
    raise PhaseFailed(FindingName.CRD_WRITTEN_BACK, f"somebody writes CRDs back as often as they are applied: {told}")


async def _changed_since(work: Work, expected: Mapping[str, ExpectedCRD], version: str) -> set[str]:
    """Watch for a while whether a CRD is written back, and give its name."""
    async for kind, crd in work.tools.kube.watch(*CRD_API, since=version, seconds=SETTLE):
        name = crd["metadata"]["name"]
        if name in expected and (kind == "DELETED" or was_written_back(expected[name], crd)):
            return {name}
    return set()


async def _write(work: Work, looker: Looker, change: CRDChange, guard: Guard) -> Object:
    for _ in range(ATTEMPTS):
        try:
            return await _write_once(work, change, guard)
        except Conflict:
            look = await looker.look_again(change.name)
        if look.change is None:
            if look.expected is None:
                raise PhaseFailed(Reason.API_REJECTED, "; ".join(finding.message for finding in look.findings))
            return await work.tools.kube.get(crd_ref(change.name))
        change = look.change
    raise PhaseFailed(FindingName.CRD_WRITTEN_BACK, f"CRD {change.name} is changed by others all the time")


async def _write_once(work: Work, change: CRDChange, guard: Guard) -> Object:
    """Write one CRD as it was looked at. Raises Conflict when it has changed since."""
    kube, live = work.tools.kube, change.live
    if live is None:
        guard()
        return await kube.apply(change.merged)
    guard()
    live = await hold_reconciler(work, live)
    if change.replace:
        guard()
        live = await kube.json_patch(crd_ref(change.name), _replacement(live, change.merged["spec"]))
    while True:
        guard()
        metadata = {**change.merged["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        try:
            return await kube.apply({**change.merged, "metadata": metadata})
        except Conflict:
            live = await kube.get(crd_ref(change.name))
            if not change.replace or live["spec"] != change.spec:
                raise
            # Only the API server's own controllers have been at it, with the status of what was replaced.


def _replacement(live: Object, spec: Object) -> list[dict[str, Any]]:
    """Give the JSON patch that replaces the spec, whoever owned its fields, and forgets what kubectl once applied."""
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec", "value": spec},
    ]
    if LAST_APPLIED in (live["metadata"].get("annotations") or {}):
        operations.append({"op": "remove", "path": f"/metadata/annotations/{LAST_APPLIED.replace('/', '~1')}"})
    return operations


async def _repair(work: Work, name: str, expected: ExpectedCRD, guard: Guard) -> tuple[str, str, str]:
    """Put one CRD right when it was written back; give its name, who did it if so, and its resourceVersion then."""
    kube = work.tools.kube
    for _ in range(ATTEMPTS):
        live: Object | None = await kube.find(crd_ref(name))
        if live is None:
            raise PhaseFailed(FindingName.CRD_WRITTEN_BACK, f"somebody deleted CRD {name} while the upgrade ran")
        if not was_written_back(expected, live):
            return name, "", live["metadata"]["resourceVersion"]
        writer = _last_writer(live)
        wanted = {"spec": expected.spec}
        spec = {**expected.spec, "versions": merge_versions(live, wanted), "conversion": live["spec"]["conversion"]}
        try:
            guard()
            held = await hold_reconciler(work, live)
            guard()
            written = await kube.json_patch(crd_ref(name), _replacement(held, spec))
        except Conflict:
            continue
        return name, writer, written["metadata"]["resourceVersion"]
    raise PhaseFailed(FindingName.CRD_WRITTEN_BACK, f"CRD {name} is changed by others all the time")


async def _served(work: Work, crd: Object) -> Object:
    """Wait until the API server serves the CRD under its names, and give it as it is then."""
    conditions: dict[str, Object] = {}
    name = crd["metadata"]["name"]
    try:
        async with asyncio.timeout(ESTABLISH_TIMEOUT):
            while True:
                conditions = {item["type"]: item for item in crd.get("status", {}).get("conditions") or []}
                if all(conditions.get(kind, {}).get("status") == "True" for kind in SERVED):
                    return crd
                await work.report(f"waiting until CRD {name} is served")
                await asyncio.sleep(LOOK)
                crd = await work.tools.kube.get(crd_ref(name))
    except TimeoutError:
        why = "; ".join(
            f"{kind}: {condition.get('message', '')}"
            for kind, condition in conditions.items()
            if condition["status"] != "True"
        )
        raise PhaseFailed(
            Reason.API_REJECTED, f"CRD {name} is not served after {ESTABLISH_TIMEOUT:.0f} s: {why}"
        ) from None


def _last_writer(crd: Object) -> str:
    """Give the field manager that wrote the CRD last, apart from its status."""
    entries = [entry for entry in crd["metadata"].get("managedFields") or [] if not entry.get("subresource")]
    newest: Object = max(entries, key=lambda entry: str(entry.get("time", "")), default={})
    return str(newest.get("manager") or "somebody")


async def _all(tasks: Iterable[Awaitable[T]]) -> list[T]:
    """Give all results; a failure is raised only when none of the others is under way any more."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
