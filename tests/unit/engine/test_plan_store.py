"""The whole plan in its Secret."""

import base64
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.plan import (
    CRDAction,
    ObjectAction,
    Plan,
    PlannedCRD,
    PlannedHop,
    PlannedObject,
    PlannedValue,
    PlannedVersion,
    SchemaChange,
)
from meshupgrade.domain.plans import plan_digest
from meshupgrade.engine import plan_store as under_test
from meshupgrade.engine.plan_store import KEY, PlanUnreadable, keep_plan, plan_secret, read_plan
from meshupgrade.kube.client import Kube, ObjectRef
from tests.unit.domain.json_trees import values

NS = "osm-system"
OWNER = ObjectRef("meshupgrade.io/v1alpha1", "MeshUpgrade", "mesh", NS)


class _Secrets:
    """Of the client, what the store asks; it keeps Secrets by name."""

    def __init__(self, *secrets: dict[str, Any]) -> None:
        self.secrets = {secret["metadata"]["name"]: secret for secret in secrets}

    async def find(self, ref: ObjectRef) -> dict[str, Any] | None:
        assert (ref.api_version, ref.kind, ref.namespace) == ("v1", "Secret", NS)
        return self.secrets.get(ref.name)

    async def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        self.secrets[name] = {**body, "metadata": {**body["metadata"], "uid": f"uid of {name}"}}
        return self.secrets[name]

    async def list_objects(
        self, api_version: str, kind: str, namespace: str, *, labels: str, metadata_only: bool
    ) -> AsyncIterator[dict[str, Any]]:
        assert (api_version, kind, namespace, metadata_only) == ("v1", "Secret", NS, True)
        key, _, value = labels.partition("=")
        for secret in list(self.secrets.values()):
            if secret["metadata"].get("labels", {}).get(key) == value:
                yield {"metadata": secret["metadata"]}

    async def delete(self, ref: ObjectRef, *, uid: str) -> None:
        assert self.secrets.pop(ref.name)["metadata"]["uid"] == uid


def make_plan(digest: str = "sha256:0123456789abcdef0123", **fields: Any) -> Plan:
    hop = PlannedHop(
        version="1.1.0",
        previous="1.0.0",
        chart="osm",
        chart_digest="sha256:c",
        crds=[
            PlannedCRD(
                name="c",
                action=CRDAction.CHANGE,
                versions=[PlannedVersion(name="v1", changes={SchemaChange.ADDITIVE: ["a"]})],
            )
        ],
        objects=[PlannedObject(object="Service n/s", action=ObjectAction.UPDATE, paths=["spec.a", "ä…"])],
        **fields,
    )
    return Plan(
        digest=digest,
        created_at=datetime(2026, 5, 1, 12, 30, 1, 250000, tzinfo=UTC),
        namespace=NS,
        mesh="osm",
        current="1.0.0",
        target="1.1.0",
        hops=[hop],
        mesh_config=[PlannedValue(path="spec.a", before={"b": None}, after=[1, None, "x"])],
        findings=[Finding(name=FindingName.VALUES_DROPPED, severity=Severity.WARNING, phase="Preflight", message="m")],
        estimate_seconds=12.5,
    )


async def store_and_read(plan: Plan) -> Plan | None:
    kube = cast("Kube", _Secrets())
    return await read_plan(kube, NS, await keep_plan(kube, OWNER, "u1", plan))


async def test_what_is_kept_is_read() -> None:
    plan = make_plan(values=[PlannedValue(path="a", secret=True), PlannedValue(path="b", after=0)])
    read = await store_and_read(plan)
    assert read == plan
    assert read is not None
    assert plan_digest(read) == plan_digest(plan)


@given(values, values)
def test_every_value_comes_back(before: Any, after: Any) -> None:
    plan = make_plan(values=[PlannedValue(path="a", before=before, after=after)])
    packed = gzip.decompress(base64.b64decode(under_test._packed(plan)))
    assert Plan.model_validate_json(packed).model_dump() == plan.model_dump()


async def test_the_secret_belongs_to_its_mesh_upgrade() -> None:
    kube = _Secrets()
    name = await keep_plan(cast("Kube", kube), OWNER, "u1", make_plan())
    assert name == plan_secret("sha256:0123456789abcdef0123") == "meshupgrade-plan-0123456789abcdef"
    secret = kube.secrets[name]
    assert secret["metadata"]["namespace"] == NS
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "meshupgrade.io/v1alpha1", "kind": "MeshUpgrade", "name": "mesh", "uid": "u1"}
    ]
    again = _Secrets()
    await keep_plan(cast("Kube", again), OWNER, "u1", make_plan())
    assert again.secrets == kube.secrets, "the same plan gives the same bytes"


async def test_the_plans_of_before_go_and_those_of_others_stay() -> None:
    kube = _Secrets({"metadata": {"name": "other", "uid": "o"}})
    theirs = await keep_plan(cast("Kube", kube), OWNER, "u2", make_plan("sha256:bbbb"))
    old = await keep_plan(cast("Kube", kube), OWNER, "u1", make_plan("sha256:cccc"))
    new = await keep_plan(cast("Kube", kube), OWNER, "u1", make_plan("sha256:dddd"))
    assert old != new
    assert set(kube.secrets) == {"other", theirs, new}
    assert await keep_plan(cast("Kube", kube), OWNER, "u1", make_plan("sha256:dddd")) == new
    assert set(kube.secrets) == {"other", theirs, new}


async def test_there_is_no_plan() -> None:
    assert await read_plan(cast("Kube", _Secrets()), NS, "gone") is None


GOOD = gzip.compress(make_plan().model_dump_json(by_alias=True).encode())


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"other": ""},
        {KEY: ""},
        {KEY: "no base64!"},
        {KEY: encoded(b"no gzip")},
        {KEY: encoded(GOOD[:40])},
        {KEY: encoded(GOOD[:30] + b"\xff\xff\xff\xff" + GOOD[34:])},
        {KEY: encoded(GOOD[:-8] + b"\x00" * 8)},
        {KEY: encoded(gzip.compress(b"{"))},
        {KEY: encoded(gzip.compress(b"{}"))},
        {KEY: encoded(gzip.compress(b"\xff"))},
    ],
)
async def test_what_cannot_be_read_is_told(data: dict[str, str] | None) -> None:
    secret = {"metadata": {"name": "p"}} | ({} if data is None else {"data": data})
    with pytest.raises(PlanUnreadable, match="Secret osm-system/p holds no plan"):
        await read_plan(cast("Kube", _Secrets(secret)), NS, "p")


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_a_broken_secret_is_never_more_than_unreadable(place: int, noise: bytes) -> None:
    content = GOOD[:place] + noise + GOOD[place + len(noise) :]
    secret = {"metadata": {"name": "p"}, "data": {KEY: encoded(content)}}
    reading = read_plan(cast("Kube", _Secrets(secret)), NS, "p")
    # It waits for nothing, so it ends at once: with a plan, or with the one error.
    with pytest.raises((StopIteration, PlanUnreadable)):
        reading.send(None)


def noise(count: int) -> list[str]:
    random = Random(1)
    return [f"{random.getrandbits(256):x}" for _ in range(count)]


async def test_a_plan_that_is_too_large_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_plan(values=[PlannedValue(path="a.b", before="x", after="y"), PlannedValue(path="s", secret=True)])
    hop = whole.hops[0]
    large = hop.model_copy(update={"objects": [hop.objects[0].model_copy(update={"paths": noise(200)})]})
    monkeypatch.setattr(under_test, "MAX_BYTES", 4000)
    read = await store_and_read(whole.model_copy(update={"hops": [large]}))
    without = hop.objects[0].model_copy(update={"paths": []})
    assert read == whole.model_copy(update={"hops": [hop.model_copy(update={"objects": [without]})]})
    # Where values take the room, they are told by their paths.
    shown = [PlannedValue(path="a.b", before=noise(200), after="y"), PlannedValue(path="s", secret=True)]
    wide = hop.model_copy(update={"values": shown, "random": ["ConfigMap n/c data.uid"]})
    read = await store_and_read(whole.model_copy(update={"hops": [wide]}))
    assert read is not None
    assert read.hops[0].values == [PlannedValue(path=path, secret=True) for path in ("a.b", "s")]
    assert read.mesh_config == [PlannedValue(path="spec.a", secret=True)]
    assert (read.digest, read.findings, read.hops[0].crds) == (whole.digest, whole.findings, hop.crds)


def test_a_secret_takes_what_is_kept() -> None:
    kept = base64.b64decode(under_test._packed(make_plan(values=[PlannedValue(path="a", after=noise(40_000))])))
    assert len(kept) <= under_test.MAX_BYTES < 1024 * 1024
