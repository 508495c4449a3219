"""The example in the help of each command: there is one, it can be read, and those that train nothing run."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from fastcli.cli import app, global_options_first, run
from fastcli.deploy import diagnosis


def leaves(command, words=()):
    """All commands by their words."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*words, name))
    if not hasattr(command, "commands"):
        yield words, command


COMMANDS = dict(leaves(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids="-".join)
def test_each_command_has_an_example_that_can_be_read(words):
    start, _, example = (COMMANDS[words].epilog or "").partition(": fastcli ")
    assert start == "Example"
    given = shlex.split(example.partition(" > ")[0])
    if words == ("config", "init"):
        words = ("init",)  # it is one command under two names
    rest = [word for word in global_options_first(given) if word != "--json"]
    assert rest[: len(words)] == list(words)
    with typer.Context(COMMANDS[words]):
        COMMANDS[words].make_context("fastcli", rest[len(words) :])


def test_the_examples_about_data_run(place, capsys):
    random = np.random.default_rng(0)
    for i in range(8):
        path = Path("path/to/photos") / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (28, 28, 3)).astype(np.uint8)).save(path)
    Image.open(path).save("image.png")
    for words, command in COMMANDS.items():
        if words[0] in ("data", "init") and words != ("data", "search"):
            assert run(shlex.split(command.epilog.partition(": fastcli ")[2])) == 0, capsys.readouterr().err
    assert Path("photos.yaml").exists()
    assert "no picture" not in Path("faults.html").read_text()


CONFIGS = Path(__file__).parents[2] / "configs"
LOOKING = [words for words in COMMANDS if words[0] in ("runs", "models", "config", "components", "doctor")
           and words != ("config", "init")]  # fmt: skip


@pytest.mark.parametrize("words", LOOKING, ids="-".join)
def test_the_examples_that_only_look_run(words, place, monkeypatch, capsys):
    monkeypatch.setattr(diagnosis, "probe", dict)  # it takes as long as the import of torch
    shutil.copytree(CONFIGS, "configs")
    for hour, smoke in ((10, True), (11, False)):
        directory = Path("runs") / "pets" / f"20261124-{hour}1500-resnet18"
        directory.mkdir(parents=True)
        status = {"state": "finished", "finished": f"2026-11-24T{hour}:20:00+00:00", "smoke": smoke}
        (directory / "status.json").write_text(json.dumps(status))
        (directory / "config.resolved.yaml").write_text("data: {source: PETS}\n")
        (directory / "metrics.jsonl").write_text('{"epoch": 0, "valid_loss": 0.5}\n')
    example = COMMANDS[words].epilog.partition(": fastcli ")[2].partition(" > ")[0]
    assert run(shlex.split(example)) == 0
    assert capsys.readouterr().out
