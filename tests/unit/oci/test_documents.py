"""CRDs out of files: as Kubernetes reads them, and nothing that hurts."""

import contextlib
import copy
import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.oci.documents import crds_in_files
from meshupgrade.oci.errors import ImageInvalid


def crd(name: str = "meshconfigs.config.example", **schema: Any) -> dict[str, Any]:
    plural, _, group = name.partition(".")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "names": {"plural": plural, "kind": "Thing"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def text(*documents: object) -> bytes:
    return "---\n".join(yaml.safe_dump(document) for document in documents).encode()


def schema_of(snippet: str) -> Any:
    """Give what is read from YAML in a CRD's schema."""
    document = text(crd()).decode().replace("openAPIV3Schema: {}", f"openAPIV3Schema: {{x: {snippet}}}")
    (found,) = crds_in_files({"a.yaml": document.encode()})
    return found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x"]


def test_documents_of_several_files_come_by_name() -> None:
    a, b, c = crd("a.example"), crd("b.example"), crd("c.example")
    files = {"2.yaml": text(c, a), "sub/1.YML": text(b)}
    assert crds_in_files(files) == [a, b, c]


def test_json_is_read_too() -> None:
    assert crds_in_files({"a.json": json.dumps(crd()).encode()}) == [crd()]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": b"{{ not yaml", "crd.yaml.bak": text(crd()), "LICENSE": b"\xff"},
        {"a.yaml": b""},
        {"a.yaml": b"# only a comment\n---\n---\n"},
        {"a.yaml": b"just text"},
        {"a.yaml": b"- 1\n- 2\n"},
        {"a.yaml": text({"kind": "Namespace", "apiVersion": "v1"}, None, 7)},
        {"a.yaml": text({"kind": "CustomResourceDefinition", "apiVersion": "other.example/v1"})},
    ],
)
def test_what_is_no_crd_is_left_out(files: dict[str, bytes]) -> None:
    assert crds_in_files(files) == []


@pytest.mark.parametrize(
    ("snippet", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("010", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("'1'", "1"),
        ("true", True),
        ("off", False),
        ("~", None),
        ("null", None),
        # PyYAML alone makes a date, the number 1342, an error and infinity of these.
        ("2020-01-01", "2020-01-01"),
        ("22:22", "22:22"),
        ("=", "="),
        (".inf", ".inf"),
        ("-", "-"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("{7: a, true: b}", {"7": "a", "true": "b"}),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(snippet: str, value: object) -> None:
    found = schema_of(snippet)
    assert found == value
    assert type(found) is type(value)


def test_the_same_crd_twice_is_one() -> None:
    assert crds_in_files({"a.yaml": text(crd()), "b.yaml": text(crd(), crd())}) == [crd()]


def test_two_crds_of_one_name_are_refused() -> None:
    with pytest.raises(ImageInvalid, match=r"CRD meshconfigs\S+ is in a\.yaml and, different, in b\.yaml"):
        crds_in_files({"a.yaml": text(crd()), "b.yaml": text(crd(type="object"))})


def changed(**changes: object) -> bytes:
    document = crd()
    for path, value in changes.items():
        *parents, last = path.split("_")
        target = document
        for parent in parents:
            target = target[parent]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return text(document)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a: 1\nb: }", r"a\.yaml is not YAML that can be read \(line 2\)"),
        (b"\xff\xfe\xff", "a.yaml is not YAML"),
        (b"a: \x01", "a.yaml is not YAML"),
        (b"!!python/object/apply:os.system [true]", "a.yaml is not YAML"),
        (b"? [a]\n: b", "a.yaml is not YAML"),
        (b"a: " + b"9" * 5000, "a.yaml is not YAML"),
        (b"a: &a {b: 1}\nc: {<<: *a}", "merge keys"),
        (b"a: &a {b: 1}\nc: {!!merge x: *a}", "merge keys"),
        (b"[" * 201, "nested deeper than 200"),
        (b"[" * 300_000, "nested deeper than 200"),
        (b"{a: " * 300_000, "nested deeper than 200"),
        (changed(metadata_name=None), "without metadata.name"),
        (changed(metadata=[1]), "without metadata.name"),
        (changed(metadata_name=7), "without metadata.name"),
        (changed(spec=None), r"CRD meshconfigs\.config\.example lacks spec"),
        (changed(spec_group=None), "lacks spec.group"),
        (changed(spec_names="x"), "lacks spec.group or spec.names"),
        (changed(spec_versions=[]), "has no spec.versions"),
        (changed(spec_versions=[{"served": True}]), "has no spec.versions"),
        (changed(apiVersion="apiextensions.k8s.io/v1beta1"), "takes apiextensions.k8s.io/v1 only"),
        (changed(spec_x="y").replace(b"y\n", b"!!set {a}\n"), r"JSON cannot say \(set\)"),
        (changed(spec_x="y").replace(b"y\n", b"!!binary aGk=\n"), r"JSON cannot say \(bytes\)"),
        (changed(spec_x="y").replace(b"y\n", b"1e999\n"), r"JSON cannot say \(float\)"),
        (changed(spec_x="y").replace(b"y\n", b"{null: 1}\n"), r"no string \(NoneType\)"),
    ],
)
def test_bad_files_are_refused_by_name(content: bytes, names: str) -> None:
    with pytest.raises(ImageInvalid, match=names) as refused:
        crds_in_files({"a.yaml": content})
    assert "a.yaml" in str(refused.value)


def test_deep_nesting_does_not_end_the_process() -> None:
    # In a child, because the C loader would take the tests along.
    code = (
        "import sys; from meshupgrade.oci.documents import crds_in_files\n"
        "try: crds_in_files({'a.yaml': b'[' * 500_000})\n"
        "except Exception as error: sys.exit(str(error))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert "nested deeper" in ended.stderr


def test_aliases_are_written_out() -> None:
    shared = {"type": "string"}
    document = crd(properties={"a": shared, "b": shared})
    assert b"*id001" in text(document)
    (found,) = crds_in_files({"a.yaml": text(document)})
    assert found == document
    properties = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    assert properties["a"] is not properties["b"]


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 5000)),
        "a: &a [*a]\n",
    ],
)
def test_aliases_do_not_grow_without_bound(bomb: str) -> None:
    indented = "".join(f"    {line}\n" for line in bomb.splitlines())
    with pytest.raises(ImageInvalid, match="grows too large"):
        crds_in_files({"a.yaml": text(crd()) + b"  extra:\n" + indented.encode()})


words = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=["C", "Z"]), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_what_json_can_say_comes_back(value: object) -> None:
    document = crd(default=value)
    before = copy.deepcopy(document)
    assert crds_in_files({"a.json": json.dumps(document).encode()}) == [before]


@given(st.binary(max_size=200) | st.text("[]{}:,-&*!<>|'\" \nab1", max_size=80).map(str.encode))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ImageInvalid):
        assert crds_in_files({"a.yaml": content}) == []
