"""How long a storage migration takes, and how much memory, by the number of objects: ``python -m tests.bench.storage``.

Prints JSON, one entry for each number given (1,000 and 10,000 by default). Memory is what Python allocates at most
while objects are rewritten; it is measured in a run of its own, since measuring takes time.
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from meshupgrade.domain.storage import storage_due
from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube, crd_ref
from meshupgrade.phases.shape import Tools
from meshupgrade.phases.storage.migrate import migrate
from meshupgrade.phases.storage.settle import answers
from tests.cluster.cluster import Cluster
from tests.unit.phases.works import make_work

GROUP = "bench.example.test"
NAME = f"widgets.{GROUP}"
NUMBERS = (1_000, 10_000)
PARALLEL = 16


def main() -> None:
    """Measure on a cluster of our own, and print the results."""
    numbers = [int(argument) for argument in sys.argv[1:]] or list(NUMBERS)
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster.start(Path(folder) / "cluster", progress=lambda line: print(line, file=sys.stderr)) as cluster,
    ):
        print(json.dumps(asyncio.run(_measure(cluster, numbers)), indent=1))


async def _measure(cluster: Cluster, numbers: list[int]) -> list[dict[str, float]]:
    access = await load_access(cluster.kubeconfig, None)
    results, made = [], 0
    async with Kube(access.configuration) as kube:
        await _store(kube, "v1")
        for number in sorted(numbers):
            await _make(kube, range(made, number))
            made = number
            began = time.perf_counter()
            rewritten = await _migrate(kube)
            seconds = time.perf_counter() - began
            peak = await _peak(kube)
            results.append(
                {
                    "objects": number,
                    "rewritten": rewritten,
                    "seconds": round(seconds, 2),
                    "objects_per_second": round(number / seconds),
                    "peak_mib": round(peak / 2**20, 2),
                }
            )
            await _store(kube, "v1")
            await _migrate(kube, "v1")
    return results


async def _peak(kube: Kube) -> int:
    await _store(kube, "v1")
    await _migrate(kube, "v1")
    gc.collect()
    tracemalloc.start()
    try:
        await _migrate(kube)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def _migrate(kube: Kube, to: str = "v2") -> int:
    due = storage_due(await kube.get(crd_ref(NAME)), _crd(to))
    if due is None:
        return 0
    work = make_work()
    work.tools = Tools(kube=kube, helm=None, http=None, indexes=None, cache=Path())  # type: ignore[arg-type]
    return (await migrate(work, [due])).rewritten


async def _store(kube: Kube, version: str) -> None:
    await kube.apply(_crd(version), manager="bench")
    while True:
        live = await kube.get(crd_ref(NAME))
        kinds = {item["type"] for item in live.get("status", {}).get("conditions") or [] if item["status"] == "True"}
        if "Established" in kinds:
            return await answers(kube, f"{GROUP}/v1", "Widget")
        await asyncio.sleep(0.05)


async def _make(kube: Kube, numbers: range) -> None:
    limit = asyncio.Semaphore(PARALLEL)

    async def one(number: int) -> None:
        metadata = {"name": f"w{number:06}", "namespace": "default", "labels": {"app": f"app-{number % 50}"}}
        spec = {"rules": [{"name": f"rule-{rule}", "methods": ["GET", "POST"]} for rule in range(10)]}
        async with limit:
            widget = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": metadata, "spec": spec}
            await kube.apply(widget, manager="bench")

    await asyncio.gather(*(one(number) for number in numbers))


def _crd(stored: str) -> dict[str, Any]:
    spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    versions = [{"name": name, "served": True, "storage": name == stored, "schema": schema} for name in ("v1", "v2")]
    names = {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": versions},
    }


if __name__ == "__main__":
    main()
