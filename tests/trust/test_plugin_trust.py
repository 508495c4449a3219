"""Code of somebody else's run is imported only after a person says so; one's own needs no asking."""

import py_compile
import shutil
import sys
from pathlib import Path

import pytest

from fastcli import cli, registry
from fastcli.components import load_components
from fastcli.config.load import load
from fastcli.config.problems import InvalidConfigError
from fastcli.config.trust import Trust

CONFIG = """
plugins: [plugin_width.py]
data: {{source: {shapes}/labels.csv, label: {{name: column, column: stars}}, batch_size: 8}}
model: {{name: wide_net, width: 2}}
train: {{recipe: fit, epochs: 1, lr: 1e-3}}
runtime: {{precision: fp32, channels_last: false, device: cpu}}
"""
PLUGIN = '''
from pathlib import Path
from torch import nn
from fastcli.registry import models

Path("imported").touch()


@models
def wide_net(inputs, n_out, /, width: int = 2):
    """A net."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs.channels * inputs.size[0] * inputs.size[1], width),
                         nn.Linear(width, n_out))
'''


def forget() -> None:
    """What a new process would not know."""
    sys.modules.pop("plugin_width", None)
    registry.models._components.pop("wide_net", None)
    Path("imported").unlink(missing_ok=True)


@pytest.fixture
def place(place, shapes):
    load_components()
    Path("plugin_width.py").write_text(PLUGIN)
    Path("own.yaml").write_text(CONFIG.format(shapes=shapes))
    yield place
    forget()


@pytest.fixture
def picture(shapes):
    return str(shapes / "images" / "0.png")


@pytest.fixture
def foreign(place) -> Path:
    """A run of somebody else, with the plugin beside its configuration."""
    run = place / "downloads" / "theirs"
    run.mkdir(parents=True)
    shutil.move(place / "plugin_width.py", run / "plugin_width.py")
    shutil.move(place / "own.yaml", run / "config.resolved.yaml")
    (run / "status.json").write_text('{"state": "finished"}')
    return run


@pytest.fixture
def trained(place) -> Path:
    """One's own run, as a later process finds it."""
    assert cli.run(["train", "own.yaml", "--run-dir", "mine", "--plain"]) == 0
    forget()
    return place / "mine"


def test_ones_own_run_is_used_without_a_question(trained, picture, capsys):
    assert cli.run(["predict", "mine", picture]) == 0
    assert Path("imported").exists()
    assert "plugin" not in capsys.readouterr().err


def test_a_run_that_moved_is_still_ones_own(trained, picture, tmp_path):
    shutil.move(trained, tmp_path / "elsewhere")
    assert cli.run(["predict", "elsewhere", picture]) == 0


@pytest.mark.parametrize("command", [
    ["predict", "downloads/theirs", "x.png"],
    ["lr-find", "downloads/theirs/config.resolved.yaml"],
    ["train", "downloads/theirs/config.resolved.yaml"],
    ["train", "downloads/theirs/config.resolved.yaml", "--dry-run"],
    ["config", "validate", "downloads/theirs/config.resolved.yaml"],
    ["config", "show", "downloads/theirs/config.resolved.yaml"],
])  # fmt: skip
def test_nothing_of_a_strangers_run_is_imported(foreign, picture, command, capsys):
    assert cli.run([picture if word == "x.png" else word for word in command]) == 2
    told = capsys.readouterr().err
    assert f"a run would import the code in {foreign / 'plugin_width.py'}: it has not been trained with here" in told
    assert "--trust-plugins" in told
    assert not Path("imported").exists()
    assert not Path("runs").exists()


def test_the_newest_run_of_a_strangers_folder_is_not_trusted_either(foreign, picture, monkeypatch):
    (foreign.parent / "runs" / "pets").mkdir(parents=True)
    foreign.rename(foreign.parent / "runs" / "pets" / "20260101-000000-net")
    monkeypatch.chdir(foreign.parent)
    assert cli.run(["predict", picture]) == 2
    assert cli.run(["lr-find"]) == 2
    assert not Path("imported").exists()


def test_a_link_or_a_file_that_extends_a_run_is_part_of_it(foreign):
    Path("linked.yaml").symlink_to(foreign / "config.resolved.yaml")
    shutil.copy(foreign / "plugin_width.py", "plugin_width.py")
    Path("mine.yaml").write_text("extends: downloads/theirs/config.resolved.yaml\n")
    for file in ("linked.yaml", "mine.yaml"):
        assert cli.run(["config", "validate", file]) == 2
    assert not Path("imported").exists()


def test_a_person_may_trust_it_is_told_and_is_not_asked_again(foreign, capsys):
    file = str(foreign / "config.resolved.yaml")
    assert cli.run(["config", "validate", file, "--trust-plugins"]) == 0
    assert f"importing {foreign / 'plugin_width.py'}, named by {file}" in capsys.readouterr().err
    forget()
    assert cli.run(["config", "validate", file]) == 0
    forget()
    with (foreign / "plugin_width.py").open("a") as plugin:
        plugin.write("\nPath('imported').touch()\n")
    assert cli.run(["config", "validate", file]) == 2
    assert not Path("imported").exists()


def test_a_plugin_that_changed_since_the_training_is_told(trained, picture, capsys):
    with Path("plugin_width.py").open("a") as plugin:
        plugin.write("\n# another one\n")
    assert cli.run(["predict", "mine", picture]) == 2
    assert "it has changed since the run was trained" in capsys.readouterr().err
    assert cli.run(["train", "own.yaml", "--plain", "--smoke"]) == 0  # one's own file: no question
    forget()
    capsys.readouterr()
    assert cli.run(["predict", "mine", picture]) == 0
    assert f"warning: {Path('plugin_width.py').absolute()} has changed" in capsys.readouterr().err


def test_what_lies_in_pycache_is_neither_run_nor_made(place):
    good = Path("plugin_width.py").read_text()
    Path("plugin_width.py").write_text("open('bad', 'w').close()\n" + good)
    py_compile.compile("plugin_width.py", invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    Path("plugin_width.py").write_text(good)
    assert cli.run(["config", "validate", "own.yaml"]) == 0
    assert not Path("bad").exists()
    forget()
    shutil.rmtree("__pycache__")
    assert cli.run(["config", "validate", "own.yaml"]) == 0
    assert not Path("__pycache__").exists()


def test_a_note_of_another_user_does_not_count(foreign, monkeypatch):
    file = str(foreign / "config.resolved.yaml")
    load(file, trust=Trust(all_plugins=True))
    forget()
    monkeypatch.setattr("os.getuid", lambda: 4242)
    with pytest.raises(InvalidConfigError, match="would import"):
        load(file)


def test_without_a_place_to_remember_it_is_asked_again(foreign, monkeypatch):
    Path("file").touch()
    monkeypatch.setenv("FASTCLI_HOME", "file/home")
    file = str(foreign / "config.resolved.yaml")
    assert cli.run(["config", "validate", file, "--trust-plugins"]) == 0
    forget()
    assert cli.run(["config", "validate", file]) == 2
