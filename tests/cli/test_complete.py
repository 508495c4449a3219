import json
from pathlib import Path

import pytest

from fastcli.cli import complete
from fastcli.cli import run as run_command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("_FASTCLI_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "pets.yaml").write_text("# yaml-language-server: x\n# Cat or dog.\ndata: {source: PETS}\n")
    (tmp_path / "configs" / "notes.txt").touch()
    (tmp_path / "my.yml").write_text("model: resnet18\n")
    for i, name in enumerate(("pets/20261124-101500-resnet18", "birds/20261125-101500-vit")):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        status = {"state": "finished", "finished": f"2026-11-2{i}T10:00:00+00:00"}
        (run / "status.json").write_text(json.dumps(status))
    return tmp_path


def words(offers):
    return [word for word, _ in offers]


def test_configurations(folder):
    assert words(complete.configs("")) == ["configs/", "my.yml", "runs/"]
    assert complete.configs("configs/") == [("configs/pets.yaml", "Cat or dog.")]
    assert words(complete.configs(f"{folder}/m")) == [f"{folder}/my.yml"]
    assert complete.configs("nowhere/") == []


def test_keys_and_their_values():
    assert ("data.batch_size=", "Images per step.") in complete.overrides("data.b")
    assert words(complete.overrides("runtime.prec"))[0] == "runtime.precision=auto"  # but one key: its values
    assert "runtime.precision=bf16" in words(complete.overrides("runtime.precision="))
    assert words(complete.overrides("optimizer=adam")) == ["optimizer=adam", "optimizer=adamw"]
    assert "optimizer.name=lamb" in words(complete.overrides("optimizer.name=l"))
    assert words(complete.overrides("data.batch_size=")) == ["data.batch_size=64"]
    assert "model=resnet18" in words(complete.overrides("model=resnet1"))
    assert words(complete.overrides("~data.batch_si")) == ["~data.batch_size"]
    assert complete.overrides("nothing.of=") == complete.overrides("zzz") == []


def test_values_where_bash_breaks_words(monkeypatch):
    monkeypatch.setenv("_FASTCLI_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "fastcli train a.yaml optimizer = ad")
    monkeypatch.setenv("COMP_CWORD", "5")
    assert words(complete.overrides("ad")) == ["adam", "adamw", "adopt"]
    monkeypatch.setenv("COMP_WORDS", "fastcli train a.yaml data.batch_size =")
    monkeypatch.setenv("COMP_CWORD", "4")
    assert words(complete.overrides("=")) == ["64"]


def test_components_models_runs(folder):
    assert words(complete.components("adam"))[:2] == ["adam", "adamw"]
    assert "optimizer" in words(complete.components("opt"))
    assert words(complete.models("resnet18.tv")) == ["resnet18.tv_in1k"]
    assert "resnet18" in words(complete.models("resnet1"))
    assert words(complete.families("resne")) == ["resnest", "resnet", "resnetv2"]
    assert words(complete.runs("")) == [
        "latest", "birds", "pets", "birds/20261125-101500-vit", "pets/20261124-101500-resnet18",
    ]  # fmt: skip
    assert words(complete.runs("pets/")) == ["pets/20261124-101500-resnet18"]
    assert words(complete.experiments("")) == ["birds", "pets"]


def test_nothing_is_offered_where_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complete.experiments("") == []
    assert words(complete.runs("")) == ["latest"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fastcli runs sh", ["show"]),
        ("fastcli train configs/p", ["configs/pets.yaml"]),
        ("fastcli train configs/pets.yaml data.batch_si", ["data.batch_size=64"]),
        ("fastcli runs show bi", ["birds", "birds/20261125-101500-vit"]),
        ("fastcli models info resnet18.tv", ["resnet18.tv_in1k"]),
        ("fastcli config explain checkpoint.keep", ["checkpoint.keep_best", "checkpoint.keep_last"]),
        ("fastcli components adamw", ["adamw"]),
        ("fastcli config diff my", ["my.yml"]),
    ],
)
def test_the_shell_asks_and_is_answered(folder, monkeypatch, capsys, line, expected):
    monkeypatch.setenv("_FASTCLI_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with pytest.raises(SystemExit):
        run_command([])
    assert capsys.readouterr().out.split() == expected


def test_completers_are_on_the_commands():
    text = "".join(path.read_text("utf-8") for path in Path(complete.__file__).parent.glob("*.py"))
    for name in ("configs", "overrides", "keys", "components", "models", "runs", "experiments", "configs_or_runs"):
        assert f"autocompletion=complete.{name}" in text
