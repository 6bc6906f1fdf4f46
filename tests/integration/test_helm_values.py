"""Values as this project computes them, compared with what Helm itself does, one call of it for many cases."""

import json
from pathlib import Path
from typing import Any

import pytest

from meshupgrade.domain.set_values import set_value
from meshupgrade.domain.values import coalesce_values, merge_files
from tests.cluster.cluster import Cluster
from tests.unit.domain.set_cases import LITERAL, REFUSED, SET

Object = dict[str, Any]


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart that shows its values."""
    folder = tmp_path / "show"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: show\nversion: 1.0.0\n")
    (folder / "values.yaml").write_text(json.dumps(DEFAULTS))
    (folder / "templates" / "values.yaml").write_text('{{ dict "values" .Values | toJson }}\n')
    return folder


DEFAULTS: Object = {
    "text": "x", "kept": 1, "null": None, "table": {"a": 1, "b": {"c": [1, 2], "d": None}, "gone": 5}, "list": [1],
    "replaced": {"a": 1}, "scalar": 1,
}  # fmt: skip
FIRST: Object = {"text": "y", "table": {"a": None, "new": {"x": None}}, "scalar": {"a": 1}, "own": None, "big": 1000000}
SECOND: Object = {"text": None, "table": {"gone": None, "b": {"c": [], "e": 1.5}}, "list": [{}], "replaced": 2}


def test_the_merges_and_the_paths_are_helms(shared_cluster: Cluster, chart: Path, tmp_path: Path) -> None:
    files = []
    for number, values in enumerate((FIRST, SECOND)):
        files += ["--values", str(tmp_path / f"{number}.json")]
        (tmp_path / f"{number}.json").write_text(json.dumps(values))
    wanted = merge_files(FIRST, SECOND)
    options: list[str] = []
    for kind, cases in (("set", SET), ("literal", LITERAL)):
        for number, (path, text, _) in enumerate(cases.values()):
            # Each under a key of its own; the further paths of one case go to the root.
            path, text = f"{kind}{number}.{path}", text.replace(",b.c=", f",{kind}{number}.b.c=")
            options += [f"--{kind}" if kind == "set" else "--set-literal", f"{path}={text}"]
            wanted = set_value(wanted, path, text, literal=kind == "literal")
    shown = _rendered(shared_cluster, chart, *files, *options)
    assert shown == coalesce_values(DEFAULTS, wanted)
    assert shown["set0"] == {"a": "x"}


def test_what_is_refused_helm_refuses_too(shared_cluster: Cluster, chart: Path) -> None:
    for path, text in REFUSED.values():
        refused = shared_cluster.helm("template", str(chart), "--set", f"{path}={text}", check=False)
        assert refused.returncode != 0, path


def _rendered(cluster: Cluster, chart: Path, *options: str) -> Object:
    text = cluster.helm("template", str(chart), *options).stdout
    values: Object = json.loads(text[text.index("{") :])["values"]
    return values
