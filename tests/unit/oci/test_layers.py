"""What a folder of an image holds: by hand, against a real file system, and against damage."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shutil
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshupgrade.oci.errors import ImageInvalid, LayerRefused, UnsupportedLayer
from meshupgrade.oci.layers import DEFAULT_LIMITS, Limits, extract_folder
from tests.unit.oci.layer_builder import (
    Entry,
    directory,
    file,
    hard_link,
    layer,
    odd,
    opaque,
    open_layers,
    symlink,
    whiteout,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Layers = list[list[Entry]]

SKIPPABLE = b"\x5f\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"

A, B = file("crds/a.yaml", "a"), file("crds/b.yaml", "b")


def extract(layers: Layers, folder: str = "/crds") -> dict[str, bytes]:
    return extract_folder(open_layers(*(layer(*entries) for entries in layers)), folder)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param([[A, B]], {"a.yaml": b"a", "b.yaml": b"b"}, id="one layer"),
        pytest.param([[directory("crds"), A], [B]], {"a.yaml": b"a", "b.yaml": b"b"}, id="two layers"),
        pytest.param([[A], [file("crds/a.yaml", "new")]], {"a.yaml": b"new"}, id="a later layer overwrites"),
        pytest.param([[A, file("crds/a.yaml", "new")]], {"a.yaml": b"new"}, id="the last one in a layer counts"),
        pytest.param([[file("crds/v1/a.yaml", "a")]], {"v1/a.yaml": b"a"}, id="folders in it"),
        pytest.param([[file("./crds/a.yaml", "a")]], {"a.yaml": b"a"}, id="names that begin with ./"),
        pytest.param([[file("/crds/a.yaml", "a")]], {"a.yaml": b"a"}, id="names that begin with /"),
        pytest.param([[file("crdsx/a.yaml"), file("other/crds/a.yaml")]], {}, id="no such folder"),
        pytest.param([[directory("crds")]], {}, id="an empty folder"),
        pytest.param([[]], {}, id="an empty layer"),
        pytest.param([[file("crds", "not a folder")]], {}, id="a file of the folder's name"),
        pytest.param([[A, B], [whiteout("crds/a.yaml")]], {"b.yaml": b"b"}, id="whiteout"),
        pytest.param([[A], [whiteout("crds")]], {}, id="whiteout of the folder"),
        pytest.param([[file("crds/v1/a.yaml")], [whiteout("crds/v1")]], {}, id="whiteout of a folder in it"),
        pytest.param([[A], [whiteout("crds/a")]], {"a.yaml": b"a"}, id="whiteout of another name"),
        pytest.param([[A], [whiteout("crds/a.yaml")], [A]], {"a.yaml": b"a"}, id="and there again"),
        pytest.param([[A], [A, whiteout("crds/a.yaml")]], {"a.yaml": b"a"}, id="whiteouts hide lower layers only"),
        pytest.param([[A], [opaque("crds")]], {}, id="opaque"),
        pytest.param([[A], [B, opaque("crds")]], {"b.yaml": b"b"}, id="opaque keeps its own layer, in any order"),
        pytest.param([[A], [opaque("")]], {}, id="opaque root"),
        pytest.param([[file("crds/v1/a.yaml"), B], [opaque("crds/v1")]], {"b.yaml": b"b"}, id="opaque in it"),
        pytest.param([[A], [file("crds/.wh..wh.plnk"), file("crds/.wh..wh.aufs")]], {"a.yaml": b"a"}, id="aufs"),
        pytest.param([[A], [file("crds", "file")]], {}, id="a file replaces the folder"),
        pytest.param([[A], [file("crds", "file")], [B]], {"b.yaml": b"b"}, id="a folder replaces that file"),
        pytest.param([[A], [directory("crds/a.yaml")]], {}, id="a folder replaces a file"),
        pytest.param([[A], [file("crds/a.yaml/b", "b")]], {"a.yaml/b": b"b"}, id="also one that is not said"),
        pytest.param([[file("crds/v1/a")], [file("crds/v1", "v1")]], {"v1": b"v1"}, id="a file replaces a folder"),
        pytest.param([[A], [directory("crds")]], {"a.yaml": b"a"}, id="a folder said again keeps its files"),
        pytest.param([[symlink("crds", "/opt")], [directory("crds"), A]], {"a.yaml": b"a"}, id="a folder for a link"),
        pytest.param(
            [[A, symlink("crds/b", "a.yaml")]], {"a.yaml": b"a", "b": b"a"}, id="a link to a file of the folder"
        ),
        pytest.param(
            [[symlink("crds/v1/b", "/crds/a.yaml"), A]], {"a.yaml": b"a", "v1/b": b"a"}, id="said from the root"
        ),
        pytest.param(
            [[A, symlink("crds/b", "../../../crds/a.yaml")]], {"a.yaml": b"a", "b": b"a"}, id="no way above the root"
        ),
        pytest.param([[symlink("crds/a", "nothing"), symlink("crds/b", ".")]], {}, id="links to no file"),
        pytest.param([[A, hard_link("crds/b", "crds/a.yaml")]], {"a.yaml": b"a", "b": b"a"}, id="a hard link"),
        pytest.param(
            [[A, hard_link("crds/b", "crds/a.yaml")], [file("crds/a.yaml", "new")]],
            {"a.yaml": b"new", "b": b"a"},
            id="a hard link keeps its content",
        ),
        pytest.param(
            [[symlink("etc/mtab", "/proc/mounts"), odd("dev/x"), symlink("bin", "../../usr/bin"), A]],
            {"a.yaml": b"a"},
            id="what is elsewhere does not matter",
        ),
    ],
)
def test_what_the_folder_holds(layers: Layers, expected: dict[str, bytes]) -> None:
    assert extract(layers) == expected


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        pytest.param([[file("../crds/a.yaml")]], "'../crds/a.yaml'", id="out of the image"),
        pytest.param([[file("crds/../../etc/passwd")]], "'crds/../../etc/passwd'", id="out of the folder"),
        pytest.param([[file("usr/../x")]], "'usr/../x'", id="dots anywhere"),
        pytest.param([[Entry("crds/.wh...")]], "leads out", id="whiteout of .."),
        pytest.param([[Entry("crds/.wh.")]], "whiteout of nothing", id="whiteout of nothing"),
        pytest.param([[symlink("crds/a.yaml", "/etc/passwd")]], "/crds/a.yaml in it is a symbolic link", id="absolute"),
        pytest.param([[symlink("crds/a.yaml", "../x")]], "link out of /crds", id="relative"),
        pytest.param([[symlink("crds/a", "b"), symlink("crds/b", "/x")]], "link out of /crds", id="over another"),
        pytest.param([[symlink("crds/a", "b"), symlink("crds/b", "a")]], "without an end", id="in a circle"),
        pytest.param([[symlink("crds", "/opt/crds")]], "/crds in it is a symbolic link", id="the folder"),
        pytest.param([[symlink("crds", "/opt")], [A]], "/crds in it is a symbolic link", id="the folder, used"),
        pytest.param([[hard_link("crds/a", "etc/passwd")]], "/crds/a in it is a hard link", id="hard link out"),
        pytest.param([[hard_link("crds/a", "../x")]], "leads out", id="hard link with dots"),
        pytest.param([[odd("crds/a.yaml")]], "/crds/a.yaml in it is neither", id="a pipe"),
    ],
)
def test_what_leads_out_is_refused(layers: Layers, names: str) -> None:
    with pytest.raises(LayerRefused) as refused:
        extract(layers)
    assert names in str(refused.value)


def test_names_of_others_are_shown_harmless() -> None:
    with pytest.raises(LayerRefused) as refused:
        extract([[odd("crds/\x1b[2J\n" + "x" * 300)]])
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("folder", ["", "/", ".", "../crds", "/crds/../x"])
def test_a_folder_that_is_none_is_refused(folder: str) -> None:
    with pytest.raises(LayerRefused):
        extract([[A]], folder)


@pytest.mark.parametrize("folder", ["crds", "/crds", "crds/", "./crds", "//crds//"])
def test_a_folder_may_be_written_in_many_ways(folder: str) -> None:
    assert extract([[A]], folder) == {"a.yaml": b"a"}


def test_a_folder_may_be_deep() -> None:
    layers = [[file("a/b/c/x"), file("a/b/x"), file("a/x")], [whiteout("a/b/x"), file("a/b/c/y")]]
    assert set(extract(layers, "a/b/c")) == {"x", "y"}
    assert set(extract([*layers, [file("a/b", "file")]], "a/b/c")) == set()
    assert set(extract([*layers, [whiteout("a")]], "a/b/c")) == set()


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bytes,
        lambda tar: gzip.compress(tar[:1500]) + gzip.compress(tar[1500:]),
        zstd.compress,
        lambda tar: zstd.compress(tar[:1500]) + SKIPPABLE + zstd.compress(tar[1500:]),
        lambda tar: SKIPPABLE + zstd.compress(tar) + SKIPPABLE,
    ],
)
def test_packings_that_are_read(pack: Callable[[bytes], bytes]) -> None:
    assert extract_folder(open_layers(layer(A, pack=pack)), "crds") == {"a.yaml": b"a"}


@pytest.mark.parametrize(("pack", "name"), [(lzma.compress, "xz"), (bz2.compress, "bzip2")])
def test_packings_that_are_not_read_are_named(pack: Callable[[bytes], bytes], name: str) -> None:
    with pytest.raises(UnsupportedLayer, match=f"packed with {name}.*build it with gzip or zstd"):
        extract_folder(open_layers(layer(A, pack=pack)), "crds")


def test_one_file_may_be_two_layers() -> None:
    packed = io.BytesIO(layer(A))
    assert extract_folder([packed, packed], "crds") == {"a.yaml": b"a"}


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        (replace(DEFAULT_LIMITS, unpacked=15_000), "unpacks to more than 15000 bytes"),
        (replace(DEFAULT_LIMITS, entries=3), "more than 3 entries"),
        (replace(DEFAULT_LIMITS, files=3), "more than 3 files"),
        (replace(DEFAULT_LIMITS, file=2999), "/crds/0 in it is larger than 2999 bytes"),
        (replace(DEFAULT_LIMITS, folder=11_999), "larger than 11999 bytes"),
    ],
)
def test_bounds(limits: Limits, names: str) -> None:
    layers = open_layers(*(layer(file("crds/0", b"x" * 3000), file("crds/1", b"x" * 3000)) for _ in range(2)))
    with pytest.raises(LayerRefused, match=names):
        extract_folder(layers, "crds", limits=limits)


def test_exactly_within_the_bounds() -> None:
    layers = open_layers(*(layer(file("crds/0", b"x" * 3000), file("crds/1", b"x" * 3000)) for _ in range(2)))
    limits = replace(DEFAULT_LIMITS, entries=4, files=4, file=3000, folder=12_000)
    assert len(extract_folder(layers, "crds", limits=limits)) == 2


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_bomb_elsewhere_in_the_image_ends_early(pack: Callable[[bytes], bytes]) -> None:
    bomb = layer(file("usr/bomb", bytes(50_000_000)), pack=pack)
    assert len(bomb) < 100_000
    with pytest.raises(LayerRefused, match="unpacks to more than 1000000 bytes"):
        extract_folder(open_layers(bomb), "crds", limits=replace(DEFAULT_LIMITS, unpacked=1_000_000))


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_what_is_packed_is_read_piece_by_piece(pack: Callable[[bytes], bytes]) -> None:
    """A bomb must not be unpacked before its bytes are counted."""
    packed = layer(file("usr/bomb", bytes(300_000_000)), A, pack=pack)
    tracemalloc.start()
    try:
        assert extract_folder(open_layers(packed), "crds") == {"a.yaml": b"a"}
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_zstd_frame_that_wants_too_much_memory_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 28}
    compressor = zstd.ZstdCompressor(options=options)
    # Random, or it would be known to be small, and streamed, or its size would be.
    wide = compressor.compress(layer(A, file("x", os.urandom(50_000)), pack=bytes)) + compressor.flush()
    with pytest.raises(LayerRefused, match="wants too much memory"):
        extract_folder(open_layers(wide), "crds")


def test_a_header_that_announces_a_long_extension_is_refused() -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 100 * 1024 * 1024
    bomb = gzip.compress(header.tobuf() + bytes(header.size))
    with pytest.raises(LayerRefused, match="header in one of its layers is too long"):
        extract_folder(open_layers(bomb), "crds")


def test_many_long_extensions_before_one_entry_are_refused() -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 100 * 1024
    record = f"{header.size} comment={'x' * (header.size - 16)}\n".encode().ljust(header.size, b"x")
    bomb = gzip.compress((header.tobuf() + record) * 50)
    with pytest.raises(LayerRefused, match="too long"):
        extract_folder(open_layers(bomb), "crds")


def test_global_headers_that_pile_up_are_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(200):
            buffer.write(tarfile.TarInfo.create_pax_global_header({f"key{number}": "x"}))
        archive.addfile(tarfile.TarInfo("crds/a"))
    with pytest.raises(LayerRefused, match="too many global"):
        extract_folder(open_layers(buffer.getvalue()), "crds")


def test_a_negative_size_does_not_go_in_circles() -> None:
    header = bytearray(tarfile.TarInfo("x").tobuf())
    # Base 256, as GNU tar writes large numbers: -1024.
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"
    header[148:156] = f"{sum(header[:148]) + 8 * 32 + sum(header[156:]):06o}\0 ".encode()
    with pytest.raises(LayerRefused, match="points backwards"):
        extract_folder(open_layers(bytes(header) * 4 + bytes(1024)), "crds")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda tar: gzip.compress(tar)[:-20], id="gzip cut off"),
        pytest.param(lambda tar: b"\x1f\x8b" + tar, id="no gzip"),
        pytest.param(lambda tar: zstd.compress(tar)[:-20], id="zstd cut off"),
        pytest.param(lambda tar: zstd.compress(tar)[:-3], id="the end of zstd cut off"),
        pytest.param(lambda tar: b"\x28\xb5\x2f\xfd" + tar, id="no zstd"),
        pytest.param(lambda tar: zstd.compress(tar[:1500]) + b"more", id="something behind zstd"),
        pytest.param(lambda tar: tar[:700], id="tar cut off in a file"),
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda _: b"<html>" * 200, id="something else"),
        pytest.param(lambda tar: tar[:1024] + b"x" * 512 + tar[1024:], id="a bad header in the middle"),
        pytest.param(lambda tar: tar[:1024] + tar[1024:1500], id="a header cut off"),
    ],
)
def test_damage_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(LayerRefused):
        extract_folder(open_layers(layer(A, B, pack=damage)), "crds")


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ImageInvalid):
        extract_folder(open_layers(content), "crds")


@given(st.lists(st.tuples(st.integers(0, 3071), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
def test_a_damaged_archive_is_read_or_refused(changes: list[tuple[int, int]], with_sum: bool) -> None:
    tar = bytearray(layer(A, symlink("crds/l", "a.yaml"), hard_link("crds/h", "crds/a.yaml"), pack=bytes))
    for position, value in changes:
        tar[position] = value
    if with_sum:
        for start in range(0, 3072, 512):
            block = tar[start : start + 512]
            tar[start + 148 : start + 156] = f"{sum(block[:148]) + 256 + sum(block[156:]):06o}\0 ".encode()
    with contextlib.suppress(ImageInvalid):
        extract_folder(open_layers(bytes(tar)), "crds")


name = st.sampled_from(["crds", "a", "b"])
path = st.lists(name, min_size=1, max_size=3).map("/".join)
content = st.binary(max_size=3)
entry = st.one_of(
    st.tuples(st.just("file"), path, content),
    st.tuples(st.just("folder"), path, st.just(b"")),
    st.tuples(st.just("whiteout"), path, st.just(b"")),
    st.tuples(st.just("opaque"), path, st.just(b"")),
)
Step = tuple[str, str, bytes]


def as_entry(step: Step) -> Entry:
    kind, where, content = step
    if kind == "file":
        return file(where, content)
    return {"folder": directory, "whiteout": whiteout, "opaque": opaque}[kind](where)


def remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def make_folder(root: Path, target: Path) -> None:
    for folder in [*reversed(target.parents), target]:
        if folder.is_relative_to(root) and not folder.is_dir():
            remove(folder)
            folder.mkdir()


def unpack(root: Path, steps: list[Step]) -> None:
    """Apply a layer to a real folder, as a container runtime does."""
    for kind, where, _ in steps:
        target = root / where
        # Only what is there can be removed; a path through a file leads nowhere.
        if kind == "opaque" and target.is_dir():
            for child in list(target.iterdir()):
                remove(child)
        elif kind == "whiteout" and target.parent.is_dir():
            remove(target)
    for kind, where, content in steps:
        target = root / where
        if kind == "file":
            make_folder(root, target.parent)
            remove(target)
            target.write_bytes(content)
        elif kind == "folder":
            make_folder(root, target)


@settings(deadline=None)
@given(st.lists(st.lists(entry, max_size=5), min_size=1, max_size=4))
def test_layers_add_up_as_on_a_file_system(layers: list[list[Step]]) -> None:
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        for steps in layers:
            unpack(root, steps)
        folder = root / "crds"
        expected = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert extract([[as_entry(step) for step in steps] for steps in layers]) == expected


@given(st.dictionaries(st.text("abc/.é ", min_size=1, max_size=12), st.binary(max_size=50), max_size=5))
def test_files_come_out_as_they_went_in(files: dict[str, bytes]) -> None:
    sound = {name: content for name, content in files.items() if not {"", ".", ".."} & set(name.split("/"))}
    sound = {name: content for name, content in sound.items() if not any(f"{name}/" in other for other in sound)}
    assert extract([[file(f"crds/{name}", content) for name, content in sound.items()]]) == sound
