"""What preflight says of stored objects, beside what the API server itself does to them."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.domain.schema_validation import Validator
from meshupgrade.domain.structural_schema import prune, with_defaults
from meshupgrade.helm.release import Release
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube, ObjectRef, crd_ref
from meshupgrade.kube.errors import KubeError, Rejected, Unreachable
from meshupgrade.phases.preflight import custom_resources
from meshupgrade.phases.preflight.check import run_checks
from meshupgrade.phases.shape import Target, Tools, Work
from meshupgrade.phases.storage import Storage
from tests.cluster.cluster import Cluster
from tests.integration.harness import Object
from tests.unit.phases.preflight.releases import rendered
from tests.unit.phases.works import make_work

GROUP = "objects.example.test"
CASES = yaml.safe_load((Path(__file__).parent / "schema_cases.yaml").read_text())


@pytest.fixture(scope="module")
def cluster(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all, since they bring CRDs in."""
    with Cluster.start(tmp_path_factory.mktemp("objects"), progress=lambda _: None) as running:
        yield running


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    access = await load_access(cluster.kubeconfig, None)
    async with Kube(access.configuration) as client:
        yield client


def crd(kind: str, spec: Object, stored: str = "v1", group: str = GROUP, **others: Object) -> Object:
    """A CRD with that schema of spec in v1, and others by the name of their version."""
    plural = f"{kind.lower()}s"
    versions = {"v1": spec, **others}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {"name": name, "served": True, "storage": name == stored, "schema": {"openAPIV3Schema": root(schema)}}
                for name, schema in versions.items()
            ],
        },
    }


def root(spec: Object) -> Object:
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"type": "object", "properties": {"spec": spec, "status": status}}


async def install(kube: Kube, definition: Object) -> None:
    """Apply a CRD and wait until objects of it can be listed."""
    await kube.apply(definition, manager="test", force=True)
    name, kind = definition["metadata"]["name"], definition["spec"]["names"]["kind"]
    while True:
        live = await kube.get(crd_ref(name))
        conditions = live.get("status", {}).get("conditions") or []
        if "Established" in {item["type"] for item in conditions if item["status"] == "True"}:
            group = definition["spec"]["group"]
            kube.forget_discovery({group})
            try:
                async for _ in kube.pages(f"{group}/v1", kind, limit=1):
                    return
            except KubeError:
                pass
        await asyncio.sleep(0.05)


def thing(name: str, spec: Any, kind: str = "Thing") -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


async def test_we_judge_as_the_api_server_does(kube: Kube) -> None:
    """Every case of the table: the same objects are taken, and become the same."""
    schema: Object = {"type": "object", "properties": {name: case["schema"] for name, case in CASES.items()}}
    await install(kube, crd("Thing", schema))
    full = root(schema)
    validator = Validator(full)
    differ, taken, refused = [], 0, 0
    for name, case in CASES.items():
        for number, value in enumerate(case["values"]):
            obj = thing(f"{name.lower()}-{number}", {name: value})
            ours = with_defaults(prune(obj, full), full)
            complaints = [violation.text for violation in validator.violations(ours)]
            path = await kube.path(obj["apiVersion"], "Thing", "default")
            query = {"dryRun": "All", "fieldManager": "test"}
            try:
                theirs = await kube.json("POST", path, query=query, body=obj)
            except Rejected as error:
                refused += 1
                if not complaints:
                    differ.append(f"{name} {value!r}: only the API server refuses: {error.message}")
                continue
            taken += 1
            if complaints:
                differ.append(f"{name} {value!r}: only we refuse: {complaints}")
            elif theirs.get("spec") != ours.get("spec"):
                differ.append(f"{name} {value!r}: {theirs.get('spec')} there, {ours.get('spec')} here")
    assert not differ, "\n".join(differ)
    assert taken > 40
    assert refused > 40


async def test_offenders_are_named_up_to_a_bound(kube: Kube) -> None:
    old: Object = {
        "type": "object",
        "properties": {
            "weight": {"type": "integer"},
            "gone": {"type": "string"},
            "mode": {"type": "string", "default": "plain"},
            "always": {"type": "string", "maxLength": 3},
        },
    }
    new: Object = {
        "type": "object",
        "properties": {"weight": {"type": "integer", "maximum": 100}, "always": {"type": "string", "maxLength": 3}},
    }
    await install(kube, crd("Part", {**old, "properties": {**old["properties"], "always": {"type": "string"}}}))
    limit = asyncio.Semaphore(16)

    async def make(number: int, spec: Object) -> None:
        async with limit:
            await kube.apply(thing(f"p{number:04}", spec, "Part"), manager="test")

    secret = "hunter2" * 30
    await asyncio.gather(*(make(number, {"weight": 1000 + number}) for number in range(130)))
    await asyncio.gather(*(make(200 + number, {"gone": secret}) for number in range(12)))
    # Too long already by the CRD that lives then: no news.
    await asyncio.gather(*(make(300 + number, {"always": "long"}) for number in range(5)))
    await install(kube, crd("Part", old))
    findings = await look(kube, crd("Part", new))
    assert [(one.name, one.severity) for one in findings] == [
        (FindingName.CUSTOM_RESOURCE_INVALID, Severity.RISK),
        (FindingName.FIELDS_PRUNED, Severity.RISK),
    ]
    invalid, pruned = (one.message for one in findings)
    assert invalid.startswith(
        "130 stored objects are not valid by the CRDs of this version: Part default/p0000 (spec.weight: "
    )
    assert "p0009" in invalid
    assert "p0010" not in invalid
    assert invalid.endswith(" and 120 more")
    assert "1000" not in invalid, "values are not told"
    assert pruned.startswith("12 stored objects are to lose fields")
    assert "spec.gone" in pruned
    assert "hunter2" not in pruned
    assert "spec.mode" not in pruned, "a default of the old schema is nobody's"
    # Moving the stored version where nothing converts takes the fields as well.
    (moved,) = await look(
        kube,
        crd("Part", old, stored="v2", v2={**new, "properties": {**new["properties"], "weight": {"type": "integer"}}}),
    )
    assert (moved.name, moved.message.partition(" ")[0]) == (FindingName.FIELDS_PRUNED, "12")
    # Nothing is read, and nothing found, when fields only come.
    assert await look(kube, crd("Part", {**old, "properties": {**old["properties"], "more": {"type": "string"}}})) == []


async def test_of_the_mesh_config_only_what_the_spec_does_not_mend_is_told(kube: Kube) -> None:
    """Defaults are dropped, and brought in, by a merge; what somebody wrote is lost all the same."""
    text, group = {"type": "string"}, "config.openservicemesh.io"
    old: Object = {"type": "object", "properties": {"gone": {"type": "boolean"}, "mine": text, "mode": text}}
    new: Object = {"type": "object", "required": ["mode", "level"], "properties": {"mode": text, "level": text}}
    live, shipped = (crd("MeshConfig", schema, group=group) for schema in (old, new))
    await install(kube, live)
    config = {**thing("osm-mesh-config", {"gone": False, "mine": "x"}, "MeshConfig"), "apiVersion": f"{group}/v1"}
    await kube.apply(config, manager="test")
    told = {}
    for name, mesh_config in {
        "Keep": {},
        "Merge": {"defaults": "Merge"},
        "patch": {"patch": {"gone": None, "mine": None, "mode": "b"}},
    }.items():
        work = work_of(kube, shipped)
        work.namespace = "default"
        work.spec = make_work({"meshConfig": mesh_config}).spec
        work.live, work.preset_revision = release_of({"gone": False}), 2
        work.target = dataclasses.replace(work.need_target(), rendered=release_of({"mode": "a", "level": "l"}))
        found = await run_checks([custom_resources.CHECK], work)
        assert all(one.severity is Severity.WARNING for one in found)
        assert all(("defaults to Merge" in one.remedy) is (name != "Merge") for one in found)
        told[name] = {str(one.name): [word for word in WORDS if word in one.message] for one in found}
    assert told == {
        "Keep": {"CustomResourceInvalid": ["level", "mode"], "FieldsPruned": ["spec.gone", "spec.mine"]},
        "Merge": {"FieldsPruned": ["spec.mine"]},
        "patch": {"CustomResourceInvalid": ["level"]},
    }


WORDS = ("level", "mode", "spec.gone", "spec.mine")


def release_of(preset: Object) -> Release:
    """Give a release that has this preset alone."""
    data = {"preset-mesh-config.json": json.dumps(preset)}
    return rendered({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "preset-mesh-config"}, "data": data})


async def test_a_conversion_webhook_that_nobody_serves_is_no_refusal(kube: Kube) -> None:
    """As osm leaves them behind (issue 4967); the upgrade itself takes it away."""
    text: Object = {"type": "object", "properties": {"a": {"type": "string"}}}
    await install(kube, crd("Orphan", text, v2=text))
    await kube.apply(thing("o", {"a": "x"}, "Orphan"), manager="test")
    nobody = {"url": "https://127.0.0.1:9/convert"}
    orphaned = crd("Orphan", text, stored="v2", v2=text)
    orphaned["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": nobody},
    }
    await kube.apply(orphaned, manager="test")
    async with asyncio.timeout(20):
        with contextlib.suppress(Unreachable):
            while True:
                await kube.get(ObjectRef(f"{GROUP}/v2", "Orphan", "o", "default"))
                await asyncio.sleep(0.05)
    (found,) = await look(kube, crd("Orphan", text, stored="v2", v2={"type": "object"}))
    assert (found.name, found.severity) == (FindingName.CHECK_FAILED, Severity.WARNING)
    assert "conversion webhook" in found.message
    work = work_of(kube, crd("Orphan", text, stored="v2", v2=text))
    plan = await Storage().plan(work)
    assert plan.changes == [f"store the objects of CRD orphans.{GROUP} in v2"]


async def look(kube: Kube, shipped: Object) -> list[Any]:
    return await run_checks([custom_resources.CHECK], work_of(kube, shipped))


def work_of(kube: Kube, shipped: Object) -> Work:
    work = make_work()
    work.tools = Tools(kube=kube, helm=None, http=None, indexes=None, cache=Path())  # type: ignore[arg-type]
    nothing = cast("Any", None)
    work.target = Target(Path(), "", nothing, nothing, [shipped], "")
    return work
