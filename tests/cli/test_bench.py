"""`fastcli bench` and the pace that a training ends with, on small pictures made here."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fastcli import cli

CONFIG = """
experiment: {name: squares, output: OUTPUT}
data:
  source: pictures
  item_transforms: [{name: resize, size: 32}]
  batch_size: 8
model: {name: test_resnet, pretrained: false}
train: {recipe: fit_one_cycle, epochs: 1, lr: 0.01}
runtime: {precision: fp32, channels_last: false}
"""
FIGURES = re.compile(
    r"trained at \d+ img/s · \d\.\d\d of the limit · \d+% waiting for data · peak memory \d+\.\d GiB", re.ASCII
)


@pytest.fixture
def work(place):
    random = np.random.default_rng(0)
    for name in ("dark", "light"):
        folder = place / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(12):
            pixels = random.integers(0, 100, (36, 36, 3)) + 100 * (name == "light")
            Image.fromarray(pixels.astype("uint8")).save(folder / f"{i}.png")
    (place / "squares.yaml").write_text(CONFIG.replace("OUTPUT", str(place / "runs")))
    return place


def test_a_table_with_one_row_and_nothing_written(work, capsys):
    assert cli.run(["bench", "squares.yaml", "--steps", "2", "--blocks", "2"]) == 0
    said = capsys.readouterr()
    head, row = said.out.splitlines()
    assert head.split() == ["phase", "limit", "training", "ratio", "wait", "first", "pass", "memory"]
    assert row.startswith("whole")
    assert "bench · squares · test_resnet · cpu fp32 · batches of 8" in said.err
    assert not (work / "runs").exists()


def test_each_phase_of_a_recipe_as_json(work, capsys):
    words = ["train={recipe: fine_tune, epochs: 1}", "--json", "--steps", "1", "--blocks", "1"]
    assert cli.run(["bench", "squares.yaml", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [phase["phase"] for phase in found["phases"]] == ["frozen", "whole"]
    assert found["phases"][0]["ratio"] == pytest.approx(
        found["phases"][0]["training"] / found["phases"][0]["limit"], rel=1e-6
    )
    assert found["config"]["data"]["batch_size"] == 8


def test_every_training_ends_with_the_same_figures(work, capsys):
    assert cli.run(["train", "squares.yaml", "--plain"]) == 0
    *_, pace, last = capsys.readouterr().out.splitlines()
    assert FIGURES.fullmatch(pace)
    assert last.startswith("done in")
    assert FIGURES.search((work / "runs/squares/latest/train.log").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["squares.yaml", "--steps", "0"], "invalid value for '--steps'"),
        (["nowhere.yaml"], "nowhere.yaml"),
        (["squares.yaml", "modle.name=x"], "did you mean 'model'"),
    ],
)
def test_mistakes_are_told_before_torch_is_imported(work, words, told):
    script = (
        f"import sys; from fastcli.cli import run; code = run({['bench', *words]!r});"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr


def test_help_has_an_example(capsys):
    cli.run(["bench", "--help"])
    assert "Example: fastcli bench" in capsys.readouterr().out
