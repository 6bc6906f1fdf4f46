"""The one writer of status: server-side apply of the whole status at every transition, and nothing in between."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from meshupgrade import __version__
from meshupgrade.api.v1alpha1.conditions import Condition, ConditionStatus, ConditionType
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import API_VERSION, KIND, STATUS_MANAGER
from meshupgrade.api.v1alpha1.status import MAX_FINDINGS, MeshUpgradeStatus
from meshupgrade.domain.state import TABLE, State
from meshupgrade.engine.status_size import bounded
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict, NotFound

__all__ = ["ObjectGone", "StatusWriter", "heaviest_first", "now", "read_status"]

logger = logging.getLogger(__name__)

MAX_FINDINGS_BYTES = 24 * 1024
"""All findings together; the whole status is to stay below 64 KiB."""

STANDARD = (ConditionType.READY, ConditionType.AVAILABLE, ConditionType.RECONCILING, ConditionType.STALLED)


class ObjectGone(Exception):
    """The MeshUpgrade was deleted, or replaced by another one of its name."""


def read_status(obj: Mapping[str, Any]) -> MeshUpgradeStatus:
    """Give the status of an object; an empty one for what another release of the operator wrote and we cannot read.

    The operator's own upgrade must never break on objects that an older one handled (kiali #4030).
    """
    try:
        return MeshUpgradeStatus.model_validate(obj.get("status") or {})
    except ValidationError as error:
        logger.warning("the status of %s is not readable and is made anew: %s", obj["metadata"]["name"], error)
        return MeshUpgradeStatus()


def heaviest_first(findings: Sequence[Finding]) -> list[Finding]:
    """Give the findings by severity, and as found within one."""
    weights = list(Severity)
    return sorted(findings, key=lambda finding: weights.index(finding.severity))


def now() -> datetime:
    """Give the time as the API writes it, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class StatusWriter:
    """Holds the status of one MeshUpgrade during a run and writes it.

    An apply carries uid and resourceVersion: it never makes an object anew, nor overwrites what it has not seen.
    """

    def __init__(
        self, kube: Kube, obj: Mapping[str, Any], *, scrub: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    ) -> None:
        metadata = obj["metadata"]
        self._kube = kube
        self._scrub = scrub
        self.ref = ObjectRef(API_VERSION, KIND, metadata["name"], metadata["namespace"])
        self.uid: str = metadata["uid"]
        self.generation: int = metadata["generation"]
        self._resource_version: str = metadata["resourceVersion"]
        self._written = obj.get("status") or {}
        self.status = read_status(obj)
        self._logged = self.get(ConditionType.READY)
        self.changed_meanwhile = False
        """Whether a newer generation was seen while writing."""

    def update(self, **fields: Any) -> None:
        """Set fields of the status, by their Python names."""
        self.status = self.status.model_copy(update=fields)

    def show(self, state: State, message: str, refusal: FindingName | None = None) -> None:
        """Set Ready, Reconciling, Stalled and the phase as the table of states says; a refusal has its own reason."""
        shown = TABLE[state]
        reason = shown.reason or refusal
        assert reason is not None
        if shown.phase is not None:
            self.update(phase=shown.phase)
        self.condition(ConditionType.READY, shown.ready, reason, message)
        for kind, present in ((ConditionType.RECONCILING, shown.reconciling), (ConditionType.STALLED, shown.stalled)):
            if present:
                self.condition(kind, "True", reason, message)
            else:
                self.drop(kind)

    def condition(self, kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> None:
        """Set a condition; its transition time moves only when its status does."""
        before = self.get(kind)
        moved = before is None or before.status != status
        condition = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message[:4096],
            observed_generation=self.generation,
            last_transition_time=now() if moved or before is None else before.last_transition_time,
        )
        self.update(conditions=_sorted([*(item for item in self.status.conditions if item.type != kind), condition]))

    def get(self, kind: ConditionType) -> Condition | None:
        """Give a condition, or None."""
        return next((condition for condition in self.status.conditions if condition.type == kind), None)

    def drop(self, *kinds: ConditionType) -> None:
        """Take conditions away."""
        self.update(conditions=[condition for condition in self.status.conditions if condition.type not in kinds])

    def findings(self, findings: Sequence[Finding]) -> None:
        """Set the findings, bounded in number and size; those that block come first, so that the bound hides others."""
        kept: list[Finding] = []
        room = MAX_FINDINGS_BYTES
        for finding in heaviest_first(findings)[:MAX_FINDINGS]:
            room -= len(finding.model_dump_json())
            if kept and room < 0:
                break
            kept.append(finding)
        self.update(findings=kept)

    async def write(self) -> None:
        """Write the status unless it already is what stands there. Raises ObjectGone."""
        self.update(operator_version=__version__)
        content = self.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self._scrub is not None:
            content = self._scrub(content)
        content = bounded(content)
        if content == self._written:
            return
        while True:
            try:
                await self._apply(content)
                return
            except NotFound as error:
                raise ObjectGone(str(self.ref)) from error
            except Conflict:
                await self._refresh()

    async def _apply(self, content: dict[str, Any]) -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": self.ref.name,
                "namespace": self.ref.namespace,
                "uid": self.uid,
                "resourceVersion": self._resource_version,
            },
            "status": content,
        }
        written = await self._kube.apply(body, manager=STATUS_MANAGER, subresource="status")
        self._resource_version = written["metadata"]["resourceVersion"]
        self._written = content
        ready = self.get(ConditionType.READY)
        if ready is not None and ready != self._logged:
            self._logged = ready
            logger.info(
                "%s: %s, Ready=%s %s: %s", self.ref, self.status.phase, ready.status, ready.reason, ready.message
            )

    async def _refresh(self) -> None:
        try:
            live = await self._kube.get(self.ref)
        except NotFound as error:
            raise ObjectGone(str(self.ref)) from error
        self.saw(live["metadata"])

    def saw(self, metadata: Mapping[str, Any]) -> None:
        """Take in the metadata of the object as it is by now. Raises ObjectGone when it is another one."""
        if metadata["uid"] != self.uid:
            raise ObjectGone(str(self.ref))
        self._resource_version = metadata["resourceVersion"]
        self.changed_meanwhile = metadata["generation"] != self.generation


def _sorted(conditions: list[Condition]) -> list[Condition]:
    order = list(ConditionType)
    return sorted(conditions, key=lambda condition: order.index(condition.type))
