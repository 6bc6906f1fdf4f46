"""Whether the Helm release already is what the spec asks for."""

from collections.abc import Mapping
from typing import Any

from meshupgrade.domain.merge import without_nulls
from meshupgrade.domain.values import carry_identity, user_values
from meshupgrade.domain.versions import parse_version
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.phases.shape import Work

__all__ = ["desired_values", "release_fits"]


def desired_values(work: Work) -> dict[str, Any]:
    """Give the values to pass to Helm: the spec's, and the identity of the mesh that runs."""
    return carry_identity(work.spec.values, _live_values(work), work.distribution.identity)


def release_fits(work: Work) -> bool:
    """Tell whether the newest revision is deployed with the chart version and the user's values of the spec.

    What Helm would have to do is then nothing; whether the workloads are ready is another question.
    """
    live = work.live
    if live is None or live.status is not ReleaseStatus.DEPLOYED or live.revision != work.revisions[0].revision:
        return False
    wanted = user_values(work.spec.values_policy, desired_values(work), live.config)
    return (
        parse_version(live.chart_version) == parse_version(work.spec.version)
        and without_nulls(live.config) == without_nulls(wanted)
    )  # fmt: skip


def _live_values(work: Work) -> Mapping[str, Any]:
    return work.live.config if work.live is not None else {}
