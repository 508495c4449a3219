import io
import json
import sys

import pytest

from fastcli.cli import console
from fastcli.errors import DataError


@pytest.fixture(autouse=True)
def fresh_state():
    console.reset()
    yield
    console.reset()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes stderr a terminal; to be called in the test, for pytest sets stderr anew after the fixtures."""

    def terminal():
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return terminal


def test_words_go_to_stderr_and_data_to_stdout(capsys):
    console.say("words")
    console.data("data")
    assert capsys.readouterr() == ("data\n", "words\n")


def test_quiet_silences_words_but_not_errors(capsys):
    console.state.quiet = True
    console.say("words")
    assert console.fail(DataError("no images in x", hint="look below")) == 3
    assert capsys.readouterr() == ("", "error: no images in x\nhint: look below\n")


def test_errors_are_a_document_too_when_asked(capsys):
    console.state.json = True
    console.fail(DataError("no images in x", hint="look below"))
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"kind": "DataError", "message": "no images in x", "hint": "look below", "exit_code": 3}


def test_colours_on_a_terminal_alone_and_not_against_the_users_wish(terminal, monkeypatch):
    screen = terminal()
    console.fail(DataError("a"))
    assert screen.getvalue() == "\x1b[1;31merror:\x1b[0m a\n"
    for forbid in (lambda: monkeypatch.setenv("NO_COLOR", "1"), lambda: setattr(console.state, "plain", True)):
        screen = terminal()
        forbid()
        console.fail(DataError("a"))
        assert screen.getvalue() == "error: a\n"


def test_rich_is_for_terminals(terminal, monkeypatch):
    terminal()
    assert console.rich_console() is not None
    monkeypatch.setenv("TERM", "dumb")
    assert console.rich_console() is None
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    assert console.rich_console() is None


def test_what_the_encoding_lacks_is_written_differently(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    console.tolerate_any_text()
    console.data("猫 \udc80")
    assert raw.getvalue() == b"\\u732b \\udc80\n"
