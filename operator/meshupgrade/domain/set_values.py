"""One value set by its path, as ``helm --set`` and ``helm --set-literal`` read ``path=text``.

Source: helm.sh/helm/v4/pkg/strvals. The path goes into lists by ``name[0]``, a backslash takes away what ``.``, ``,``,
``[`` and ``=`` mean. Without ``literal`` the text gets a type (true, false, null, whole numbers), ``{a,b}`` is a list,
and what follows a comma is a further path with its own value.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["PathInvalid", "set_value"]

MAX_INDEX = 65536
MAX_LEVELS = 30
_INT64 = range(-(2**63), 2**63)


class PathInvalid(ValueError):
    """Helm would not take it; the message holds nothing of the value, which may be a secret."""


def set_value(values: Mapping[str, Any], path: str, text: str, *, literal: bool = False) -> dict[str, Any]:
    """Give the values with what ``path=text`` sets laid over them; the values themselves are not changed.

    Raises PathInvalid.
    """
    data: dict[str, Any] = _copy(values)
    line = _Line(f"{path}={text}", literal=literal)
    while line.rest():
        _set_key(data, line, 0)
    return data


class _Line:
    """The text, read from its beginning to its end."""

    def __init__(self, text: str, *, literal: bool) -> None:
        self.literal = literal
        self._text = text
        self._at = 0

    def rest(self) -> bool:
        """Tell whether anything is left."""
        return self._at < len(self._text)

    def until(self, stops: str) -> tuple[str, str]:
        """Give the text up to one of the characters, and that one; empty when the text ends without it."""
        found: list[str] = []
        while self.rest():
            char = self._take()
            if char in stops:
                return "".join(found), char
            if char == "\\" and not self.literal:
                if not self.rest():
                    break
                char = self._take()
            found.append(char)
        return "".join(found), ""

    def skip(self, char: str) -> bool:
        """Go past the character, and tell whether it was there."""
        here = self.rest() and self._text[self._at] == char
        self._at += here
        return here

    def _take(self) -> str:
        self._at += 1
        return self._text[self._at - 1]


def _set_key(data: dict[str, Any], line: _Line, level: int) -> None:
    key, stop = line.until("=[." if line.literal else "=[,.")
    if stop in ("", ","):
        if key or stop:
            raise PathInvalid("a part of it has no value; take literal: true for a text with commas")
        return
    if stop == "=":
        value = _value(line)
    elif stop == "[":
        value = _set_item(_inner(data, key, list), line, level)
    else:
        value = _inner(data, key, dict)
        _descend(value, line, level)
    # Helm goes past a nameless key without a word.
    if key:
        data[key] = value


def _set_item(items: list[Any], line: _Line, level: int) -> list[Any]:
    index = _index(line)
    gap, stop = line.until("=[.")
    if gap or not stop:
        raise PathInvalid("after an index there has to be a dot, another index or a value")
    here = items[index] if index < len(items) else None
    if stop == "=":
        value = _value(line)
    elif stop == "[":
        if here is not None and not isinstance(here, list):
            raise PathInvalid("it goes by an index into something that is no list")
        value = _set_item(here or [], line, level)
    else:
        value = here if isinstance(here, dict) else {}
        _descend(value, line, level)
    items += [None] * (index + 1 - len(items))
    items[index] = value
    return items


def _descend(inner: dict[str, Any], line: _Line, level: int) -> None:
    if level + 1 > MAX_LEVELS:
        raise PathInvalid(f"it has more than {MAX_LEVELS} levels")
    _set_key(inner, line, level + 1)
    if not inner:
        raise PathInvalid("it ends in a dot")


def _inner(data: dict[str, Any], key: str, kind: type[Any]) -> Any:
    if key not in data:
        return kind()
    if not isinstance(data[key], kind):
        what = "an index into something that is no list" if kind is list else "a name into something that has none"
        raise PathInvalid(f"it goes by {what}")
    return data[key]


def _index(line: _Line) -> int:
    text, stop = line.until("]")
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not stop or not (digits.isascii() and digits.isdigit()):
        raise PathInvalid("an index has to be a number in square brackets")
    if not 0 <= int(text) <= MAX_INDEX:
        raise PathInvalid(f"an index has to be between 0 and {MAX_INDEX}")
    return int(text)


def _value(line: _Line) -> Any:
    if line.literal:
        return line.until("")[0]
    if not line.skip("{"):
        return _typed(line.until(",")[0])
    items = []
    while True:
        text, stop = line.until(",}")
        if not stop:
            raise PathInvalid("a list that begins with { has to end with }")
        items.append(_typed(text))
        if stop == "}":
            line.skip(",")
            return items


def _typed(text: str) -> Any:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case "null":
            return None
        case "0":
            return 0
    digits = text[1:] if text[:1] in ("+", "-") else text
    if text[:1] != "0" and digits.isascii() and digits.isdigit() and int(text) in _INT64:
        return int(text)
    return text


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
