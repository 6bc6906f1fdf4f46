"""What a hop is planned against that comes after one which has not run yet."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import semver

from meshupgrade.api.v1alpha1.names import CRD_WRITTEN_BY, CRD_WRITTEN_VERSIONS
from meshupgrade.domain.crd_changes import CRDChange, Look
from meshupgrade.domain.crd_marks import mark
from meshupgrade.domain.crds import dropped_stored_versions, merge_crd, stored_version
from meshupgrade.domain.scope import ScopeChange
from meshupgrade.domain.storage import Due, storage_due
from meshupgrade.helm.driver import UpgradeRequest
from meshupgrade.helm.repository import ChartVersion
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.later_hop import later_hop
from meshupgrade.phases.live_crds import known_crd
from meshupgrade.phases.shape import Target, Work
from tests.unit.phases.works import make_release, make_work

Object = dict[str, Any]

NAME = "things.example.test"
HOPS = ("1.1.0", "1.2.0", "1.3.0")


def crd(stored: str, *versions: str, live: str | None = None, name: str = NAME, **metadata: Any) -> Object:
    """Give a CRD; ``live`` makes it one in the cluster, with that stored version besides."""
    found: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, **metadata},
        "spec": {
            "group": "example.test",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": each, "served": True, "storage": each == stored} for each in versions],
        },
    }
    if live is not None:
        found["metadata"] = {"uid": "u", "resourceVersion": "7", **found["metadata"]}
        found["status"] = {"storedVersions": list(dict.fromkeys([live, stored])), "conditions": []}
    return found


def change(live: Object | None, shipped: Object) -> Look:
    merged = merge_crd(live, shipped, written_by="osm-edge/1.1.0", conversion={"strategy": "None"})
    return Look(shipped["metadata"]["name"], change=CRDChange(live, merged, merged["spec"], replace=False))


def planned(work: Work, looks: list[Look] | None = None, shipped: list[Object] | None = None) -> Work:
    """Give the Work of a hop as it is once it was planned: its target made, its CRDs looked at."""
    request = UpgradeRequest("osm", "osm-system", Path("c"), {}, timedelta(minutes=5))
    rendered = make_release(version=str(work.hops[0]), config={"hop": str(work.hops[0])})
    target = Target(Path("c"), "sha256:c", request, rendered, shipped or [], "sha256:i")
    return replace(work, target=target, crd_looks=looks or [])


def first_hop(
    looks: list[Look] | None = None, shipped: list[Object] | None = None, spec: dict[str, Any] | None = None
) -> Work:
    work = make_work({"version": HOPS[-1], **(spec or {})}, live=make_release(version="1.0.0"))
    work.hops = [semver.Version.parse(hop) for hop in HOPS]
    work.charts = [ChartVersion("osm", version, str(version)) for version in work.hops]
    work.version = work.hops[0]
    return planned(work, looks, shipped)


async def see(work: Work, crd: Object) -> None:
    """Have the hop read a CRD from the cluster."""
    work.crd_reads[crd["metadata"]["name"]] = read = asyncio.get_running_loop().create_future()
    read.set_result(crd)


async def left(work: Work, name: str = NAME) -> Any:
    """Give the CRD that the hop after this one sees; None when it asks the cluster."""
    later = later_hop(work)
    return await known_crd(later, name) if name in later.crd_reads else None


def stored(crd: Object) -> tuple[str | None, list[str]]:
    return stored_version(crd), crd["status"]["storedVersions"]


async def test_the_release_of_the_hop_before_is_what_lives() -> None:
    before = first_hop(spec={"values": {"a": 1}})
    before = replace(
        before,
        verified=1,
        half_way=True,
        begun_hop=before.hops[0],
        recreated=frozenset({ObjectRef("apps/v1", "Deployment", "d", "n")}),
        helms_own=frozenset({ObjectRef("apps/v1", "Deployment", "d", "n")}),
        planned_dues=[Due(NAME, "g", "K", "v1", (), drops_webhook=False)],
    )
    later = later_hop(before)
    assert later.live is later.base is before.need_target().rendered
    assert [str(version) for version in (later.version, *later.hops)] == ["1.2.0", "1.2.0", "1.3.0"]
    assert [str(chart.version) for chart in later.charts] == ["1.2.0", "1.3.0"]
    assert str(later.current_version()) == "1.1.0"
    assert later.need_goal() == before.need_goal()
    assert (later.target, later.verified, later.begun_hop) == (None, None, None)
    assert not later.half_way
    assert not [*later.recreated, *later.helms_own, *later.planned_dues, *later.crd_looks]
    assert later.spec == before.spec
    # The hop before is not touched.
    assert before.live is not None
    assert (before.live.chart_version, len(before.hops), len(before.charts)) == ("1.0.0", 3, 3)
    last = later_hop(planned(later))
    assert [str(version) for version in last.hops] == ["1.3.0"]


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_crd_that_is_created(migrate: bool) -> None:
    shipped = crd("v2", "v1", "v2", labels={"a": "b"})
    before = first_hop([change(None, shipped)], [shipped], {"crds": {"migrateStorage": migrate}})
    seen = await left(before)
    assert stored(seen) == ("v2", ["v2"])
    assert seen["metadata"]["name"] == NAME
    assert seen["metadata"]["labels"]["a"] == "b"
    assert storage_due(seen, shipped) is None


async def test_a_crd_that_changes_stores_objects_as_the_release_does() -> None:
    live = crd("v1", "v1", live="v1", labels={"theirs": "x"}, annotations={"theirs": "y"})
    shipped = crd("v2", "v1", "v2")
    before = first_hop([change(live, shipped)], [shipped])
    seen = await left(before)
    assert stored(seen) == ("v2", ["v2"])
    assert dropped_stored_versions(seen, crd("v2", "v2")) == []
    assert (seen["metadata"]["uid"], seen["metadata"]["resourceVersion"]) == ("u", "7")
    assert seen["metadata"]["labels"]["theirs"] == "x"
    assert seen["metadata"]["annotations"]["theirs"] == "y"
    assert seen["metadata"]["annotations"][CRD_WRITTEN_BY] == "osm-edge/1.1.0"
    # Neither what lives nor what was planned is touched.
    assert stored(live) == ("v1", ["v1"])
    looked = before.crd_looks[0].change
    assert looked is not None
    assert stored_version({"spec": looked.spec}) == "v1"


async def test_a_crd_whose_objects_are_not_migrated_stores_them_as_before() -> None:
    live = crd("v1", "v1", live="v0")
    shipped = crd("v2", "v1", "v2")
    before = first_hop([change(live, shipped)], [shipped], {"crds": {"migrateStorage": False}})
    seen = await left(before)
    assert stored(seen) == ("v1", ["v0", "v1"])
    assert dropped_stored_versions(seen, crd("v2", "v2")) == ["v0", "v1"]


async def test_a_crd_that_nobody_has_read_is_asked_for_in_the_cluster() -> None:
    assert await left(first_hop([Look(NAME)], [crd("v1", "v1")])) is None
    failed = first_hop([Look(NAME)], [crd("v1", "v1")])
    failed.crd_reads[NAME] = asyncio.get_running_loop().create_future()
    assert await left(failed) is None
    failed.crd_reads[NAME].set_exception(OSError())
    assert await left(failed) is None
    failed.crd_reads[NAME] = asyncio.get_running_loop().create_future()
    failed.crd_reads[NAME].cancel()
    assert await left(failed) is None


async def test_a_crd_that_stays_is_the_one_that_was_read() -> None:
    live, shipped = crd("v1", "v1", live="v1"), crd("v1", "v1")
    before = first_hop([Look(NAME)], [shipped])
    await see(before, live)
    assert await left(before) == {**live, "status": {"storedVersions": ["v1"]}}
    # Of one that the release does not ship, nothing is known but that.
    before = first_hop([], [])
    await see(before, live)
    assert await left(before) is live


@pytest.mark.parametrize(("migrate", "after"), [(True, ("v2", ["v2"])), (False, ("v1", ["v1"]))])
async def test_objects_are_stored_anew_where_nothing_else_of_the_crd_changes(
    migrate: bool, after: tuple[str, list[str]]
) -> None:
    before = first_hop([Look(NAME)], [crd("v2", "v1", "v2")], {"crds": {"migrateStorage": migrate}})
    live = crd("v1", "v1", "v2", live="v1")
    await see(before, live)
    assert stored(await left(before)) == after
    assert stored(live) == ("v1", ["v1"])


async def test_what_a_newer_mesh_wrote_is_that_meshs_affair() -> None:
    live = crd("v1", "v1", "v2", live="v1")
    written = {CRD_WRITTEN_BY: "osm-edge/9.0.0", CRD_WRITTEN_VERSIONS: mark(live, ["v1", "v2"])}
    live["metadata"]["annotations"] = written
    before = first_hop([Look(NAME)], [crd("v2", "v1", "v2")])
    await see(before, live)
    assert await left(before) is live


async def test_what_one_hop_changes_every_later_one_sees() -> None:
    live, shipped = crd("v1", "v1", live="v1"), crd("v2", "v1", "v2")
    before = first_hop([change(live, shipped)], [shipped])
    await see(before, live)
    second = later_hop(before)
    seen = await known_crd(second, NAME)
    # The second leaves it as it is, or does not ship it at all.
    for looks, ships in (([Look(NAME)], [shipped]), ([], [])):
        third = later_hop(planned(second, looks, ships))
        assert await known_crd(third, NAME) == seen
    # And where it changes it again, its own change counts.
    wider = crd("v2", "v1", "v2", "v3")
    third = later_hop(planned(second, [change(dict(seen or {}), wider)], [wider]))
    assert [version["name"] for version in (await known_crd(third, NAME) or {})["spec"]["versions"]] == [
        "v1",
        "v2",
        "v3",
    ]
    assert await known_crd(before, NAME) is live


async def test_a_crd_that_changes_its_scope_is_seen_as_it_lives() -> None:
    """The API server is asked about every later change of it, and knows the old scope only."""
    live, shipped = crd("v1", "v1", "v2", live="v1"), crd("v2", "v1", "v2")
    scope = ScopeChange(live, {**shipped, "spec": {**shipped["spec"], "scope": "Cluster"}}, "v1", "")
    before = first_hop([Look(NAME, scope=scope)], [shipped])
    await see(before, live)
    assert await left(before) is live
