"""The example in each command's help works: it is parsed here, and run where that takes no training."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from typer.main import get_command

from fastcli.cli import app, run
from fastcli.deploy import diagnosis

CONFIGS = Path(__file__).parents[2] / "configs"


def commands(command, name=()):
    """All commands with the words that call them."""
    inner = getattr(command, "commands", {})
    yield from ([(name, command)] if not inner else [])
    for word, one in inner.items():
        yield from commands(one, (*name, word))


COMMANDS = {" ".join(name): command for name, command in commands(get_command(app))}
QUICK = [name for name in COMMANDS if name.split()[0] in ("runs", "models", "config", "components", "doctor")
         and name not in ("config init",)]  # fmt: skip


def example(name):
    epilog = COMMANDS[name].epilog or ""
    assert "fastcli " in epilog, f"the help of {name} has no example"
    return shlex.split(epilog.partition("fastcli ")[2].partition(" > ")[0].splitlines()[0])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_of_options_that_there_are(name):
    command, words = get_command(app), example(name)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    with command.make_context(name, [word for word in words if word != "--json"]) as context:
        assert context.params


@pytest.mark.parametrize("name", QUICK)
def test_examples_work(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(diagnosis, "probe", dict)
    shutil.copytree(CONFIGS, "configs")
    for stamp in ("20261124-101500", "20261124-111500"):
        directory = Path("runs") / "pets" / f"{stamp}-resnet18"
        directory.mkdir(parents=True)
        ended = f"2026-11-24T{stamp[9:11]}:20:00+00:00"
        (directory / "status.json").write_text(
            json.dumps({"state": "finished", "finished": ended, "smoke": stamp.endswith("101500")})
        )
        (directory / "config.resolved.yaml").write_text("data: {source: PETS}\n")
        (directory / "metrics.jsonl").write_text('{"epoch": 0, "valid_loss": 0.5}\n')
    assert run(example(name)) == 0
    assert capsys.readouterr().out
