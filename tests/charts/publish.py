"""Brings the whole fixture mesh into the world: a chart repository's folder, OCI charts and the CRD images."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.charts.build import build_charts, run_helm
from tests.charts.images import push_crd_images
from tests.charts.releases import CHART_NAME


@dataclass(frozen=True)
class Published:
    """Where the fixture mesh is.

    The ``broken`` twins list the broken releases as well. They stand apart because a range of versions would pick
    them: 1.2.9 is the newest of ``~1.2``.
    """

    chart: str
    directory: Path
    oci: str
    broken_directory: Path
    broken_oci: str
    crd_images: Mapping[str, str]


def publish(helm: Path, registry: str, out: Path) -> Published:
    """Build and push everything; ``registry`` is host:port of a registry that speaks plain HTTP.

    Both directories are for serving as HTTP chart repositories. Helm finds an OCI chart at ``<oci>/<chart>``.
    """
    directory, broken_directory = out / "charts", out / "charts-broken"
    oci, broken_oci = f"oci://{registry}/charts", f"oci://{registry}/charts-broken"
    sound = build_charts(directory, helm, registry, include_broken=False)
    every = build_charts(broken_directory, helm, registry, include_broken=True)

    def push(package: Path, destination: str) -> None:
        run_helm(helm, "push", str(package), destination, "--plain-http")

    with ThreadPoolExecutor(max_workers=4) as pool:
        pushes = [pool.submit(push, package, oci) for package in sound]
        pushes += [pool.submit(push, package, broken_oci) for package in every]
        crd_images = push_crd_images(registry)
        for pending in pushes:
            pending.result()
    return Published(CHART_NAME, directory, oci, broken_directory, broken_oci, crd_images)
