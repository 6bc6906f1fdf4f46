"""A CRD that changes its scope: what would become of its objects, and what speaks against it. Reads only."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.crds import NO_CONVERSION, merge_crd
from meshupgrade.domain.schema_validation import Validator
from meshupgrade.domain.scope import (
    NAMESPACED,
    Key,
    ScopeChange,
    collisions,
    common_version,
    foreign_finalizers,
    owner_may_stay,
)
from meshupgrade.domain.structural_schema import covers, prune, schema_of, told_path, with_defaults
from meshupgrade.phases.crds.export import Export
from meshupgrade.phases.crds.scope_places import Places, owner_is_namespaced
from meshupgrade.phases.crds.scope_rights import missing_rights
from meshupgrade.phases.crds.told import counted, some
from meshupgrade.phases.shape import Work

__all__ = ["look_at_scope", "resumed"]

Object = Mapping[str, Any]


def resumed(work: Work, export: Export, shipped: Object | None) -> ScopeChange:
    """Give the change that an export has begun; it is finished whatever the spec says by now.

    Without ``shipped`` the CRD is created again as it was.
    """
    merged = _merged(work, export.crd, shipped or export.crd)
    message = f"finish the change of scope of CRD {export.crd_name}, and bring back what it exported"
    return ScopeChange(export.crd, merged, export.version, message, begun=True)


async def look_at_scope(work: Work, live: Object, shipped: Object) -> tuple[list[Finding], ScopeChange | None]:
    """Look at a live CRD whose scope differs from the shipped one, and at every object of it.

    Gives the Risk and the change, or the Errors that keep it from being made.
    """
    merged = _merged(work, live, shipped)
    version = common_version(live, merged)
    name = merged["metadata"]["name"]
    if reason := _obstacle(live, version):
        return [_blocked(name, *reason)], None
    assert version is not None
    change = ScopeChange(live, merged, version, "")
    if missing := await missing_rights(work, change):
        message = f"CRD {name} changes its scope, for which the account lacks the right to: {', '.join(missing)}"
        remedy = "Give the account the rights that are named; docs/scope-change.md has them."
        return [_finding(FindingName.FORBIDDEN, message, remedy)], None
    seen = _Seen(work, change)
    listed = work.tools.kube.list_objects(change.api_version, change.kind)
    async for obj in listed:
        await seen.take(obj)
    if blocked := seen.blocked():
        return blocked, None
    message = f"recreate CRD {name} as {change.after}, with {seen.told()}"
    return [seen.risk()], dataclasses.replace(change, message=message, objects=seen.count)


class _Seen:
    """What was seen of the objects: names, never the objects themselves."""

    def __init__(self, work: Work, change: ScopeChange) -> None:
        self._work = work
        self._change = change
        self._places = Places(work.tools.kube, change, work.spec.crds.namespaces.get(change.name))
        self._check = _Check(change)
        self._keys: list[Key] = []
        self._namespaces: Counter[str] = Counter()
        self._held: list[str] = []
        self._invalid: list[str] = []
        self._nowhere: list[str] = []
        self._shipped = {
            (crd["spec"]["group"], crd["spec"]["names"]["kind"]): crd["spec"]["scope"]
            for crd in work.need_target().crds
        }
        self._lost = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._keys)

    async def take(self, obj: Object) -> None:
        """Look at one."""
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace"), metadata["name"]
        told = f"{namespace}/{name}" if namespace else name
        self._keys.append((namespace, name))
        if finalizers := foreign_finalizers(metadata):
            self._held.append(f"{told} ({', '.join(finalizers)})")
        if violation := self._check.violation(obj):
            self._invalid.append(f"{told}: {violation}")
        try:
            place = await self._places.of(obj)
        except LookupError as error:
            candidates = error.args[1]
            self._nowhere.append(f"{told} (namespace {', '.join(candidates)} is not there)" if candidates else told)
        else:
            self._namespaces[place or ""] += 1
        for owner in metadata.get("ownerReferences") or []:
            namespaced = await self._is_namespaced(owner["apiVersion"], owner["kind"])
            self._lost += not owner_may_stay(namespaced, self._change.before, self._change.after)

    async def _is_namespaced(self, api_version: str, kind: str) -> bool | None:
        group = api_version.partition("/")[0]
        if (group, kind) in self._shipped:
            return bool(self._shipped[group, kind] == NAMESPACED)
        return await owner_is_namespaced(self._work.tools.kube, api_version, kind)

    def blocked(self) -> list[Finding]:
        """Give an Error for each kind of thing that keeps the change from being made."""
        name, found = self._change.name, []
        if self._held:
            message = f"{counted(self._held)} with finalizers could not be deleted: {some(self._held)}"
            remedy = "Take the finalizers away once their controllers have done what they are for."
            found.append(_blocked(name, message, remedy))
        if self._change.after != NAMESPACED and (same := collisions(self._keys)):
            texts = [f"{one} (in {', '.join(places)})" for one, places in same.items()]
            message = f"names that are used in more than one namespace would be one name: {some(texts)}"
            found.append(_blocked(name, message, "Rename or remove all but one of each."))
        if self._invalid:
            message = f"{counted(self._invalid)} could not be created again, since the new schema refuses that: "
            found.append(_blocked(name, message + some(self._invalid), "Correct what is named."))
        if self._nowhere:
            message = f"nothing tells the namespace that {counted(self._nowhere)} should go to: {some(self._nowhere)}"
            remedy = f'Set spec.crds.namespaces["{name}"] to a namespace that is there.'
            found.append(_blocked(name, message, remedy))
        return found

    def told_places(self) -> str:
        """Say which namespaces they go to."""
        if self._change.after != NAMESPACED or not self.count:
            return ""
        places = [f"{place} ({count})" for place, count in sorted(self._namespaces.items())]
        return f" in namespace {some(places)}"

    def told(self) -> str:
        """Say how many objects there are, and where they go."""
        return f"{counted(self._keys)}{self.told_places()}"

    def risk(self) -> Finding:
        """Give the Risk that the change is."""
        change = self._change
        lost = f"; owner references that cannot be kept: {self._lost}" if self._lost else ""
        return Finding(
            name=FindingName.CRD_IMMUTABLE_CHANGE,
            severity=Severity.RISK,
            phase=Phase.CRDS,
            message=f"CRD {change.name} changes its scope from {change.before} to {change.after}, which takes a new "
            f"CRD: {counted(self._keys)} of it will be exported into Secrets of namespace {self._work.namespace}, the "
            f"CRD is deleted and created again, and the objects with it{self.told_places()}, under new uids{lost}. "
            "The controllers of every mesh that uses it are stopped meanwhile",
            remedy="Add CRDImmutableChange to spec.upgrade.acceptRisks to have it done, or choose a version without "
            "the change.",
        )


class _Check:
    """Whether the new schema takes an object; nothing is refused by one that takes all that the old one took."""

    def __init__(self, change: ScopeChange) -> None:
        self._schema = schema_of(change.merged, change.version)
        same = covers(self._schema, schema_of(change.old, change.version))
        self._validator = None if same else Validator(self._schema)

    def violation(self, obj: Object) -> str:
        """Give what the API server would complain of first; empty when it would not."""
        if self._validator is None:
            return ""
        found = self._validator.violations(with_defaults(prune(obj, self._schema), self._schema))
        return f"{told_path(found[0].path)}: {found[0].text}" if found else ""


def _merged(work: Work, old: Object, shipped: Object) -> dict[str, Any]:
    author = f"{work.distribution.name}/{work.version}"
    return merge_crd(old, shipped, written_by=author, conversion=shipped["spec"].get("conversion") or NO_CONVERSION)


def _obstacle(live: Object, version: str | None) -> tuple[str, str] | None:
    """Give what keeps the CRD itself from being deleted and created again, and the remedy."""
    if "deletionTimestamp" in live["metadata"]:
        return "the CRD is being deleted", "Wait for its end, or see which of its objects has a finalizer."
    if version is None:
        return "no version is served by both the live CRD and the new one", "Upgrade to a version in between first."
    conversion = (live["spec"].get("conversion") or NO_CONVERSION)["strategy"]
    if conversion != "None" and len((live.get("status") or {}).get("storedVersions") or []) > 1:
        return (
            "its objects are stored in several versions and converted by a webhook, which is stopped meanwhile",
            "Rewrite the objects in the stored version and prune status.storedVersions first.",
        )
    return None


def _blocked(name: str, message: str, remedy: str) -> Finding:
    return _finding(FindingName.SCOPE_CHANGE_BLOCKED, f"CRD {name} changes its scope, but {message}", remedy)


def _finding(name: FindingName, message: str, remedy: str) -> Finding:
    return Finding(name=name, severity=Severity.ERROR, phase=Phase.CRDS, message=message, remedy=remedy)
