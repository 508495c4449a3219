import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fastcli import __version__
from fastcli.cli import app, config, console
from fastcli.config.shapes import shipped_text

GOOD = "data: {source: PETS}\nmodel: resnet18\n"


@pytest.fixture
def good(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(GOOD)
    return "a.yaml"


# config show, validate, schema.


def test_show_prints_everything(fastcli, good):
    code, out, err = fastcli("config", "show", good, "train=fine_tune", "optimizer.weight_decay=0.5")
    shown = yaml.safe_load(out)
    assert (code, err) == (0, "")
    assert shown["data"]["batch_size"] == 64
    assert shown["optimizer"]["weight_decay"] == 0.5
    assert shown["optimizer"]["momentum"] == 0.9
    assert shown["train"]["freeze_epochs"] == 1


def test_what_is_shown_can_be_shown_again(fastcli, good):
    _, once, _ = fastcli("config", "show", good)
    Path("b.yaml").write_text(once)
    assert fastcli("config", "show", "b.yaml") == (0, once, "")


def test_show_with_origins(fastcli, good):
    Path("b.yaml").write_text("extends: a.yaml\nexperiment:\n  seed: 3")
    _, out, _ = fastcli("config", "show", "b.yaml", "data.batch_size=8", "--origin")
    assert "  seed: 3  # b.yaml:3\n" in out
    assert "  source: PETS  # a.yaml:1\n" in out
    assert "  batch_size: 8  # command line\n" in out
    assert "callbacks: []  # default\n" in out
    _, again, _ = fastcli("--json", "config", "show", "b.yaml", "--origin")
    assert json.loads(again)["origin"]["experiment.seed"] == "b.yaml:3"
    assert json.loads(again)["config"]["experiment"]["seed"] == 3


def test_validate(fastcli, good):
    assert fastcli("config", "validate", good) == (0, "a.yaml: ok\n", "")
    code, out, _ = fastcli("config", "validate", good, "--json")
    facts = json.loads(out)
    assert (code, facts["ok"], facts["files"], facts["model"], facts["name"]) == (0, True, ["a.yaml"], "resnet18", "a")


def test_validate_shows_all_mistakes(fastcli, good):
    code, out, err = fastcli("config", "validate", good, "data.batch_size=x", "epochs=3")
    assert (code, out) == (2, "")
    assert err == (
        "command line: error: data.batch_size must be a whole number, not 'x'\n"
        "      | data.batch_size=x\n"
        "      |                 ^\n"
        "command line: error: unknown key 'epochs'\n"
        "      | epochs=3\n"
        "      | ^^^^^^ 'epochs' belongs in train\n"
        "2 errors; nothing was run\n"
    )


def test_mistakes_as_a_document(fastcli, good):
    Path("b.yaml").write_text("extends: a.yaml\ndata:\n  bacth_size: 3\n")
    code, out, err = fastcli("config", "validate", "b.yaml", "--json")
    error = json.loads(out)["error"]
    assert (code, error["exit_code"], error["kind"]) == (2, 2, "ConfigError")
    assert error["problems"] == [
        {
            "file": "b.yaml",
            "line": 3,
            "column": 3,
            "key": "data.bacth_size",
            "message": "unknown key 'bacth_size' in data",
            "hint": "did you mean 'batch_size'?",
        }
    ]
    assert err.endswith("1 error; nothing was run\n")


def test_schema_prints_the_shipped_file(fastcli):
    assert fastcli("config", "schema") == (0, shipped_text(), "")


# The frame: global options, usage, errors of all kinds.


@pytest.mark.parametrize("place", range(4))
def test_global_options_may_stand_anywhere(fastcli, good, place):
    arguments = ["config", "validate", good]
    arguments.insert(place, "--json")
    code, out, _ = fastcli(*arguments)
    assert code == 0
    assert json.loads(out)["ok"]


def test_no_command_takes_the_name_of_a_global_option():
    from typer.main import get_command

    def options(command):
        yield from (name for parameter in command.params for name in parameter.opts)
        for inner in getattr(command, "commands", {}).values():
            yield from options(inner)

    names = [name for inner in get_command(app).commands.values() for name in options(inner)]
    assert names
    assert not set(names) & {"-q", "--quiet", "-v", "--verbose", "--json", "--plain", "--version"}


def test_options_do_not_outlive_their_command(fastcli, good):
    fastcli("--json", "config", "validate", good)
    assert fastcli("config", "validate", good) == (0, "a.yaml: ok\n", "")


def test_version(fastcli):
    assert fastcli("--version") == (0, f"fastcli {__version__}\n", "")
    assert fastcli("config", "show", "--version") == (0, f"fastcli {__version__}\n", "")


def test_help(fastcli):
    code, out, _ = fastcli("--help")
    assert code == 0
    assert "--quiet" in out
    assert "config" in out
    code, _, err = fastcli()
    assert code == 2
    assert err.startswith("Usage: fastcli")
    assert fastcli("config")[2].startswith("Usage: fastcli config")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["confg"], "error: no such command 'confg'. Did you mean 'config'?\nhint: fastcli --help\n"),
        (["config", "shw"], "error: no such command 'shw'. Did you mean 'show'?\nhint: fastcli config --help\n"),
        (["config", "show"], "error: missing argument 'CONFIG'\nhint: fastcli config show --help\n"),
        (["config", "show", "a", "--orign"], "hint: fastcli config show --help\n"),
    ],
)
def test_mistakes_of_usage(fastcli, arguments, message):
    code, out, err = fastcli(*arguments)
    assert (code, out) == (2, "")
    assert err.endswith(message)


def test_a_mistake_of_usage_as_a_document(fastcli):
    code, out, _ = fastcli("confg", "--json")
    assert code == 2
    assert json.loads(out)["error"]["kind"] == "UsageError"


def test_a_bug_of_ours_is_one_line_unless_verbose(fastcli, good, monkeypatch):
    monkeypatch.setattr(config, "_facts", lambda loaded: {}["nothing"])
    code, out, err = fastcli("--json", "config", "validate", good)
    assert (code, err) == (1, "bug in fastcli: KeyError: 'nothing' (-v shows the traceback)\n")
    assert json.loads(out)["error"]["kind"] == "bug"
    _, _, err = fastcli("config", "validate", good, "--json", "-v")
    assert err.startswith("Traceback")
    assert err.endswith("bug in fastcli: KeyError: 'nothing'\n")


def test_an_interrupt_ends_with_its_code(fastcli, good, monkeypatch):
    def interrupt(loaded):
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "_facts", interrupt)
    code, out, err = fastcli("--json", "config", "validate", good)
    assert (code, out) == (130, "")
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error():
    command = [sys.executable, "-m", "fastcli", "config", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == b""
    assert process.returncode == console.CLOSED_PIPE


def test_the_module_and_the_exit_code():
    done = subprocess.run(
        [sys.executable, "-m", "fastcli", "config", "show", "nowhere.yaml"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nowhere.yaml: error: no such file")
