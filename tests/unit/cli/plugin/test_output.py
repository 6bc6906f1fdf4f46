"""What goes to a terminal, to a pipe, and to a terminal without Unicode or colours."""

import io

import pytest
from rich.console import Group
from rich.text import Text

from meshupgrade.cli.plugin.output import clean, clean_text, console, show
from meshupgrade.cli.plugin.status_view import status_tree
from meshupgrade.cli.plugin.upgrades import read
from meshupgrade.cli.plugin.why_view import why_lines
from meshupgrade.domain.state import State
from tests.unit.cli.plugin import examples

LONG = "a message of many words " * 40


class Screen(io.TextIOWrapper):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def screen(encoding: str = "utf-8") -> Screen:
    return Screen(io.BytesIO(), encoding=encoding, write_through=True)


def written(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def test_a_pipe_gets_no_colours_and_no_line_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    show(Group(Text(LONG, style="red"), Text("[not markup] :smile:  ")), console(stream))
    assert written(stream) == f"{LONG.rstrip()}\n[not markup] :smile:\n"


def test_a_terminal_gets_colours() -> None:
    stream = screen()
    show(Text("x", style="red"), console(stream))
    assert "\x1b[" in written(stream)


def test_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = screen()
    show(status_tree(examples.upgrade(State.RUNNING)), console(stream))
    assert "\x1b" not in written(stream)


def test_a_terminal_without_unicode_gets_other_marks() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    show(status_tree(examples.upgrade(State.RUNNING)), console(stream))
    shown = written(stream)
    assert "+ 1.2.0" in shown
    assert "> 1.2.1" in shown
    assert "###" in shown


def test_an_object_cannot_act_on_the_terminal() -> None:
    obj = examples.live(State.REFUSED)
    harm = "\x1b[2J\x1b]0;title\x07\u202e\x9b"
    obj["status"]["conditions"][0]["message"] += harm
    obj["status"]["findings"][0]["remedy"] += harm
    obj["spec"]["version"] += harm
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    show(Group(status_tree(read(obj)), *why_lines(read(obj))), console(stream))
    assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(written(stream))


def test_cleaning_leaves_what_is_read() -> None:
    assert clean_text("ä → b\n\tc") == "ä → b\n\tc"
    assert clean({"a\x1b": ["b\x00", 1, None, True]}) == {"a�": ["b�", 1, None, True]}
