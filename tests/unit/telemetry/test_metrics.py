"""What the metrics tell of MeshUpgrades, and that the docs explain them."""

import re
from pathlib import Path
from typing import Any

from meshupgrade.api.v1alpha1.status import DataPlaneStatus, RestartStatus, WorkloadCounts
from meshupgrade.telemetry.metrics import Metrics

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
COUNTED = DataPlaneStatus(
    total=9,
    current=4,
    outdated=3,
    unknown=2,
    unmanaged=1,
    uninjected=5,
    workloads=WorkloadCounts(total=6, current=3, outdated=2, unknown=1, excluded=1),
    restart=RestartStatus(target="t", total=5, restarted=2, failed=["Deployment shop/web: crashes"]),
)


def upgrade(data_plane: DataPlaneStatus | None, name: str = "osm") -> dict[str, Any]:
    obj: dict[str, Any] = {"metadata": {"name": name, "namespace": "osm-system"}, "spec": {}}
    if data_plane is not None:
        obj["status"] = {"dataPlane": data_plane.model_dump(mode="json", by_alias=True, exclude_none=True)}
    return obj


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("meshupgrade_"), *sample.labels.values()): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


def of_pods(metrics: Metrics, name: str = "osm") -> dict[str, float]:
    return {key[3]: value for key, value in samples(metrics).items() if key[:3] == (PODS, "osm-system", name)}


PODS = "data_plane_pods"


def test_the_status_is_told() -> None:
    metrics = Metrics(lambda: 7)
    metrics.observe(upgrade(COUNTED), deleted=False)
    told: dict[str, dict[str, float]] = {
        "pods": {"current": 4, "outdated": 3, "unknown": 2, "unmanaged": 1, "uninjected": 5},
        "workloads": {"current": 3, "outdated": 2, "unknown": 1, "excluded": 1},
        "restart_workloads": {"total": 5, "restarted": 2, "failed": 1},
    }
    expected: dict[tuple[str, ...], float] = {("api_requests_total",): 7}
    for subject, states in told.items():
        expected |= {(f"data_plane_{subject}", "osm-system", "osm", state): states[state] for state in states}
    assert samples(metrics) == expected


def test_what_changes_replaces_what_was_told() -> None:
    metrics = Metrics(int)
    metrics.observe(upgrade(COUNTED), deleted=False)
    metrics.observe(upgrade(COUNTED.model_copy(update={"current": 7, "outdated": 0, "restart": None})), deleted=False)
    assert of_pods(metrics) == {"current": 7, "outdated": 0, "unknown": 2, "unmanaged": 1, "uninjected": 5}
    assert not [key for key in samples(metrics) if key[0] == "data_plane_restart_workloads"]


def test_what_is_gone_has_no_metrics() -> None:
    metrics = Metrics(int)
    metrics.observe(upgrade(COUNTED), deleted=False)
    metrics.observe(upgrade(COUNTED, "other"), deleted=False)
    metrics.observe(upgrade(COUNTED), deleted=True)
    assert of_pods(metrics) == {}
    assert of_pods(metrics, "other")
    metrics.observe(upgrade(None, "other"), deleted=False)
    assert of_pods(metrics, "other") == {}
    metrics.observe(upgrade(None, "third"), deleted=True)


def test_what_another_release_wrote_and_cannot_be_read_has_none() -> None:
    metrics = Metrics(int)
    metrics.observe(upgrade(COUNTED), deleted=False)
    obj = upgrade(None)
    obj["status"] = {"dataPlane": {"total": "many"}}
    metrics.observe(obj, deleted=False)
    assert of_pods(metrics) == {}


def test_every_metric_is_explained_and_no_other() -> None:
    metrics = Metrics(int)
    metrics.observe(upgrade(COUNTED), deleted=False)
    explained = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", DOCS.read_text(), re.MULTILINE)
    told: dict[str, set[str]] = {}
    for metric in metrics.registry.collect():
        for sample in metric.samples:
            told.setdefault(sample.name, set()).update(sample.labels)
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in explained} == told
