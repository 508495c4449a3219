"""Configuration files that want to do harm or to be slow, and secrets that must not be written down."""

from pathlib import Path

import pytest

from fastcli import cli
from fastcli.config.dump import dump
from fastcli.config.load import load
from fastcli.config.problems import MOST

GOOD = "data: {source: d}\nmodel: mlp\n"
BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{','.join([f'*a{i}'] * 9)}]\n" for i in range(9)
)
HOSTILE = {
    "a tag that runs code": (
        "data: !!python/object/apply:os.system ['touch ran']\nmodel: mlp\n",
        "is not allowed here",
    ),
    "a tag that names code": ("data: {source: !!python/name:os.system d}\nmodel: mlp\n", "is not allowed here"),
    "a tag of the file's own": ("%TAG ! tag:yaml.org,2002:python/\n---\ndata: !name:os.system d\n", "not allowed here"),
    "binary": (GOOD + "experiment: {notes: !!binary aGk=}\n", "is not allowed here"),
    "aliases": (BOMB + GOOD, "more than 100,000 values"),
    "an alias of itself": ("data: &a {source: d, items: *a}\nmodel: mlp\n", "contains itself"),
    "brackets": (GOOD + "callbacks: " + "[" * 900 + "]" * 900, "nested too deeply"),
    "braces": (GOOD + "callbacks: " + "{a: " * 600 + "1" + "}" * 600, "nested too deeply"),
    "a merge key": ("data: {source: d, <<: {batch_size: 4}}\nmodel: mlp\n", "merge keys are not supported"),
    "the same key twice": (GOOD + "model: linear\n", "duplicate key 'model'"),
    "a key that is a list": (GOOD + "? [a, b]\n: 1\n", "a key must be a word"),
    "a NUL": (GOOD + "experiment: {notes: 'a\0b'}\n", "U+0000 cannot stand in YAML"),
    "an escaped NUL": ('data: {source: "a\\0b"}\nmodel: mlp\n', "is called 'a\\x00b'"),
    "half a character": (GOOD + 'experiment: {name: "\\ud800"}\n', "half of a surrogate pair"),
    "bytes": (GOOD.encode() + b"experiment: {notes: \xff\xfe}\n", "is not UTF-8 text (byte 0xff in line 3)"),
    "UTF-16": (GOOD.encode("utf-16"), "is not UTF-8 text"),
    "a long number": (GOOD + f"experiment: {{seed: {'9' * 9000}}}\n", "is too large"),
    "a long hexadecimal": (GOOD + f"experiment: {{seed: 0x{'f' * 400_000}}}\n", "is too large"),
    "more than 64 bits": (GOOD + "experiment: {seed: 18446744073709551616}\n", "whole numbers have 64 bits"),
    "a huge float": (GOOD + "train: {recipe: fit, epochs: 1, lr: 1e999}\n", "1e999 is too large"),
    "no number": (GOOD + "train: {recipe: fit, epochs: 1, lr: .nan}\n", "must be more than 0, not nan"),
    "a megabyte": (GOOD + "# " + "x" * 1_000_000, "larger than 1 MB"),
    "a device": ("extends: /dev/zero\n" + GOOD, "larger than 1 MB"),
    "a circle": ("extends: c.yaml\n" + GOOD, "extends goes in a circle"),
    "a path as a name": (GOOD + "experiment: {name: ../../up}\n", "a name without slashes"),
    "a terminal's commands": (GOOD + '"\\e[2J": 1\n', "unknown key '\\x1b[2J'"),
    "a long word": (GOOD + f"? {'x' * 200_000}\n: 1\n", "unknown key 'xxx"),
}


@pytest.fixture
def place(place):
    Path("d").mkdir()
    return place


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_refused_in_words(place, what, capsys):
    content, words = HOSTILE[what]
    Path("c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.run(["config", "validate", "c.yaml"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "\x1b" not in told
    assert len(told) < 20_000
    assert sorted(path.name for path in place.iterdir()) == ["c.yaml", "d"]


def test_thousands_of_mistakes_are_not_all_looked_into(place, capsys):
    Path("c.yaml").write_text(GOOD + "".join(f"k{i}: 1\n" for i in range(1500)))
    assert cli.run(["config", "validate", "c.yaml"]) == 2
    assert f"{MOST} or more errors; nothing was run" in capsys.readouterr().err


WORDS = ["data=!!python/name:os.system", "train.lr=1e999", "a" * 10_000 + "=1", "data.source=\0", "..=1", "=",
         "~", "~~data", "callbacks=" + "[" * 900, "model.name=!!binary aGk="]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_overrides_are_refused_in_words_too(place, word, capsys):
    Path("c.yaml").write_text(GOOD)
    assert cli.run(["config", "validate", "c.yaml", word]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_secrets_out_of_the_environment_are_not_kept(place, monkeypatch):
    monkeypatch.setenv("PETS_TOKEN", "s3cret")
    monkeypatch.setenv("PLACE", str(place / "d"))
    Path("sub").mkdir()
    Path("sub/c.yaml").write_text("data: {source: 'https://me:${env:PETS_TOKEN}@example.org/a.zip'}\nmodel: mlp\n")
    loaded = load("sub/c.yaml")
    assert "s3cret" in loaded.config.data.source
    assert "s3cret" not in dump(loaded.config)
    assert "source: https://me:${env:PETS_TOKEN}@example.org/a.zip" in dump(loaded.config)
    (place / "d/s3cret").mkdir()
    Path("sub/c.yaml").write_text("data: {source: '../d/${env:PETS_TOKEN}'}\nmodel: mlp\n")
    loaded = load("sub/c.yaml")
    assert loaded.config.data.source == str(place / "d/s3cret")
    Path("again.yaml").write_text(dump(loaded.config))
    assert f"source: {place}/d/${{env:PETS_TOKEN}}" in Path("again.yaml").read_text()
    assert load("again.yaml").config == loaded.config
    Path("sub/c.yaml").write_text("data: {source: '${env:PLACE}'}\nmodel: mlp\n")
    assert f"source: {place}/d\n" in dump(load("sub/c.yaml").config)  # what is no secret is kept as it was resolved


def test_a_run_predicts_without_the_secret_that_it_was_trained_with(place, monkeypatch):
    monkeypatch.delenv("PETS_TOKEN", raising=False)
    Path("c.yaml").write_text("data: {source: 'https://me:${env:PETS_TOKEN}@example.org/a.zip'}\nmodel: mlp\n")
    assert "${env:PETS_TOKEN}" in load("c.yaml", check_files=False).config.data.source
    assert cli.run(["config", "validate", "c.yaml"]) == 2
