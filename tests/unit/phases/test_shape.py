"""What a run carries, and the order of the phases."""

from datetime import timedelta

import pytest

from meshupgrade.api.v1alpha1.conditions import ConditionType
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.phases import PHASES
from tests.unit.phases.works import make_release, make_work


def test_the_phases_in_their_order() -> None:
    assert [(phase.name, phase.condition) for phase in PHASES] == [
        (Phase.PATH, ConditionType.PATH_VALIDATED),
        (Phase.PREFLIGHT, ConditionType.PREFLIGHT_PASSED),
        (Phase.CRDS, ConditionType.CRDS_APPLIED),
        (Phase.CONTROL_PLANE, ConditionType.CONTROL_PLANE_UPGRADED),
        (Phase.STORAGE, ConditionType.STORAGE_MIGRATED),
        (Phase.MESH_CONFIG, ConditionType.MESH_CONFIG_PATCHED),
        (Phase.DATA_PLANE, ConditionType.DATA_PLANE_RESTARTED),
        (Phase.ADDONS, ConditionType.ADDONS_UPGRADED),
    ]


@pytest.mark.parametrize("distribution", DistributionName)
def test_defaults_are_the_distributions(distribution: DistributionName) -> None:
    work = make_work(distribution=distribution)
    assert work.release == work.distribution.mesh_name
    assert work.repository == work.distribution.chart.repository
    assert work.timeout == timedelta(minutes=5)


def test_the_spec_wins() -> None:
    work = make_work(
        {
            "mesh": {"distribution": "osm-edge", "name": "blue"},
            "chart": {"repository": "oci://r.example/charts"},
            "upgrade": {"timeout": "90s", "acceptRisks": ["Prerelease"]},
        }
    )
    assert (work.release, work.repository, work.timeout) == ("blue", "oci://r.example/charts", timedelta(seconds=90))
    assert work.accepts(FindingName.PRERELEASE)
    assert not work.accepts(FindingName.BREAKING_CHANGE)


def test_the_version_that_runs() -> None:
    assert str(make_work(live=make_release(version="v1.2.2")).current_version()) == "1.2.2"
