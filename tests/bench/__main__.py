"""Takes the samples, side by side in turns, and tells. It ends with 0 unless something does not work."""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meshupgrade import __version__
from tests.bench.data_plane import FULL, QUICK, measure
from tests.bench.mesh import CHANGED_CRDS, SAME_CRDS, make
from tests.bench.recorder import BenchFailed, Recorder
from tests.bench.results import (
    BY_HAND,
    BY_HAND_CHANGED,
    COLD,
    HELM,
    HELM_NO_WAIT,
    OURS,
    OURS_CHANGED,
    as_json,
    data_plane_rows,
    rows,
    show,
)
from tests.bench.sides import NAMESPACE, Sample, Sides
from tests.cluster.api import Api
from tests.cluster.chart_repository import serve_directory
from tests.cluster.cluster import Cluster
from tests.integration.harness import Operator, install_crd

Side = Callable[[Recorder], Sample]


class Part(StrEnum):
    """What is measured."""

    ALL = "all"
    UPGRADE = "upgrade"
    DATA_PLANE = "data-plane"


REST = 17.0
"""Seconds after an upgrade until the operator is at rest: aiohttp keeps a connection open for 15."""


def main(
    samples: Annotated[int, typer.Option(min=1, help="Samples of each side.")] = 9,
    cold: Annotated[int, typer.Option(min=1, help="Samples with cold caches, each by a fresh operator.")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="One sample of each, with nothing warm: only to see that it works.")
    ] = False,
    part: Annotated[Part, typer.Option(help="What to measure.")] = Part.ALL,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path(".bench/results.json"),
) -> None:
    """Compare an upgrade by the operator with one by Helm and with one by hand, and its restarts with kubectl's."""
    console = Console(highlight=False, width=None if Console().is_terminal else 110)
    if os.environ.get("CLUSTER") == "existing":
        raise typer.BadParameter("the benchmark needs nodes whose Pods are ready at once; unset CLUSTER")
    taken: dict[str, list[Sample]] = {}
    restarts, results, versions = None, [], {}
    if part is not Part.DATA_PLANE:
        with _scratch() as folder, Cluster.start(folder / "cluster", progress=console.print) as cluster:
            taken, memory = _upgrades(console, cluster, folder, samples, cold, quick=quick)
            versions = _versions(cluster)
        results += rows(taken, memory)
    if part is not Part.UPGRADE:
        with _scratch() as folder, Cluster.start(folder / "cluster", progress=console.print) as cluster:
            restarts = measure(console, cluster, QUICK if quick else FULL, folder)
            versions = _versions(cluster)
        results += data_plane_rows(restarts)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(as_json(taken, restarts, results, versions), indent=2) + "\n")
    show(console, taken, results)
    console.print(f"All samples are in {out}.")


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="meshupgrade-bench-") as name:
        yield Path(name)


def _upgrades(
    console: Console, cluster: Cluster, folder: Path, samples: int, cold: int, *, quick: bool
) -> tuple[dict[str, list[Sample]], dict[str, float]]:
    made = make(cluster.binaries.helm, cluster.registry, folder)
    with serve_directory(made.directory) as repository:
        sides = Sides(cluster, made, repository.url, folder)
        install_crd(cluster)
        sides.install()
        # The storage is made when somebody first asks for it, who has to come again, as kubectl does.
        cluster.kubectl("get", "meshupgrades", "--namespace", NAMESPACE)
        with Recorder(Api(cluster.kubeconfig, cluster.ca), NAMESPACE) as recorder:
            runner = Runner(console, cluster, sides, recorder, folder)
            return runner.quick() if quick else runner.run(samples, cold)


class Runner:
    """Takes the samples. Both ways give them by side, and the operator's memory at rest in MiB."""

    def __init__(self, console: Console, cluster: Cluster, sides: Sides, recorder: Recorder, folder: Path) -> None:
        self._console = console
        self._cluster = cluster
        self._sides = sides
        self._recorder = recorder
        self._folder = folder
        self._all: dict[str, Side] = {
            OURS: lambda recorder: sides.ours(recorder, SAME_CRDS),
            HELM_NO_WAIT: lambda recorder: sides.helm(recorder, SAME_CRDS),
            HELM: lambda recorder: sides.helm(recorder, SAME_CRDS, "--wait"),
            BY_HAND: lambda recorder: sides.by_hand(recorder, SAME_CRDS),
            OURS_CHANGED: lambda recorder: sides.ours(recorder, CHANGED_CRDS),
            BY_HAND_CHANGED: lambda recorder: sides.by_hand(recorder, CHANGED_CRDS),
        }

    def run(self, samples: int, cold: int) -> tuple[dict[str, list[Sample]], dict[str, float]]:
        """Take the samples in turns, after a round that fills the caches of every side."""
        taken: dict[str, list[Sample]] = {side: [] for side in [*self._all, COLD]}
        with self._operator("warm") as operator:
            for side in self._all:
                self._take(side, "warming up")
            for number in range(samples):
                for side in _turned(list(self._all), number):
                    taken[side].append(self._take(side, f"round {number + 1} of {samples}"))
            time.sleep(REST)
            memory = _memory(operator)
            self._sides.withdraw()
        for number in range(1, cold + 1):
            with self._operator(f"reset-{number}"):
                self._sides.reset(self._recorder)
            with self._operator(f"cold-{number}"):
                taken[COLD].append(self._sides.ours(self._recorder, SAME_CRDS))
                self._tell(f"{number} of {cold}", COLD, taken[COLD][-1])
                self._sides.withdraw()
        return taken, memory

    def quick(self) -> tuple[dict[str, list[Sample]], dict[str, float]]:
        """Take one sample of each side; the operator's first is the one with cold caches, too."""
        with self._operator("quick") as operator:
            taken = {side: [self._take(side, "quick")] for side in self._all}
            return taken | {COLD: taken[OURS]}, _memory(operator)

    def _take(self, side: str, when: str) -> Sample:
        self._sides.reset(self._recorder)
        sample = self._all[side](self._recorder)
        self._tell(when, side, sample)
        return sample

    def _tell(self, when: str, side: str, sample: Sample) -> None:
        self._console.print(f"{when}: {side} {sample.seconds:.2f} s")

    def _operator(self, name: str) -> Operator:
        work = self._folder / name
        work.mkdir()
        return Operator(self._cluster, work, "--work-dir", str(work / "work"))


def _turned(sides: Sequence[str], number: int) -> Sequence[str]:
    """Begin each round with another side, so that none has always the same one before it."""
    first = number % len(sides)
    return [*sides[first:], *sides[:first]]


def _memory(operator: Operator) -> dict[str, float]:
    """Give the operator's resident memory, and its share of it, in MiB. Source: proc(5), smaps_rollup."""
    lines = Path(f"/proc/{operator.process.pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.partition(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return {"rss": sizes["Rss"], "pss": sizes["Pss"]}


def _versions(cluster: Cluster) -> dict[str, str]:
    answered = json.loads(cluster.kubectl("version", "--output", "json").stdout)
    return {
        "meshupgrade": __version__,
        "kubernetes": answered["serverVersion"]["gitVersion"],
        "kubectl": answered["clientVersion"]["gitVersion"],
        "helm": cluster.helm("version", "--template", "{{.Version}}").stdout.strip(),
        "python": platform.python_version(),
        "processors": str(os.cpu_count()),
    }


if __name__ == "__main__":
    try:
        typer.run(main)
    except BenchFailed as failure:
        sys.exit(f"the benchmark failed: {failure}")
