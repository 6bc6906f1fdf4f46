"""What was seen of the CRDs of a release, what becomes of them, and whether it stayed so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.domain.scope import ScopeChange

__all__ = ["CRDChange", "ExpectedCRD", "Look", "was_written_back"]

Object = Mapping[str, Any]


@dataclass(frozen=True)
class ExpectedCRD:
    """What a CRD was left as, to be compared with what became of it."""

    spec: Object
    versions: frozenset[str]
    """The versions that must stay as they are; a new bootstrap may drop the others."""


@dataclass(frozen=True)
class CRDChange:
    """What becomes of one CRD."""

    live: Object | None
    merged: Mapping[str, Any]
    spec: Object
    """What the API server makes of it."""

    replace: bool
    """Whether its spec has to be replaced before the apply, since others own fields that go."""

    @property
    def name(self) -> str:
        """The name of the CRD."""
        return str(self.merged["metadata"]["name"])

    @property
    def group(self) -> str:
        """The API group of its objects."""
        return str(self.merged["spec"]["group"])

    def __str__(self) -> str:
        return f"{'change' if self.live else 'create'} CRD {self.name}"


@dataclass(frozen=True)
class Look:
    """What was seen of one CRD."""

    name: str
    findings: Sequence[Finding] = ()
    change: CRDChange | None = None
    expected: ExpectedCRD | None = None
    """What it is, or will be after the change; None for what cannot be applied."""

    scope: ScopeChange | None = None
    """Its change of scope, which comes before any other change of it."""


def was_written_back(expected: ExpectedCRD, live: Object) -> bool:
    """Tell whether somebody changed a CRD after it was applied: its names, or a version that must stay.

    Which version is stored does not count: the new bootstrap and the storage phase switch that.
    """
    now = _without_storage(live["spec"])
    wanted = _without_storage(expected.spec)
    changed = any(now.get(name) != wanted[name] for name in expected.versions)
    return changed or live["spec"]["names"] != expected.spec["names"]


def _without_storage(spec: Object) -> dict[str, dict[str, Any]]:
    return {
        version["name"]: {key: value for key, value in version.items() if key != "storage"}
        for version in spec["versions"]
    }
