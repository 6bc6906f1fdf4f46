"""Keyrings, as people put them into Secrets."""

import base64

import pytest

from meshupgrade.phases.preflight.provenance import binary_keyring

KEY = bytes(range(256))


def armored(content: bytes, kind: str = "PUBLIC KEY BLOCK", header: str = "", end: str = "\n") -> bytes:
    text = base64.b64encode(content).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return end.join(
        [
            f"-----BEGIN PGP {kind}-----",
            *([header] if header else []),
            "",
            *lines,
            "=abcd",
            f"-----END PGP {kind}-----",
            "",
        ]
    ).encode()


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        armored(KEY),
        armored(KEY, end="\r\n"),
        armored(KEY, header="Comment: of the publisher"),
        b"pub   rsa4096\n" + armored(KEY),
        armored(KEY[:100]) + armored(KEY[100:]),
    ],
)
def test_every_form_becomes_the_binary_one(content: bytes) -> None:
    assert binary_keyring(content) == KEY


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0\0\x20\1\1\0\2KBXf" + KEY, "keybox"),
        (armored(KEY, "PRIVATE KEY BLOCK"), "private key block"),
        (armored(KEY, "MESSAGE"), "no public key"),
        (armored(KEY)[:-40], "damaged"),
        (armored(KEY).replace(b"AAEC", b"A*EC"), "damaged"),
    ],
)
def test_what_is_no_keyring_is_told(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        binary_keyring(content)
