"""Image references: what runtimes take, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.oci.errors import ImageInvalid, ReferenceInvalid
from meshupgrade.oci.reference import ImageReference, is_digest, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

component = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
repository = st.lists(component, min_size=1, max_size=4).map("/".join)
label = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
port = st.integers(0, 65535).map(str)
dotted = st.lists(label, min_size=2, max_size=4).map(".".join)
host = st.one_of(
    dotted,
    st.tuples(st.one_of(label, dotted), port).map(":".join),
    st.just("localhost"),
    st.sampled_from(["[::1]", "[fd00::10]:5000", "127.0.0.1:5000"]),
)
tag = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True)
digest = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", ImageReference("docker.io", "library/nginx", "latest")),
        ("nginx:1.27", ImageReference("docker.io", "library/nginx", "1.27")),
        ("flomesh/osm-edge-bootstrap:1.2.3", ImageReference("docker.io", "flomesh/osm-edge-bootstrap", "1.2.3")),
        ("docker.io/nginx", ImageReference("docker.io", "library/nginx", "latest")),
        ("index.docker.io/flomesh/fsm", ImageReference("docker.io", "flomesh/fsm", "latest")),
        ("registry.example/a/b/c:v1", ImageReference("registry.example", "a/b/c", "v1")),
        ("registry.example:5000/a", ImageReference("registry.example:5000", "a", "latest")),
        ("localhost/a", ImageReference("localhost", "a", "latest")),
        ("Registry/a", ImageReference("Registry", "a", "latest")),
        ("[::1]:5000/a:1", ImageReference("[::1]:5000", "a", "1")),
        # Without a slash there is no host, so this is a tag, as for docker.
        ("localhost:5000", ImageReference("docker.io", "library/localhost", "5000")),
        (f"a/b@{DIGEST}", ImageReference("docker.io", "a/b", None, DIGEST)),
        (f"h.example:1/a:1.2@{DIGEST}", ImageReference("h.example:1", "a", "1.2", DIGEST)),
    ],
)
def test_parses_what_runtimes_parse(text: str, expected: ImageReference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "is not a repository"),
        ("oci://registry.example/charts/osm", "without a scheme"),
        ("https://registry.example/a", "without a scheme"),
        ("Nginx", "'library/Nginx' is not a repository"),
        ("registry.example/A", "'A' is not a repository"),
        ("registry.example/a//b", "'a//b' is not a repository"),
        ("registry.example/a:", "'' is not a tag"),
        ("registry.example/a:-x", "'-x' is not a tag"),
        ("registry.example/a:" + "x" * 129, "is not a tag"),
        ("registry.example/a@", "'' is not a digest"),
        ("registry.example/a@sha256:abc", "'sha256:abc' is not a digest"),
        ("registry.example/a@sha512:" + "a" * 128, "is not a digest"),
        (f"registry.example/a@{DIGEST.upper()}", "is not a digest"),
        (f"registry.example/a@{DIGEST}@{DIGEST}", "is not a digest"),
        ("registry.example:99999/a", "'registry.example:99999' is not a host"),
        ("registry.example:/a", "'registry.example:' is not a host"),
        ("registry..example/a", "'registry..example' is not a host"),
        ("[::::]/a", "'[::::]' is not a host"),
        ("user:secret@registry.example/a", "is not a digest"),
        ("x" * 70 + ".example/a", "is not a host"),
        (".".join(["abcdefgh"] * 30) + "/a", "is not a host"),
        ("registry.example/" + "/".join(["abcdefgh"] * 30), "longer than 255"),
        ("registry.example/a b", "is not a repository"),
        ("registry.example/a\n", "is not a repository"),
        ("registry.example/../a", "is not a repository"),
    ],
)
def test_refuses_by_the_part_that_is_wrong(text: str, names: str) -> None:
    with pytest.raises(ReferenceInvalid) as refused:
        parse_reference(text)
    assert names in str(refused.value)
    assert str(refused.value).startswith("image '")
    assert len(str(refused.value)) < 400


def test_a_bad_name_is_a_bad_image() -> None:
    assert issubclass(ReferenceInvalid, ImageInvalid)


def test_a_reference_cannot_be_made_wrong() -> None:
    with pytest.raises(ReferenceInvalid, match="is not a repository"):
        ImageReference("registry.example", "../../etc")


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        (ImageReference("h.example", "a"), "latest"),
        (ImageReference("h.example", "a", "1.0"), "1.0"),
        (ImageReference("h.example", "a", "1.0", DIGEST), DIGEST),
    ],
)
def test_the_digest_decides(reference: ImageReference, target: str) -> None:
    assert reference.target == target


@pytest.mark.parametrize(("value", "expected"), [(DIGEST, True), (DIGEST[:-1], False), (None, False), (7, False)])
def test_is_digest(value: object, expected: bool) -> None:
    assert is_digest(value) is expected


@given(host, repository, st.none() | tag, st.none() | digest)
def test_the_full_form_parses_to_the_same(registry: str, name: str, tag: str | None, digest: str | None) -> None:
    text = f"{registry}/{name}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = parse_reference(text)
    assert (reference.registry, reference.repository) == (registry, name)
    assert (reference.tag, reference.digest) == (tag or (None if digest else "latest"), digest)
    assert parse_reference(str(reference)) == reference


@given(repository.filter(lambda name: "." not in name), st.none() | tag)
def test_a_name_without_a_host_is_of_the_default_registry(name: str, tag: str | None) -> None:
    reference = parse_reference(name if tag is None else f"{name}:{tag}")
    assert reference.registry == "docker.io"
    assert reference.repository == (name if "/" in name else f"library/{name}")
    assert parse_reference(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except ReferenceInvalid:
        return
    assert parse_reference(str(reference)) == reference
