"""Challenges and credentials."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.oci.auth import Challenge, Credentials, basic, parse_challenges


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        ([""], []),
        (["Basic"], [Challenge("basic", {})]),
        (['Basic realm="a registry"'], [Challenge("basic", {"realm": "a registry"})]),
        (
            ['Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"'],
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "registry.example",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (['BEARER Realm = "x" , Service = y'], [Challenge("bearer", {"realm": "x", "service": "y"})]),
        ([r'Basic realm="say \"hi\" \\"'], [Challenge("basic", {"realm": 'say "hi" \\'})]),
        (["Basic realm=plain"], [Challenge("basic", {"realm": "plain"})]),
        (
            ['Bearer realm="x", Basic realm="y"'],
            [Challenge("bearer", {"realm": "x"}), Challenge("basic", {"realm": "y"})],
        ),
        (['Bearer realm="x"', "Basic"], [Challenge("bearer", {"realm": "x"}), Challenge("basic", {})]),
        (
            ["Negotiate, NTLM YWJj==, Basic realm=z"],
            [Challenge("negotiate", {}), Challenge("ntlm", {}), Challenge("basic", {"realm": "z"})],
        ),
        ([", ,Basic realm=z"], [Challenge("basic", {"realm": "z"})]),
        (['Basic realm="never closed'], [Challenge("basic", {})]),
        (["=?="], []),
    ],
)
def test_challenges(headers: list[str], expected: list[Challenge]) -> None:
    assert parse_challenges(headers) == expected


@given(st.lists(st.text(max_size=80) | st.text('abBasic=", \\', max_size=80), max_size=3))
def test_any_header_is_read(headers: list[str]) -> None:
    parse_challenges(headers)


@given(st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), st.text(max_size=20), max_size=4))
def test_quoted_parameters_come_back(parameters: dict[str, str]) -> None:
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()}
    header = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in quoted.items())
    single_line = {name: value for name, value in parameters.items() if "\n" not in value}
    if single_line == parameters:
        assert parse_challenges([header]) == [Challenge("bearer", parameters)]


def test_basic() -> None:
    value = basic(Credentials("jürgen", "p:ä"))
    scheme, _, encoded = value.partition(" ")
    assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", "jürgen:p:ä")


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Credentials("user", "hunter2"))
