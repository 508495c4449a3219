"""Without a network, and with data that nobody may touch: every command works, and the data is as it was."""

import hashlib
import shutil
import socket
from pathlib import Path

import pytest

from fastcli import cli

CONFIG = """
data: {source: data/labels.csv, label: {name: column, column: stars}, batch_size: 8}
model: {name: test_resnet, pretrained: false}
train: {recipe: fit, epochs: 1, lr: 1e-3}
runtime: {precision: fp32, channels_last: false, device: cpu}
"""
COMMANDS = {
    "config validate": ["config", "validate", "c.yaml"],
    "config show": ["config", "show", "c.yaml", "--origin"],
    "config schema": ["config", "schema"],
    "train": ["train", "c.yaml", "--plain"],
    "train from disk": ["train", "c.yaml", "--plain", "data.cache=disk"],
    "train --dry-run": ["train", "c.yaml", "--dry-run"],
    "lr-find": ["lr-find", "c.yaml", "--steps", "20"],
    "lr-find of a run": ["lr-find", "--steps", "20"],
    "predict": ["predict", "data/images", "-o", "out.csv"],
    "predict --tta": ["predict", "data/images/0.png", "--tta", "2"],
}


def digest(folder: Path) -> str:
    """Of all names, contents, sizes and times below a folder."""
    about = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        about.update(f"{path}|{state.st_mode}|{state.st_size}|{state.st_mtime_ns}".encode())
        about.update(path.read_bytes() if path.is_file() else b"")
    return about.hexdigest()


@pytest.fixture
def place(place, shapes):
    shutil.copytree(shapes, "data")
    Path("c.yaml").write_text(CONFIG)
    return place


@pytest.fixture
def no_network(monkeypatch):
    """Fails the test at the end if anything asked for the network, also where the error was swallowed."""
    asked = []

    def refuse(*given, **named):
        asked.append(given)
        raise OSError("there is no network here")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    yield asked
    assert asked == []


def test_every_command_works_without_a_network_and_leaves_the_data_alone(place, no_network, capsys):
    before = digest(place / "data")
    for name, words in COMMANDS.items():
        assert cli.run(words) == 0, (name, capsys.readouterr().err)
        assert digest(place / "data") == before, name


def test_data_that_may_only_be_read_is_enough(place):
    for path in [place / "data", *(place / "data").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert cli.run(["train", "c.yaml", "--plain"]) == 0
        assert cli.run(["predict", "data/images/0.png"]) == 0
    finally:
        for path in [place / "data", *(place / "data").rglob("*")]:
            path.chmod(0o755)


@pytest.mark.parametrize("model", ["hf-hub:somebody/something", "local-dir:data", "hf_hub:a/b", "https://x.org/a"])
def test_a_model_is_a_name_and_no_address(place, no_network, model, capsys):
    assert cli.run(["train", "c.yaml", f"model.name={model}"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_weights_that_are_not_here_are_told_in_words(place, monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_CACHE", str(place / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **named: (_ for _ in ()).throw(OSError("no network")))
    assert cli.run(["train", "c.yaml", "model={name: resnet18, pretrained: true}"]) == 3
    assert "are not on this machine" in capsys.readouterr().err


def vanish(folder: Path) -> None:
    for path in sorted(folder.rglob("*.png"))[5:]:
        path.unlink()


def test_a_file_that_vanishes_is_named(place, monkeypatch, capsys):
    from fastcli.training import Experiment

    train = Experiment.train
    monkeypatch.setattr(
        Experiment, "train", lambda self, *given, **named: (vanish(place / "data"), train(self, *given, **named))[1]
    )
    assert cli.run(["train", "c.yaml", "--plain", "data.cache=off"]) == 3
    assert ".png: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "words", "code", "told"),
    [
        (["a"] * 9, [], 3, "of one class, 'a'"),
        (["a", "b"], ["data.batch_size=1"], None, ""),
        (["a"] * 8 + ["b"], [], None, ""),
        (["a", "b"] * 5, ["data.batch_size=64"], 2, "larger than the 8 training images"),
        (["a", "b"] * 5, ["data.batch_size=7"], 0, ""),
        (["a", "b"] * 5, ["data.split={name: random, valid_pct: 0.0}"], None, ""),
        ([], [], 3, "no rows"),
    ],
)
def test_odd_data_is_trained_on_or_told_in_words(place, rows, words, code, told, capsys):
    lines = [f"images/{i}.png,{label}" for i, label in enumerate(rows)]
    Path("data/odd.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    given = ["data.source=data/odd.csv", "data.label.column=label", "data.batch_size=2", "model=mlp"]
    result = cli.run(["train", "c.yaml", "--plain", *given, *words])
    err = capsys.readouterr().err
    assert "bug in fastcli" not in err
    assert result in ((0, 2, 3) if code is None else (code,)), err
    assert told in err
