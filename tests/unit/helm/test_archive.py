"""The values in a chart archive."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from meshupgrade.helm import archive as under_test
from meshupgrade.helm.archive import read_defaults, with_defaults
from meshupgrade.helm.errors import RenderError
from tests.unit.helm.charts_on_disk import make_archive

CHART = {
    "osm/Chart.yaml": "name: osm",
    "osm/values.yaml": "osm: {level: error}",
    "osm/templates/a.yaml": "a: 1",
    "osm/charts/sub/Chart.yaml": "name: sub",
    "osm/charts/sub/values.yaml": "sub: 1",
}


def test_the_charts_own_values_are_read(tmp_path: Path) -> None:
    assert read_defaults(make_archive(tmp_path / "c.tgz", CHART)) == {"osm": {"level": "error"}}


def test_a_chart_without_values_has_none(tmp_path: Path) -> None:
    assert read_defaults(make_archive(tmp_path / "c.tgz", {"osm/Chart.yaml": "name: osm"})) == {}


@pytest.mark.parametrize("files", [CHART, {"osm/Chart.yaml": "name: osm"}])
def test_they_are_replaced_and_nothing_else(tmp_path: Path, files: dict[str, str]) -> None:
    packed = with_defaults(make_archive(tmp_path / "c.tgz", files), {"password": "S3CR3T"})
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        content = {name: file.read().decode() for name, file in found.items() if file}
    assert json.loads(content.pop("osm/values.yaml")) == {"password": "S3CR3T"}
    assert content == {name: text for name, text in files.items() if name != "osm/values.yaml"}
    assert [path.name for path in tmp_path.iterdir()] == ["c.tgz"]


@pytest.mark.parametrize("values", ["- a", "a: [", "a: b: c"])
def test_values_that_cannot_be_read(tmp_path: Path, values: str) -> None:
    with pytest.raises(RenderError, match=r"values\.yaml cannot be read"):
        read_defaults(make_archive(tmp_path / "c.tgz", {"osm/values.yaml": values}))


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00 cut off"])
def test_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.tgz"
    path.write_bytes(content)
    with pytest.raises(RenderError, match="cannot be read"):
        read_defaults(path)
    with pytest.raises(RenderError, match="cannot be read"):
        with_defaults(path, {})


def test_one_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MAX_UNPACKED", 30)
    path = make_archive(tmp_path / "c.tgz", {"osm/a": "x" * 20, "osm/b": "x" * 20, "osm/values.yaml": ""})
    with pytest.raises(RenderError, match="more than 30 bytes"):
        read_defaults(path)
