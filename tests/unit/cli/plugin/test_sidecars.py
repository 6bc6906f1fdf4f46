"""What `status` shows of the workloads of a mesh."""

import io
import json

import pytest
from rich.console import Console, Group

from meshupgrade.api.v1alpha1.status import DataPlaneStatus, RestartStatus, WorkloadCounts
from meshupgrade.cli.plugin.output import show
from meshupgrade.cli.plugin.sidecars import Sidecars, WorkloadRow
from meshupgrade.cli.plugin.sidecars_view import sidecar_lines
from meshupgrade.cli.plugin.status_view import status_tree
from meshupgrade.domain.sidecars import SidecarState
from meshupgrade.domain.state import State
from tests.unit.cli.plugin import examples


def row(number: int, state: SidecarState = SidecarState.OUTDATED, outdated_by: str = "") -> WorkloadRow:
    return WorkloadRow("shop", "Deployment", f"web-{number:02}", 3, 1, 2, 0, state, outdated_by)


def lines(sidecars: Sidecars, *, everything: bool = False) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=1000, markup=False, highlight=False)
    show(Group(*sidecar_lines(sidecars, everything=everything)), console)
    return stream.getvalue().splitlines()


def test_each_workload_is_a_line() -> None:
    shown = lines(Sidecars((row(1), row(2, SidecarState.CURRENT)), ("Job shop/import",)))
    assert [line.split() for line in shown[:3]] == [
        ["NAMESPACE", "KIND", "NAME", "PODS", "CURRENT", "OUTDATED", "UNKNOWN", "SIDECAR"],
        ["shop", "Deployment", "web-01", "3", "1", "2", "0", "outdated"],
        ["shop", "Deployment", "web-02", "3", "1", "2", "0", "current"],
    ]
    assert shown[3:] == ["Of no workload that would bring them back: Job shop/import"]


@pytest.mark.parametrize("count", [20, 21, 1000])
def test_they_are_bounded_unless_all_are_asked_for(count: int) -> None:
    sidecars = Sidecars(tuple(map(row, range(count))), tuple(f"Pod shop/p{number}" for number in range(count)))
    shown = lines(sidecars)
    assert sum("web-" in line for line in shown) == 20
    assert (f"… and {count - 20} more; --all shows all" in shown) == (count > 20)
    assert f"Pod shop/p4 … and {count - 5} more; --all shows all" in shown[-1]
    whole = lines(sidecars, everything=True)
    assert sum("web-" in line for line in whole) == count
    assert f"Pod shop/p{count - 1}" in whole[-1]
    assert not any("--all" in line for line in whole)


@pytest.mark.parametrize(
    ("outdated_by", "said"), [("sidecar", "outdated"), ("init container", "outdated (init container)")]
)
def test_that_only_the_init_container_is_another_is_said(outdated_by: str, said: str) -> None:
    shown = lines(Sidecars((row(1, outdated_by=outdated_by),)))
    assert shown[1].split(None, 7)[7].strip() == said


def test_a_mesh_without_workloads_has_no_table() -> None:
    assert lines(Sidecars()) == []


def test_who_may_not_look_gets_one_line_and_what_the_operator_counted() -> None:
    upgrade, forbidden = examples.upgrade(State.COMPLETED), Sidecars(forbidden="pods is forbidden")
    assert lines(forbidden) == ["The sidecars are those that the operator counted: pods is forbidden"]
    assert forbidden.seen_in(upgrade) is upgrade
    assert forbidden.data() == {"forbidden": "pods is forbidden"}


def test_what_is_seen_now_goes_before_what_was_counted() -> None:
    restart = RestartStatus(target="t", total=3, restarted=1)
    counted = DataPlaneStatus(total=9, unknown=9, workloads=WorkloadCounts(total=9, excluded=2), restart=restart)
    upgrade = examples.upgrade(State.COMPLETED, data_plane=counted)
    seen = DataPlaneStatus(total=3, current=1, outdated=2, unmanaged=1, uninjected=4, workloads=WorkloadCounts(total=1))
    now = Sidecars((row(1),), (), seen).seen_in(upgrade)
    assert now.status.data_plane == seen.model_copy(
        update={"restart": restart, "workloads": WorkloadCounts(total=1, excluded=2)}
    )
    stream = io.StringIO()
    show(status_tree(now), Console(file=stream, width=1000, markup=False, highlight=False))
    said = "3 Pods: 1 current, 2 outdated, 0 unknown; 1 of them unmanaged; 4 beside them without a sidecar"
    assert f"Data plane  {said}" in stream.getvalue()


def test_it_can_be_written_as_data() -> None:
    data = json.loads(json.dumps(Sidecars((row(1, outdated_by="sidecar"),), ("Pod shop/p",)).data()))
    assert data == {
        "workloads": [
            {
                "namespace": "shop", "kind": "Deployment", "name": "web-01", "pods": 3, "current": 1, "outdated": 2,
                "unknown": 0, "state": "outdated", "outdated_by": "sidecar",
            }
        ],
        "unmanaged": ["Pod shop/p"],
    }  # fmt: skip
