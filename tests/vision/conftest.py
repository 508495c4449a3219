"""Pictures for a user of fastai: red discs and blue squares, in folders and in one place with their names."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

mpl.use("Agg")


@pytest.fixture(autouse=True)
def seeded(tmp_path_factory, monkeypatch):
    """Every test begins with the same random numbers, and writes into a folder that is thrown away."""
    import matplotlib.pyplot as plt

    torch.manual_seed(42)
    monkeypatch.chdir(tmp_path_factory.mktemp("notebook"))
    yield
    plt.close("all")


def picture(kind, random, size=32):
    pixels = random.integers(0, 60, (size, size, 3)).astype(np.uint8)
    down, across = np.mgrid[:size, :size]
    y, x = random.integers(10, size - 10, 2)
    near = np.hypot(down - y, across - x) if kind == "disc" else np.maximum(abs(down - y), abs(across - x))
    pixels[near < 8] = (230, 40, 40) if kind == "disc" else (40, 40, 230)
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """`train/disc/disc_0.png` … and `valid/…`: 18 + 10 pictures of each; not to be written into."""
    root, random = tmp_path_factory.mktemp("kinds"), np.random.default_rng(0)
    for split, n in (("train", 18), ("valid", 10)):
        for kind in ("disc", "square"):
            (root / split / kind).mkdir(parents=True)
            for i in range(n):
                picture(kind, random).save(root / split / kind / f"{kind}_{i}.png")
    return root


@pytest.fixture
def dls(folder):
    from fastcli.vision.all import ImageDataLoaders

    return ImageDataLoaders.from_folder(folder, bs=12)
