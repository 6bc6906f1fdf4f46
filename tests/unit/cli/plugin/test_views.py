"""What each command shows, for a MeshUpgrade in every state. `pytest --snapshot-update` records it anew."""

import io
import re

import pytest
from rich.console import Console, Group, RenderableType
from syrupy.assertion import SnapshotAssertion

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.plan import PlannedHop, PlannedImage, PlannedRestart
from meshupgrade.cli.plugin.advice import BY_REASON, BY_STATE
from meshupgrade.cli.plugin.output import show
from meshupgrade.cli.plugin.plan_view import SHOWN_PATHS, plan_lines
from meshupgrade.cli.plugin.status_view import change_line, status_tree
from meshupgrade.cli.plugin.summary_view import summary_lines
from meshupgrade.cli.plugin.tables import history_table, versions_table
from meshupgrade.cli.plugin.upgrades import Upgrade, read
from meshupgrade.cli.plugin.why_view import why_lines
from meshupgrade.domain.plans import summarize
from meshupgrade.domain.state import TABLE, State
from tests.unit.cli.plugin import examples

NONE: frozenset[str] = frozenset()


def text_of(what: RenderableType) -> str:
    """Give what a pipe gets."""
    stream = io.StringIO()
    show(what, Console(file=stream, width=1000, markup=False, highlight=False))
    return stream.getvalue()


def why(upgrade: Upgrade) -> str:
    return text_of(Group(*why_lines(upgrade)))


@pytest.mark.parametrize("state", State)
def test_every_state_is_told(state: State, snapshot: SnapshotAssertion) -> None:
    upgrade = examples.upgrade(state)

    assert upgrade.state() is state
    shown = "\n".join([text_of(status_tree(upgrade)), change_line(upgrade), "", why(upgrade)])
    assert shown == snapshot


@pytest.mark.parametrize("state", State)
def test_why_says_the_message_and_what_to_do(state: State) -> None:
    told = why(examples.upgrade(state))

    assert BY_STATE[state].headline in told
    assert examples.MESSAGES[state] in told
    assert ("What to do" in told) == (state is not State.COMPLETED)
    assert not re.search(r"\{\w*\}", told), "a placeholder is left"
    assert ("Not Ready" in told) == (TABLE[state].ready != "True")


def test_there_is_advice_for_every_state_and_for_every_reason_of_what_is_wrong() -> None:
    assert set(BY_STATE) == set(State)
    of_states = {shown.reason for shown in TABLE.values()}
    good = {Reason.HEALTHY, Reason.DONE, Reason.NOTHING_TO_DO, Reason.CORRECTED}
    no_news = {Reason.PENDING, Reason.IN_PROGRESS, Reason.NOT_OBSERVED, Reason.ROLLBACK_REQUESTED}
    assert set(Reason) - of_states - good - no_news == set(BY_REASON)


def test_one_that_the_operator_never_saw() -> None:
    upgrade = examples.upgrade(None)
    assert "not looked at yet" in text_of(status_tree(upgrade))
    assert "not taken up this spec" in why(upgrade)
    assert change_line(upgrade) == "osm-system/osm not known - not looked at yet"


def test_a_new_generation_is_never_told_as_ready() -> None:
    obj = examples.live(State.COMPLETED)
    obj["metadata"]["generation"] = 4
    told = why(read(obj))
    assert "not taken up this spec" in told
    assert "Ready: the mesh runs the version" not in told
    assert "Generation 4 is not taken up yet, the operator saw 3" in text_of(status_tree(read(obj)))


def test_the_remedies_of_what_blocks_come_before_the_others() -> None:
    told = why(examples.upgrade(State.REFUSED))
    blocking, others = told.split("Also found")
    assert examples.ERROR.remedy in blocking
    assert examples.RISK.remedy in blocking
    assert examples.WARNING.message in others


def test_an_accepted_risk_does_not_block() -> None:
    obj = examples.live(State.REFUSED)
    obj["spec"]["upgrade"] = {"acceptRisks": ["BreakingChange"]}
    blocking, others = why(read(obj)).split("Also found")
    assert examples.RISK.message not in blocking
    assert "Risk accepted BreakingChange" in others


def test_the_hop_under_way_is_marked() -> None:
    lines = text_of(status_tree(examples.upgrade(State.RUNNING))).splitlines()
    assert any("✓ 1.2.0" in line for line in lines)
    assert any("▶ 1.2.1" in line for line in lines)


def test_the_plan(snapshot: SnapshotAssertion) -> None:
    assert text_of(Group(*plan_lines(examples.plan(), NONE))) == snapshot


def test_a_plan_names_how_many_fields_it_leaves_out() -> None:
    told = text_of(Group(*plan_lines(examples.plan(), NONE)))
    assert f"args[{SHOWN_PATHS - 1}]" in told
    assert f"args[{SHOWN_PATHS}]" not in told
    assert "and 3 more fields" in told


def test_a_plan_without_changes_says_so() -> None:
    told = text_of(Group(*plan_lines(examples.plan().model_copy(update={"hops": [], "mesh_config": []}), NONE)))
    assert "Nothing would change." in told
    assert "Hop" not in told


def test_a_hop_in_which_nothing_changes_is_left_out() -> None:
    still = PlannedHop(version="1.2.1", previous="1.2.1", chart="osm-edge", chart_digest="sha256:ccc")
    told = text_of(Group(*plan_lines(examples.plan().model_copy(update={"hops": [still]}), NONE)))
    assert "Hop" not in told
    assert "osmLogLevel" in told


def test_the_summary_says_what_changes_beside_the_hops() -> None:
    upgrade = examples.upgrade(State.AWAITING_APPROVAL)
    restart = PlannedRestart(target="1.2.1-a", workloads=12, waves=1, wave_size=12)
    image = PlannedImage(workload="Deployment osm-system/grafana", container="grafana", after="grafana:2")
    plan = examples.plan().model_copy(update={"hops": [], "data_plane": restart, "addons": [image]})
    short = summarize(plan, secret="s", inputs="i", approved=False, carried=False)
    told = text_of(Group(*summary_lines(upgrade, short)))
    assert "Changes: fields of the MeshConfig 1, images of addons 1\n" in told
    assert "Data plane: 12 workloads are restarted, in 1 wave\n" in told


def test_the_summary(snapshot: SnapshotAssertion) -> None:
    upgrade = examples.upgrade(State.AWAITING_APPROVAL)
    assert upgrade.status.plan is not None
    assert text_of(Group(*summary_lines(upgrade, upgrade.status.plan))) == snapshot


def test_the_history(snapshot: SnapshotAssertion) -> None:
    upgrade = examples.upgrade(State.FAILED)
    assert text_of(history_table(upgrade, examples.AT)) == snapshot


def test_an_attempt_that_has_not_ended_says_how_long_it_runs() -> None:
    begun = examples.begun_attempt()
    shown = text_of(history_table(examples.upgrade(State.RUNNING, history=[begun]), examples.AT.replace(minute=2)))
    assert "2m0s so far" in shown


def test_the_versions(snapshot: SnapshotAssertion) -> None:
    upgrade = examples.upgrade(State.AWAITING_APPROVAL, available_versions=examples.VERSIONS)
    assert text_of(versions_table(upgrade)) == snapshot
