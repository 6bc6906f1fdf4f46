"""The metrics of the operator, in a registry of their own. docs/metrics.md explains each."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import ValidationError

from meshupgrade.api.v1alpha1.status import DataPlaneStatus

__all__ = ["Metrics"]

LABELS = ("namespace", "name", "state")
Key = tuple[str, str]


class Metrics:
    """Gauges of each MeshUpgrade, as its status tells them, and counters of the process."""

    def __init__(self, requests: Callable[[], int]) -> None:
        """Make them; ``requests`` gives how many requests the operator has made to the API server."""
        self.registry = CollectorRegistry()
        self._gauges = {
            subject: Gauge(f"meshupgrade_data_plane_{subject}", text, LABELS, registry=self.registry)
            for subject, text in (
                ("pods", "Pods of the mesh by what is known of their sidecar."),
                ("workloads", "Workloads of the mesh by the worst of their Pods."),
                ("restart_workloads", "Workloads of the restart under way, or of the last one."),
            )
        }
        self._shown: dict[Key, set[tuple[str, str]]] = {}
        self.registry.register(_Requests(requests))

    def observe(self, obj: Mapping[str, Any], *, deleted: bool) -> None:
        """Take in a MeshUpgrade as the watch shows it; what is gone, or was never counted, has no metrics."""
        key = obj["metadata"]["namespace"], obj["metadata"]["name"]
        values = {} if deleted else _values((obj.get("status") or {}).get("dataPlane"))
        for subject, state in self._shown.pop(key, set()) - values.keys():
            self._gauges[subject].remove(*key, state)
        for (subject, state), value in values.items():
            self._gauges[subject].labels(*key, state).set(value)
        if values:
            self._shown[key] = set(values)


class _Requests(Collector):
    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "meshupgrade_api_requests", "Requests of the operator to the API server.", value=self._count()
        )


def _values(data_plane: Any) -> dict[tuple[str, str], float]:
    try:
        status = DataPlaneStatus.model_validate(data_plane)
    except ValidationError:
        return {}
    pods, workloads, restart = status.model_dump(), status.workloads.model_dump(), status.restart
    values = {("pods", state): pods[state] for state in ("current", "outdated", "unknown", "unmanaged", "uninjected")}
    values |= {("workloads", state): workloads[state] for state in ("current", "outdated", "unknown", "excluded")}
    if restart is not None:
        values |= {("restart_workloads", state): getattr(restart, state) for state in ("total", "restarted")}
        values["restart_workloads", "failed"] = len(restart.failed)
    return values
