"""The sides: each brings the mesh from the same starting point to a version, as somebody would do it."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.bench.mesh import BASE, START, Made
from tests.bench.recorder import Recorder
from tests.bench.timeline import is_done, parts
from tests.charts.crds import stored_api_version
from tests.charts.workloads import meshed_workloads, sample_resources
from tests.cluster.cluster import Cluster

__all__ = ["NAMESPACE", "Sample", "Sides"]

Object = dict[str, Any]

NAMESPACE, RELEASE = "osm-system", "osm"
SETTLE = 0.3
"""Seconds between the end of a reset and the next sample, for what the controllers still tidy up."""


@dataclass(frozen=True)
class Sample:
    """One upgrade. All times are in seconds."""

    seconds: float
    rollout: float
    """From the first change of a Deployment until the last one was ready, which no side can make shorter."""

    parts: dict[str, float] = field(default_factory=dict)
    """Of the operator: how long each part took, in order."""

    def outside(self) -> float:
        """Give the time outside of the rollout."""
        return self.seconds - self.rollout


class Sides:
    """The mesh in its cluster: the ways to upgrade it, and the way back to the start."""

    def __init__(self, cluster: Cluster, made: Made, repository: str, folder: Path) -> None:
        self._cluster = cluster
        self._made = made
        self._repository = repository
        self._manifest = folder / "meshupgrade.yaml"

    def install(self) -> None:
        """Install the mesh at the start, with custom resources, meshed workloads and a MeshConfig."""
        crds = str(self._made.crds[START])
        self._cluster.kubectl("create", "namespace", NAMESPACE)
        self._cluster.kubectl("apply", "--server-side", "-f", crds)
        self._cluster.kubectl("wait", "--for=condition=Established", "-f", crds)
        self._helm_upgrade(START, "--install", "--wait")
        self._apply(meshed_workloads(BASE, self._cluster.registry))
        self._apply([*sample_resources(BASE), self._mesh_config()])

    def reset(self, recorder: Recorder) -> None:
        """Go back to the start, whatever side was the last; the MeshUpgrade says so, too, and is Ready."""
        recorder.forget()
        # To replace them takes away what any side has added, fields and annotations alike.
        self._cluster.kubectl("replace", "-f", str(self._made.crds[START]))
        self._helm_upgrade(START, "--wait")
        self._declare(START)
        self._ready(recorder, START, since=0.0)
        time.sleep(SETTLE)
        recorder.forget()

    def withdraw(self) -> None:
        """Take the MeshUpgrade away: an operator that is just starting would bring the release back to its version."""
        self._cluster.kubectl("delete", "meshupgrade", "--all", "--namespace", NAMESPACE)

    def helm(self, recorder: Recorder, version: str, *options: str) -> Sample:
        """`helm upgrade` alone."""
        return self._timed(recorder, lambda: self._helm_upgrade(version, *options))

    def by_hand(self, recorder: Recorder, version: str) -> Sample:
        """The CRDs by kubectl, then Helm: the commands that the operator replaces."""

        def commands() -> None:
            # Without --force-conflicts kubectl refuses CRDs that somebody else wrote, as a mesh's own bootstrap does.
            crds = str(self._made.crds[version])
            self._cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", crds)
            self._helm_upgrade(version, "--wait")

        return self._timed(recorder, commands)

    def ours(self, recorder: Recorder, version: str) -> Sample:
        """`kubectl apply` of the MeshUpgrade, until the event comes in that says Ready for its new generation."""
        before = recorder.deployments()
        began = time.monotonic()
        self._declare(version)
        ended = self._ready(recorder, version, since=began)
        changed, ready = recorder.wait_rolled_out(before)
        told, stored = recorder.since("MeshUpgrade", began), recorder.since("Secret", began)
        return Sample(ended - began, ready - changed, parts(began, ended, told, stored))

    def _timed(self, recorder: Recorder, commands: Callable[[], None]) -> Sample:
        before = recorder.deployments()
        began = time.monotonic()
        commands()
        seconds = time.monotonic() - began
        changed, ready = recorder.wait_rolled_out(before)
        return Sample(seconds, ready - changed)

    def _helm_upgrade(self, version: str, *options: str) -> None:
        archive = str(self._made.archives[version])
        self._cluster.helm("upgrade", RELEASE, archive, "--namespace", NAMESPACE, *options)

    def _declare(self, version: str) -> None:
        spec = {
            "version": version,
            "mesh": {"distribution": "osm-edge"},
            "chart": {"repository": self._repository},
            "crds": {"insecure": True},
            # It is so already: the phase reads and compares, and by hand nobody would do more.
            "meshConfig": {"patch": {"observability": {"osmLogLevel": "info"}}},
        }
        metadata = {"name": RELEASE, "namespace": NAMESPACE}
        manifest = {"apiVersion": "meshupgrade.io/v1alpha1", "kind": "MeshUpgrade", "metadata": metadata, "spec": spec}
        self._manifest.write_text(yaml.safe_dump(manifest))
        self._cluster.kubectl("apply", "-f", str(self._manifest))

    def _ready(self, recorder: Recorder, version: str, *, since: float) -> float:
        """Wait for the event that says Ready for that version, and give when it came in."""
        complaint = f"the MeshUpgrade is not Ready for {version}"
        return recorder.wait("MeshUpgrade", lambda obj: is_done(obj, version), complaint, since).at

    def _mesh_config(self) -> Object:
        """Give the MeshConfig as the mesh's bootstrap makes it out of the preset."""
        get = ("get", "configmap", "preset-mesh-config", "--namespace", NAMESPACE, "--output", "json")
        preset = json.loads(self._cluster.kubectl(*get).stdout)["data"]["preset-mesh-config.json"]
        metadata = {"name": "osm-mesh-config", "namespace": NAMESPACE}
        api_version = stored_api_version("MeshConfig", BASE)
        return {"apiVersion": api_version, "kind": "MeshConfig", "metadata": metadata, "spec": json.loads(preset)}

    def _apply(self, manifests: Sequence[Object]) -> None:
        self._cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(manifests))
