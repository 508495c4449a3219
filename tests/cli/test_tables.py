import os
import sys

import pytest

from fastcli.cli import console, tables
from fastcli.cli.tables import Column, cells, fitted

COLUMNS = (
    Column("run", least=20),
    Column("state", style=lambda _: "red"),
    Column("best", right=True),
    Column("of", order=2),
    Column("note", order=1, least=10),
)
ROWS = [
    ["pets/20261101-100000-resnet18", "finished", "0.5000", "valid_loss", "train.epochs=20 optimizer.lr=3e-4"],
    ["猫/20261101-100000-vit", "failed", "0.1", "accuracy", ""],
]


@pytest.mark.parametrize("width", range(40, 201, 7))
def test_rows_fit_and_what_matters_stays(width):
    kept, widths = fitted(COLUMNS, ROWS, width)
    assert kept[:3] == [0, 1, 2]
    assert sum(widths) + 2 * (len(widths) - 1) <= max(width, 20 + 8 + 6 + 4)
    if width >= 105:
        assert widths == [29, 8, 6, 10, 33]


def test_what_is_piped_is_whole(capsys):
    console.reset()
    tables.show(COLUMNS, ROWS)
    out = capsys.readouterr().out
    assert "train.epochs=20 optimizer.lr=3e-4" in out
    assert out.splitlines()[2].endswith("-")
    assert {cells(line[: line.index("f")]) for line in out.splitlines()[1:]} == {31}


@pytest.mark.parametrize(("width", "no_color"), [(60, ""), (100, ""), (60, "1")])
def test_a_terminals_lines_are_as_wide_as_it_is_at_most(width, no_color, monkeypatch):
    read, write = os.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(write, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.delenv("COLUMNS", raising=False)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        tables.show(COLUMNS, ROWS)
    drawn = os.read(read, 100_000).decode()
    os.close(read)
    bare = tables.re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert max(cells(line.rstrip()) for line in bare.splitlines()) <= width
    assert "finished" in bare
    assert ("\x1b[31m" in drawn) is not bool(no_color)


def test_nothing_in_a_cell_moves_the_cursor(capsys):
    tables.show([Column("a")], [["x\x1b[2J\ny"]])
    assert capsys.readouterr().out == "a\nx [2J y\n"
