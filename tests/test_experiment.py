"""From a YAML file to a run directory and back to predictions, on small pictures made here."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fastcli import cli
from fastcli.config.load import load
from fastcli.experiment import build
from fastcli.learner.features import keeps_features
from fastcli.learner.learner import Learner

CONFIG = """
experiment: {name: stripes, output: OUTPUT}
data:
  source: pictures
  item_transforms: [{name: resize, size: 32}]
  batch_transforms: [{name: aug_transforms, max_rotate: 5.0}]
  batch_size: 8
model: {name: test_resnet, pretrained: false}
metrics: [accuracy]
train: {recipe: fit_one_cycle, epochs: 2, lr: 0.01}
runtime: {precision: fp32, channels_last: false}
"""


@pytest.fixture
def work(place):
    """A folder with two classes of striped pictures of several sizes, and a configuration."""
    random = np.random.default_rng(0)
    for k, name in enumerate(("across", "dö wn")):
        folder = place / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(20):
            height, width = random.integers(36, 50, 2)
            stripes = (
                (np.indices((height, width))[k] // 4) % 2 * 200 + random.integers(0, 50, (height, width))
            ).astype("uint8")
            Image.fromarray(stripes).convert("RGB").save(folder / f"{i}.png")
    (place / "stripes.yaml").write_text(CONFIG.replace("OUTPUT", str(place / "runs")), encoding="utf-8")
    return place


def run(*words):
    return cli.run([str(word) for word in words])


def rows(folder):
    """The rows of a run without what time changes."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("time", "img_per_s", "wait")} for line in lines]


def test_train_predict_and_repeat(work, capsys):
    assert run("train", "stripes.yaml", "--plain") == 0
    out = capsys.readouterr().out
    assert "stripes · test_resnet" in out
    assert "accuracy" in out
    assert "next: fastcli predict image.jpg" in out
    latest = work / "runs" / "stripes" / "latest"
    files = {path.relative_to(latest.resolve()).as_posix() for path in latest.resolve().rglob("*") if path.is_file()}
    assert files >= {
        "config.yaml", "config.resolved.yaml", "overrides.txt", "environment.json", "status.json", "classes.json",
        "split.csv", "metrics.jsonl", "metrics.csv", "train.log", "README.md", "plots/history.png", "plots/lr.png",
        "plots/batch_train.png",
        "checkpoints/index.json", "checkpoints/last.safetensors", "checkpoints/best.safetensors",
    }  # fmt: skip
    assert json.loads((latest / "classes.json").read_text(encoding="utf-8")) == ["across", "dö wn"]
    assert json.loads((latest / "status.json").read_text())["state"] == "finished"

    assert run("train", latest / "config.resolved.yaml", "--run-dir", work / "again", "-q") == 0
    assert rows(work / "again") == rows(latest)

    bad = work / "broken.png"
    bad.write_bytes(b"no picture")
    capsys.readouterr()
    assert run("predict", latest, work / "pictures", bad, "--format", "csv", "-k", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "path,label,score,label_2,score_2,error"
    assert len(lines) == 42
    assert "broken.png" in lines[-1]
    assert run("predict", latest, bad, "--on-error", "fail") == 3
    capsys.readouterr()
    some = [bad, *sorted((work / "pictures" / "across").iterdir())[:3]]
    assert run("predict", latest, *some, "--format", "csv", "-k", "2", "--batch-size", "1") == 0
    found = capsys.readouterr().out.splitlines()  # a batch that cannot be read at all moves none of the others
    assert "broken.png" in found[1]
    assert found[2:] == [line for line in lines if any(line.startswith(str(path)) for path in some[1:])]


def test_lr_find_suggests_and_applies(work, capsys):
    assert run("lr-find", "stripes.yaml", "--steps", "40", "--apply") == 0
    suggestions = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert set(suggestions) == {"valley", "slide", "minimum", "steep"}
    assert all(float(rate) > 0 for rate in suggestions.values())
    assert (work / "runs" / "stripes" / "lr_find.png").stat().st_size > 5_000
    text = (work / "stripes.yaml").read_text()
    assert f"lr: {float(suggestions['valley']):.3g}" in text
    assert text.startswith("\nexperiment: {name: stripes")


def test_trying_a_step_changes_nothing(work):
    experiment = build(load("stripes.yaml").config)
    before = {name: tensor.clone() for name, tensor in experiment.learner.model.state_dict().items()}
    random = torch.get_rng_state()
    assert experiment.try_step() > 0
    assert all(torch.equal(before[name], now) for name, now in experiment.learner.model.state_dict().items())
    assert all(parameter.grad is None for parameter in experiment.learner.model.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_smoke_and_dry_run(work, capsys):
    assert run("train", "stripes.yaml", "--dry-run") == 0
    assert "nothing written" in capsys.readouterr().err
    assert not (work / "runs").exists()
    assert run("train", "stripes.yaml", "--smoke", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["epoch"] for line in lines if "epoch" in line] == [0]


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ("data.batch_size=500", 2, "batch_size 500 is larger than the 32 training images"),
        ("checkpoint.monitor=acuracy", 2, "did you mean 'accuracy'?"),
        ("loss=mean_squared", 2, "mean_squared"),
        ("model.name=resnet19", 2, "unknown model 'resnet19'"),
        ("runtime.devices=2", 2, "several devices is not built yet"),
        ("runtime.device=cuda:7", 2, "there is no device 'cuda:7'"),
        ("optimizer={name: adam, lr: 0.5}", 2, "the learning rate is given twice"),
        ("data.label={name: regex, pattern: '(png)'}", 3, "all 32 training images are of one class, 'png'"),
    ],
)
def test_mistakes_of_meaning_are_told(work, capsys, override, code, words):
    import re

    assert run("train", "stripes.yaml", override) == code
    assert re.search(words.replace("?", "\\?"), capsys.readouterr().err)
    assert not (work / "runs").exists()


def test_the_last_line_names_the_epoch_of_a_best_that_is_not_the_last(work, capsys):
    from types import SimpleNamespace

    from fastcli.callbacks.timing import Timer
    from fastcli.cli.screen import Reporter
    from fastcli.run.directory import NullRun

    best = {"epoch": 0, "accuracy": 0.9}
    for history, expected in ((["row"], "· accuracy 0.9000 ·"), (["row", "row"], "· best, epoch 0: accuracy 0.9000 ·")):
        facts = {"device": torch.device("cpu"), "callback": lambda kind: Timer()}
        learner = SimpleNamespace(history=history, metrics=[SimpleNamespace(name="accuracy")], **facts)
        loaders = SimpleNamespace(train=SimpleNamespace(stores=[]))
        experiment = SimpleNamespace(best=best, learner=learner, monitor="valid_loss", loaders=loaders)
        Reporter(experiment, NullRun(), "x").end()
        assert expected in capsys.readouterr().out


@pytest.fixture
def weights(tmp_path):
    """Weights of a small timm model, as a file."""
    import timm
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


@pytest.mark.parametrize("override", ["data.normalize=auto", "data.normalize=imagenet", "data.normalize=dataset"])
def test_a_pretrained_model_takes_grey_pictures(work, weights, override):
    words = ["data.input=image_bw", f"model.pretrained={weights}", override, "train={recipe: fine_tune}", "-q"]
    assert run("train", "stripes.yaml", *words) == 0
    resolved = (work / "runs" / "stripes" / "latest" / "config.resolved.yaml").read_text(encoding="utf-8")
    mean = load_yaml(resolved)["data"]["normalize"]["mean"]
    assert len(mean) == 1
    if "imagenet" in override:
        assert mean[0] == pytest.approx(0.449)
    assert run("predict", work / "runs" / "stripes" / "latest", "pictures/across/0.png") == 0


@pytest.mark.parametrize(("overrides", "recipe"), [
    (["train={}"], "auto"), (["train={minutes: 0.5}"], "auto"), (["train={epochs: 2}"], "fine_tune"),
    (["train={}", "callbacks=[mixup]"], "fine_tune"), (["train={}", "model.pretrained=false"], "fit_one_cycle"),
    (["train=fine_tune"], "fine_tune"),
])  # fmt: skip
def test_the_recipe_where_none_is_named(work, weights, overrides, recipe):
    loaded = load("stripes.yaml", [f"model.pretrained={weights}", *overrides])
    assert build(loaded.config).config.train.recipe == recipe


def test_a_model_without_features_to_keep_is_fine_tuned_by_default(work, weights, monkeypatch):
    monkeypatch.setattr("fastcli.experiment.keeps_features", lambda model: False)
    loaded = load("stripes.yaml", [f"model.pretrained={weights}", "train={}"])
    assert build(loaded.config).config.train.recipe == "fine_tune"
    assert keeps_features(build(loaded.config).learner.model)
    assert not keeps_features(torch.nn.Flatten())


def test_smoke_of_the_default_recipe_is_short_and_what_it_chose_can_be_repeated(work, weights):
    words = [f"model.pretrained={weights}", "train={}", "-q"]
    assert run("train", "stripes.yaml", *words, "--smoke") == 0
    latest = work / "runs" / "stripes" / "latest"
    train = load_yaml((latest / "config.resolved.yaml").read_text(encoding="utf-8"))["train"]
    assert (train["recipe"], train["views"], train["head_passes"], train["body_epochs"]) == ("auto", 1, 4, 1)
    assert len(rows(latest)) == 5
    assert run("train", latest / "config.resolved.yaml", "-q", "--smoke") == 0


def load_yaml(text):
    import yaml

    return yaml.safe_load(text)


def test_pictures_that_are_skipped_are_listed_and_counted(work, capsys):
    broken = work / "pictures" / "across" / "0.png"
    broken.write_bytes(broken.read_bytes()[:100])
    assert run("train", "stripes.yaml", "--plain") == 3
    assert "0.png" in capsys.readouterr().err
    assert run("train", "stripes.yaml", "data.on_bad_image=skip", "--plain") == 0
    out = capsys.readouterr().out
    assert "left out 1 of 40 images that cannot be read:" in out
    assert "0.png" in out
    assert "left out 1 of 40" in (work / "runs" / "stripes" / "latest" / "train.log").read_text(encoding="utf-8")


def write_table(work, rows):
    lines = [f"pictures/{name}/{i}.png,{value(name, i)}" for name, i, value in rows]
    (work / "labels.csv").write_text("path,label\n" + "\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("target", "label", "value", "columns"),
    [
        ("multi_category", "{name: column, delimiter: '|'}", lambda name, i: f"{name}|even" if i % 2 == 0 else name,
         ["path", "label", "score", "error"]),
        ("regression", "{name: column}", lambda name, i: i / 20, ["path", "value", "error"]),
    ],
)  # fmt: skip
def test_several_labels_and_numbers_from_a_table(work, capsys, target, label, value, columns):
    write_table(work, [(name, i, value) for name in ("across", "dö wn") for i in range(20)])
    words = ["data.source=labels.csv", f"data.target={target}", f"data.label={label}", "metrics=null", "train.epochs=1"]
    assert run("train", "stripes.yaml", *words, "-q") == 0
    capsys.readouterr()
    picture = "pictures/across/0.png"
    assert run("predict", work / "runs" / "stripes" / "latest", picture, "--format", "json", "--threshold", "0") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert list(row) == columns
    if target == "regression":
        assert isinstance(row["value"], float)
    else:
        assert row["label"] == "across|dö wn|even"


def test_augmented_views_change_the_scores_but_are_the_same_each_time(work, capsys):
    assert run("train", "stripes.yaml", "train.epochs=1", "-q") == 0

    def scores(*words):
        capsys.readouterr()
        assert run("predict", work / "runs" / "stripes" / "latest", "pictures", "--format", "json", *words) == 0
        return [row["score"] for row in json.loads(capsys.readouterr().out)]

    assert scores("--tta", "3") == scores("--tta", "3")
    assert scores("--tta", "3") != scores()


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
     RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")],
)  # fmt: skip
def test_running_out_of_memory_says_what_to_lower(work, capsys, monkeypatch, error):
    def full(self):
        raise error

    monkeypatch.setattr(Learner, "optimizer_step", full)
    for command in ("train", "lr-find"):
        assert run(command, "stripes.yaml") == 4
        shown = capsys.readouterr().err
        assert "cpu ran out of memory with batches of 8" in shown
        assert "lower data.batch_size" in shown
    status = json.loads((work / "runs" / "stripes" / "latest" / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 4)


def test_other_errors_of_torch_are_still_bugs(work, monkeypatch):
    def broken(self):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Learner, "optimizer_step", broken)
    assert run("train", "stripes.yaml") == 1


def test_cheap_mistakes_are_told_before_torch_is_imported(work):
    mistakes = [["lr-find", "stripes.yaml", "--suggestion", "vally"], ["lr-find", "nowhere.yaml"],
                ["predict", "no-such-run", "pictures"], ["predict", "no-such-picture.png"]]  # fmt: skip
    code = f"import sys\nfrom fastcli import cli\ncodes = [cli.run(words) for words in {mistakes}]\n"
    code += "assert all(codes), codes\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_the_suggestions_of_the_command_are_those_of_the_library():
    from fastcli.cli.lr_find import SUGGESTIONS
    from fastcli.learner import lr_find

    assert tuple(lr_find.SUGGESTIONS) == SUGGESTIONS


def test_help_imports_nothing_heavy():
    heavy = ["torch", "torchvision", "timm", "pydantic", "rich", "numpy", "yaml"]
    code = f"import sys\nfrom fastcli import cli\ncli.run(['--help'])\nassert not set({heavy}) & set(sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "lr-find" in shown


def test_the_precision_is_remembered_for_one_model_alone(work):
    for width in (8, 9, 8):
        model = f"model={{name: mlp, hidden: [{width}]}}"
        chosen = ["runtime.precision=auto", "runtime.channels_last=auto"]  # two to choose from on every machine
        assert run("train", "stripes.yaml", model, *chosen, "--dry-run", "-q") == 0
    assert len(json.loads((work / "home" / "probe.json").read_text())) == 2
