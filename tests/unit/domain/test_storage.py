"""What is due, and what the switch of the stored version is."""

from typing import Any

import pytest

from meshupgrade.domain.storage import dropped_too_early, storage_due, storage_switch, write_versions


def crd(
    stored: str, *versions: str, kept: tuple[str, ...] = (), conversion: str = "None", unserved: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "metadata": {"name": "things.example.test", "resourceVersion": "7"},
        "spec": {
            "group": "example.test",
            "names": {"kind": "Thing", "plural": "things"},
            "conversion": {"strategy": conversion},
            "versions": [
                {"name": name, "served": name not in unserved, "storage": name == stored} for name in versions
            ],
        },
        "status": {"storedVersions": list(kept or (stored,))},
    }


@pytest.mark.parametrize(
    ("live", "shipped", "others"),
    [
        (crd("v1", "v1"), crd("v1", "v1"), None),
        (crd("v2", "v1", "v2", kept=("v2",)), crd("v2", "v1", "v2"), None),
        (crd("v2", "v1", "v2", kept=("v1", "v2")), crd("v2", "v1", "v2"), ("v1",)),
        (crd("v1", "v1", "v2"), crd("v2", "v1", "v2"), ("v1",)),
        # Before the release's CRD is applied.
        (crd("v1", "v1"), crd("v2", "v2"), ("v1",)),
        # Somebody has switched it back after a migration.
        (crd("v1", "v1", "v2", kept=("v2", "v1")), crd("v2", "v1", "v2"), ("v1",)),
        (crd("v1", "v1", "v2", kept=("v2",)), crd("v2", "v1", "v2"), ()),
    ],
)
def test_what_is_due(live: dict[str, Any], shipped: dict[str, Any], others: tuple[str, ...] | None) -> None:
    due = storage_due(live, shipped)
    assert (due.others if due else None) == others


def test_a_webhook_stays_when_the_release_has_one() -> None:
    live = crd("v1", "v1", "v2", conversion="Webhook")
    for strategy, drops in (("None", True), ("Webhook", False)):
        due = storage_due(live, crd("v2", "v1", "v2", conversion=strategy))
        assert due is not None
        assert due.drops_webhook is drops


@pytest.mark.parametrize(
    ("kept", "shipped", "forced"),
    [(("v1",), ("v2",), True), (("v1",), ("v1", "v2"), False), (("v1", "v2"), ("v2", "v3"), True)],
)
def test_what_cannot_wait(kept: tuple[str, ...], shipped: tuple[str, ...], forced: bool) -> None:
    release = crd(shipped[-1], *shipped)
    due = storage_due(crd("v1", "v1", "v2", kept=kept), release)
    assert due is not None
    assert dropped_too_early(due, release) is forced


def test_objects_are_written_in_the_stored_version_first_and_only_in_served_ones() -> None:
    assert write_versions(crd("v3", "v1", "v2", "v3"), "v3") == ["v3", "v1", "v2"]
    assert write_versions(crd("v3", "v1", "v2", "v3", unserved=("v3", "v1")), "v3") == ["v2"]


def test_the_switch_is_refused_when_the_crd_has_changed() -> None:
    assert storage_switch(crd("v1", "v1", "v2"), "v2") == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "replace", "path": "/spec/versions/0/storage", "value": False},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": True},
    ]
