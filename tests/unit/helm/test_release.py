"""Releases as Helm 4 stores and prints them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from meshupgrade.helm.release import Release, ReleaseStatus, manifest_objects

# As `helm upgrade --output json` of Helm 4.3.1 printed it, with values and a hook.
PRINTED: dict[str, Any] = {
    "name": "osm",
    "info": {
        "first_deployed": "2026-11-22T18:26:00.954632234Z",
        "last_deployed": "2026-11-22T18:26:01.072419672Z",
        "description": "Upgrade complete",
        "status": "deployed",
    },
    "chart": {
        "metadata": {"name": "osm-edge", "version": "1.2.1", "apiVersion": "v2", "appVersion": "1.2.3"},
        "lock": None,
        "values": {"osm": {"meshName": "osm", "image": {"tag": "1.2.3", "registry": "r.example"}}},
        "schema": None,
    },
    "config": {"osm": {"image": {"tag": "1.2.3-mine", "registry": None}}},
    "manifest": "---\n# Source: ok/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n\n",
    "hooks": [{"name": "h", "kind": "Job", "events": ["pre-delete"]}],
    "version": 2,
    "namespace": "osm-system",
    "apply_method": "ssa",
}


def test_what_helm_prints_is_read() -> None:
    release = Release.from_json(json.loads(json.dumps(PRINTED)))
    assert release == Release(
        name="osm",
        namespace="osm-system",
        revision=2,
        status=ReleaseStatus.DEPLOYED,
        description="Upgrade complete",
        updated=datetime(2026, 11, 22, 18, 26, 1, 72419, tzinfo=UTC),
        chart_name="osm-edge",
        chart_version="1.2.1",
        app_version="1.2.3",
        config=PRINTED["config"],
        defaults=PRINTED["chart"]["values"],
        manifest=PRINTED["manifest"],
        hooks=tuple(PRINTED["hooks"]),
    )
    assert [obj["metadata"]["name"] for obj in release.objects()] == ["a"]


def test_values_are_the_charts_with_the_users_laid_over() -> None:
    assert Release.from_json(PRINTED).values() == {"osm": {"meshName": "osm", "image": {"tag": "1.2.3-mine"}}}


def test_what_helm_leaves_out_is_empty() -> None:
    release = Release.from_json(
        {"name": "r", "version": 1, "info": {}, "chart": {"metadata": {"name": "c", "version": "1.0.0"}}}
    )
    assert (release.namespace, release.description, release.app_version, release.manifest) == ("", "", "", "")
    assert (release.config, release.defaults, release.hooks, release.updated) == ({}, {}, (), None)
    assert release.status is ReleaseStatus.UNKNOWN
    assert release.objects() == []


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-22T18:26:01.072419672Z", datetime(2026, 11, 22, 18, 26, 1, 72419, tzinfo=UTC)),
        ("2026-11-22T18:26:01.07241Z", datetime(2026, 11, 22, 18, 26, 1, 72410, tzinfo=UTC)),
        ("2026-11-22T18:26:01.5Z", datetime(2026, 11, 22, 18, 26, 1, 500000, tzinfo=UTC)),
        ("2026-11-22T18:26:01Z", datetime(2026, 11, 22, 18, 26, 1, tzinfo=UTC)),
        (
            "2026-11-22T20:26:01.000000001+02:00",
            datetime(2026, 11, 22, 20, 26, 1, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("", None),
        (None, None),
    ],
)
def test_times_to_the_nanosecond(text: str | None, time: datetime | None) -> None:
    info = PRINTED["info"] | {"last_deployed": text}
    assert Release.from_json(PRINTED | {"info": info}).updated == time


@pytest.mark.parametrize("status", ReleaseStatus)
def test_which_statuses_are_pending(status: ReleaseStatus) -> None:
    pending = {"pending-install", "pending-upgrade", "pending-rollback", "uninstalling"}
    assert status.pending == (status.value in pending)


@pytest.mark.parametrize(
    ("hooks", "waits"),
    [
        ([], False),
        ([{"events": ["pre-upgrade"]}], False),
        ([{"events": ["pre-delete", "test"]}], False),
        ([{"events": None}], False),
        ([{"events": ["post-upgrade"]}], True),
        ([{"events": ["pre-install"]}, {"events": ["pre-upgrade", "post-install"]}], True),
    ],
)
def test_hooks_that_run_after_the_upgrade(hooks: list[dict[str, Any]], waits: bool) -> None:
    assert Release.from_json(PRINTED | {"hooks": hooks}).has_post_upgrade_hook() is waits


def test_no_value_is_shown_when_a_release_is_printed() -> None:
    release = Release.from_json(PRINTED | {"config": {"password": "S3CR3T"}, "manifest": "data: S3CR3T"})
    assert "S3CR3T" not in repr(release)


def obj(name: str, kind: str = "ConfigMap") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


@pytest.mark.parametrize(
    ("manifest", "names"),
    [
        ("", []),
        ("---\n---\n# only a comment\n---\nnull\n", []),
        ("---\nkind: A\nmetadata: {name: a}\n---\n\n---\nkind: B\nmetadata: {name: b}\n", ["a", "b"]),
        ("just text\n", []),
        (json.dumps({"apiVersion": "v1", "kind": "List", "items": [obj("a"), obj("b")]}), ["a", "b"]),
        (json.dumps({"kind": "ConfigMapList", "items": [obj("a")]}) + "\n---\n" + json.dumps(obj("c")), ["a", "c"]),
        (json.dumps({"kind": "List", "items": None}), []),
        # A kind may end so and be no list: it has no items.
        (json.dumps(obj("a", "IPAllowList")), ["a"]),
    ],
)
def test_objects_of_a_manifest(manifest: str, names: list[str]) -> None:
    assert [found["metadata"]["name"] for found in manifest_objects(manifest)] == names


def test_objects_are_json_as_the_api_server_takes_them() -> None:
    (found,) = manifest_objects("kind: A\nmetadata: {name: a, annotations: {date: 2026-11-22}}\ndata: {on: yes}\n")
    assert found["metadata"]["annotations"] == {"date": "2026-11-22"}
