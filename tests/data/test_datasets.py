from functools import partial
from pathlib import Path

import pytest
import torch

from fastcli.data import splitters
from fastcli.data.blocks import CategoryBlock, ImageBlock, MaskBlock, PointBlock, RegressionBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.datasets import Datasets
from fastcli.data.items import csv_rows
from fastcli.data.labellers import column, mask_file, part
from fastcli.errors import ConfigError, DataError
from fastcli.types import Category, Image, KeyPoints, Mask


@pytest.fixture
def datasets(shapes):
    made = DataBlock(
        (ImageBlock, MaskBlock, PointBlock, CategoryBlock), n_inputs=1, get_items=csv_rows, splitter=splitters.column,
        get_y=[partial(mask_file, suffix="_mask.png"), partial(column, column=["x", "y"]),
               partial(column, column="stars")],
    )  # fmt: skip
    return made.datasets(shapes)


def test_samples_can_be_looked_at_by_index(datasets):
    picture, mask, points, stars = datasets[3]
    assert [type(element) for element in datasets[3]] == [Image, Mask, KeyPoints, Category]
    assert (picture.shape, mask.shape, points.canvas_size) == ((3, 32, 32), (1, 32, 32), (32, 32))
    row = datasets.items[3]
    assert points.tolist() == [[float(row["x"]), float(row["y"])]]
    assert datasets.encoders[-1].decode(stars) == row["stars"]


def test_the_samples_of_a_split(datasets):
    assert (len(datasets), len(datasets.train), len(datasets.valid)) == (40, 30, 10)
    assert [item["is_valid"] for item in datasets.valid.items] == ["True"] * 10
    assert torch.equal(datasets.valid[1][0], datasets[datasets.valid.indices[1]][0])
    assert datasets.train[2:5].indices == datasets.train.indices[2:5]
    assert sum(1 for _ in datasets.train[:3]) == 3
    assert repr(datasets.valid) == "Subset(10 of 40 items)"


def test_every_target_says_what_it_is(datasets):
    mask, points, stars = datasets.targets
    assert (mask.kind, mask.n_out, points.kind, points.n_out) == ("mask", 3, "points", 2)
    assert stars == datasets.target
    assert sum(stars.counts) == 30


def test_an_item_on_both_sides_is_refused():
    items = [Path(f"{i}.png") for i in range(4)]
    with pytest.raises(DataError, match=r"2 items both train and validate: 1.png, …\nhint: .*splitter"):
        Datasets(items, [items, "abab"], (ImageBlock(), CategoryBlock()), [0, 1, 2], [2, 1, 3])


def test_items_that_a_splitter_leaves_out_take_no_part():
    made = DataBlock((RegressionBlock, CategoryBlock), get_items=None, getters=[part(0), part(1)],
                     splitter=lambda items, labels: ([4, 0], [2]))  # fmt: skip
    datasets = made.datasets([(i, f"class {i}") for i in range(6)])
    assert [item[0] for item in datasets.items] == [0, 2, 4]
    assert [item[0] for item in datasets.train.items] == [4, 0]


def test_a_class_of_the_validation_split_alone_names_its_file(shapes):
    made = DataBlock(get_items=csv_rows, get_y=partial(column, column="image"), splitter=splitters.column)
    with pytest.raises(DataError, match="class 'images/0.png' is not in the training split"):
        made.dataloaders(shapes)


@pytest.mark.parametrize("weights", [[1.0], [1.0] * 31])
def test_weights_are_those_of_the_training_items(datasets, weights):
    with pytest.raises(ConfigError, match=f"{len(weights)} weights for 30 items"):
        datasets.dataloaders(weights=weights)


def test_samplers_need_single_classes_and_no_weights_beside_them(datasets, shapes):
    with pytest.raises(ConfigError, match="either a sampler or weights"):
        datasets.dataloaders(sampler="balanced", weights=[1.0] * 30)
    numbers = DataBlock((ImageBlock, RegressionBlock), get_items=csv_rows, get_y=partial(column, column="area"),
                        splitter=splitters.column).datasets(shapes)  # fmt: skip
    with pytest.raises(ConfigError, match="only data.sampler: shuffle works"):
        numbers.dataloaders(sampler="balanced")
    assert datasets.dataloaders(sampler="balanced").train.weights.shape == (30,)


def test_options_of_the_loaders(datasets):
    loaders = datasets.dataloaders(batch_size=7, valid_batch_size=3, drop_last=True, per_epoch=20, shuffle=False)
    assert [len(batch[0]) for batch in loaders.train] == [7, 7]
    assert [len(batch[0]) for batch in loaders.valid] == [3, 3, 3, 1]
    assert loaders.train.plan(0)[0].items == tuple(datasets.train.indices[:7])
    with pytest.raises(TypeError, match="batchsize"):
        datasets.dataloaders(batchsize=3)


def test_an_item_that_is_no_file_is_named_after_its_picture(shapes):
    block = DataBlock(
        (ImageBlock, CategoryBlock), get_items=None, get_x=lambda pair: shapes / pair[0], get_y=lambda pair: pair[1],
        splitter=lambda items, labels: ([0, 1], [2]),
    )  # fmt: skip
    pairs = [(f"images/{i}.png", kind) for i, kind in enumerate(("disc", "square", "disc"))]
    assert block.datasets(pairs).paths[1] == shapes / "images" / "1.png"
    with pytest.raises(DataError, match=r"hexagon.*2\.png"):
        block.dataloaders([*pairs[:2], ("images/2.png", "hexagon")])
