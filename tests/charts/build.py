"""Writes the charts and packages them with Helm, with the index that a chart repository serves."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.charts.generator import chart_files
from tests.charts.releases import CHART_NAME, Release, releases


def build_charts(out: Path, helm: Path, registry: str, include_broken: bool = True) -> list[Path]:
    """Package all releases and their ``index.yaml`` into ``out``; returns the packages, oldest first.

    ``registry`` (host:port) is where the charts' default images are.
    """
    out.mkdir(parents=True, exist_ok=True)
    chosen = releases(include_broken)
    with tempfile.TemporaryDirectory(prefix="fixture-charts-") as scratch:
        sources = [write_chart(Path(scratch, release.version), release, registry) for release in chosen]
        run_helm(helm, "package", *map(str, sources), "--destination", str(out))
    run_helm(helm, "repo", "index", str(out))
    return [out / f"{CHART_NAME}-{release.version}.tgz" for release in chosen]


def write_chart(parent: Path, release: Release, registry: str) -> Path:
    """Write one release below ``parent`` and return the chart's directory."""
    chart = parent / CHART_NAME
    shutil.rmtree(chart, ignore_errors=True)
    for name, content in chart_files(release, registry).items():
        path = chart / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return chart


def run_helm(helm: Path, *arguments: str) -> str:
    """Run Helm with a home of its own: the settings and logins of the person who tests are not ours to use."""
    with tempfile.TemporaryDirectory(prefix="fixture-helm-") as home:
        homes = {f"HELM_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA")}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HELM_")}
        done = subprocess.run(
            [str(helm), *arguments], env={**environment, **homes}, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"helm {' '.join(arguments)} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
