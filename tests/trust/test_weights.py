"""Files of weights that are programs: no code runs, wherever they are handed in."""

import pickle
from pathlib import Path

import pytest
import torch

from fastcli import cli
from fastcli.errors import DataError, FastcliError
from fastcli.learner.exported import load_exported
from fastcli.learner.saving import read_header
from fastcli.models.pretrained import read_weights

CONFIG = """
data: {{source: {shapes}/labels.csv, label: {{name: column, column: stars}}, batch_size: 8}}
model: {{name: test_resnet, pretrained: {weights}}}
train: {{recipe: fit, epochs: 1, lr: 1e-3}}
runtime: {{precision: fp32, channels_last: false, device: cpu}}
"""


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.fixture
def place(place):
    yield place
    assert not Path("exploded").exists()


def bomb(name: str) -> str:
    """A file of torch's, or a plain pickle with any other name."""
    if name.endswith((".pt", ".pth")):
        torch.save({"weight": Bomb()}, name)
    else:
        Path(name).write_bytes(pickle.dumps({"weight": Bomb()}))
    return name


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.bin", "a.pkl", "a.safetensors", "weights"])
def test_read_weights_runs_nothing(place, name):
    with pytest.raises(DataError) as caught:
        read_weights(Path(bomb(name)))
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["a.pth", "a.pkl", "a.safetensors"])
def test_model_pretrained_runs_nothing(place, shapes, name, capsys):
    Path("c.yaml").write_text(CONFIG.format(shapes=shapes, weights=bomb(name)))
    assert cli.run(["train", "c.yaml"]) == 3
    assert name in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.pkl", "a.safetensors"])
def test_neither_load_nor_an_exported_learner_runs_anything(place, name):
    bomb(name)
    for read in (load_exported, read_header):
        try:
            read(name)
        except FastcliError:
            continue
        assert read is read_header  # which looks into .safetensors alone


def test_predict_asks_a_model_file_nothing(place, capsys):
    assert cli.run(["predict", bomb("a.pkl"), "x.png"]) in (2, 3)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_that_is_a_pickle_is_no_checkpoint(place, shapes, name, capsys):
    Path("c.yaml").write_text(CONFIG.format(shapes=shapes, weights="false"))
    assert cli.run(["train", "c.yaml", "--run-dir", "run", "--plain"]) == 0
    for file in Path("run/checkpoints").glob("*.safetensors"):
        bomb(str(file))
    assert cli.run(["predict", "run", str(shapes / "images" / "0.png")]) == 1
    assert "checksum" in capsys.readouterr().err


def test_torchs_files_need_a_torch_whose_reader_is_mended(place, monkeypatch):
    torch.save({"weight": torch.ones(2)}, "good.pth")
    assert list(read_weights(Path("good.pth"))) == ["weight"]
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(DataError, match=r"torch 2\.9\.1.* is not safe") as caught:
        read_weights(Path("good.pth"))
    assert "2.10" in str(caught.value.hint)
    assert "safetensors" in str(caught.value.hint)
