"""Components of a user's own, from the plugins of a YAML, trained by the command line."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from fastcli import cli, registry, types
from fastcli.components import load_components

PARTS = Path(__file__).parent / "parts"

CONFIG = """
plugins: [{plugins}]
experiment: {{name: {name}, output: {output}}}
data: {{source: {shapes}/labels.csv, split: {{name: column}}, batch_size: 8, {data}}}
{rest}
runtime: {{precision: fp32, channels_last: false, device: cpu}}
"""
SHAPES = "label: {name: column, column: stars}"


@pytest.fixture(autouse=True)
def forget_plugins():
    """Take out of the registries, the kernels and Python what the plugins put there."""
    load_components()
    modules = set(sys.modules)
    components = {kind: dict(each._components) for kind, each in registry.REGISTRIES.items()}
    kernels = {name: dict(table) for name, table in types.KERNELS.items()}
    yield
    for name in set(sys.modules) - modules:
        if str(PARTS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    for kind, each in registry.REGISTRIES.items():
        each._components = components[kind]
    for name, table in kernels.items():
        types.KERNELS[name] = table


@pytest.fixture
def train(tmp_path, monkeypatch, many_shapes):
    """Trains by the command line with the named plugins; gives back the run's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "home"))

    def run(plugins: str, rest: str, data: str = SHAPES) -> Path:
        paths = ", ".join(str(PARTS / f"{name}.py") for name in plugins.split())
        text = CONFIG.format(
            plugins=paths, name="plug", output=tmp_path / "runs", data=data, rest=rest, shapes=many_shapes
        )
        (tmp_path / "plug.yaml").write_text(text, encoding="utf-8")
        assert cli.run(["train", "plug.yaml", "--plain"]) == 0
        return tmp_path / "runs" / "plug" / "latest"

    return run


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_an_optimizer_of_five_lines(train):
    run = train("sign_descent", "model: mlp\noptimizer: {name: sign_descent, momentum: 0.8}\n"
                "train: {recipe: fit, epochs: 3, lr: 1e-3}")  # fmt: skip
    losses = [row["train_loss"] for row in rows(run)]
    assert losses[-1] < losses[0]
    assert "name: sign_descent" in (run / "config.resolved.yaml").read_text()


def test_a_callback(train):
    run = train("noisy_gradients", "model: mlp\ncallbacks: [{name: noisy_gradients, sigma: 0.1}]\n"
                "train: {recipe: fit, epochs: 2, lr: 1e-3}")  # fmt: skip
    assert "sigma: 0.1" in (run / "config.resolved.yaml").read_text()
    assert len(rows(run)) == 2


def test_a_model(train, many_shapes):
    run = train("tiny_net", "model: {name: tiny_net, width: 4}\ntrain: {recipe: fit_one_cycle, epochs: 1, lr: 1e-2}")
    assert cli.run(["predict", str(run), str(many_shapes / "images" / "0.png")]) == 0
    assert "width: 4" in (run / "config.resolved.yaml").read_text()


def test_a_transform_with_kernels_for_image_and_mask(train, tmp_path):
    run = train(
        "roll",
        "model: {name: unet, architecture: test_resnet, pretrained: false}\ntrain: {recipe: fit, epochs: 1, lr: 1e-3}",
        "target: mask, classes: [ground, disc, square], item_transforms: [{name: roll, most: 6}],"
        " label: {name: mask_file, folder: masks, suffix: _mask.png}",
    )
    assert (run / "plots" / "batch_train.png").is_file()
    roll, row = registry.item_transforms["roll"](most=3), torch.tensor(2)
    pixels = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
    picture, mask = (roll.finish(types.typed(pixels, kind), row) for kind in (types.Image, types.Mask))
    assert torch.equal(torch.as_tensor(picture), pixels.roll(2, -1))
    assert torch.equal(torch.as_tensor(mask), pixels.roll(2, -1))


def test_a_label_type_with_encoder_loss_metric_and_drawing(train, many_shapes, capsys):
    run = train(
        "ordinal ordinal_loss",
        "model: {name: test_resnet, pretrained: false}\ntrain: {recipe: fit_one_cycle, epochs: 6, lr: 1e-2}",
        "target: stars, label: {name: column, column: stars}",
    )
    figures = [row["stars_off"] for row in rows(run)]
    assert figures[-1] < figures[0]
    with Image.open(run / "plots" / "batch_train.png") as picture:
        assert picture.width > 200
    capsys.readouterr()
    assert cli.run(["predict", str(run), str(many_shapes / "images" / "0.png")]) == 0
    assert "stars" in capsys.readouterr().out
    assert cli.run(["eval", str(run), "--json"]) == 0
    best = min(rows(run), key=lambda row: row["valid_loss"])
    assert json.loads(capsys.readouterr().out)["figures"]["stars_off"] == pytest.approx(best["stars_off"], abs=1e-4)
    table = (run / "eval" / "valid" / "predictions.csv").read_text().splitlines()
    assert table[0] == "path,label,predicted,loss"
    assert table[1].count(" stars,") == 2


def test_the_plugin_of_the_label_type_is_short():
    lines = (PARTS / "ordinal.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith(('"""', "#"))]
    assert len(code) <= 30


def test_an_error_of_a_plugin_is_told_with_its_line(tmp_path, monkeypatch, shapes, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "home"))
    (tmp_path / "wrong_label.py").write_text(
        'from fastcli.registry import labellers\n\n\n@labellers\ndef wrong_label(item, /):\n    """Wrong."""\n'
        '    return item["starz"]\n'
    )
    text = CONFIG.format(plugins="wrong_label.py", name="wrong", output="runs", shapes=shapes,
                         data="label: wrong_label", rest="model: mlp")  # fmt: skip
    (tmp_path / "wrong.yaml").write_text(text)
    assert cli.run(["train", "wrong.yaml", "--json"]) == 1
    out, err = capsys.readouterr()
    assert err == "error: plugin wrong_label.py, line 7: KeyError: 'starz' (-v shows the traceback)\n"
    assert json.loads(out)["error"]["kind"] == "plugin"
    assert not (tmp_path / "runs").exists()
    del sys.modules["wrong_label"]
