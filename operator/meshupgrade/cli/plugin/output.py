"""Writing to a terminal or a pipe: no colours where nobody wants them, no wrapping where programs read lines.

What comes out of the cluster could carry control sequences, by which an object would write over what an admin sees; it
is cleaned as it is read.
"""

import io
import json
import os
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TextIO

import yaml
from rich.console import Console, RenderableType

__all__ = ["Format", "clean", "clean_text", "console", "note", "show", "write"]

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tab and newline, and those that turn the direction of writing."""

_PLAIN = str.maketrans({"✓": "+", "✗": "x", "▶": ">", "·": ".", "→": "->", "█": "#", "░": ".", "↻": "~", "…": "..."})
"""For a locale that is not of Unicode."""

WIDTH_OF_A_PIPE = 100_000
"""Columns, more than any line has."""


class Format(StrEnum):
    """How data is written."""

    JSON = "json"
    YAML = "yaml"


def clean_text(text: str) -> str:
    """Give the text without characters that a terminal would act on."""
    return _HARMFUL.sub("�", text)


def clean(tree: Any) -> Any:
    """Give a JSON tree with all its texts cleaned."""
    if isinstance(tree, dict):
        return {clean_text(str(key)): clean(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [clean(item) for item in tree]
    return clean_text(tree) if isinstance(tree, str) else tree


class _Plain(io.TextIOBase):
    """A stream that cannot take our marks, and gets others."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def write(self, text: str) -> int:
        known = text.translate(_PLAIN).encode(self.encoding, "replace").decode(self.encoding)
        return self._stream.write(known)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def console(stream: TextIO | None = None) -> Console:
    """Give the console for a stream; by default that of the standard output."""
    stream = stream or sys.stdout
    unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    made = Console(
        file=stream if unicode else _Plain(stream),  # type: ignore[arg-type]
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )
    if not made.is_terminal:
        made.width = WIDTH_OF_A_PIPE
    return made


def show(what: RenderableType, target: Console | None = None) -> None:
    """Print something; in a pipe its lines have no trailing blanks."""
    target = target or console()
    if target.is_terminal:
        target.print(what)
        return
    with target.capture() as captured:
        target.print(what)
    target.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def write(content: Mapping[str, Any], form: Format) -> None:
    """Write data for a program."""
    if form is Format.JSON:
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print("---\n" + yaml.safe_dump(dict(content), sort_keys=False, width=120, allow_unicode=True), end="")


def note(text: str) -> None:
    """Say something beside the output, which a program that reads that does not get."""
    print(text, file=sys.stderr)
