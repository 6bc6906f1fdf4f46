"""Which CRDs of a chart archive are those that Helm would install."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from meshupgrade.helm import chart_crds
from meshupgrade.helm.chart_crds import read_chart_crds
from meshupgrade.oci.errors import ImageInvalid, LayerRefused
from tests.unit.oci.images import crd
from tests.unit.oci.layer_builder import Entry, file, hard_link, layer, symlink

A, B, C = crd("a.example"), crd("b.example"), crd("c.example")


def chart(name: str, *dependencies: dict[str, str], under: str = "") -> Entry:
    described = {"apiVersion": "v2", "name": name, "version": "1.0.0", "dependencies": list(dependencies)}
    return file(f"{under or name}/Chart.yaml", yaml.safe_dump(described))


def crds(path: str, *objects: object) -> Entry:
    return file(path, yaml.safe_dump_all(objects))


@pytest.fixture
def names(tmp_path: Path) -> Callable[..., list[str]]:
    """Give the names of the CRDs in an archive of the entries."""

    def read(*entries: Entry, enabled: tuple[str, ...] = ()) -> list[str]:
        (tmp_path / "chart.tgz").write_bytes(layer(*entries))
        return [each["metadata"]["name"] for each in read_chart_crds(tmp_path / "chart.tgz", enabled)]

    return read


Names = Callable[..., list[str]]


def test_the_folder_of_the_chart(names: Names) -> None:
    assert names(chart("osm"), crds("osm/crds/a.yaml", A, {"kind": "List"}), crds("osm/crds/deep/b.yml", B)) == [
        "a.example",
        "b.example",
    ]


def test_what_is_elsewhere_is_none_of_it(names: Names) -> None:
    assert names(
        chart("osm"),
        crds("osm/templates/a.yaml", A),
        crds("osm/files/crds/a.yaml", A),
        crds("osm/crds.yaml", A),
        crds("osm/crds/README.md", A),
        crds("crds/a.yaml", A),
        crds("osm/charts/sub/templates/crds/a.yaml", A),
    ) == []  # fmt: skip


def test_subcharts_as_folders_and_packed(names: Names) -> None:
    packed = layer(chart("c"), crds("c/crds/c.yaml", C), crds("c/templates/x.yaml", crd("x.example")))
    assert names(
        chart("osm"),
        crds("osm/crds/a.yaml", A),
        chart("b", under="osm/charts/b"),
        crds("osm/charts/b/crds/b.yaml", B),
        file("osm/charts/b/charts/c-1.0.0.tgz", packed),
    ) == ["a.example", "b.example", "c.example"]


@pytest.mark.parametrize(
    ("enabled", "expected"),
    [
        (("b", "see"), ["b.example", "c.example"]),
        (("b",), ["b.example"]),
        (("see",), ["c.example"]),
        (("sea", "other"), ["c.example"]),
        (("c",), []),
        ((), []),
    ],
)
def test_a_subchart_that_is_switched_off(names: Names, enabled: tuple[str, ...], expected: list[str]) -> None:
    declared = [{"name": "b"}, {"name": "c", "alias": "see"}, {"name": "c", "alias": "sea"}]
    entries = [
        crds("osm/charts/b/crds/b.yaml", B),
        chart("c", under="osm/charts/some-folder"),
        crds("osm/charts/some-folder/crds/c.yaml", C),
    ]
    assert names(chart("osm", *declared), *entries, enabled=enabled) == expected
    old = file("osm/requirements.yaml", yaml.safe_dump({"dependencies": declared}))
    assert names(chart("osm"), old, *entries, enabled=enabled) == expected


def test_a_subchart_that_nobody_declared_is_there(names: Names) -> None:
    assert names(chart("osm"), crds("osm/charts/b/crds/b.yaml", B)) == ["b.example"]
    assert names(chart("osm"), crds("osm/charts/_b/crds/b.yaml", B), crds("osm/charts/.c/crds/c.yaml", C)) == []


def test_links_are_nothing(names: Names) -> None:
    assert names(
        chart("osm"),
        crds("osm/files/a.yaml", A),
        symlink("osm/crds/a.yaml", "/etc/passwd"),
        hard_link("osm/crds/b.yaml", "osm/files/a.yaml"),
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([file("osm/../../etc/crds/a.yaml")], "leads out"),
        ([file("osm/crds/a.yaml", "a: [")], "crds/a.yaml is not YAML"),
        ([crds("osm/crds/a.yaml", A), crds("osm/charts/b/crds/a.yaml", crd("a.example", x=1))], "leave one of them"),
        ([file("osm/Chart.yaml", "a: ["), crds("osm/charts/b/crds/b.yaml", B)], "Chart.yaml cannot be read"),
        ([file("osm/Chart.yaml", "[" * 60 + "]" * 60)], "nested too deep"),
        ([file("osm/charts/b.tgz", "no archive at all")], "the chart's archive"),
        ([file("osm/crds/a.yaml", b"x" * (5 * 1024 * 1024 + 1))], "too large"),
    ],
)
def test_what_is_refused(names: Names, entries: list[Entry], why: str) -> None:
    with pytest.raises(ImageInvalid, match=why):
        names(*entries)


def test_bounds(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    two = [crds("osm/crds/a.yaml", A), file("osm/charts/b-1.tgz", layer(crds("b/crds/b.yaml", B)))]
    assert names(*two) == ["a.example", "b.example"]
    for bound, value, why in (("MAX_KEPT", 200, "too large"), ("MAX_UNPACKED", 3_000, "unpacks to more than 3000")):
        with monkeypatch.context() as patch:
            patch.setattr(chart_crds, bound, value)
            with pytest.raises(LayerRefused, match=why):
                names(*two)


def test_archives_in_archives_without_end(names: Names) -> None:
    packed = layer(crds("x/crds/a.yaml", A))
    for _ in range(8):
        packed = layer(file("x/charts/x.tgz", packed))
    assert names(file("x/charts/x.tgz", layer(crds("x/crds/a.yaml", A)))) == ["a.example"]
    with pytest.raises(LayerRefused, match="nested too deep"):
        names(file("x/charts/x.tgz", packed))


def test_a_bomb_is_not_unpacked(names: Names) -> None:
    with pytest.raises(LayerRefused, match="unpacks to more than"):
        names(file("osm/files/bomb", bytes(chart_crds.MAX_UNPACKED)))


def test_an_archive_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "chart.tgz"
    path.write_bytes(gzip.compress(layer(crds("osm/crds/a.yaml", A), pack=bytes))[:-30])
    with pytest.raises(LayerRefused, match="the chart's archive"):
        read_chart_crds(path, ())
