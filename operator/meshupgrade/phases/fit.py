"""Whether the Helm release already is what the spec asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.domain.merge import without_nulls
from meshupgrade.domain.values import (
    Path,
    carry_identity,
    from_pointer,
    removed_paths,
    reused_defaults,
    user_values,
    without_path,
)
from meshupgrade.domain.versions import parse_version
from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.phases.addon_images import image_paths, spec_values
from meshupgrade.phases.shape import Work

__all__ = ["desired_defaults", "desired_values", "no_longer_set", "release_fits"]


def desired_values(work: Work) -> dict[str, Any]:
    """Give the user's values to pass to Helm, complete: by the policy, and with the identity of the mesh that runs."""
    live: Mapping[str, Any] = work.live.config if work.live is not None else _new_identity(work)
    values = carry_identity(spec_values(work), live, work.distribution.identity)
    return user_values(work.spec.values_policy, values, _base_config(work))


def desired_defaults(work: Work, chart_defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give what takes the place of the chart's own values, which only Reuse does; None for nothing."""
    base = _base(work)
    if work.spec.values_policy is not ValuesPolicy.REUSE or base is None:
        return None
    # Where an addon's image stands the chart's own value stays, in whose form the spec's is given.
    kept = [*no_longer_set(work), *image_paths(work)]
    return reused_defaults(base.defaults, _base_config(work), kept, chart_defaults)


def no_longer_set(work: Work) -> Sequence[Path]:
    """Give the paths that the spec set in the last verified release and does not set now."""
    return removed_paths(map(from_pointer, work.values_set), spec_values(work))


def release_fits(work: Work) -> bool:
    """Tell whether the newest revision is deployed with the chart version and the user's values of the spec.

    What Helm would have to do is then nothing; whether the workloads are ready is another question.
    """
    live = work.live
    if live is None or work.value_findings:
        return False
    if live.status is not ReleaseStatus.DEPLOYED or live.revision != work.revisions[0].revision:
        return False
    return (
        parse_version(live.chart_version) == work.version
        and without_nulls(live.config) == without_nulls(desired_values(work))
    )  # fmt: skip


def _base(work: Work) -> Release | None:
    return work.base or work.live


def _base_config(work: Work) -> dict[str, Any]:
    base = _base(work)
    config = dict(base.config) if base is not None else {}
    for path in no_longer_set(work):
        config = without_path(config, path)
    return config


def _new_identity(work: Work) -> dict[str, Any]:
    """Give the identity of a mesh that is not there yet: its name is that of the release, as `osm install` has it."""
    return {work.distribution.chart.root: {"meshName": work.release}}
