"""Stored objects rewritten, and what etcd holds afterwards: each step of a migration on a real API server."""

import asyncio
import base64
import gc
import itertools
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.status import StorageMigration
from meshupgrade.domain.storage import Due, storage_due
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube, ObjectRef, crd_ref
from meshupgrade.kube.errors import Rejected
from meshupgrade.phases.shape import Tools, Work
from meshupgrade.phases.storage.migrate import migrate
from meshupgrade.phases.storage.rewrite import How, rewrite_object
from tests.cluster.cluster import Cluster
from tests.integration.harness import Object
from tests.integration.stored import compact, stored_objects, stored_versions
from tests.unit.phases.works import make_work

GROUP = "example.test"
WIDGETS = f"widgets.{GROUP}"


@pytest.fixture(scope="module")
def cluster(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all, since they bring a CRD in."""
    with Cluster.start(tmp_path_factory.mktemp("rewriting"), progress=lambda _: None) as running:
        yield running


@pytest.fixture(autouse=True)
def widgets(cluster: Cluster) -> Iterator[None]:
    """Widgets are gone after each test."""
    yield
    cluster.kubectl("delete", "validatingadmissionpolicies,validatingadmissionpolicybindings", "--all")
    cluster.kubectl("delete", "crd", WIDGETS, "--ignore-not-found")


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    access = await load_access(cluster.kubeconfig, None)
    async with Kube(access.configuration) as client:
        yield client


def crd(*versions: str, stored: str, required: tuple[str, ...] = ()) -> Object:
    """A CRD whose last version has required fields."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": WIDGETS},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == stored,
                    "schema": {"openAPIV3Schema": _schema(required if name == versions[-1] else ())},
                }
                for name in versions
            ],
        },
    }


def _schema(required: tuple[str, ...]) -> Object:
    fields = {"size": {"type": "integer"}, "color": {"type": "string"}}
    spec: Object = {"type": "object", "properties": fields} | ({"required": list(required)} if required else {})
    return {"type": "object", "properties": {"spec": spec}}


def widget(name: str, size: int) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"size": size},
    }


async def make(kube: Kube, many: int, first: int = 0) -> None:
    """Create widgets, in the version that is stored now."""
    limit = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        async with limit:
            await kube.apply(widget(f"w{number:05}", number), manager="test")

    await asyncio.gather(*(one(number) for number in range(first, first + many)))


async def prepare(kube: Kube, many: int, **changes: Any) -> Due:
    """Have widgets stored in v1 while v2 is what a release stores."""
    await kube.apply(crd("v1", "v2", stored="v1", **changes), manager="test")
    await established(kube)
    await make(kube, many)
    due = storage_due(await kube.get(crd_ref(WIDGETS)), crd("v1", "v2", stored="v2"))
    assert due is not None
    return due


async def established(kube: Kube) -> None:
    while True:
        live = await kube.get(crd_ref(WIDGETS))
        conditions = {item["type"]: item["status"] for item in live.get("status", {}).get("conditions") or []}
        if conditions.get("Established") == "True":
            break
        await asyncio.sleep(0.05)
    while True:
        try:
            async for _ in kube.pages(f"{GROUP}/v1", "Widget", limit=1):
                return
        except Exception:
            await asyncio.sleep(0.05)


class Death(Exception):
    """Ends a migration where a crash would."""


def work_of(kube: Kube, keep: Callable[[StorageMigration | None], Any] | None = None) -> tuple[Work, list[Any]]:
    """A Work, and what it is told to keep."""
    kept: list[Any] = []

    async def remember(progress: StorageMigration | None) -> None:
        kept.append(progress)
        if keep is not None and (waiting := keep(progress)) is not None:
            await waiting

    work = make_work()
    work.tools = Tools(kube=kube, helm=None, http=None, indexes=None, cache=None)  # type: ignore[arg-type]
    work.keep_migration = remember
    return work, kept


async def storage(kube: Kube) -> tuple[list[str], str]:
    """storedVersions, and the version that is stored."""
    live = await kube.get(crd_ref(WIDGETS))
    return live["status"]["storedVersions"], next(one["name"] for one in live["spec"]["versions"] if one["storage"])


async def test_a_migration_that_died_goes_on_where_it_was(cluster: Cluster, kube: Kube) -> None:
    due = await prepare(kube, 450)
    before = await kube.get(ObjectRef(f"{GROUP}/v1", "Widget", "w00007", "default"))

    def dies(progress: StorageMigration | None) -> None:
        raise Death

    work, kept = work_of(kube, dies)
    with pytest.raises(Death):
        await migrate(work, [due])
    (record,) = kept
    assert (record.objects, record.rewritten, bool(record.continue_token)) == (200, 200, True)
    assert stored_versions(cluster, WIDGETS) == {"v1": 250, "v2": 200}
    assert await storage(kube) == (["v1", "v2"], "v2")
    # After a long absence of the operator the API server does not know the state any more that the list was begun with.
    await make(kube, 5, first=450)
    compact(cluster)
    work, kept = work_of(kube)
    work.migration = record.model_copy(update={"continue_token": long_ago(record.continue_token)})
    done = await migrate(work, [due])
    assert [progress.objects if progress else None for progress in kept] == [400, 455, None]
    assert (done.objects, done.rewritten, done.crds) == (455, 450, [f"{WIDGETS} (v2)"])
    assert stored_versions(cluster, WIDGETS) == {"v2": 455}
    assert await storage(kube) == (["v2"], "v2")
    after = await kube.get(ObjectRef(f"{GROUP}/v1", "Widget", "w00007", "default"))
    for one in (before, after):
        one["metadata"].pop("resourceVersion")
    assert after == before, "written as it is: not even its managedFields have changed"
    assert storage_due(await kube.get(crd_ref(WIDGETS)), crd("v1", "v2", stored="v2")) is None


def long_ago(token: str) -> str:
    """The token of a list that was begun with the first state that etcd ever had."""
    content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return base64.urlsafe_b64encode(json.dumps({**content, "rv": 1}).encode()).decode().rstrip("=")


async def test_a_token_that_is_no_use_begins_the_crd_anew(cluster: Cluster, kube: Kube) -> None:
    due = await prepare(kube, 3)
    work, _ = work_of(kube)
    generation = (await kube.get(crd_ref(WIDGETS)))["metadata"]["generation"]
    # Switching the stored version makes the next generation.
    record = StorageMigration(crd=WIDGETS, generation=generation + 1, continue_token="nonsense", objects=2, finished=7)
    work.migration = record
    done = await migrate(work, [due])
    assert (done.objects, done.rewritten) == (10, 3)
    assert stored_versions(cluster, WIDGETS) == {"v2": 3}


async def test_edits_by_others_win(cluster: Cluster, kube: Kube) -> None:
    await prepare(kube, 3)
    ref = ObjectRef(f"{GROUP}/v1", "Widget", "w00000", "default")
    stale = await kube.get(ref)
    await kube.merge_patch(ref, {"spec": {"color": "red"}})
    written = await rewrite_object(kube, stale, [f"{GROUP}/v2"])
    assert written.how is How.NOT_NEEDED
    assert (await kube.get(ref))["spec"] == {"size": 0, "color": "red"}
    await kube.delete(ref, uid=stale["metadata"]["uid"])
    assert (await rewrite_object(kube, stale, [f"{GROUP}/v2"])).how is How.NOT_NEEDED


async def test_a_crd_that_others_change_is_begun_anew(cluster: Cluster, kube: Kube) -> None:
    """An old bootstrap switches the storage back for a moment: what was written meanwhile is old again."""
    due = await prepare(kube, 210)
    times = []

    async def write_until_stored(name: str, version: str) -> None:
        await kube.apply(crd("v1", "v2", stored=version), manager="test")
        sizes = itertools.count(1000)
        while stored_objects(cluster, WIDGETS)[name] != version:
            await kube.merge_patch(ObjectRef(f"{GROUP}/v1", "Widget", name, "default"), {"spec": {"size": next(sizes)}})

    async def back_and_forth() -> None:
        await write_until_stored("w00001", "v1")
        await write_until_stored("w00205", "v2")

    def meddle(progress: StorageMigration | None) -> Any:
        times.append(progress)
        return back_and_forth() if len(times) == 1 else None

    work, _ = work_of(kube, meddle)
    done = await migrate(work, [due])
    assert stored_versions(cluster, WIDGETS) == {"v2": 210}
    assert await storage(kube) == (["v2"], "v2")
    assert done.objects == 210


async def test_objects_that_the_new_version_refuses(cluster: Cluster, kube: Kube) -> None:
    """What is not valid in the new version is written through the old one, and stored in the new one all the same."""
    due = await prepare(kube, 1, required=("color",))
    await kube.apply(widget("locked", 1), manager="test")
    await kube.apply(widget("picky", 1), manager="test")
    work, _ = work_of(kube)
    done = await migrate(work, [due])
    assert (done.objects, done.left) == (3, {})
    assert stored_versions(cluster, WIDGETS) == {"v2": 3}
    # What nobody lets through stays, and keeps its version: a policy refuses one in whatever version, one in v3 alone.
    await kube.apply(crd("v1", "v2", "v3", stored="v3"), manager="test")
    await established(kube)
    cluster.kubectl(
        "apply",
        "-f",
        "-",
        input=json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": [*refuse("locked", "*"), *refuse("picky", "v3")]}
        ),
    )
    await refused(kube, ObjectRef(f"{GROUP}/v1", "Widget", "locked", "default"))
    await refused(kube, ObjectRef(f"{GROUP}/v3", "Widget", "picky", "default"))
    again = storage_due(await kube.get(crd_ref(WIDGETS)), crd("v1", "v2", "v3", stored="v3"))
    assert again is not None
    work, _ = work_of(kube)
    done = await migrate(work, [again])
    assert done.left == {WIDGETS: ["Widget default/locked"]}
    assert stored_versions(cluster, WIDGETS) == {"v3": 2, "v2": 1}
    assert await storage(kube) == (["v2", "v3"], "v3")


async def refused(kube: Kube, ref: ObjectRef) -> None:
    """Wait until the policy is in force; that takes the API server a moment."""
    async with asyncio.timeout(20):
        while True:
            try:
                await kube.merge_patch(ref, {"spec": {"size": 1}}, dry_run=True)
            except Rejected:
                return
            await asyncio.sleep(0.05)


def refuse(name: str, version: str) -> list[Object]:
    """A policy that lets nobody write one widget in that version."""
    group = {"apiGroups": [GROUP], "apiVersions": [version], "resources": ["widgets"], "operations": ["UPDATE"]}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1"}
    return [
        {
            **kind,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [group], "matchPolicy": "Exact"},
                "validations": [{"expression": f"object.metadata.name != '{name}'"}],
            },
        },
        {
            **kind,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]


async def test_memory_does_not_grow_with_the_number_of_objects(cluster: Cluster, kube: Kube) -> None:
    due = await prepare(kube, 200)
    few = await peak(kube, due)
    await kube.apply(crd("v1", "v2", stored="v1"), manager="test")
    await established(kube)
    await make(kube, 1300, first=200)
    many = await peak(kube, due)
    assert stored_versions(cluster, WIDGETS) == {"v2": 1500}
    assert many < 1.3 * few, f"{few} bytes for 200 objects, {many} for 1500"


async def peak(kube: Kube, due: Due) -> int:
    """Bytes that a migration takes at most."""
    work, kept = work_of(kube)
    gc.collect()
    tracemalloc.start()
    try:
        await migrate(work, [due])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        kept.clear()
