"""What a plan shows of values."""

import dataclasses
from datetime import UTC, datetime

from meshupgrade.api.v1alpha1.plan import PlannedValue
from meshupgrade.api.v1alpha1.status import HistoryAction, HistoryEntry, HistoryState
from meshupgrade.domain.secrets import Secrets
from meshupgrade.engine.planner import make_back_plan
from meshupgrade.engine.planning import Afterwards
from meshupgrade.phases.shape import Tools
from tests.unit.phases.works import make_release, make_work

AT = datetime(2026, 5, 4, tzinfo=UTC)


def test_values_that_may_have_come_out_of_a_secret_are_told_by_path_alone() -> None:
    live = make_release(config={"token": "hush-hush", "level": "info", "size": 3, "tag": "old", "gone": {"a": "psst"}})
    work = make_work({"values": {"tag": "new"}}, live=dataclasses.replace(live, defaults={"level": "info"}))
    work.tools = Tools(kube=None, helm=None, http=None, indexes=None, cache=None, secrets=Secrets())  # type: ignore[arg-type]
    entry = HistoryEntry.model_validate(
        {"version": "1.2.2", "from": "1.2.1", "state": HistoryState.COMPLETED, "startedTime": AT,
         "action": HistoryAction.UPGRADE}
    )  # fmt: skip
    back = make_release(version="1.2.2", revision=1, config={"token": "before", "tag": "new"})
    plan = make_back_plan(work, back, entry, [], Afterwards(), [], AT)
    assert plan.hops[0].values == [
        PlannedValue(path="gone.a", secret=True),
        PlannedValue(path="level", before="info"),
        PlannedValue(path="size", secret=True),
        PlannedValue(path="tag", before="old", after="new"),
        PlannedValue(path="token", secret=True),
    ]
