"""What status.history tells of the MeshConfig."""

import pytest

from meshupgrade.api.v1alpha1.status import HistoryEntry, HistoryState
from meshupgrade.engine.mesh_config_history import goes_back, merged_revision, snapshot_name, to_undo
from tests.unit.engine.test_history import NOW, entry


def attempt(
    version: str,
    revision: int | None,
    state: str = "Completed",
    action: str = "Upgrade",
    *,
    reached: bool = True,
    snapshot: str = "",
) -> HistoryEntry:
    """An attempt; ``reached``: it came through the MeshConfig phase."""
    return entry(
        version,
        HistoryState(state),
        action=action,
        revision=revision,
        verified=revision is not None,
        phases=[{"name": "MeshConfig", "seconds": 1.0}] if reached else [],
        mesh_config_snapshot=snapshot,
    )


ADOPTED = attempt("1.1.0", 1, action="Adopt", reached=False)
HOP = attempt("1.2.0", 2, reached=False)


@pytest.mark.parametrize(
    ("history", "revision"),
    [
        ([], None),
        ([ADOPTED], 1),
        ([attempt("1.2.0", 2), ADOPTED], 2),
        # A hop on the way left the MeshConfig as it was.
        ([HOP, ADOPTED], 1),
        ([attempt("1.2.1", 3), HOP, ADOPTED], 3),
        # It died, or failed, before it came to the MeshConfig, or after that.
        ([attempt("1.2.0", None, "Partial", reached=False), ADOPTED], 1),
        ([attempt("1.2.0", 2, "Partial", reached=False), ADOPTED], 1),
        ([attempt("1.2.0", 2, "Partial"), ADOPTED], 2),
        ([attempt("1.2.0", 2, "Failed", reached=False), ADOPTED], 1),
        ([attempt("1.2.0", 2, "Failed"), ADOPTED], 2),
        ([attempt("1.2.0", 2, "Partial", reached=False), attempt("1.2.0", 2, "Failed"), ADOPTED], 2),
        # Rolled back, by itself or at the wish of a person; and on its way back.
        ([attempt("1.1.0", 3, action="Rollback", reached=False), attempt("1.2.0", 2, "RolledBack"), ADOPTED], 3),
        ([attempt("1.2.0", 2, "RolledBack"), ADOPTED], 1),
        ([attempt("1.1.0", 3, action="Rollback"), attempt("1.2.0", 2), ADOPTED], 3),
        ([attempt("1.1.0", 3, "Partial", "Rollback", reached=False), attempt("1.2.0", 2), ADOPTED], 2),
        ([attempt("1.2.0", 1, action="Install")], 1),
        # Rolled back to a hop on the way, which had left the MeshConfig as it was.
        (
            [attempt("1.2.0", 4, action="Rollback", reached=False), attempt("1.2.1", None, "RolledBack"), HOP, ADOPTED],
            1,
        ),
        ([attempt("1.2.1", 3, action="Rollback", reached=False), attempt("1.2.1", 2), ADOPTED], 3),
        # It timed out, became healthy later, and is found so by the next attempt.
        (
            [
                attempt("1.2.0", 2, action="Adopt", reached=False),
                attempt("1.2.0", None, "Failed", reached=False),
                ADOPTED,
            ],
            1,
        ),
        (
            [
                attempt("1.2.5", 2, action="Adopt", reached=False),
                attempt("1.2.0", None, "Failed", reached=False),
                ADOPTED,
            ],
            2,
        ),
    ],
)
def test_by_which_release_the_mesh_config_is_judged(history: list[HistoryEntry], revision: int | None) -> None:
    assert merged_revision(history) == revision


UP_2 = attempt("1.2.0", 2, snapshot="s2")
UP_3 = attempt("1.3.0", 3, snapshot="s3")
BACK = attempt("1.1.0", 4, action="Rollback", snapshot="s4")


@pytest.mark.parametrize(
    ("history", "version", "revision", "names"),
    [
        ([UP_2, ADOPTED], "1.1.0", 1, ["s2"]),
        ([UP_2, ADOPTED], "1.2.0", 2, []),
        ([UP_3, UP_2, ADOPTED], "1.1.0", 1, ["s3", "s2"]),
        ([UP_3, UP_2, ADOPTED], "1.2.0", None, ["s3"]),
        ([UP_3, HOP, ADOPTED], "1.1.0", 1, ["s3"]),
        # Nothing that is meant is there any more.
        ([UP_3, UP_2], "1.1.0", 1, []),
        # A retry of the same, and a failed attempt that had come to the MeshConfig.
        ([attempt("1.3.0", None, "Failed"), attempt("1.3.0", None, "Failed", snapshot="f"), UP_2], "1.2.0", 2, ["f"]),
        # A rollback of before is a step as any other.
        ([attempt("1.2.0", 5, snapshot="s5"), BACK, UP_2, ADOPTED], "1.1.0", 4, ["s5"]),
        ([attempt("1.2.0", 5, snapshot="s5"), BACK, UP_2, ADOPTED], "1.1.0", 1, ["s5", "s4", "s2"]),
        ([BACK, UP_2, ADOPTED], "1.2.0", 2, ["s4"]),
        # The way back itself, after a crash: with its own snapshot or without, and whatever it has verified.
        ([attempt("1.1.0", None, "Partial", "Rollback", reached=False, snapshot="b"), UP_2, ADOPTED],
         "1.1.0", 1, ["s2"]),
        ([attempt("1.1.0", 3, "Partial", "Rollback", reached=False, snapshot="b"), UP_2, ADOPTED],
         "1.1.0", None, ["s2"]),
        # It failed after the control plane was back, and is tried again.
        ([attempt("1.1.0", 3, "Failed", "Rollback", reached=False, snapshot="b"), UP_2, ADOPTED],
         "1.1.0", 3, ["b", "s2"]),
    ],
)  # fmt: skip
def test_what_a_way_back_undoes_in_the_mesh_config(
    history: list[HistoryEntry], version: str, revision: int | None, names: list[str]
) -> None:
    assert to_undo(history, version, revision) == names


@pytest.mark.parametrize(
    ("history", "goes"),
    [
        ([], False),
        ([attempt("1.1.0", 3, "Partial", "Rollback", reached=False), UP_2], True),
        ([attempt("1.1.0", 3, "Failed", "Rollback", reached=False), UP_2], True),
        ([attempt("1.1.0", 3, "Partial", reached=False),
          attempt("1.1.0", 3, "Failed", "Rollback", reached=False), UP_2], True),
        ([attempt("1.1.0", 3, "Partial", "Rollback"), UP_2], False),
        ([BACK, UP_2], False),
        ([attempt("1.1.0", 5, "Partial", reached=False), BACK, UP_2], False),
        ([attempt("1.1.0", 5, "Partial", reached=False), UP_2], False),
        ([UP_2], False),
    ],
)  # fmt: skip
def test_whether_a_way_back_was_left_half_way(history: list[HistoryEntry], goes: bool) -> None:
    assert goes_back(history, "1.1.0") is goes


def test_each_attempt_has_a_snapshot_of_its_own() -> None:
    one = entry("1.2.0", HistoryState.PARTIAL, input_digest="a")
    others = [
        entry("1.2.0", HistoryState.PARTIAL, input_digest="b"),
        entry("1.2.1", HistoryState.PARTIAL, input_digest="a"),
        entry("1.2.0", HistoryState.PARTIAL, input_digest="a", started_time=NOW),
    ]
    names = {snapshot_name("u", each) for each in [one, *others]}
    names |= {snapshot_name("u", one, rollback=True), snapshot_name("v", one)}
    assert len(names) == 6
    done = entry("1.2.0", HistoryState.COMPLETED, input_digest="a", revision=3, verified=True, mesh_config_snapshot="s")
    assert snapshot_name("u", done) == snapshot_name("u", one), "nothing of how it goes on counts"
    assert snapshot_name("u", HistoryEntry.model_validate_json(one.model_dump_json(by_alias=True))) == (
        snapshot_name("u", one)
    )
