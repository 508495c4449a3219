"""Callbacks chosen in a YAML file, trained by the command line."""

import csv
import json

import numpy as np
import torch
import yaml
from PIL import Image

from fastcli import cli
from fastcli.run.pair import read_tensors

CONFIG = """
experiment: {name: shades, output: runs}
data:
  source: pictures
  item_transforms: [{name: resize, size: 32}]
  batch_size: 4
model: {name: test_resnet, pretrained: false}
train: {recipe: fine_tune, epochs: 2, freeze_epochs: 1, lr: 0.01}
runtime: {precision: bf16, channels_last: false}
callbacks:
  - mixup
  - {name: label_smoothing, amount: 0.05}
  - {name: accumulate, items: 8}
  - clip_gradients
  - {name: ema, decay: 0.9}
  - {name: progressive_resize, multiple: 8}
  - {name: activation_stats, every: 3, file: activations.json}
  - {name: gather_predictions, losses: true, file: predictions.safetensors}
  - csv_logger
  - {name: save_model, file: weights/best.safetensors}
"""


def test_callbacks_of_a_yaml_train_and_write_into_the_run(place):
    random = np.random.default_rng(0)
    for name, shade in (("dark", 60), ("light", 160)):
        (place / "pictures" / name).mkdir(parents=True)
        for i in range(12):
            pixels = random.integers(shade - 40, shade + 40, (32, 32, 3)).astype("uint8")
            Image.fromarray(pixels).save(place / "pictures" / name / f"{i}.png")
    (place / "shades.yaml").write_text(CONFIG)
    assert cli.run(["train", "shades.yaml", "-q"]) == 0

    run = (place / "runs" / "shades" / "latest").resolve()
    resolved = yaml.safe_load((run / "config.resolved.yaml").read_text())["callbacks"]
    assert resolved[0] == {"name": "mixup", "alpha": 0.4}
    assert {"name": "clip_gradients", "max_norm": 1.0, "norm_type": 2.0} in resolved
    with (run / "history.csv").open() as file:
        logged = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in logged] == [0, 1, 2]
    predictions = read_tensors(run / "predictions.safetensors")
    assert predictions["predictions"].shape == (len(predictions["targets"]), 2)
    assert np.isclose(predictions["losses"].mean(), float(logged[-1]["valid_loss"]), rtol=1e-4)
    layers = json.loads((run / "activations.json").read_text())["layers"]
    assert all(len(figures["mean"]) == 5 for figures in layers.values())
    # What was validated is what is kept as the best, by the run and by the callback.
    best = read_tensors(run / "checkpoints" / "best.safetensors")
    saved = read_tensors(run / "weights" / "best.safetensors")  # the best of the second fit, which may not be of both
    assert saved.keys() == best.keys()
    last = read_tensors(run / "checkpoints" / "last.safetensors")
    assert best.keys() < last.keys()  # which has what training goes on from as well
    assert any(not torch.equal(best[name], last[name]) for name in best)
