"""What must not be shown is not shown, in whatever form it comes."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.secrets import MASK, Secrets, texts

PASSWORD = "pä\"ss<w>ord'&\\ 7"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\n-----END KEY-----\n"


def scrubbed(text: str, *secrets: str, public: tuple[str, ...] = ()) -> str:
    known = Secrets()
    known.keep("mesh", secrets, public)
    return known.scrub(text)


def in_go(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


FORMS = {
    "raw": PASSWORD,
    "base64": base64.b64encode(PASSWORD.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(PASSWORD.encode()).decode(),
    "JSON": json.dumps(PASSWORD),
    "JSON of Go": in_go(PASSWORD),
    "JSON in JSON": json.dumps(json.dumps(PASSWORD, ensure_ascii=False)),
    "URL": quote(PASSWORD, safe=""),
    "form": quote_plus(PASSWORD),
    "YAML": "'" + PASSWORD.replace("'", "''") + "'",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_masked(form: str) -> None:
    shown = scrubbed(f"Error: invalid value {FORMS[form]}: no", PASSWORD)
    assert FORMS[form].strip("'\"") not in shown
    assert shown.startswith("Error: invalid value")
    assert MASK in shown
    assert shown.endswith(": no")


@given(st.binary(max_size=7), st.binary(max_size=7), st.text(alphabet="abcdefXYZ0189$-_", min_size=12, max_size=40))
def test_base64_of_more_than_the_secret_tells_nothing_of_it(before: bytes, after: bytes, secret: str) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    shown = scrubbed(f"x {encoded} y", secret)
    # What is left at the ends is of what stands beside the secret, and at most two bytes of it.
    left = shown.removeprefix("x ").removesuffix(" y").replace(MASK, "").rstrip("=")
    assert len(left) <= (len(before) + len(after)) * 4 / 3 + 6


def test_each_line_of_a_key_is_masked_and_its_frame_is_not() -> None:
    shown = scrubbed("tls: failed\n    MIIEvQIBADANBgkqh\n    kiG9w0BAQEFAASCB at -----BEGIN KEY-----", KEY)
    assert shown == f"tls: failed\n    {MASK}\n    {MASK} at -----BEGIN KEY-----"


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("1", "attempt 1 of 3", "attempt 1 of 3"),
        ("yes", "yes", "yes"),
        ("true", "it is true", "it is true"),
        ("info", "for more information", "for more information"),
        # A short one only where it stands by itself.
        ("4711", "pin 4711, not 14711", f"pin {MASK}, not 14711"),
        ("hunter2", 'password "hunter2"', f'password "{MASK}"'),
        # A long one anywhere.
        ("correct-horse", "xcorrect-horsex", f"x{MASK}x"),
    ],
)
def test_short_and_common_texts_are_left_so_that_messages_can_be_read(secret: str, text: str, shown: str) -> None:
    assert scrubbed(text, secret) == shown


def test_what_everybody_knows_is_not_masked_even_when_it_is_told_later() -> None:
    known = Secrets()
    known.keep("mesh", ["osm-system", "correct-horse"])
    assert known.scrub("osm-system correct-horse") == f"{MASK} {MASK}"
    known.keep("mesh", (), public=["osm-system"])
    assert known.scrub("osm-system correct-horse") == f"osm-system {MASK}"


def test_of_two_secrets_one_in_the_other_nothing_is_left() -> None:
    assert scrubbed("correct-horse-battery", "correct-horse", "correct-horse-battery") == MASK


def test_each_run_has_its_own_and_takes_them_away() -> None:
    known = Secrets()
    known.keep("one", ["correct-horse"])
    known.keep("two", ["battery-staple"])
    known.forget("one")
    assert known.scrub("correct-horse battery-staple") == f"correct-horse {MASK}"


def test_a_tree_is_masked_in_its_sentences_only() -> None:
    known = Secrets()
    known.keep("mesh", ["Completed", "correct-horse"])
    tree = {"phase": "Completed", "count": 3, "list": [{"message": "Completed with correct-horse", "ok": True}]}
    masked = {"phase": "Completed", "count": 3, "list": [{"message": f"{MASK} with {MASK}", "ok": True}]}
    assert known.scrub_tree(tree) == masked


def test_the_leaves_of_values() -> None:
    tree = {"a": "x", "b": [1, {"c": 2.5}], "d": True, "e": None, "f": {}}
    assert list(texts(tree)) == ["x", "1", "2.5"]
