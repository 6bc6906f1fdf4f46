"""What becomes of custom resources whose CRD changes its scope."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.names import FORMER_NAMESPACE
from meshupgrade.domain.crds import LAST_APPLIED, served_version, stored_version

__all__ = [
    "CLUSTER",
    "Key",
    "Mark",
    "ScopeChange",
    "collisions",
    "common_version",
    "foreign_finalizers",
    "keeps_status",
    "mark_of",
    "namespace_candidates",
    "only_scope_differs",
    "owner_may_stay",
    "remade",
    "scope_changes",
    "unchanged",
]

Object = Mapping[str, Any]
Key = tuple[str | None, str]
"""Namespace and name of a custom resource."""

CLUSTER, NAMESPACED = "Cluster", "Namespaced"

HELM_NAMESPACE = "meta.helm.sh/release-namespace"
ORPHAN = "orphan"
"""The finalizer by which the garbage collector frees dependents before their owner goes."""

NOT_TAKEN_ALONG = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "selfLink", "managedFields", "generateName", "finalizers", "namespace", "annotations", "ownerReferences",
)  # fmt: skip
"""Metadata that the API server makes anew for a new object, and what the change of scope decides."""


def only_scope_differs(live: Object, shipped: Object) -> bool:
    """Tell whether a CRD changes its scope and none of the other things that cannot be changed in place."""
    before, after = live["spec"], shipped["spec"]
    same = all(before["names"][name] == after["names"][name] for name in ("kind", "plural"))
    return bool(same and before["scope"] != after["scope"])


def scope_changes(before: Iterable[Object], after: Iterable[Object]) -> list[str]:
    """Give the names of the CRDs whose scope differs: an older bootstrap cannot write its own over the newer one."""
    scopes = {crd["metadata"]["name"]: crd["spec"]["scope"] for crd in before}
    return [
        crd["metadata"]["name"]
        for crd in after
        if scopes.get(crd["metadata"]["name"], crd["spec"]["scope"]) != crd["spec"]["scope"]
    ]


def common_version(old: Object, new: Object) -> str | None:
    """Give the version to read objects in from the old CRD and to create them in under the new one.

    The stored one where both serve it, since nothing is converted then; None when there is none that both serve.
    """
    served = {version["name"] for version in new["spec"]["versions"] if version.get("served")}
    both = [version for version in old["spec"]["versions"] if version.get("served") and version["name"] in served]
    stored = stored_version(old)
    if any(version["name"] == stored for version in both):
        return stored
    return served_version({"spec": {"versions": both}})


def keeps_status(crd: Object, version: str) -> bool:
    """Tell whether status is a subresource of that version, so that a create leaves it out."""
    found = next(one for one in crd["spec"]["versions"] if one["name"] == version)
    return "status" in (found.get("subresources") or {})


def collisions(keys: Iterable[Key]) -> dict[str, list[str]]:
    """Give the names that are used in more than one namespace, with the namespaces."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for namespace, name in keys:
        places[name].append(namespace or "")
    return {name: sorted(found) for name, found in sorted(places.items()) if len(found) > 1}


def namespace_candidates(metadata: Object, given: str | None) -> list[str]:
    """Give the namespaces that a cluster-scoped object may belong to, the surest first.

    Where it was before it became cluster-scoped; where the Helm release is that made it; what the manifest says that it
    was applied from; what the user gave. Nothing is guessed from its spec: a namespace there says what the object is
    about, not where it lives.
    """
    annotations = metadata.get("annotations") or {}
    try:
        applied = json.loads(annotations.get(LAST_APPLIED) or "{}")
        manifest = applied.get("metadata", {}).get("namespace")
    except (ValueError, AttributeError):
        manifest = None
    found = [annotations.get(FORMER_NAMESPACE), annotations.get(HELM_NAMESPACE), manifest, given]
    return list(dict.fromkeys(one for one in found if isinstance(one, str) and one))


def foreign_finalizers(metadata: Object, *, ours: bool = False) -> list[str]:
    """Give the finalizers that hold an object up; ``ours`` leaves out the one that our own deletion puts there."""
    return [one for one in metadata.get("finalizers") or [] if not (ours and one == ORPHAN)]


def owner_may_stay(owner_namespaced: bool | None, before: str, after: str) -> bool:
    """Tell whether an owner that is not re-created may own the object under its new scope.

    A cluster-scoped object has no namespaced owner, and one that was cluster-scoped cannot have had one. None: nobody
    serves the owner's kind, and the garbage collector leaves such objects alone.
    """
    return before == after or owner_namespaced is not True


def remade(
    obj: Object, namespace: str | None, owners: Sequence[Object], *, with_status: bool, api_version: str
) -> dict[str, Any]:
    """Give the object to create in place of the exported one.

    Labels and annotations stay. An object that becomes cluster-scoped is told in an annotation where it was, so that
    it finds back.
    """
    old = obj["metadata"]
    metadata = {key: value for key, value in old.items() if key not in NOT_TAKEN_ALONG}
    annotations = dict(old.get("annotations") or {})
    if namespace is not None:
        metadata["namespace"] = namespace
        annotations.pop(FORMER_NAMESPACE, None)
    elif old.get("namespace"):
        annotations[FORMER_NAMESPACE] = old["namespace"]
    if annotations:
        metadata["annotations"] = annotations
    if owners:
        metadata["ownerReferences"] = [dict(owner) for owner in owners]
    content = {key: value for key, value in obj.items() if with_status or key != "status"}
    return {**content, "apiVersion": api_version, "metadata": metadata}


@dataclass(frozen=True)
class ScopeChange:
    """One CRD that is deleted and created again with another scope, its objects with it."""

    old: Object
    """The CRD that the objects are, or were, stored under."""

    merged: Mapping[str, Any]
    """The CRD to create."""

    version: str
    """The version that objects are read and created in."""

    message: str
    objects: int = 0
    """How many objects there were when it was planned."""

    begun: bool = False
    """Whether objects may be deleted already, so that their export counts."""

    @property
    def name(self) -> str:
        """The name of the CRD."""
        return str(self.merged["metadata"]["name"])

    @property
    def group(self) -> str:
        """The API group of its objects."""
        return str(self.merged["spec"]["group"])

    @property
    def api_version(self) -> str:
        """The apiVersion that objects are read and created in."""
        return f"{self.group}/{self.version}"

    @property
    def kind(self) -> str:
        """The kind of its objects."""
        return str(self.merged["spec"]["names"]["kind"])

    @property
    def before(self) -> str:
        """The scope of the exported objects."""
        return str(self.old["spec"]["scope"])

    @property
    def after(self) -> str:
        """The scope that they are to have."""
        return str(self.merged["spec"]["scope"])

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Mark:
    """What tells whether an object is still the one that was exported."""

    resource_version: str
    content: bytes
    owners: frozenset[str]


def mark_of(obj: Object) -> Mark:
    """Give the mark of an object as it was read."""
    metadata = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in ("resourceVersion", "managedFields", "ownerReferences", "generation")
    }
    text = json.dumps({**obj, "metadata": metadata}, sort_keys=True).encode()
    owners = frozenset(owner["uid"] for owner in obj["metadata"].get("ownerReferences") or [])
    return Mark(obj["metadata"]["resourceVersion"], hashlib.sha256(text).digest(), owners)


def unchanged(exported: Mark | None, obj: Object, deleted: Collection[str]) -> bool:
    """Tell whether a live object is what was exported.

    The garbage collector takes the owners that were deleted meanwhile out of it; that is no change.
    """
    if exported is None:
        return False
    if exported.resource_version == obj["metadata"]["resourceVersion"]:
        return True
    live = mark_of(obj)
    gone = exported.owners - live.owners
    return exported.content == live.content and live.owners <= exported.owners and gone <= set(deleted)
