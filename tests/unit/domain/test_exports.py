"""Packing custom resources into parts: what comes out is what went in, or nothing does."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.exports import ExportBroken, Packer, Segment, Unpacker, dump_line
from tests.unit.domain.json_trees import objects as json_objects

Object = dict[str, Any]


def packed(objects: list[Object], part_bytes: int) -> tuple[Segment, list[bytes]]:
    packer = Packer(part_bytes)
    parts = [part for obj in objects for part in packer.add(obj)]
    parts += packer.finish()
    return packer.segment(), parts


def unpacked(segment: Segment, parts: list[bytes]) -> list[Object]:
    unpacker = Unpacker(segment)
    objects = [obj for part in parts for obj in unpacker.feed(part)]
    unpacker.finish()
    return objects


def noise(count: int, size: int) -> list[Object]:
    """Objects that do not become shorter when they are packed."""
    source = random.Random(0)
    return [{"name": number, "text": source.randbytes(size).hex()} for number in range(count)]


@given(st.lists(json_objects, max_size=8), st.integers(min_value=1, max_value=200))
def test_round_trip(objects: list[Object], part_bytes: int) -> None:
    segment, parts = packed(objects, part_bytes)
    assert segment.count == len(objects)
    assert all(0 < len(part) <= part_bytes for part in parts)
    assert unpacked(Segment.of(segment.as_json()), parts) == objects


def test_no_part_is_longer_than_a_secret_takes_and_an_object_may_be() -> None:
    objects = noise(3, 900 * 1024)
    segment, parts = packed(objects, 700 * 1024)
    assert len(parts) > 3
    assert max(map(len, parts)) == 700 * 1024
    assert unpacked(segment, parts) == objects


def test_a_part_comes_as_soon_as_it_is_full() -> None:
    """Memory holds a part and an object, whatever their number."""
    packer = Packer(1000)
    early = [part for obj in noise(100, 500) for part in packer.add(obj)]
    assert len(early) > len(list(packer.finish()))


@pytest.mark.parametrize("damage", ["a byte", "a part missing", "parts swapped", "a part twice", "another number"])
def test_damage_is_noticed(damage: str) -> None:
    segment, parts = packed(noise(20, 100), 300)
    assert len(parts) > 2
    match damage:
        case "a byte":
            parts[1] = parts[1][:-1] + bytes([parts[1][-1] ^ 1])
        case "a part missing":
            parts.pop()
        case "parts swapped":
            parts[0], parts[1] = parts[1], parts[0]
        case "a part twice":
            parts.append(parts[-1])
        case "another number":
            segment = Segment(segment.count + 1, segment.sha256, segment.parts)
    with pytest.raises(ExportBroken):
        unpacked(segment, parts)


def test_a_part_that_is_no_part_of_it_is_noticed_even_with_its_own_checksum() -> None:
    segment, _ = packed(noise(2, 10), 10_000)
    other, parts = packed(noise(3, 10), 10_000)
    with pytest.raises(ExportBroken):
        unpacked(Segment(segment.count, segment.sha256, other.parts), parts)
    with pytest.raises(ExportBroken):
        list(Unpacker(Segment(1, "", (packed([], 10)[0].parts[0],))).feed(b"not what was packed"))


@pytest.mark.parametrize("manifest", [{}, {"count": "1", "sha256": "", "parts": []}, {"count": 1, "sha256": ""}])
def test_a_manifest_that_is_none(manifest: Object) -> None:
    with pytest.raises(ExportBroken):
        Segment.of(manifest)


def test_a_line_is_the_same_for_the_same_content() -> None:
    assert dump_line({"b": 1, "a": "é\n"}) == dump_line({"a": "é\n", "b": 1}) == '{"a":"é\\n","b":1}\n'.encode()
