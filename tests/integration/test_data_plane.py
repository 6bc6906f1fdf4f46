"""The data plane, restarted in waves: against real controllers, with an injector that injects."""

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.names import RESTARTED_FOR
from meshupgrade.api.v1alpha1.status import RestartStatus
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube
from meshupgrade.phases.data_plane import DataPlane, proof
from meshupgrade.phases.shape import Outcome, PhaseFailed, Tools, Work
from tests.charts.injected_workloads import Kind, disruption_budget
from tests.charts.workloads import BOOKBUYER, BOOKSTORE
from tests.cluster.api import STRATEGIC_PATCH, Api
from tests.cluster.cluster import Cluster
from tests.cluster.injector import Admission, InjectorStandIn
from tests.cluster.pod_gate import PodGate
from tests.cluster.pod_status import unpullable
from tests.integration.harness import PATIENCE, Mesh, Operator, eventually
from tests.unit.phases.works import make_work

NEW = "flomesh/pipy:new"
WORKLOADS = (
    Kind.DEPLOYMENT,
    Kind.STATEFUL_SET,
    Kind.PARTITIONED,
    Kind.STATEFUL_SET_ON_DELETE,
    Kind.DAEMON_SET,
    Kind.DAEMON_SET_ON_DELETE,
)


class Crash(BaseException):
    """The operator dies."""


class Mortal(Kube):
    """A client whose process dies at the request with that number: before it is sent, or before its answer is seen."""

    lives = -1
    after = False

    async def request(self, method: str, path: str, **options: Any) -> bytes:
        self.lives -= 1
        if self.lives == 0 and not self.after:
            raise Crash
        answer = await super().request(method, path, **options)
        if self.lives == 0:
            raise Crash
        return answer


@dataclass
class Runs:
    """Runs of the phase for one mesh, which know of each other what the status keeps."""

    mesh: Mesh
    kube: Mortal
    version: str = "1.2.3"
    kept: RestartStatus | None = None
    told: list[str] = field(default_factory=list)
    work: Work = field(default_factory=make_work)

    async def apply(self, restart: str = "WhenOutdated", **data_plane: Any) -> Outcome:
        """One run."""
        return await DataPlane().apply(self.new(restart, **data_plane))

    def new(self, restart: str = "WhenOutdated", **data_plane: Any) -> Work:
        """What a run begins with."""
        fields = {"restart": restart, "timeout": "60s", "maxUnavailable": "50%", **data_plane}
        work = self.work = make_work({"version": self.version, "dataPlane": fields})
        work.namespace = self.mesh.namespace
        work.tools = Tools(kube=self.kube, helm=None, http=None, indexes=None, cache=Path())  # type: ignore[arg-type]
        work.restart, work.keep_restart, work.report = self.kept, self._keep, self._tell
        return work

    async def fails(self, reason: Reason, **data_plane: Any) -> str:
        """One run that has to fail so; gives its message."""
        with pytest.raises(PhaseFailed) as error:
            await self.apply(**data_plane)
        assert error.value.reason is reason, error.value
        return str(error.value)

    async def _keep(self, status: RestartStatus) -> None:
        self.kept = status

    async def _tell(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """The namespaces of the workloads have fixed names."""
    return own_cluster


@pytest.fixture
async def runs(mesh: Mesh, injector: InjectorStandIn) -> AsyncIterator[Runs]:
    access = await load_access(mesh.cluster.kubeconfig, None)
    async with Mortal(access.configuration) as kube:
        yield Runs(mesh, kube)


def bring_in(mesh: Mesh, *kinds: Kind, **options: Any) -> None:
    """Put these workloads into the mesh, then have another sidecar injected."""
    mesh.inject_in_use("1.1.0", kinds=kinds, **options)
    inject(mesh, NEW)


def inject(mesh: Mesh, image: str) -> None:
    patch = json.dumps({"spec": {"sidecar": {"sidecarImage": image}}})
    mesh.kubectl("patch", "meshconfig", "osm-mesh-config", "--type=merge", "-p", patch)


def listed(mesh: Mesh, kinds: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(mesh.cluster.kubectl("get", kinds, "-A", "-o", "json").stdout)["items"]
    return [item for item in items if item["metadata"]["namespace"] in (BOOKSTORE, BOOKBUYER)]


def templates(mesh: Mesh) -> dict[str, int]:
    """How many different Pod templates each workload has had."""
    count: dict[str, int] = {}
    for item in listed(mesh, "replicasets,controllerrevisions"):
        for owner in item["metadata"].get("ownerReferences") or []:
            name = f"{item['metadata']['namespace']}/{owner['name']}"
            count[name] = count.get(name, 0) + 1
    return count


def restarted(mesh: Mesh) -> dict[str, str]:
    """What each workload was restarted for; empty for one that was not."""
    return {
        f"{item['metadata']['namespace']}/{item['metadata']['name']}": (
            item["spec"]["template"]["metadata"].get("annotations") or {}
        ).get(RESTARTED_FOR, "")
        for item in listed(mesh, "deployments,statefulsets,daemonsets")
    }


def annotate(mesh: Mesh, patch: dict[str, Any], kind: str, name: str, namespace: str = BOOKSTORE) -> None:
    mesh.cluster.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch))


@asynccontextmanager
async def running(runs: Runs, **data_plane: Any) -> AsyncIterator[asyncio.Task[Outcome]]:
    """A run that goes on meanwhile, and dies in the end unless it is over."""
    task = asyncio.create_task(runs.apply(**data_plane))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(done: Callable[[], object], task: asyncio.Task[Outcome], runs: Runs) -> None:
    """Wait until something is so while a run goes on."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not await asyncio.to_thread(done):
        assert not task.done(), f"it is over: {task.exception() or task.result()}"
        assert asyncio.get_running_loop().time() < deadline, runs.told
        await asyncio.sleep(0.1)


def replaced(admissions: Sequence[Admission]) -> tuple[int, Counter[str]]:
    """Give how many Pods were made, and how often by name or its beginning.

    A StatefulSet may try again to make a Pod while the one of before, of the same name, is not quite gone.
    """
    made = Counter(one.pod for one in admissions if not one.dry_run)
    return sum(count if pod.endswith("-") else 1 for pod, count in made.items()), made


async def test_all_kinds_once_each_the_canary_first(runs: Runs, injector: InjectorStandIn) -> None:
    mesh = runs.mesh
    bring_in(mesh, *WORKLOADS, Kind.OPTED_OUT, Kind.RUNNING_JOB, Kind.BARE_POD)
    # A budget that lets one Pod go at a time is respected by eviction, too.
    mesh.apply_objects([disruption_budget(BOOKSTORE, Kind.STATEFUL_SET_ON_DELETE.value, maxUnavailable=1)])
    canary = {"namespace": BOOKBUYER, "soak": "1s"}
    wanted = {name: "" if name == f"{BOOKSTORE}/opted-out" else "1.2.3" for name in restarted(mesh)}

    planned = (await DataPlane().plan(runs.new(canary=canary))).data_plane
    assert planned is not None
    assert (planned.workloads, planned.waves, planned.wave_size, planned.canary) == (9, 3, 4, BOOKBUYER)
    elsewhere = await DataPlane().plan(runs.new(canary={"namespace": "default"}))
    assert [finding.name for finding in elsewhere.findings] == ["CanaryNotInMesh", "WorkloadNotRestartable"]
    assert await DataPlane().due(runs.work)

    asked = len(injector.admissions)
    outcome = await runs.apply(canary=canary)
    assert outcome.reason is Reason.DONE
    assert outcome.message.startswith(f"9 of 9 workloads restarted for {planned.target} in 3 waves; 1 workload left")
    assert "Job bookstore/job-running, Pod bookstore/bare" in outcome.message
    assert {name: value.partition("-")[0] for name, value in restarted(mesh).items()} == wanted
    assert set(templates(mesh).values()) == {1, 2}
    kept = {name for name, image in mesh.sidecars().items() if image != NEW}
    assert {name.partition("-")[0] for name in kept} == {f"{BOOKSTORE}/{one}" for one in ("bare", "job", "opted")}
    admissions = injector.admissions[asked:]
    assert admissions[0].dry_run, "the proof comes first"
    first = [one.namespace for one in admissions]
    assert first == sorted(first), "the canary comes first"
    count, made = replaced(admissions)
    assert count == 4 * 2 + 3 * 2 + 2, f"each Pod is replaced once: {made}"
    told = [text for text in runs.told if "workloads" in text]
    assert told[0] == "0 of 9 workloads, wave 1 of 3"
    assert any(re.fullmatch(r"\d of 9 workloads, wave [23] of 3, about \d+ (s|min) left", text) for text in told)
    assert runs.work.data_plane is not None
    assert runs.work.data_plane.workloads.model_dump(exclude_defaults=True) == {
        "total": 10, "current": 9, "outdated": 1, "excluded": 1,
    }  # fmt: skip

    # Nothing is due any more, and nothing is planned.
    before = templates(mesh)
    assert not await DataPlane().due(runs.new(canary=canary))
    assert not (await DataPlane().plan(runs.new(canary=canary))).changes
    assert (await runs.apply(canary=canary)).status == "True"

    # Always is once for a target: here one more for that which they run already, told apart by another version.
    # Whoever has no annotation of it is restarted; the others were.
    assert (await runs.apply("Always", canary=canary)).status == "True"
    assert templates(mesh) == before
    runs.version = "1.2.4"
    asked = len(injector.admissions)
    assert await DataPlane().due(runs.new("Always"))
    assert (await runs.apply("Always", maxUnavailable="100%")).reason is Reason.DONE
    admissions = injector.admissions[asked:]
    count, made = replaced(admissions)
    assert count == 4 * 2 + 3 * 2 + 2, made
    before = templates(mesh)
    assert not await DataPlane().due(runs.new("Always"))
    assert (await runs.apply("Always")).reason is Reason.DONE
    assert templates(mesh) == before


async def test_a_canary_that_crashes_in_its_soak(runs: Runs) -> None:
    mesh = runs.mesh
    bring_in(mesh, Kind.DEPLOYMENT, deployments=1, replicas=1)
    canary = {"namespace": BOOKSTORE, "soak": "20s"}
    async with running(runs, canary=canary) as task:
        await until(lambda: any("soak" in text or "stay healthy" in text for text in runs.told), task, runs)
        pod = next(pod for pod in mesh.meshed_pods() if pod["metadata"]["namespace"] == BOOKSTORE)
        ended = {
            "terminated": {"exitCode": 1, "reason": "Error", "finishedAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        }
        statuses = [{**one, "lastState": ended, "restartCount": 1} for one in pod["status"]["containerStatuses"]]
        at = ("patch", "pod", pod["metadata"]["name"], "-n", BOOKSTORE, "--subresource=status", "--type=merge", "-p")
        mesh.cluster.kubectl(*at, json.dumps({"status": {"containerStatuses": statuses}}))
        with pytest.raises(PhaseFailed, match="crashed in the soak of the canary") as error:
            await asyncio.wait_for(task, PATIENCE)
    assert error.value.reason is Reason.CRASH_LOOP
    assert runs.kept is not None
    assert runs.kept.soak_until is None, "another attempt begins with another soak"
    assert restarted(mesh)[f"{BOOKBUYER}/deployment-1"] == "", "the others are not touched"
    # It soaks again, and nobody of it is restarted again.
    before = templates(mesh)[f"{BOOKSTORE}/deployment-1"]
    assert (await runs.apply(canary={**canary, "soak": "2s"})).reason is Reason.DONE
    assert templates(mesh)[f"{BOOKSTORE}/deployment-1"] == before
    assert set(mesh.sidecars().values()) == {NEW}


async def test_nothing_is_touched_while_the_injector_is_broken(
    runs: Runs, injector: InjectorStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = runs.mesh
    bring_in(mesh, Kind.DEPLOYMENT, Kind.STATEFUL_SET, namespaces=[BOOKSTORE], deployments=1)
    monkeypatch.setattr(proof, "PROOF_SECONDS", 0.5)
    before = templates(mesh)

    injector.skipping = True
    assert "came back without a sidecar" in await runs.fails(Reason.INJECTION_BROKEN)
    injector.skipping, injector.image = False, "flomesh/pipy:other"
    assert f"flomesh/pipy:other instead of {NEW}" in await runs.fails(Reason.INJECTION_BROKEN)
    injector.image, injector.rejecting = "", "no bootstrap configuration"
    assert "no bootstrap configuration" in await runs.fails(Reason.API_REJECTED)
    injector.rejecting = ""
    injector.go_down("Ignore")
    assert "came back without a sidecar" in await runs.fails(Reason.INJECTION_BROKEN)
    injector.fail_with("Fail")
    assert "failed calling webhook" in await runs.fails(Reason.WEBHOOK_UNREACHABLE)
    injector.come_back()
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": BOOKSTORE}}
    mesh.apply_objects([{**quota, "spec": {"hard": {"pods": "4"}}}])
    used = ("get", "resourcequota", "full", "-n", BOOKSTORE, "-o", "jsonpath={.status.used.pods}")
    eventually(lambda: mesh.cluster.kubectl(*used).stdout == "4", lambda: "the quota is not counted")
    assert "exceeded quota" in await runs.fails(Reason.QUOTA)
    assert templates(mesh) == before
    assert set(restarted(mesh).values()) == {""}

    # The injector comes back while it is waited for.
    mesh.cluster.kubectl("delete", "resourcequota", "full", "-n", BOOKSTORE)
    monkeypatch.setattr(proof, "PROOF_SECONDS", PATIENCE)
    injector.skipping = True
    async with running(runs) as task:
        await until(lambda: any("waiting for the injector" in text for text in runs.told), task, runs)
        injector.skipping = False
        assert (await asyncio.wait_for(task, PATIENCE)).reason is Reason.DONE
    assert set(mesh.sidecars().values()) == {NEW}


async def test_what_may_not_be_restarted_is_waited_for(runs: Runs) -> None:
    mesh = runs.mesh
    bring_in(mesh, Kind.DEPLOYMENT, namespaces=[BOOKSTORE], deployments=3, replicas=1)
    mesh.apply_objects([disruption_budget(BOOKSTORE, "deployment-1", maxUnavailable=0)])
    annotate(mesh, {"spec": {"paused": True}}, "deployment", "deployment-2")
    async with running(runs, maxUnavailable=2) as task:
        await until(lambda: any("waiting for Deployment" in text for text in runs.told), task, runs)
    marked = {name.rpartition("/")[2]: bool(value) for name, value in restarted(mesh).items()}
    assert marked == {"deployment-1": False, "deployment-2": False, "deployment-3": True}

    text = await runs.fails(Reason.DISRUPTION_FORBIDDEN, timeout="1s")
    assert f"PodDisruptionBudget {BOOKSTORE}/deployment-1 allows none of its Pods to go" in text
    assert "Deployment bookstore/deployment-2: it was not touched, since it is paused" in text
    assert "1 of 3 workloads are restarted" in text
    # Left alone on request, the others are no failure; nor are as many as may fail.
    annotate(mesh, {"metadata": {"annotations": {"meshupgrade.io/restart": "Never"}}}, "deployment", "deployment-2")
    outcome = await runs.apply(timeout="1s", failureThreshold=1)
    assert (outcome.reason, outcome.status) == (Reason.UNHEALTHY, "False")
    assert "1 did not come back, and are not tried again for it: Deployment bookstore/deployment-1" in outcome.message
    assert not await DataPlane().due(runs.new())
    assert set(templates(mesh).values()) == {1, 2}
    # One that was not counted as failed is restarted as soon as it may be.
    runs.kept = None
    async with running(runs) as task:
        await until(lambda: any("deployment-1: it was not touched" in text for text in runs.told), task, runs)
        mesh.cluster.kubectl("delete", "pdb", "deployment-1", "-n", BOOKSTORE)
        assert (await asyncio.wait_for(task, PATIENCE)).reason is Reason.DONE


async def test_a_rollout_that_fails_and_one_that_is_undone(runs: Runs) -> None:
    mesh = runs.mesh
    bring_in(mesh, Kind.DEPLOYMENT, namespaces=[BOOKSTORE], deployments=3, replicas=1)
    annotate(mesh, {"spec": {"progressDeadlineSeconds": 2}}, "deployment", "deployment-1")
    api = Api(mesh.cluster.kubeconfig, mesh.cluster.ca)
    with PodGate(api, ["deployment-1"], [BOOKSTORE]) as gate:
        async with running(runs, maxUnavailable=1) as task:
            await until(lambda: [pod for pod in mesh.meshed_pods() if gate.holds(pod)], task, runs)
            pod = next(pod for pod in mesh.meshed_pods() if gate.holds(pod))
            path = f"/api/v1/namespaces/{BOOKSTORE}/pods/{pod['metadata']['name']}/status"
            api.patch(path, {"status": unpullable(pod, "sidecar", "no such image")}, STRATEGIC_PATCH)
            with pytest.raises(PhaseFailed, match="cannot be pulled") as error:
                await asyncio.wait_for(task, PATIENCE)
        assert error.value.reason is Reason.IMAGE_PULL
        assert "Deployment bookstore/deployment-1: it gave up" in str(error.value)
        marked = {name.rpartition("/")[2]: bool(value) for name, value in restarted(mesh).items()}
        assert marked == {"deployment-1": True, "deployment-2": False, "deployment-3": False}

        # One may fail: the others are restarted, this one is told and not tried again.
        outcome = await runs.apply(failureThreshold=1)
        assert (outcome.reason, outcome.status) == (Reason.UNHEALTHY, "False")
        assert "2 of 3 workloads restarted" in outcome.message
        assert not await DataPlane().due(runs.new())
    # Repaired, it comes back by itself: nobody is restarted for it again.
    status = ("rollout", "status", "deployment/deployment-1", "-n", BOOKSTORE, f"--timeout={PATIENCE:.0f}s")
    mesh.cluster.kubectl(*status)
    outcome = await runs.apply()
    assert (outcome.reason, outcome.status) == (Reason.DONE, "True")
    assert "the others came back later" in outcome.message
    assert set(templates(mesh).values()) == {2}

    # Whoever applies the workload from git leaves our annotation alone, one who replaces it does not.
    inject(mesh, "flomesh/pipy:newer")
    get = ("get", "deployment", "deployment-2", "-n", BOOKSTORE, "-o", "json")
    before = json.loads(mesh.cluster.kubectl(*get).stdout)
    applied = json.loads(before["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    before["metadata"] = {"name": "deployment-2", "namespace": BOOKSTORE}
    with PodGate(api, ["deployment-2"], [BOOKSTORE]) as gate:
        async with running(runs) as task:
            await until(lambda: [pod for pod in mesh.meshed_pods() if gate.holds(pod)], task, runs)
            mesh.apply_objects([applied])
            mesh.apply_objects([applied], "--server-side", "--force-conflicts", "--field-manager=argocd-controller")
            assert restarted(mesh)[f"{BOOKSTORE}/deployment-2"].startswith("1.2.3-")
            replace = ("replace", "--field-manager=healer", "-f", "-")
            mesh.cluster.kubectl(*replace, input=json.dumps(before))
            with pytest.raises(PhaseFailed, match="which healer wrote last") as error:
                await asyncio.wait_for(task, PATIENCE)
        assert error.value.reason is Reason.RESTART_UNDONE
    assert (await runs.apply()).reason is Reason.DONE
    assert set(mesh.sidecars().values()) == {"flomesh/pipy:newer"}


async def test_whenever_the_operator_dies_nothing_is_restarted_twice_or_forgotten(runs: Runs) -> None:
    mesh = runs.mesh
    bring_in(mesh, *WORKLOADS, deployments=1)
    before, chance, deaths = templates(mesh), random.Random(6), 0
    # In the middle of rollouts, which are still under way when the next one begins.
    api = Api(mesh.cluster.kubeconfig, mesh.cluster.ca)
    with PodGate(api, ["deployment-1", "stateful"], None):
        async with running(runs, maxUnavailable=3) as task:
            await until(lambda: sum(map(bool, restarted(mesh).values())) == 3, task, runs)
        runs.told.clear()
        async with running(runs, maxUnavailable=3) as task:
            await until(lambda: len(runs.told) > 1, task, runs)
    assert (await runs.apply(maxUnavailable=3)).reason is Reason.DONE
    assert templates(mesh) == {name: count + 1 for name, count in before.items()}

    # At any request.
    inject(mesh, "flomesh/pipy:newer")
    while True:
        runs.kube.lives, runs.kube.after = chance.randint(12, 45), chance.random() < 0.5
        try:
            outcome = await runs.apply(canary={"namespace": BOOKBUYER, "soak": "1s"}, maxUnavailable=3)
            break
        except Crash:
            deaths += 1
    runs.kube.lives = -1
    assert deaths >= 3
    assert (outcome.reason, outcome.status) == (Reason.DONE, "True")
    assert set(mesh.sidecars().values()) == {"flomesh/pipy:newer"}
    assert templates(mesh) == {name: count + 2 for name, count in before.items()}
    assert len(set(restarted(mesh).values())) == 1


def test_the_operator_is_killed_in_the_waves_of_an_upgrade(
    mesh: Mesh, injector: InjectorStandIn, start_operator: Callable[..., Operator]
) -> None:
    mesh.inject_in_use("1.1.0", kinds=WORKLOADS, deployments=1)
    before, chance = templates(mesh), random.Random(6)
    waves = {"restart": "WhenOutdated", "maxUnavailable": 2, "sidecarImage": NEW}
    mesh.upgrade("1.2.1", dataPlane={**waves, "canary": {"namespace": BOOKBUYER, "soak": "1s"}})
    for marked in (1, 2, 4, 6):
        operator = start_operator()
        eventually(lambda: sum(map(bool, restarted(mesh).values())) >= marked, operator.log)  # noqa: B023
        time.sleep(chance.random())
        operator.kill()
    operator = start_operator()
    status = mesh.wait_ready()
    assert set(mesh.sidecars().values()) == {NEW}, operator.log()
    assert templates(mesh) == {name: count + 1 for name, count in before.items()}
    assert status["dataPlane"]["workloads"]["current"] == len(before)
    restart = status["dataPlane"]["restart"]
    assert (restart["done"], restart["restarted"], restart["total"]) == (True, len(before), len(before))
    assert {value.partition("-")[0] for value in restarted(mesh).values()} == {"1.2.1"}
    told = mesh.conditions()["DataPlaneRestarted"]
    assert (told["status"], told["reason"]) == ("True", "Done"), told
