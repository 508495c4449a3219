"""Every kind of target trains from YAML to a sensible figure, on shapes that are drawn here."""

import json

import pytest

from fastcli import cli

CONFIG = """
experiment: {{name: shapes, output: runs, seed: 1}}
data:
  source: {shapes}/labels.csv
  split: {{name: column, column: is_valid}}
  batch_size: 8
  {data}
model: {model}
metrics: {metrics}
train: {{recipe: fit_one_cycle, epochs: {epochs}, lr: {lr}}}
runtime: {{precision: fp32, channels_last: false, device: cpu}}
"""
NET = "{name: test_resnet, pretrained: false}"


@pytest.fixture
def train(place, many_shapes):
    """Trains on the drawn shapes and gives back the run's folder and its rows."""

    def run(data, metrics, *, model=NET, epochs=8, lr="1e-2"):
        text = CONFIG.format(shapes=many_shapes, data=data, model=model, metrics=metrics, epochs=epochs, lr=lr)
        (place / "shapes.yaml").write_text(text)
        assert cli.run(["train", "shapes.yaml", "--plain"]) == 0
        folder = place / "runs" / "shapes" / "latest"
        assert (folder / "plots" / "batch_train.png").is_file()
        return folder, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    return run


def test_segmentation(train, many_shapes, capsys):
    folder, rows = train(
        "target: mask\n  classes: [ground, disc, square]\n"
        "  label: {name: mask_file, folder: ../masks, suffix: _mask.png}\n"
        "  batch_transforms: [{name: aug_transforms, flip_vert: true, max_warp: 0.0}]",
        "[foreground_accuracy, dice]",
        model="{name: unet, architecture: test_resnet, pretrained: false}",
        epochs=3,
    )
    assert rows[-1]["dice"] > 0.75
    assert rows[-1]["foreground_accuracy"] > 0.7
    assert json.loads((folder / "classes.json").read_text()) == ["ground", "disc", "square"]
    assert "`unet test_resnet`" in (folder / "README.md").read_text()
    assert "unet test_resnet (" in capsys.readouterr().out


def test_several_labels(train, many_shapes, capsys):
    folder, rows = train(
        "target: multi_category\n  label: {name: column, column: shapes, delimiter: ' '}", "[accuracy_multi, f1_score]"
    )
    assert rows[-1]["accuracy_multi"] > 0.9
    capsys.readouterr()
    assert cli.run(["predict", str(folder), str(many_shapes / "images" / "0.png"), "--format", "csv"]) == 0
    assert "label" in capsys.readouterr().out


def test_numbers(train, many_shapes, capsys):
    folder, rows = train(
        "target: regression\n  label: {name: column, column: tenths}",
        "[mae, r2_score]",
        model="{name: test_resnet, pretrained: false, head: linear, dropout: 0.0}",
        epochs=12,
        lr="5e-3",
    )
    assert rows[-1]["r2_score"] > 0.5
    capsys.readouterr()
    assert cli.run(["predict", str(folder), str(many_shapes / "images" / "0.png")]) == 0
    assert "value" in capsys.readouterr().out


def test_points(train, many_shapes, capsys):
    folder, rows = train(
        "target: points\n  label: {name: column, column: [x, y]}\n  batch_transforms: [{name: flip}]",
        "[mae]",
        model="{name: test_resnet, pretrained: false, head: linear, dropout: 0.0}",
        epochs=16,
        lr="3e-3",
    )
    assert rows[-1]["mae"] < 0.25
    capsys.readouterr()
    assert cli.run(["predict", str(folder), str(many_shapes / "images" / "0.png")]) == 0
