"""Elements made of files: where their pixels are kept, and that reduced pictures and annotations agree."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow

from fastcli.data import splitters
from fastcli.data.blocks import BBoxBlock, CategoryBlock, ImageBlock, MaskBlock, PointBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.encoders import OpenImage
from fastcli.data.items import csv_rows
from fastcli.data.labellers import column, mask_file
from fastcli.data.spatial_encoders import OpenMask
from fastcli.transforms import reduced as transforms_reduced
from fastcli.transforms.item import RandomResizedCrop, Resize
from fastcli.transforms.transform import ItemTransform


@pytest.fixture
def shapes(shapes, tmp_path):
    """A copy that may be written into."""
    return Path(shutil.copytree(shapes, tmp_path / "shapes"))


mask_of = partial(mask_file, suffix="_mask.png")


SQUISHED = (Resize(16, method="squish"),)


def loaders(shapes, *blocks, get_y, item_transforms=SQUISHED, splitter=splitters.column, **options):
    block = DataBlock((ImageBlock, *blocks), get_items=csv_rows, get_y=get_y, splitter=splitter, n_inputs=1,
                      item_transforms=list(item_transforms))  # fmt: skip
    return block.dataloaders(shapes, batch_size=4, **options)


def on_disk(shapes, folder, **options):
    """The stores after an epoch of training and of validation, all with their files under their names."""
    made = loaders(
        shapes, MaskBlock(["no", "disc", "square"]), get_y=mask_of, cache="disk", cache_folder=folder, **options
    )
    seen = [part for loader in (made.train, made.valid) for batch in loader for part in batch]
    for store in made.train.stores:
        store.close()
    return made.train.stores, seen


def test_pictures_and_masks_are_kept_between_runs(shapes, tmp_path):
    first, seen = on_disk(shapes, tmp_path / "cache")
    assert [store.reused for store in first] == [False, False]
    again, seen_again = on_disk(shapes, tmp_path / "cache")
    assert [store.reused for store in again] == [True, True]
    assert all(torch.equal(a, b) for a, b in zip(seen, seen_again, strict=True))


def test_other_files_transforms_or_items_are_other_pixels(shapes, tmp_path):
    def reused(**options):
        return [store.reused for store in on_disk(shapes, tmp_path / "cache", **options)[0]]

    reused()
    assert reused() == [True, True]
    assert reused(item_transforms=[Resize(12, method="squish")]) == [False, False]
    assert reused(splitter=lambda items, labels: ([2, 3, 4, 5], [0, 1])) == [False, False]
    picture = shapes / "images" / "0.png"
    with Pillow.open(picture) as opened:
        opened.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT).save(picture)
    assert reused() == [False, False]  # the mask must fit to the picture
    assert reused() == [True, True]


class Own(ItemTransform):
    def prepare(self, element):
        return element


class Known(Own):
    def signature(self):
        return "known 1"


class OwnImage(OpenImage):
    pass


@pytest.mark.parametrize(("transform", "kept"), [(Own(), 0), (Known(), 2)])
def test_what_nobody_described_is_not_kept(transform, kept, shapes, tmp_path):
    on_disk(shapes, tmp_path / "cache", item_transforms=[transform, Resize(16, method="squish")])
    assert len(list((tmp_path / "cache").iterdir())) == kept


def test_encoders_say_what_decides_their_pixels():
    assert OpenImage().signature() != OpenImage("L").signature()
    assert OpenMask(2).signature() != OpenMask(3).signature()
    assert OpenMask(["a", "b"]).signature() == OpenMask(2).signature()
    assert OwnImage().signature() is None


def test_pixels_that_are_in_memory_have_no_key(shapes):
    made = loaders(shapes, CategoryBlock, get_y=partial(column, column="stars"))
    items = [Pillow.new("RGB", (20, 30), (i, 0, 0)) for i in range(3)]
    seen = torch.cat([x for (x,) in made.test_loader(items)])
    assert (seen[:, 0, 0, 0] * 255).round().tolist() == [0, 1, 2]


def middle(row):
    x, y = row["x"], row["y"]
    return [8 * float(x), 8 * float(y)]


def box(row):
    x, y = middle(row)
    return [[x - 9, y - 9, x + 9, y + 9]]


@pytest.mark.parametrize(
    "transform", [Resize(24), Resize((24, 30), method="pad"), RandomResizedCrop(20, min_scale=0.6)]
)
def test_what_lies_on_a_picture_does_not_notice_that_it_was_reduced(transform, shapes, monkeypatch):
    for path in (shapes / "images").glob("*.png"):
        with Pillow.open(path) as opened:
            large = opened.resize((opened.width * 8 + 5, opened.height * 8 - 3), Pillow.Resampling.BICUBIC)
        large.save(path, "JPEG", quality=95)

    def batches():
        blocks = (PointBlock, BBoxBlock)
        made = loaders(shapes, *blocks, get_y=[middle, box], item_transforms=[transform], cache="ram")
        return [*made.train, *made.valid], made.train.stores[0]

    reduced, store = batches()
    assert store.canvas(0) == (32 * 8 - 3, 32 * 8 + 5)
    monkeypatch.setattr(transforms_reduced, "LARGER", 99)
    whole, other = batches()
    assert store.canvas(1) == other.canvas(1)
    for (x, *targets), (x_whole, *targets_whole) in zip(reduced, whole, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(targets, targets_whole, strict=True))
        assert 0 < (x - x_whole).abs().mean() * 255 < 1
