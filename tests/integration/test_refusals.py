"""What cannot go well is refused before anything is changed, and says why and what to do."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.charts.publish import Published
from tests.cluster.chart_repository import serve_directory
from tests.cluster.cluster import Cluster
from tests.integration.harness import Mesh, Operator, install_crd

CASES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a lower version": ("1.0.9", {}, "Downgrade", "Set spec.version to 1.1.0 or a newer one"),
    "another major": ("2.0.0", {}, "BreakingChange", "add BreakingChange to spec.upgrade.acceptRisks"),
    "a version that is not there": ("1.2.99", {}, "ChartNotFound", "the newest are 2.0.0, 1.3.0"),
    "a chart that is not there": ("1.2.1", {"chart": {"name": "istio"}}, "ChartNotFound", "istio"),
    "not a chart repository": (
        "1.2.1", {"chart": {"repository": "{repository}/nowhere"}}, "RepositoryInvalid", "nowhere",
    ),
    "a chart that does not render": ("1.2.8", {}, "RenderFailed", "broken on purpose"),
    "a newer Kubernetes wanted": ("1.2.9", {}, "KubernetesTooOld", ">= 9.0.0-0"),
    "values against the schema": (
        "1.2.1", {"values": {"osm": {"image": {"tagg": "x"}}}}, "ValuesInvalid", "values.schema.json",
    ),
    "another mesh name": ("1.2.1", {"values": {"osm": {"meshName": "other"}}}, "IdentityChanged", "osm.meshName"),
    "a selector that changes": ("1.3.0", {}, "ImmutableFieldChanged", "Deployment"),
    "an object the API refuses": ("1.2.7", {}, "ObjectRejected", "70000"),
    "kinds that are no longer served": (
        "1.2.1",
        {"values": {"osm": {"osmController": {"enablePodDisruptionBudget": True}}}},
        "RemovedAPIs",
        "policy/v1beta1",
    ),
    "CRDs that cannot be read": (
        "1.2.1", {"crds": {"imageRef": "{registry}/no/such:image"}}, "CRDSourceUnavailable", "no/such",
    ),
    "a canary that is not in the mesh": (
        "1.2.1",
        {"dataPlane": {"restart": "WhenOutdated", "canary": {"namespace": "default"}}},
        "CanaryNotInMesh",
        "default",
    ),
    "a sidecar image twice": (
        "1.2.1",
        {
            "meshConfig": {"patch": {"sidecar": {"sidecarImage": "flomesh/pipy:1"}}},
            "dataPlane": {"sidecarImage": "flomesh/pipy:2"},
        },
        "MeshConfigPatchInvalid",
        "spec.dataPlane.sidecarImage",
    ),
    "a patch that does not fit": (
        "1.2.1", {"meshConfig": {"patch": {"sidecar": {"logLevel": 5}}}}, "MeshConfigPatchInvalid", "logLevel",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all refusals: they change nothing, and each test makes sure of it."""
    with Cluster.start(tmp_path_factory.mktemp("refusals"), progress=lambda _: None) as running:
        install_crd(running)
        yield running


@pytest.fixture(scope="module")
def in_use(cluster: Cluster, published: Published) -> Iterator[Mesh]:
    """A mesh that no test changes, but for the last one."""
    with serve_directory(published.broken_directory) as repository:
        cluster.kubectl("create", "namespace", "osm-system")
        mesh = Mesh(cluster, "osm-system", published, repository)
        mesh.install_in_use("1.1.0")
        yield mesh


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all of them."""
    with Operator(cluster, tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest.fixture
def no_upgrade(in_use: Mesh) -> Iterator[None]:
    """No MeshUpgrade of the mesh is left over."""
    yield
    in_use.kubectl("delete", "meshupgrades", "--all")


@pytest.mark.parametrize("case", CASES)
def test_refused(in_use: Mesh, operator: Operator, no_upgrade: None, case: str) -> None:
    version, fields, reason, said = CASES[case]
    before = in_use.fingerprints()
    in_use.upgrade(version, **_filled(fields, in_use))
    conditions = in_use.wait_stalled()

    ready = conditions["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert said in ready["message"]
    assert "Traceback" not in ready["message"]
    assert "Nothing was changed" in ready["message"]
    assert "Reconciling" not in conditions
    assert conditions["Available"]["status"] == "True"
    assert in_use.status()["phase"] == "Refused"
    assert reason in {finding["name"] for finding in in_use.status()["findings"]}
    waited = in_use.kubectl("wait", "--for=condition=Ready", "meshupgrade/mesh", "--timeout=1s", check=False)
    assert waited.returncode != 0
    assert in_use.fingerprints() == before
    assert "finalizers" not in in_use.get()["metadata"]


def test_no_release(mesh: Mesh, operator: Operator) -> None:
    mesh.upgrade("1.2.1")
    conditions = mesh.wait_stalled()
    assert conditions["Ready"]["reason"] == "ReleaseNotFound"
    assert mesh.namespace in conditions["Ready"]["message"]
    assert conditions["Available"]["status"] == "False"


BAD_SPECS: dict[str, tuple[dict[str, Any], str]] = {
    "no version": ({"version": "latest"}, "must be a semantic version"),
    "half a version": ({"version": "1.2.3.4"}, "must be a semantic version"),
    "an unknown mesh": ({"mesh": {"distribution": "istio"}}, "spec.mesh.distribution"),
    "an unknown field": ({"verzion": "1.2.1"}, "verzion"),
    "no duration": ({"upgrade": {"timeout": "soon"}}, "upgrade.timeout"),
    "no time at all": ({"upgrade": {"timeout": "0s"}}, "between 1s and 24h"),
    "an unknown time zone": (
        {"upgrade": {"windows": [{"start": "22:00", "end": "04:00", "timeZone": "Europe/Berlim"}]}},
        "unknown time zone Europe/Berlim",
    ),
    "a day twice": (
        {"upgrade": {"windows": [{"start": "22:00", "end": "04:00", "days": ["Mon", "Mon"]}]}},
        "spec.upgrade.windows[0].days",
    ),
    "no time of day": ({"upgrade": {"windows": [{"start": "22:00", "end": "24:00"}]}}, "spec.upgrade.windows[0].end"),
    "an unknown risk": ({"upgrade": {"acceptRisks": ["Everything"]}}, "BreakingChange"),
    "no URL": ({"chart": {"repository": "example.test/charts"}}, "must be a URL"),
    "a login in the URL": ({"chart": {"repository": "https://me:secret@example.test"}}, "carries no login"),
    "plain http for https": ({"chart": {"repository": "https://example.test", "insecure": True}}, "oci://"),
    "no ConfigMap for the CRDs": ({"crds": {"source": "ConfigMap"}}, "belong together"),
    "a ConfigMap for nothing": ({"crds": {"configMapRef": {"name": "a"}}}, "belong together"),
    "an image for the chart's CRDs": ({"crds": {"source": "Chart", "imageRef": "a/b"}}, "source Auto or Image"),
    "certificates for plain http": (
        {"crds": {"insecure": True, "certSecretRef": {"name": "a"}}},
        "has no use for crds.certSecretRef",
    ),
    "values that are no object": ({"values": "replicas=2"}, "spec.values"),
    "too many retries": ({"upgrade": {"retries": 99}}, "spec.upgrade.retries"),
    "waves of nothing": ({"dataPlane": {"maxUnavailable": 0}}, "a number from 1 on, or a percentage from 1% to 100%"),
    "waves of too much": ({"dataPlane": {"maxUnavailable": "101%"}}, "a percentage from 1% to 100%"),
    "a sidecar by its URL": ({"dataPlane": {"sidecarImage": "https://example.test/pipy"}}, "without a scheme"),
    "no soak at all": ({"dataPlane": {"canary": {"namespace": "a", "soak": "0s"}}}, "dataPlane.canary.soak"),
    "a canary without a namespace": ({"dataPlane": {"canary": {"soak": "5m"}}}, "spec.dataPlane.canary.namespace"),
    "an addon by its URL": ({"addons": {"grafana": {"image": "https://example.test/grafana"}}}, "without a scheme"),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_the_api_refuses_a_spec_that_cannot_be_right(mesh: Mesh, case: str) -> None:
    fields, said = BAD_SPECS[case]
    spec = {"version": "1.2.1", "mesh": {"distribution": "osm-edge"}, **fields}
    refused = _try_apply(mesh, spec)
    assert refused.returncode != 0
    assert said in refused.stderr


def test_the_mesh_of_an_object_cannot_be_changed(mesh: Mesh) -> None:
    mesh.apply_objects([mesh.manifest({"version": "1.2.1", "mesh": {"distribution": "osm-edge"}})])
    written_out = _try_apply(mesh, {"version": "1.2.1", "mesh": {"distribution": "osm-edge", "name": "osm"}})
    assert written_out.returncode == 0, "writing a default out is no change"
    for changed in ({"distribution": "osm-edge", "name": "other"}, {"distribution": "fsm", "name": "osm"}):
        refused = _try_apply(mesh, {"version": "1.2.1", "mesh": changed})
        assert refused.returncode != 0
        assert "mesh cannot be changed" in refused.stderr


def test_once_the_remedy_is_followed_it_passes(in_use: Mesh, operator: Operator) -> None:
    """A refusal, its remedy, and the accepted risk kept in history."""
    in_use.upgrade("1.3.0")
    assert in_use.wait_stalled()["Ready"]["reason"] == "ImmutableFieldChanged"
    in_use.upgrade("1.3.0", upgrade={"acceptRisks": ["ImmutableFieldChanged"]})
    status = in_use.wait_ready()
    assert status["currentVersion"] == "1.3.0"
    assert status["history"][0]["acceptedRisks"] == ["ImmutableFieldChanged"]
    assert "Stalled" not in in_use.conditions()


def _try_apply(mesh: Mesh, spec: dict[str, Any]) -> subprocess.CompletedProcess[str]:

    return mesh.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(mesh.manifest(spec)), check=False)


def _filled(fields: Any, mesh: Mesh) -> Any:
    """Fill in the addresses that are only known when the rig runs."""
    if isinstance(fields, dict):
        return {key: _filled(value, mesh) for key, value in fields.items()}
    if isinstance(fields, str):
        return fields.format(repository=mesh.repository.url, registry=mesh.cluster.registry)
    return fields
