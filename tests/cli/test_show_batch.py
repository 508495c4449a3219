"""`fastcli show-batch`: the pictures are those that were asked for, as they were asked for."""

import base64
import json
import os
import re
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from fastcli import cli
from fastcli.cli import inline
from fastcli.config.load import load
from fastcli.errors import UsageError
from fastcli.experiment_data import loaders_of
from fastcli.report.batch import look
from fastcli.show.kernels import picture

CONFIG = """
experiment: {name: shown}
data:
  source: pictures
  split: {name: random, valid_pct: 0.25, seed: 1}
  item_transforms: [{name: resize, size: 24}]
  batch_transforms: [{name: flip, p: 0.5}]
  normalize: {mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
  batch_size: 4
  cache: off
model: {name: resnet18}
runtime: {device: cpu}
"""


@pytest.fixture
def place(place):
    """16 pictures in two classes, one dark and one bright half each, as bright as their number says."""
    for i in range(16):
        folder = place / "pictures" / ("a", "b")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((40, 48, 3), np.uint8)
        pixels[:, :24] = 15 * (i + 1)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    (place / "shown.yaml").write_text(CONFIG)
    return place


@pytest.fixture
def loaders(place):
    return loaders_of(load("shown.yaml").config)


def first(sample):
    return picture(sample[0][0])


def number(name):
    return int(name[-6:-4])


def test_raw_pictures_are_those_of_the_files(loaders):
    shown = look(loaders, "train", "raw", count=5)
    for sample, name in zip(shown.samples, shown.names, strict=True):
        assert first(sample).shape == (40, 48, 3)
        assert first(sample).max() == pytest.approx(15 * (number(name) + 1) / 255)
        assert sample[1][1] == name.split("/")[0]
    assert len(shown.samples) == 5


def test_training_begins_with_what_is_shown(loaders):
    shown = look(loaders, "train", "augmented", count=4)
    assert shown.names == [loaders.train.name_of(i) for i in loaders.train.plan(0)[0].items]
    assert {first(sample).shape for sample in shown.samples} == {(24, 24, 3)}
    batch = loaders.decode(loaders.one_batch()[0])
    for sample, pixels in zip(shown.samples, batch, strict=True):
        np.testing.assert_allclose(first(sample), picture(pixels), atol=1e-5)


def test_normalised_pictures_are_the_models_numbers(loaders):
    shown = look(loaders, "train", "normalised", count=4)
    inputs = loaders.one_batch()[0]
    assert shown.numbers == pytest.approx({"mean": inputs.mean().item(), "std": inputs.std().item(),
                                           "min": inputs.min().item(), "max": inputs.max().item()})  # fmt: skip
    np.testing.assert_allclose(first(shown.samples[0]), picture((inputs[0] / 6 + 0.5).clamp(0, 1)), atol=1e-5)


def test_one_picture_is_shown_in_many_views(loaders):
    shown = look(loaders, "train", "augmented", count=12, item=2)
    assert shown.names == [loaders.train.name_of(int(loaders.train.indices[2]))] * 12
    assert len({first(sample).tobytes() for sample in shown.samples}) > 4  # cut and flipped at random
    assert len(look(loaders, "train", "raw", count=12, item=2).samples) == 1
    with pytest.raises(UsageError, match="there is no picture 12: the train split has 12, from 0"):
        look(loaders, "train", "augmented", item=12)


def test_validation_is_shown_evenly_and_without_random_views(loaders):
    shown = look(loaders, "valid", "augmented", count=2)
    assert len(shown.names) == 2
    assert all(first(sample)[:, 0].max() > 0 for sample in shown.samples)  # never flipped
    assert len(look(loaders, "valid", "augmented", count=100).names) == 4
    places = [loaders.valid.name_of(int(i)) for i in loaders.valid.indices]
    assert [places.index(name) for name in shown.names] == [0, 2]


def test_what_lies_on_pictures_is_shown_with_them(shapes, place):
    """Masks and points come along raw as well as augmented."""
    for target in ("target: mask, label: {name: mask_file, folder: masks, suffix: _mask.png}",
                   "target: points, label: {name: column, column: [x, y]}"):  # fmt: skip
        data = f"data: {{source: {shapes}/labels.csv, {target}}}"
        (place / "drawn.yaml").write_text(f"{data}\nmodel: resnet18\n")
        for how in ("raw", "augmented"):
            code = cli.run(["show-batch", "drawn.yaml", f"--{how}", "-n", "4", "-o", f"{how}.png", "-q"])
            assert code == 0
            with Image.open(place / f"{how}.png") as drawn:
                assert drawn.size[0] > 400


@pytest.fixture
def show_batch(fastcli, place):
    return partial(fastcli, "show-batch", "shown.yaml")


def test_the_picture_is_written_and_its_path_told(place, show_batch):
    code, out, err = show_batch()
    assert (code, out) == (0, "runs/shown/batch_train.png\n"), err
    with Image.open(place / out.strip()) as drawn:
        assert drawn.format == "PNG"
    code, out, err = show_batch("--normalised", "--item", "1", "-n", "3", "-o", "new/a.png", "--json")
    told = json.loads(out)
    assert told["picture"] == "new/a.png"
    assert len(told["items"]) == 3
    assert (place / "new" / "a.png").is_file()
    assert not list(place.glob("runs/shown/2*"))
    code, out, err = show_batch("--normalised", "-o", "b.png")
    assert "grey is 0" in err


@pytest.mark.parametrize(("words", "code", "said"), [
    (["--raw", "--normalised"], 2, "give one of them"),
    (["--inline"], 2, "no terminal that shows pictures"),
    (["--item", "99"], 2, "there is no picture 99"),
    (["data.source=nowhere"], 2, "nowhere"),
])  # fmt: skip
def test_mistakes_are_told(words, code, said, show_batch):
    found = show_batch(*words)
    assert (found[0], said in found[2]) == (code, True), found[2]


def test_pictures_that_cannot_be_opened_are_left_out_where_they_may(place, loaders, show_batch):
    bad = loaders.train.name_of(int(loaders.train.indices[1]))
    (place / "pictures" / bad).write_bytes(b"no picture")
    code, out, _ = show_batch("data.on_bad_image=skip", "-n", "12", "--json")
    assert code == 0
    assert len(json.loads(out)["items"]) == 11
    assert bad not in json.loads(out)["items"]
    assert show_batch("-n", "12")[0] == 3


@pytest.mark.parametrize(("environment", "expected"), [
    ({"KITTY_WINDOW_ID": "1"}, "kitty"), ({"TERM_PROGRAM": "WezTerm"}, "kitty"), ({"LC_TERMINAL": "iTerm2"}, "iterm2"),
    ({"KITTY_WINDOW_ID": "1", "TMUX": "/tmp/x"}, None), ({"TERM": "xterm-256color"}, None), ({}, None),
])  # fmt: skip
def test_terminals_are_known_by_their_environment(environment, expected):
    assert inline.protocol(environment) == expected


def test_kittys_commands_are_short_and_hold_the_picture():
    png = torch.randint(256, (10_000,), dtype=torch.uint8).numpy().tobytes()
    commands = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", inline.escapes(png, "kitty"))
    assert [keys for keys, _ in commands] == ["a=T,f=100,m=1", "m=1", "m=1", "m=0"]
    assert max(len(content) for _, content in commands) <= 4096
    assert base64.b64decode("".join(content for _, content in commands)) == png


def test_a_capable_terminal_gets_the_picture(show_batch, monkeypatch):
    monkeypatch.setenv("KITTY_WINDOW_ID", "1")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("STY", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, out, _ = show_batch("--inline", "-n", "4")
    assert code == 0
    assert out.startswith(f"runs{os.sep}shown{os.sep}batch_train.png\n\x1b_Ga=T,f=100,")
