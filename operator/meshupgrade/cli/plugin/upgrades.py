"""MeshUpgrades as commands see them: found, read into models, and annotated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.conditions import Condition, ConditionType
from meshupgrade.api.v1alpha1.names import API_VERSION, KIND, PLURAL, SHORT_NAME, SINGULAR
from meshupgrade.api.v1alpha1.status import HistoryEntry, MeshUpgradeStatus
from meshupgrade.cli.plugin.errors import UserError, unreadable
from meshupgrade.cli.plugin.output import clean
from meshupgrade.cli.plugin.session import Session
from meshupgrade.domain.state import TABLE, State
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import NotFound

__all__ = ["MANAGER", "Upgrade", "annotate", "find_one", "find_some", "read"]

MANAGER = "meshupgrade-plugin"
"""Field manager of the annotations. Flux takes back what managers wrote whose names begin with kubectl."""

_STATES = {shown.reason: state for state, shown in TABLE.items() if shown.reason is not None}


@dataclass(frozen=True)
class Upgrade:
    """One MeshUpgrade."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    spec: Mapping[str, Any]
    status: MeshUpgradeStatus
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def ref(self) -> ObjectRef:
        """The reference to it."""
        return ObjectRef(API_VERSION, KIND, self.name, self.namespace)

    @property
    def is_seen(self) -> bool:
        """Whether the operator has taken up the spec as it is now."""
        return self.status.observed_generation == self.generation

    def condition(self, kind: ConditionType) -> Condition | None:
        """Give a condition, or None."""
        return next((condition for condition in self.status.conditions if condition.type == kind), None)

    def state(self) -> State | None:
        """Give the state that the conditions tell of; None before the operator has looked at the object."""
        ready = self.condition(ConditionType.READY)
        if ready is None:
            return None
        # A refusal alone has the name of a finding as its reason.
        return next((state for reason, state in _STATES.items() if reason == ready.reason), State.REFUSED)

    def accepted_risks(self) -> frozenset[str]:
        """Give the names in spec.upgrade.acceptRisks."""
        return frozenset((self.spec.get("upgrade") or {}).get("acceptRisks") or ())

    def open_attempt(self) -> HistoryEntry | None:
        """Give the entry of the history that has not ended, or None."""
        newest = next(iter(self.status.history), None)
        return newest if newest is not None and newest.completion_time is None else None


def read(obj: Mapping[str, Any]) -> Upgrade:
    """Give an object as the API server has it. Raises UserError when its status cannot be read."""
    metadata = clean(obj["metadata"])
    name = f"the status of {metadata['namespace']}/{metadata['name']}"
    try:
        status = MeshUpgradeStatus.model_validate(clean(obj.get("status") or {}))
    except ValidationError as error:
        raise unreadable(name, error) from error
    return Upgrade(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata["generation"],
        spec=clean(obj.get("spec") or {}),
        status=status,
        annotations=metadata.get("annotations") or {},
    )


async def find_one(session: Session, name: str | None) -> Upgrade:
    """Give the MeshUpgrade of that name, or the only one of the namespace. Raises UserError."""
    if name is not None:
        return await _named(session, name)
    found = await _listed(session, session.default_namespace)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"namespace {session.default_namespace} has no MeshUpgrade; give another with --namespace")
    names = ", ".join(upgrade.name for upgrade in found)
    raise UserError(f"namespace {session.default_namespace} has {len(found)} MeshUpgrades; name one of them: {names}")


async def find_some(session: Session, name: str | None) -> list[Upgrade]:
    """Give that one, or the only one of the namespace, or those of all namespaces. Raises UserError."""
    if session.namespace is not None:
        return [await find_one(session, name)]
    if name is not None:
        raise UserError("give either a name or --all-namespaces")
    if not (found := await _listed(session, None)):
        raise UserError("this cluster has no MeshUpgrade")
    return found


async def annotate(session: Session, upgrade: Upgrade, name: str, value: str) -> None:
    """Set an annotation of exactly the object that was seen. Raises Conflict when it was changed meanwhile."""
    metadata = {"resourceVersion": upgrade.resource_version, "uid": upgrade.uid, "annotations": {name: value}}
    await session.kube.merge_patch(upgrade.ref, {"metadata": metadata}, manager=MANAGER)


async def _named(session: Session, name: str) -> Upgrade:
    kind, _, bare = name.rpartition("/")
    if kind and kind.partition(".")[0] not in (PLURAL, SINGULAR, SHORT_NAME):
        raise UserError(f"{kind} is no {KIND}; give the name alone")
    ref = ObjectRef(API_VERSION, KIND, bare, session.default_namespace)
    try:
        return read(await session.kube.get(ref))
    except NotFound as error:
        raise UserError(f"namespace {session.default_namespace} has no MeshUpgrade {bare}") from error


async def _listed(session: Session, namespace: str | None) -> list[Upgrade]:
    return [read(obj) async for obj in session.kube.list_objects(API_VERSION, KIND, namespace)]
