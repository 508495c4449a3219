"""What all tests share: patience, an empty place, commands, pages, and small data sets that are drawn here."""

import copy
import os
from html.parser import HTMLParser
from pathlib import Path

# Processes that run tests side by side share the cores; torch reads this when it is imported, here and in subprocesses.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from fastcli import cli
from fastcli.events import Callback

# A busy machine must not fail a test: no limits of time, here as everywhere.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
COLOURS = ((230, 60, 60), (60, 60, 230))


def draw_shapes(folder: Path, n: int = 40, size: int = 32, seed: int = 0) -> None:
    """`images/i.png`, `masks/i_mask.png` (0 ground, 1 disc, 2 square) and `labels.csv` with what is on each picture.

    The columns are image, shapes (a list of words), x and y (of the disc's centre in pixels, or the square's), area
    (a share), stars (1 to 5, by the area), is_valid
    and tenths (of the picture that are covered).
    """
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = ["image,shapes,x,y,area,stars,is_valid,tenths"]
    down, across = np.mgrid[:size, :size]
    for i in range(n):
        pixels = random.integers(0, 60, (size, size, 3)).astype(np.uint8)
        mask = np.zeros((size, size), np.uint8)
        present, centre = [], (0, 0)
        for code, name in ((2, "square"), (1, "disc")):
            if random.random() < 0.35 and (code == 2 or present):
                continue
            radius = random.integers(size // 8, size // 4)
            x, y = random.integers(radius, size - radius, 2)
            near = np.maximum(abs(down - y), abs(across - x)) if code == 2 else np.hypot(down - y, across - x)
            mask[near <= radius] = code
            pixels[near <= radius] = COLOURS[code - 1]
            present.append(name)
            centre = x, y
        area = (mask > 0).mean()
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i}_mask.png")
        stars = 1 + min(4, int(area * 12))
        words, where = " ".join(sorted(present)), f"{centre[0]},{centre[1]}"
        rows.append(f"images/{i}.png,{words},{where},{area:.4f},{stars},{i % 4 == 0},{10 * area:.3f}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


class Resumed(Callback):
    """Gives a callback a state in the fit that begins, where a resumed training does."""

    order = 1000

    def __init__(self, callback, state):
        self.callback, self.state = callback, copy.deepcopy(state)

    def before_train(self, learner):
        if learner.epoch == 0:
            self.callback.load_state_dict(self.state)


@pytest.fixture
def resumed():
    """Makes the callback that gives another a state in the fit that begins."""
    return Resumed


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory, and a home of fastcli's own in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def fastcli(capsys):
    """Runs a command; gives back exit code, stdout and stderr."""

    def fastcli(*arguments):
        code = cli.run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return fastcli


class Page(HTMLParser):
    """What a browser finds on a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, text):
        self.words.append(text)

    @property
    def addresses(self):
        return [value for name, value in self.attributes if name in ("src", "href")]


@pytest.fixture
def parsed():
    """What a browser finds on a page: its tags, attributes, addresses and words."""
    return Page


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `draw_shapes` filled; not to be written into."""
    folder = tmp_path_factory.mktemp("drawn") / "shapes"
    draw_shapes(folder)
    return folder


@pytest.fixture(scope="session")
def many_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `shapes`, with enough of them to learn from."""
    folder = tmp_path_factory.mktemp("drawn") / "shapes"
    draw_shapes(folder, n=120)
    return folder
