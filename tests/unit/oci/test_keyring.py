"""Which login of a docker configuration is for which image: by the kubelet's own cases, and by docker's."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.oci import Credentials, DockerConfigInvalid, parse_docker_config, parse_reference


def encoded(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


def config(auths: Any) -> bytes:
    return json.dumps({"auths": auths}).encode()


def users(places: list[str], image: str) -> list[str]:
    auths = {place: {"username": place, "password": "p"} for place in places}
    return [login.username for login in parse_docker_config(config(auths)).logins(parse_reference(image))]


@pytest.mark.parametrize(
    ("places", "image", "expected"),
    [
        (["r.example"], "r.example/team/mesh:1", ["r.example"]),
        (["https://r.example"], "r.example/team/mesh:1", ["https://r.example"]),
        (["http://r.example"], "r.example/team/mesh:1", ["http://r.example"]),
        (["r.example/"], "r.example/team/mesh:1", ["r.example/"]),
        (["https://r.example/v1/"], "r.example/team/mesh:1", ["https://r.example/v1/"]),
        (["https://r.example/v2/"], "r.example/team/mesh:1", ["https://r.example/v2/"]),
        (["https://r.example/v2"], "r.example/team/mesh:1", []),
        (["R.Example"], "r.example/mesh", ["R.Example"]),
        (["r.example"], "other.example/team/mesh:1", []),
        (["example"], "r.example/team/mesh:1", []),
        (["r.example"], "x.r.example/team/mesh:1", []),
        (["r.example"], "r.example.evil/team/mesh:1", []),
        # A port is part of the place, said or not.
        (["r.example:5000"], "r.example:5000/mesh", ["r.example:5000"]),
        (["r.example"], "r.example:5000/mesh", []),
        (["r.example:5000"], "r.example/mesh", []),
        (["[::1]:5000"], "[::1]:5000/mesh", ["[::1]:5000"]),
        (["[::1]:5000", "[::2]:5000"], "[::2]:5000/mesh", ["[::2]:5000"]),
        # Paths, the more specific one first.
        (
            ["r.example", "r.example/team", "r.example/other"],
            "r.example/team/mesh:1",
            ["r.example/team", "r.example"],
        ),
        (["r.example/team/mesh"], "r.example/team/mesh:1", ["r.example/team/mesh"]),
        (["https://r.example/v2/team"], "r.example/team/mesh:1", ["https://r.example/v2/team"]),
        (["r.example/team/other"], "r.example/team/mesh:1", []),
        # Wildcards stand for one part of a name, or a piece of one.
        (["*.example"], "r.example/mesh", ["*.example"]),
        (["*.example"], "a.r.example/mesh", []),
        (["*.*.example"], "a.r.example/mesh", ["*.*.example"]),
        (["reg*.example:5000"], "registry.example:5000/mesh", ["reg*.example:5000"]),
        (["*.example/team"], "r.example/team/mesh", ["*.example/team"]),
        # The default registry, by the name that docker gives it.
        (["https://index.docker.io/v1/"], "team/mesh", ["https://index.docker.io/v1/"]),
        (["https://index.docker.io/v1/"], "mesh", ["https://index.docker.io/v1/"]),
        (["https://index.docker.io/v1/"], "docker.io/team/mesh", ["https://index.docker.io/v1/"]),
        (["https://index.docker.io/v1/"], "index.docker.io/team/mesh", ["https://index.docker.io/v1/"]),
        (["https://index.docker.io/v1/"], "r.example/team/mesh", []),
        (["docker.io"], "team/mesh", ["docker.io"]),
        (["docker.io", "https://index.docker.io/v1/"], "team/mesh", ["docker.io"]),
        (["docker.io/team"], "team/mesh", ["docker.io/team"]),
        (["user@r.example", "", "https://"], "r.example/mesh", []),
    ],
)
def test_places(places: list[str], image: str, expected: list[str]) -> None:
    assert users(places, image) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "u", "password": "p"}, Credentials("u", "p")),
        ({"auth": encoded("u:p")}, Credentials("u", "p")),
        ({"auth": encoded("u:p").rstrip("=")}, Credentials("u", "p")),
        ({"auth": f" {encoded('u:p')}\n"}, Credentials("u", "p")),
        ({"auth": encoded("u:p:with:colons")}, Credentials("u", "p:with:colons")),
        ({"auth": encoded("ü:pä")}, Credentials("ü", "pä")),
        # auth goes before the two.
        ({"username": "old", "password": "old", "auth": encoded("u:p")}, Credentials("u", "p")),
        ({"username": "u", "password": "p", "auth": ""}, Credentials("u", "p")),
        ({"username": "u", "password": "p", "email": "u@r.example"}, Credentials("u", "p")),
        ({"identitytoken": "t"}, Credentials("", "", "t")),
        ({"auth": encoded("00000000:"), "identitytoken": "t"}, Credentials("00000000", "", "t")),
    ],
)
def test_logins(entry: dict[str, str], expected: Credentials) -> None:
    image = parse_reference("r.example/mesh")
    assert parse_docker_config(config({"r.example": entry})).logins(image) == [expected]
    old = json.dumps({"r.example": entry}).encode()
    assert parse_docker_config(old, legacy=True).logins(image) == [expected]


@pytest.mark.parametrize(
    "content", [b"{}", b'{"auths": {}}', config({"r.example": {}}), config({"r.example": {"a": 1}})]
)
def test_no_login(content: bytes) -> None:
    assert parse_docker_config(content).logins(parse_reference("r.example/mesh")) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no JSON object"),
        (config([]), "no object of objects"),
        (config({"r.example": "hunter2"}), "no object of objects"),
        (config({"r.example": {"auth": "hunter2"}}), "not base64 of username:password"),
        (config({"r.example": {"auth": encoded("hunter2")}}), "not base64 of username:password"),
        (config({"r.example": {"auth": "!hunter2"}}), "not base64 of username:password"),
        (config({"r.example": {"password": {"hunter2": 1}}}), "something else than text"),
        (b'{"credsStore": "desktop", "auths": {"r.example": {}}}', "in a credential store"),
        (b'{"credHelpers": {"r.example": "ecr-login"}}', "in a credential store"),
    ],
)
def test_what_is_no_docker_configuration(content: bytes, why: str) -> None:
    with pytest.raises(DockerConfigInvalid) as refused:
        parse_docker_config(content)
    assert why in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_login_shows_no_secret() -> None:
    assert "hunter2" not in repr(Credentials("u", "hunter2", "hunter2"))


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_anything_is_read_or_refused(content: Any) -> None:
    with contextlib.suppress(DockerConfigInvalid):
        raw = content if isinstance(content, bytes) else config(content)
        parse_docker_config(raw).logins(parse_reference("r.example/mesh"))
