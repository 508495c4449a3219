from functools import partial

import pytest

from fastcli.data import splitters
from fastcli.data.blocks import CategoryBlock, ImageBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.items import csv_rows
from fastcli.data.labellers import column
from fastcli.errors import DataError
from fastcli.transforms.geometry import Flip
from fastcli.transforms.item import Resize
from fastcli.transforms.normalize import IMAGENET
from fastcli.transforms.transform import ItemTransform

stars = partial(column, column="stars")
GOOD = {"get_items": csv_rows, "get_y": stars, "splitter": splitters.column, "item_transforms": [Resize((16, 24))]}


def test_one_sample_is_walked_through_aloud(shapes):
    heard = []
    block = DataBlock(**GOOD, batch_transforms=[Flip()])
    text = block.summary(shapes, write=heard.append, normalize=IMAGENET)
    assert "\n".join(heard) == text
    steps = ["40, the first is", "column(column='stars'): 1", "Split: 30 train, 10 validate",
             "Target: category, 5 outputs",
             "Sample: images/1.png", "Opened:", "Image uint8 (3, 32, 32)", "Resize(size=(16, 24)",
             "Image uint8 (3, 16, 24)",
             "Batch of 4:", "Image uint8 (4, 3, 16, 24)", "Flip(p=0.5", "Normalise: ", "What the model gets:",
             "Tensor float32 (4, 3, 16, 24)", "Tensor int64 (4,)"]  # fmt: skip
    places = [text.find(step) for step in steps]
    assert -1 not in places, steps[places.index(-1)]
    assert places == sorted(places)
    assert "FAILED" not in text


class Broken(ItemTransform):
    def prepare(self, element):
        raise ValueError("no such colour")


def boom(*args):
    raise KeyError("boom")


@pytest.mark.parametrize(
    ("change", "step", "reason"),
    [
        ({"get_items": boom}, "finding the items", "KeyError: 'boom'\n  hint: get_items turns the source into a list"),
        ({"get_y": boom}, "getting the value of block 1 with boom", "KeyError: 'boom'\n  hint: it was given Row("),
        ({"get_y": [stars, stars]}, "counting the blocks and getters", "get_y has 2 functions for 1 blocks"),
        ({"splitter": boom}, "labelling, splitting", "KeyError: 'boom'\n  hint: the splitter takes items and labels"),
        ({"get_x": lambda row: "nowhere.png"}, "opening and encoding the sample", "nowhere.png: no such file"),
        ({"item_transforms": [Broken()]}, "item transform <", "ValueError: no such colour"),
        ({"batch_transforms": [Broken()]}, "making the loaders", "'Broken'"),
    ],
)  # fmt: skip
def test_the_failing_step_is_named_with_its_error(shapes, change, step, reason):
    text = DataBlock(**(GOOD | change)).summary(shapes)
    *_, failed = text.split("FAILED at: ")
    assert failed.startswith(step)
    assert reason in failed


def test_pictures_of_several_sizes_are_found_when_they_are_collated(tmp_path):
    from PIL import Image

    for i in range(10):
        Image.new("RGB", (8, 8 + i)).save(tmp_path / f"{'ab'[i % 2]}{i}.png")
    block = DataBlock((ImageBlock, CategoryBlock), get_y=lambda path: path.name[0])
    text = block.summary(tmp_path)
    assert "FAILED at: collating 4 samples\n  DataError: " in text
    assert "hint: pictures of several sizes need data.item_transforms" in text
    with pytest.raises(DataError, match=r"\w\d.png is 8 x \d+ pixels, \w\d.png is 8 x \d+\nhint: .*resize"):
        next(iter(block.dataloaders(tmp_path, cache="off").train))
