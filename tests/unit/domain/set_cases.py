"""What ``helm --set`` makes of a path and a text; asked of Helm itself in tests/integration/test_helm_values.py."""

from typing import Any

SET: dict[str, tuple[str, str, Any]] = {
    "text": ("a", "x", {"a": "x"}),
    "nothing": ("a", "", {"a": ""}),
    "a path": ("a.b.c", "x", {"a": {"b": {"c": "x"}}}),
    "true": ("a", "true", {"a": True}),
    "TRUE": ("a", "TRUE", {"a": True}),
    "false": ("a", "False", {"a": False}),
    "zero": ("a", "0", {"a": 0}),
    "a number": ("a", "42", {"a": 42}),
    "a negative number": ("a", "-42", {"a": -42}),
    "a number with a plus": ("a", "+42", {"a": 42}),
    "a number with leading zeros": ("a", "007", {"a": "007"}),
    "a number with a point": ("a", "1.5", {"a": "1.5"}),
    "a number that is too long": ("a", "9223372036854775808", {"a": "9223372036854775808"}),
    "the longest number": ("a", "9223372036854775807", {"a": 9223372036854775807}),
    "quotes": ("a", '"1"', {"a": '"1"'}),
    "an equals sign": ("a", "x=y", {"a": "x=y"}),
    "a dot": ("a", "x.y", {"a": "x.y"}),
    "a list": ("a", "{x,1,true}", {"a": ["x", 1, True]}),
    "an empty list": ("a", "{}", {"a": [""]}),
    "a list of one": ("a", "{x}", {"a": ["x"]}),
    "an escaped comma": ("a", r"x\,y", {"a": "x,y"}),
    "an escaped backslash": ("a", r"x\\y", {"a": "x\\y"}),
    "an escaped dot in the path": (r"a\.b/c", "x", {"a.b/c": "x"}),
    "an index": ("a[0]", "x", {"a": ["x"]}),
    "an index with a gap": ("a[2]", "x", {"a": [None, None, "x"]}),
    "an index of an index": ("a[0][1]", "x", {"a": [[None, "x"]]}),
    "a name in an index": ("a[0].b", "x", {"a": [{"b": "x"}]}),
    "a further path": ("a", "x,b.c=2", {"a": "x", "b": {"c": 2}}),
    "a comma at the end": ("a", "x,", {"a": "x"}),
    "lines": ("a", "x\ny\n", {"a": "x\ny\n"}),
    "letters of all kinds": ("a", "zażółć ✓", {"a": "zażółć ✓"}),
}

LITERAL: dict[str, tuple[str, str, Any]] = {
    "true": ("a", "true", {"a": "true"}),
    "a number": ("a", "42", {"a": "42"}),
    "commas and braces": ("a.b", r"{x,y\,z}", {"a": {"b": r"{x,y\,z}"}}),
    "lines": ("a", "x\ny\n", {"a": "x\ny\n"}),
    "an index": ("a[1]", "x", {"a": [None, "x"]}),
    "a name in an index": ("a[0].b", "=", {"a": [{"b": "="}]}),
    "no escape in the path": (r"a\.b", "x", {"a\\": {"b": "x"}}),
}

REFUSED: dict[str, tuple[str, str]] = {
    "a comma": ("a", "S3CR3T,S3CR3T"),
    "an open list": ("a", "{S3CR3T"),
    "a word for an index": ("a[b]", "S3CR3T"),
    "a negative index": ("a[-1]", "S3CR3T"),
    "an index that is too high": ("a[65537]", "S3CR3T"),
    "something after an index": ("a[0]b", "S3CR3T"),
    "too many levels": (".".join("a" * 32), "S3CR3T"),
}
