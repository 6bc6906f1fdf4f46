"""The values in a chart archive."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from meshupgrade.helm import archive as under_test
from meshupgrade.helm.archive import calls_random, read_defaults, with_defaults
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


@pytest.mark.parametrize(
    "call",
    [
        "randAlphaNum 8",
        "randAlpha 8",
        "randAscii 8",
        "randNumeric 8",
        "randBytes 8",
        "randInt 1 9",
        "uuidv4",
        'genCA "ca" 1',
        'genCAWithKey "ca" 1 .k',
        'genSelfSignedCert "cn" nil nil 1',
        'genSelfSignedCertWithKey "cn" nil nil 1 .k',
        'genSignedCert "cn" nil nil 1 .ca',
        'genPrivateKey "rsa"',
        'htpasswd "a" "b"',
        'bcrypt "a"',
        'encryptAES "k" "a"',
        'shuffle "abc"',
        "now",
        'now | date "2006"',
        "ago .x",
        "keys .Values.x | first",
        "values $x",
        "(keys (dict))",
        "tpl .Values.x .",
    ],
)
@pytest.mark.parametrize("name", ["osm/templates/a.yaml", "osm/templates/b/_c.tpl", "osm/charts/s/templates/a.yaml"])
def test_a_template_that_gives_something_else_each_time(tmp_path: Path, call: str, name: str) -> None:
    archive = make_archive(tmp_path / "c.tgz", {**CHART, name: f"a: {{{{- {call} }}}}"})
    assert calls_random(archive)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("osm/templates/a.yaml", "a: {{ .Values.a | quote }}"),
        ("osm/templates/a.yaml", 'a: {{ include "a.keys" . }}{{ .Values.known }}{{ .Values.now_or_never }}'),
        ("osm/templates/a.yaml", "brand: {{ .Values.brandAlpha }}"),
        ("osm/templates/a.yaml", "# the values of the chart, and its keys"),
        ("osm/values.yaml", "a: uuidv4"),
        ("osm/README.md", "{{ uuidv4 }}"),
        ("osm/crds/a.yaml", "{{ uuidv4 }}"),
    ],
)
def test_what_is_the_same_each_time(tmp_path: Path, name: str, text: str) -> None:
    assert not calls_random(make_archive(tmp_path / "c.tgz", {**CHART, name: text}))


def test_what_is_packed_in_a_packed_subchart_is_not_known(tmp_path: Path) -> None:
    assert calls_random(make_archive(tmp_path / "c.tgz", {**CHART, "osm/charts/sub-1.0.0.tgz": "packed"}))


def test_an_archive_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.tgz"
    path.write_bytes(b"no archive")
    for _ in range(2):
        with pytest.raises(RenderError, match="cannot be read"):
            calls_random(path)
    # Once it can, it is.
    assert calls_random(make_archive(path, {"osm/templates/a.yaml": "{{ uuidv4 }}"}))
