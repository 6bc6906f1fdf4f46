"""The cache on disk: what comes back, what does not, and what is left behind."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.oci.cache import MAX_ENTRIES, CRDCache

DIGEST = "sha256:" + "a" * 64
CRDS: list[dict[str, Any]] = [{"metadata": {"name": "é"}, "spec": {"x": [1, None, True]}}]


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    cache = CRDCache(tmp_path / "not" / "yet")
    assert cache.load(DIGEST, "/crds") is None
    cache.store(DIGEST, "/crds", CRDS)
    assert cache.load(DIGEST, "/crds") == CRDS
    assert cache.load(DIGEST, "/other") is None
    assert cache.load(DIGEST.replace("a", "b"), "/crds") is None


def test_nothing_but_the_entry_is_left(tmp_path: Path) -> None:
    cache = CRDCache(tmp_path)
    cache.store(DIGEST, "/crds", CRDS)
    cache.store(DIGEST, "/crds", CRDS)
    (entry,) = tmp_path.iterdir()
    assert entry.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"crds": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_entry_counts_as_none(tmp_path: Path, content: bytes) -> None:
    cache = CRDCache(tmp_path)
    cache.store(DIGEST, "/crds", CRDS)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(content)
    assert cache.load(DIGEST, "/crds") is None


def test_an_entry_of_another_image_counts_as_none(tmp_path: Path) -> None:
    cache = CRDCache(tmp_path)
    cache.store(DIGEST, "/crds", CRDS)
    (entry,) = tmp_path.iterdir()
    cache.store(DIGEST, "/other", CRDS)
    (other,) = set(tmp_path.iterdir()) - {entry}
    other.replace(entry)
    assert cache.load(DIGEST, "/crds") is None


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        CRDCache(tmp_path).store(DIGEST, "/crds", [{"x": object()}])
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_entries_go(tmp_path: Path) -> None:
    cache = CRDCache(tmp_path)
    for number in range(MAX_ENTRIES + 3):
        cache.store(DIGEST, f"/crds/{number}", CRDS)
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_atime - 10, path.stat().st_mtime - 10))
    assert len(list(tmp_path.iterdir())) == MAX_ENTRIES
    assert [cache.load(DIGEST, f"/crds/{number}") is None for number in (0, 1, 2, 3, MAX_ENTRIES + 2)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_what_a_crash_left_goes_when_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / "old.partial", tmp_path / "young.partial"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    CRDCache(tmp_path).store(DIGEST, "/crds", CRDS)
    assert (old.exists(), young.exists()) == (False, True)


@given(folder=st.text(max_size=300), digest=st.text(max_size=300))
def test_no_name_leads_out_of_the_directory(folder: str, digest: str) -> None:
    path = CRDCache(Path("/cache"))._file(digest, folder)
    assert path.parent == Path("/cache")
    assert len(path.name) < 100
