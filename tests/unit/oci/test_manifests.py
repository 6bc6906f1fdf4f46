"""Manifests and indexes: which one, which layers, and what is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.oci.errors import ImageInvalid
from meshupgrade.oci.manifests import Descriptor, choose_manifest, is_index, layers_of, parse_document

DIGESTS = ["sha256:" + digit * 64 for digit in "0123456789"]


def entry(number: int, os: str | None = "linux", architecture: str = "amd64") -> dict[str, Any]:
    descriptor: dict[str, Any] = {"digest": DIGESTS[number], "size": number}
    return descriptor if os is None else descriptor | {"platform": {"os": os, "architecture": architecture}}


@pytest.mark.parametrize("document", [{"layers": []}, {"manifests": []}])
def test_a_document_is_read(document: dict[str, Any]) -> None:
    assert parse_document(json.dumps(document).encode()) == document
    assert is_index(document) == ("manifests" in document)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"<html>", "is it a registry"),
        (b"\xff", "is it a registry"),
        (b"[" * 100_000, "is it a registry"),
        (b"[]", "no JSON object"),
        (b"null", "no JSON object"),
        (b"{}", "either manifests or layers"),
        (b'{"manifests": [], "layers": []}', "either manifests or layers"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
    ],
)
def test_what_is_no_document_is_refused(body: bytes, names: str) -> None:
    with pytest.raises(ImageInvalid, match=names):
        parse_document(body)


@pytest.mark.parametrize(
    ("entries", "chosen"),
    [
        ([entry(1)], 1),
        ([entry(1, architecture="s390x"), entry(2, architecture="arm64"), entry(3)], 3),
        ([entry(1, architecture="s390x"), entry(2, architecture="arm64")], 2),
        ([entry(1, architecture="s390x"), entry(2, architecture="ppc64le")], 1),
        ([entry(1), entry(2)], 1),
        ([entry(1, "windows"), entry(2)], 2),
        # Build tools add attestations for a platform "unknown".
        ([entry(1, "unknown", "unknown"), entry(2, architecture="arm64")], 2),
        ([entry(1, None)], 1),
        ([entry(1, None), entry(2)], 2),
    ],
)
def test_which_manifest_is_chosen(entries: list[dict[str, Any]], chosen: int) -> None:
    assert choose_manifest({"manifests": entries}) == Descriptor(DIGESTS[chosen], chosen)


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([], "no linux image"),
        ([entry(1, "windows")], "no linux image"),
        ("x", "damaged"),
        ([1], "damaged"),
        ([{}], "without a sha256 digest"),
        ([{"digest": "sha256:0", "size": 1}], "without a sha256 digest"),
        ([{"digest": "../../x", "size": 1}], "without a sha256 digest"),
    ],
)
def test_an_index_that_is_no_use_is_refused(entries: object, names: str) -> None:
    with pytest.raises(ImageInvalid, match=names):
        choose_manifest({"manifests": entries})


def test_layers_keep_their_order() -> None:
    assert layers_of({"layers": [entry(2), entry(1), entry(2)]}) == (
        Descriptor(DIGESTS[2], 2),
        Descriptor(DIGESTS[1], 1),
        Descriptor(DIGESTS[2], 2),
    )


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ([], "has 0 layers"),
        ([entry(1)] * 129, "has 129 layers"),
        ({}, "damaged"),
        ([{"digest": DIGESTS[0], "size": -1}], "and a size"),
        ([{"digest": DIGESTS[0], "size": True}], "and a size"),
        ([{"digest": DIGESTS[0], "size": "1"}], "and a size"),
        ([{"size": 1}], "and a size"),
    ],
)
def test_layers_that_are_no_use_are_refused(layers: object, names: str) -> None:
    with pytest.raises(ImageInvalid, match=names):
        layers_of({"layers": layers})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(DIGESTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["digest", "size", "platform", "os", "x"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["manifests", "layers", "schemaVersion"]), values))
def test_any_json_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        parsed = parse_document(json.dumps(document).encode())
        assert choose_manifest(parsed) if is_index(parsed) else layers_of(parsed)
    except ImageInvalid:
        pass
