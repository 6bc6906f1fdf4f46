"""What a plan shows of values."""

import dataclasses
from datetime import UTC, datetime

import pytest

from meshupgrade.api.v1alpha1.plan import PlannedRestart, PlannedValue
from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.api.v1alpha1.status import HistoryAction, HistoryEntry, HistoryState
from meshupgrade.domain.secrets import Secrets
from meshupgrade.engine.planner import make_back_plan
from meshupgrade.engine.planning import Afterwards
from meshupgrade.phases.shape import Tools
from tests.unit.phases.works import make_release, make_work

TOOLS = Tools(kube=None, helm=None, http=None, indexes=None, cache=None, secrets=Secrets())  # type: ignore[arg-type]
AT = datetime(2026, 5, 4, tzinfo=UTC)
ENTRY = HistoryEntry.model_validate(
    {"version": "1.2.2", "from": "1.2.1", "state": HistoryState.COMPLETED, "startedTime": AT,
     "action": HistoryAction.UPGRADE}
)  # fmt: skip


def test_values_that_may_have_come_out_of_a_secret_are_told_by_path_alone() -> None:
    live = make_release(config={"token": "hush-hush", "level": "info", "size": 3, "tag": "old", "gone": {"a": "psst"}})
    work = make_work({"values": {"tag": "new"}}, live=dataclasses.replace(live, defaults={"level": "info"}))
    work.tools = TOOLS
    back = make_release(version="1.2.2", revision=1, config={"token": "before", "tag": "new"})
    plan = make_back_plan(work, back, ENTRY, [], Afterwards(), [], AT)
    assert plan.hops[0].values == [
        PlannedValue(path="gone.a", secret=True),
        PlannedValue(path="level", before="info"),
        PlannedValue(path="size", secret=True),
        PlannedValue(path="tag", before="old", after="new"),
        PlannedValue(path="token", secret=True),
    ]


@pytest.mark.parametrize(
    ("distribution", "version", "told"),
    [
        (DistributionName.OSM_EDGE, "1.2.2", ["CRDs"]),
        (DistributionName.FSM, "1.3.3", ["CRDs"]),
        (DistributionName.FSM, "1.3.4", []),
    ],
)
def test_a_plan_of_going_back_says_whether_the_bootstrap_replaces_crds(
    distribution: DistributionName, version: str, told: list[str]
) -> None:
    work = make_work({"version": "1.4.0"}, distribution=distribution, live=make_release(version="1.4.0"))
    work.tools = TOOLS
    entry = ENTRY.model_copy(update={"version": version})
    plan = make_back_plan(work, make_release(version=version, revision=1), entry, [], Afterwards(), [], AT)
    assert [item.phase for item in plan.reversibility] == told


@pytest.mark.parametrize(
    ("windows", "told"),
    [
        ([], []),
        ([{"start": "00:00", "end": "02:00"}], ["2026-05-04T02:00:00Z"]),
        ([{"start": "09:00", "end": "10:30"}], ["2026-05-04T10:30:00Z"]),
        ([{"start": "00:00", "end": "00:00"}], []),
    ],
)
def test_a_restart_is_told_with_the_end_of_its_window(windows: list[dict[str, str]], told: list[str]) -> None:
    work = make_work({"upgrade": {"windows": windows}}, live=make_release())
    work.tools = TOOLS
    restart = PlannedRestart(target="1.2.2-a", workloads=7, waves=4, wave_size=2)
    back = make_release(version="1.2.2", revision=1)
    texts = make_back_plan(work, back, ENTRY, [], Afterwards(data_plane=restart), [], AT).interruptions
    assert any("7 workloads of the data plane are restarted, at most 2 at once" in text for text in texts)
    assert [text.split()[6].rstrip(",") for text in texts if "when the window closes" in text] == told
