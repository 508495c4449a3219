"""Training gives the same to the last digit wherever the pixels are kept, and however many threads decode them."""

import json

import numpy as np
import pytest
from PIL import Image

from fastcli import cli

CONFIG = """
experiment: {name: stripes, output: runs}
data: {source: pictures, item_transforms: [ITEM], batch_transforms: [aug_transforms], batch_size: 6, on_bad_image: skip}
model: {name: test_resnet, pretrained: false}
metrics: [accuracy]
train: {recipe: fit_one_cycle, epochs: 2, lr: 0.01}
runtime: {precision: fp32, channels_last: false}
"""
ITEMS = {"one size": "{name: resize, size: 24, method: squish}", "several sizes": "{name: resize, size: 24}"}


@pytest.fixture
def work(place):
    """Photographs of striped things, large enough to be decoded at half their size, and one that is broken."""
    random = np.random.default_rng(0)
    for k, name in enumerate(("across", "down")):
        folder = place / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(12):
            size = random.integers(120, 150, 2)
            stripes = (np.indices(size)[k] // 9) % 2 * 180 + random.integers(0, 70, size)
            Image.fromarray(stripes.astype("uint8")).convert("RGB").save(folder / f"{i}.jpg")
    broken = place / "pictures" / "across" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    return place


def trained(work, capsys, tier, workers):
    """What a run says of its epochs, without what time changes, and what stands on the screen."""
    options = (f"data.cache={tier}", f"data.workers={workers}", "--plain", "--run-dir", str(work / "run"))
    assert cli.run(["train", "stripes.yaml", *options]) == 0
    while list(work.glob("home/cache/.*.tmp")):
        pass  # until the file is on the disk and has its name, or is given up
    lines = (work / "run" / "metrics.jsonl").read_text().splitlines()
    for file in sorted((work / "run").rglob("*"), reverse=True):
        file.unlink() if file.is_file() or file.is_symlink() else file.rmdir()
    rows = [{k: v for k, v in json.loads(line).items() if k not in ("time", "img_per_s", "wait")} for line in lines]
    return rows, capsys.readouterr().out


@pytest.mark.parametrize("item", ITEMS)
def test_tiers_and_threads_train_alike(item, work, capsys):
    (work / "stripes.yaml").write_text(CONFIG.replace("ITEM", ITEMS[item]))
    expected, _ = trained(work, capsys, "ram", 1)
    assert len(expected) == 2
    for tier, workers in (("ram", 3), ("off", 2), ("disk", 2)):
        assert trained(work, capsys, tier, workers)[0] == expected
    rows, screen = trained(work, capsys, "disk", 1)
    assert rows == expected
    (file,) = (work / "home" / "cache").iterdir()
    assert "data on disk" in screen
    assert f"pixels decoded by an earlier run: {file}" in screen.replace("\n", "")
    file.write_bytes(file.read_bytes()[:-9])
    rows, screen = trained(work, capsys, "disk", 2)
    assert rows == expected
    assert "it is made anew" in screen
