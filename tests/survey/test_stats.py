"""`fastcli data stats` against numpy and against what training normalises by."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcli.data.download import resolve_source
from fastcli.survey.samples import find_samples
from fastcli.survey.stats import stats_of


@pytest.fixture
def photos(picture):
    for side, n in (("train", 3), ("valid", 2)):
        for name in ("cat", "dog"):
            for i in range(n):
                picture(f"photos/{side}/{name}/{i}.png", size=(24, 18))
    return Path("photos")


def test_counts_sizes_and_colours(fastcli, photos, picture):
    picture("photos/train/cat/wide.jpg", size=(48, 18), mode="L")
    code, out, err = fastcli("data", "stats", "photos", "--json")
    found = json.loads(out)
    assert code == 0, err
    assert found["classes"] == {"cat": {"train": 4, "valid": 2}, "dog": {"train": 3, "valid": 2}}
    assert (found["width"], found["height"]) == ([24, 24, 24, 24, 48], [18] * 5)
    assert (found["modes"], found["formats"]) == ({"RGB": 10, "L": 1}, {"PNG": 10, "JPEG": 1})
    assert found["bytes"] == sum(p.stat().st_size for p in photos.rglob("*.*"))
    pixels = [np.asarray(Image.open(p).convert("RGB")) / 255 for p in sorted((photos / "train").rglob("*.*"))]
    means = np.mean([p.mean((0, 1)) for p in pixels], 0)
    squares = np.mean([(p**2).mean((0, 1)) for p in pixels], 0)
    np.testing.assert_allclose(found["mean"], means, atol=1e-4)
    np.testing.assert_allclose(found["std"], np.sqrt(squares - means**2), atol=1e-4)


def test_the_colours_are_those_that_training_normalises_by(fastcli, photos):
    from fastcli.transforms.image import open_image
    from fastcli.transforms.normalize import channel_stats

    found = stats_of(find_samples(resolve_source(photos)))
    theirs = channel_stats([open_image(p) for p in sorted((photos / "train").rglob("*.png"))])
    np.testing.assert_allclose(found.mean, theirs.mean_list, atol=1e-4)
    np.testing.assert_allclose(found.std, theirs.std_list, atol=1e-4)


def test_the_words(fastcli, photos):
    Path("photos/train/dog/bad.png").write_text("no")
    Path("a.yaml").write_text("data: {source: photos}\nmodel: resnet18\n")
    code, out, _ = fastcli("data", "stats", "a.yaml", "data.split={name: random, valid_pct: 0.5}", "--sample", "2")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("11 pictures · ")
    assert lines[0].endswith(" · 6 train, 5 validate")
    assert lines[1].split() == ["class", "train", "valid", "share"]
    assert "width    24 in the middle, half are 24 to 24, all 24 to 24" in lines
    assert any(line.startswith("unread   1, the first: ") and "bad.png" in line for line in lines)
