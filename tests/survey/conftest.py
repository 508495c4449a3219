"""Folders of small pictures, arranged in every way that is understood."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def fastcli(fastcli, place):
    """Runs a command in an empty folder; gives back exit code, stdout and stderr."""
    return fastcli


@pytest.fixture
def picture(tmp_path):
    """Saves a picture of noise of its own, below the temporary folder; gives back its path."""
    seed = iter(range(10_000))

    def picture(name, size=(24, 18), mode="RGB", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(next(seed)).integers(0, 255, (6, 8, 3)).astype(np.uint8)
        drawn = Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST).convert(mode)
        drawn.save(path, **options)
        return path

    return picture
