"""The one shape of a phase, and what a run carries through them.

Errors::

    PhaseFailed      the attempt failed; counts against the budget
    Superseded       the spec changed while the phase could not go on; the new spec is planned at once
    Busy             somebody else works on the release; waited for, and no attempt is counted
    Held             nothing more may be done for now; taken up again later, and no attempt is counted
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import semver

from meshupgrade.api.v1alpha1.conditions import AnyReason, ConditionStatus, ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName
from meshupgrade.api.v1alpha1.names import OWNER_LABEL, owner_value
from meshupgrade.api.v1alpha1.plan import AvailableVersion, PlannedImage, PlannedRestart, PlannedValue
from meshupgrade.api.v1alpha1.rules import parse_duration
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.api.v1alpha1.status import DataPlaneStatus, RestartStatus, StorageMigration
from meshupgrade.api.v1alpha1.status import Phase as PhaseName
from meshupgrade.distributions import Distribution
from meshupgrade.domain.crd_changes import ExpectedCRD, Look
from meshupgrade.domain.ranges import Range, parse_range
from meshupgrade.domain.secrets import Secrets
from meshupgrade.domain.state import State
from meshupgrade.domain.storage import Due
from meshupgrade.helm.charts import ChartSource
from meshupgrade.helm.driver import Helm, UpgradeRequest
from meshupgrade.helm.process import Child
from meshupgrade.helm.release import Release
from meshupgrade.helm.repository import ChartListing, ChartVersion, IndexCache
from meshupgrade.helm.storage import ReleaseStorage, StoredRevision
from meshupgrade.kube.client import Kube, ObjectRef

__all__ = [
    "Busy",
    "Held",
    "Outcome",
    "PhaseFailed",
    "PhaseModule",
    "PhasePlan",
    "SnapshotPlace",
    "Superseded",
    "Target",
    "Tools",
    "Work",
]


HISTORY_MAX = 10
"""Helm's own default."""


class PhaseFailed(Exception):
    """An attempt failed in a phase; the message says what a person needs to know."""

    def __init__(self, reason: AnyReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Superseded(Exception):
    """The spec changed while the phase could not go on."""


class Busy(Exception):
    """Somebody else works on the release."""


class Held(Exception):
    """Nothing more may be done for now: suspended, paused, or outside of the windows."""

    def __init__(self, state: State, message: str, pause: float | None = None) -> None:
        """``pause`` is in seconds; without it the mesh is looked at as often as the state asks for."""
        self.state = state
        self.pause = pause
        super().__init__(message)


@dataclass(frozen=True)
class Tools:
    """What phases use to reach the world."""

    kube: Kube
    helm: Helm
    http: aiohttp.ClientSession
    indexes: IndexCache
    cache: Path
    """Folder for chart archives and CRDs out of images, both by digest."""

    secrets: Secrets = field(default_factory=Secrets)
    """What must not be shown, for as long as a run knows it."""


@dataclass(frozen=True)
class Target:
    """Everything that a hop brings, known before the first write."""

    chart: Path
    chart_digest: str
    request: UpgradeRequest
    rendered: Release
    crds: Sequence[Mapping[str, Any]]
    crd_digest: str
    random: frozenset[tuple[str, str]] = frozenset()
    """Fields, each after its object, that the chart renders anew each time."""


async def _keep_nowhere(_: object) -> None:
    """For a Work without a status."""


async def _go_on() -> None:
    """For a Work that nobody holds."""


@dataclass(frozen=True)
class SnapshotPlace:
    """The Secret in which an attempt keeps what the MeshConfig was before it, and what it made of it."""

    name: str
    owner: ObjectRef
    """The MeshUpgrade."""

    kept: frozenset[str]
    """The other snapshots that history names."""

    record: Callable[[str], Awaitable[None]]
    """Name the Secret in history."""


@dataclass
class Work:
    """One run for one MeshUpgrade: what it was asked, what it saw, and what it found on the way."""

    tools: Tools
    namespace: str
    uid: str
    generation: int
    spec: MeshUpgradeSpec
    distribution: Distribution
    report: Callable[[str], Awaitable[None]]
    """Say what is being done or waited for; shown in the condition of the phase that runs."""

    helm_started: Callable[[int, Child, float], Awaitable[None]]
    """Record a Helm process for a revision, with the seconds it may take, before it does anything."""

    superseded: Callable[[], bool]
    """Tell whether the spec changed since the run began."""

    revisions: Sequence[StoredRevision] = ()
    live: Release | None = None
    """The revision that runs: the deployed one, else the newest; None when there is no release."""

    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What spec.valuesFrom and spec.values come to; resolved before anything is planned."""

    secret_paths: Sequence[tuple[str, ...]] = ()
    """The paths in these values that come out of Secrets."""

    values_digest: str = ""
    """Digest of the values, when some of them are out of ConfigMaps and Secrets."""

    value_findings: Sequence[Finding] = ()
    """What keeps the values from being resolved; they are not complete then."""

    base: Release | None = None
    """The release whose values Reuse and ResetThenReuse start from."""

    values_set: Sequence[str] = ()
    """The paths, as JSON pointers, that the spec set in the last verified release."""

    wanted: Range = field(default_factory=lambda: parse_range("*"))
    """What spec.version asks for."""

    goal: semver.Version | None = None
    """The version to reach in the end, once it is resolved."""

    version: semver.Version = field(default_factory=lambda: semver.Version(0))
    """The version that this hop brings; at rest, and until the hops are known, the goal."""

    begun_hop: semver.Version | None = None
    """The hop in which a run died, or failed, on its way to the goal."""

    chart_defaults: Mapping[str, Any] | None = field(default=None, repr=False)
    """The chart's own values, once the chart of the target was fetched."""

    source: ChartSource | None = None
    """The chart repository with its login."""

    listing: ChartListing | None = None
    """What the repository lists, once it was asked."""

    available: Sequence[AvailableVersion] | None = None
    """What the policy says of that; None when it was not asked."""

    charts: Sequence[ChartVersion] = ()
    """The charts of the hops."""

    chart_name: str = ""
    hops: Sequence[semver.Version] = ()
    """The versions on the way, the goal last."""

    half_way: bool = False
    """Whether the upgrade to the target had begun to write when the run began."""

    authorities: Sequence[str] = ()
    """Fingerprints of the mesh's certificate authority before the upgrade to the target began."""

    risks: frozenset[FindingName] = frozenset()
    """The Risks that planning found, on the whole way."""

    version_before: str = ""
    """The lower version that was verified before the one that runs: the only one that can be gone back to."""

    target: Target | None = None
    recreated: frozenset[ObjectRef] = frozenset()
    """The objects of the target that can only be changed by deleting and creating them."""

    helms_own: frozenset[ObjectRef] = frozenset()
    """The objects of the target that Preflight saw in Helm's hands, which nobody has to hand over."""

    crd_looks: Sequence[Look] = ()
    """What the CRD phase saw when it planned; each write is guarded against what changed since."""

    expected_crds: Mapping[str, ExpectedCRD] = field(default_factory=dict)
    """What the CRDs were left as, by name, to be looked at again once the new control plane is up."""

    fenced: bool = False
    """Whether something may be held off while CRDs change (see phases.crds.fence), and has to be restored."""

    data_plane: DataPlaneStatus | None = None
    crd_reads: dict[str, asyncio.Future[Mapping[str, Any] | None]] = field(default_factory=dict)
    """The live CRDs that were read for planning (see meshupgrade.phases.live_crds)."""

    planned_dues: Sequence[Due] = ()
    """The CRDs whose objects are stored in an old version, as they were when Storage planned."""

    revision: int | None = None
    """The revision that the control plane phase, or a rollback, brought up and verified."""

    migration: StorageMigration | None = None
    """How far a run that died had come with rewriting stored objects."""

    keep_migration: Callable[[StorageMigration | None], Awaitable[None]] = _keep_nowhere
    """Record how far it has come, before it goes on; None when it is over."""

    hold: Callable[[], Awaitable[None]] = _go_on
    """Awaited at each safe point after the hops. Raises Held and Superseded."""

    restart: RestartStatus | None = None
    """How far the restart of the data plane had come when the run began."""

    keep_restart: Callable[[RestartStatus], Awaitable[None]] = _keep_nowhere
    """Record how far it has come, before it goes on."""

    verified: int | None = None
    """The last revision that history records as verified and Helm still stores: where a rollback goes."""

    preset_revision: int | None = None
    """The stored revision whose defaults the MeshConfig was last brought up to; None when that is not known."""

    snapshot: SnapshotPlace | None = None
    """Where the MeshConfig of before the attempt is kept; None at rest."""

    undo: Sequence[str] | None = None
    """Going back: the snapshots of the attempts to undo in the MeshConfig, the newest first. None when going forward.
    """

    @property
    def release(self) -> str:
        """The name of the Helm release, which is the name of the mesh."""
        return self.spec.mesh.name or self.distribution.mesh_name

    @property
    def owner(self) -> str:
        """The mesh, as the scrubber knows it."""
        return f"{self.namespace}/{self.release}"

    @property
    def storage(self) -> ReleaseStorage:
        """Helm's storage of the release."""
        return ReleaseStorage(self.tools.kube, self.namespace, self.release)

    @property
    def repository(self) -> str:
        """The chart repository in use."""
        return self.spec.chart.repository or self.distribution.chart.repository

    @property
    def timeout(self) -> timedelta:
        """How long the control plane may take."""
        return parse_duration(self.spec.upgrade.timeout)

    def next_revision(self) -> int:
        """Give the number that Helm gives to the revision that it makes next."""
        return self.revisions[0].revision + 1 if self.revisions else 1

    def history_max(self) -> int:
        """Give how many revisions Helm is to keep, so that it never prunes the verified one."""
        newest = self.revisions[0].revision if self.revisions else 0
        return max(HISTORY_MAX, newest - (self.verified or newest) + 3)

    def accepts(self, risk: FindingName) -> bool:
        """Tell whether the spec accepts a Risk by name."""
        return risk in self.spec.upgrade.accept_risks

    def made(self, stored: StoredRevision) -> bool:
        """Tell whether a stored revision was made for this MeshUpgrade."""
        return stored.labels.get(OWNER_LABEL) == owner_value(self.uid, stored.revision)

    def running(self) -> semver.Version | None:
        """Give the chart version that runs, None when there is no release."""
        return self.current_version() if self.live is not None else None

    def current_version(self) -> semver.Version:
        """Give the chart version that runs. Path makes sure that there is a release."""
        assert self.live is not None
        return semver.Version.parse(self.live.chart_version.removeprefix("v"))

    def need_goal(self) -> semver.Version:
        """Give the version to reach, which is resolved before any phase runs."""
        assert self.goal is not None
        return self.goal

    def need_verified(self) -> int:
        """Give the revision that a rollback goes to, which the engine has found before it asks for one."""
        assert self.verified is not None
        return self.verified

    def need_target(self) -> Target:
        """Give the target, which Preflight makes before any later phase runs."""
        assert self.target is not None
        return self.target


@dataclass(frozen=True)
class PhasePlan:
    """What a phase found, and what it would do."""

    findings: Sequence[Finding] = ()
    changes: Sequence[str] = ()
    """What it would write, object by object, in words; empty when there is nothing to do."""

    values: Sequence[PlannedValue] = ()
    """Of the MeshConfig phase, the fields that change."""

    data_plane: PlannedRestart | None = None
    """Of the DataPlane phase, what is restarted; None when the spec wants no restarts."""

    addons: Sequence[PlannedImage] = ()
    """Of the Addons phase, the images that it sets on Deployments."""


@dataclass(frozen=True)
class Outcome:
    """How a phase ended well."""

    reason: Reason
    message: str
    status: ConditionStatus = "True"


class PhaseModule(Protocol):
    """A phase. Both calls read the world anew each time: nothing is remembered that can be read back."""

    @property
    def name(self) -> PhaseName:
        """Its name."""
        ...

    @property
    def condition(self) -> ConditionType:
        """The condition that reports it."""
        ...

    async def plan(self, work: Work) -> PhasePlan:
        """Read only: give what was found and what would be done. An Error stops the phases after it from planning."""
        ...

    async def apply(self, work: Work) -> Outcome:
        """Do it: idempotent, and after a crash goes on where it stopped.

        Raises PhaseFailed, Superseded, and the errors of kube, helm and oci.
        """
        ...
