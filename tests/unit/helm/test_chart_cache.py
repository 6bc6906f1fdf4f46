"""Archives on disk: by digest, verified when they are read, and bounded."""

import os
from pathlib import Path

import pytest

from meshupgrade.helm import chart_cache as under_test
from meshupgrade.helm.chart_cache import ChartCache, sha256


def test_what_was_stored_is_found(tmp_path: Path) -> None:
    cache, digest = ChartCache(tmp_path / "new"), sha256(b"one")
    assert cache.find(digest) is None
    stored = cache.store(digest, b"one")
    assert cache.find(digest) == stored
    assert stored.read_bytes() == b"one"
    assert [path.name for path in (tmp_path / "new").iterdir()] == [stored.name]


def test_what_was_damaged_since_is_not_there_any_more(tmp_path: Path) -> None:
    cache, digest = ChartCache(tmp_path), sha256(b"one")
    cache.store(digest, b"one").write_bytes(b"two")
    assert cache.find(digest) is None
    assert list(tmp_path.iterdir()) == []
    assert cache.store(digest, b"one").read_bytes() == b"one"


def test_what_was_not_asked_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MAX_BYTES", 10)
    cache = ChartCache(tmp_path)
    digests = [sha256(content) for content in (b"aaaa", b"bbbb", b"cccc")]
    abandoned = tmp_path / "x.partial"
    abandoned.write_bytes(b"xxxxxxxxxxxx")
    _age(abandoned, 9000)
    for age, (digest, content) in enumerate(zip(digests[:2], (b"aaaa", b"bbbb"), strict=True)):
        _age(cache.store(digest, content), 8000 - age)
    # Asked for again, the older one becomes the younger.
    assert cache.find(digests[0])
    _age(tmp_path / f"{digests[0].removeprefix('sha256:')}.tgz", 5000)
    cache.store(digests[2], b"cccc")
    assert [cache.find(digest) is not None for digest in digests] == [True, False, True]
    assert not abandoned.exists()


def test_what_a_run_may_still_use_stays_whatever_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MAX_BYTES", 1)
    cache = ChartCache(tmp_path)
    contents = (b"aaaa", b"bbbb", b"cccc")
    for content in contents:
        cache.store(sha256(content), content)
    assert all(cache.find(sha256(content)) for content in contents)


def _age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
