"""`fastcli data pixels`: numbers equal to Pillow's greys, in words, in colour, as data and on a page."""

import json
import re
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcli.cli import run


@pytest.fixture
def digit(tmp_path):
    pixels = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    Image.fromarray(pixels).save(tmp_path / "three.png")
    return pixels


def test_the_numbers_are_the_greys(fastcli, digit):
    code, out, err = fastcli("data", "pixels", "three.png", "--rows", "7:20", "--cols", "7:20")
    assert code == 0
    lines = [list(map(int, line.split())) for line in out.splitlines()]
    assert lines[0] == list(range(7, 20))
    assert [line[0] for line in lines[1:]] == list(range(7, 20))
    assert [line[1:] for line in lines[1:]] == digit[7:20, 7:20].tolist()
    assert "three.png: 28 x 28 pixels, grey; rows 7:20, columns 7:20" in err
    found = json.loads(fastcli("data", "pixels", "three.png", "--json")[1])
    assert found["values"] == digit.tolist()
    assert found["rows"] == [0, 28]


def test_a_photograph_shows_its_middle_and_is_upright(fastcli, picture):
    exif = Image.Exif()
    exif[274] = 6
    picture("a.jpg", size=(200, 100), exif=exif)
    found = json.loads(fastcli("data", "pixels", "a.jpg", "--json")[1])
    assert (found["size"], found["rows"], found["cols"]) == ([100, 200], [90, 110], [40, 60])


def test_colours_on_a_terminal(digit, monkeypatch, tmp_path):
    class Terminal(StringIO):
        def isatty(self):
            return True

    def shown(**environment):
        for name in ("NO_COLOR", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdout", Terminal())
        assert run(["data", "pixels", str(tmp_path / "three.png"), "--rows", "0", "--cols", "0:2", "-q"]) == 0
        return sys.stdout.getvalue()

    assert "\x1b[48;2;1;1;1m\x1b[38;5;231m   1\x1b[0m" in shown(COLORTERM="truecolor")
    assert "\x1b[48;5;232m" in shown()
    assert "\x1b" not in shown(NO_COLOR="1")


def test_a_page(fastcli, digit):
    Path("three.png").rename("<b>.png")
    code, out, _ = fastcli("data", "pixels", "<b>.png", "--rows", "1:3", "-o", "out/grid.html")
    assert (code, out) == (0, "")
    text = Path("out/grid.html").read_text()
    assert "<h1>&lt;b&gt;.png</h1>" in text
    assert [int(n) for n in re.findall(r'<td style="[^"]+">(\d+)</td>', text)] == digit[1:3].flatten().tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [("28:30", "outside of the picture"), ("a:b", "is no range"), ("", "is no range"), ("5:3", "outside of")],
)
def test_mistakes(fastcli, digit, words, message):
    code, _, err = fastcli("data", "pixels", "three.png", "--rows", words)
    assert (code, message in err) == (2, True)


def test_no_picture(fastcli):
    Path("a.jpg").write_text("no")
    assert fastcli("data", "pixels", "a.jpg")[0] == 3
    assert fastcli("data", "pixels", "b.jpg")[0] == 3
