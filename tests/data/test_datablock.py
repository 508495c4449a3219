"""The data block on drawn shapes: several parts, the same draw for all of them, and mistakes told."""

from functools import partial

import pytest
import torch
from torchvision.tv_tensors import BoundingBoxes, KeyPoints, Mask

from fastcli.data import splitters
from fastcli.data.blocks import (
    BBoxBlock,
    BBoxLblBlock,
    Block,
    CategoryBlock,
    ImageBlock,
    MaskBlock,
    MultiCategoryBlock,
    PointBlock,
    RegressionBlock,
)
from fastcli.data.datablock import DataBlock
from fastcli.data.encoders import LabelEncoder
from fastcli.data.items import csv_rows
from fastcli.data.labellers import attribute, column, mask_file, part, using
from fastcli.errors import ConfigError, DataError
from fastcli.registry import targets
from fastcli.transforms.batch import aug_transforms
from fastcli.transforms.geometry import Flip, Rotate
from fastcli.transforms.item import RandomResizedCrop, Resize
from fastcli.types import Category, Image

mask_of = partial(mask_file, suffix="_mask.png")
centre = partial(column, column=["x", "y"])
words = partial(column, column="shapes", delimiter=" ")
share = partial(column, column="area")


def block(*blocks, get_y, **options):
    options = {"n_inputs": 1, "get_items": csv_rows, "splitter": splitters.column} | options
    return DataBlock((ImageBlock, *blocks), get_y=get_y, **options)


def all_of(loader):
    return [torch.cat(parts) for parts in zip(*loader, strict=True)]


def middle(pixels):
    """The centre of the disc, which is red, as x and y of pixel edges."""
    red = (pixels[0] - pixels[2]).clamp_min(0)
    red = red * (red > 0.5 * red.max())
    down, across = torch.meshgrid(*(torch.arange(n) + 0.5 for n in red.shape), indexing="ij")
    return torch.stack([(across * red).sum(), (down * red).sum()]) / red.sum()


def discs(rows):
    return [row for row in rows if row["shapes"] == "disc"]


def test_picture_mask_points_and_boxes_get_the_same_draw(shapes):
    def box(row):
        x, y = float(row["x"]), float(row["y"])
        return [[x - 4, y - 4, x + 5, y + 5]]

    made = block(
        MaskBlock, PointBlock, BBoxBlock, partial(BBoxLblBlock, ["disc"]),
        get_y=[partial(mask_of), lambda row: [float(row["x"]) + 0.5, float(row["y"]) + 0.5], box, lambda row: ["disc"]],
        get_items=lambda root: discs(csv_rows(root)),
        item_transforms=[RandomResizedCrop(48, min_scale=0.7)],
        batch_transforms=[Flip(p=0.5), Rotate(15.0, p=1.0)],
    )  # fmt: skip
    loaders = made.dataloaders(shapes, batch_size=4)
    seen = 0
    for pictures, masks, points, boxes, labels in loaders.train:
        assert (masks.dtype, masks.shape[1:], points.shape[1:], labels.dtype) == (
            torch.int64,
            (48, 48),
            (1, 2),
            torch.int64,
        )
        for picture, mask, point, frame, label in zip(pictures, masks, (points + 1) * 24, boxes, labels, strict=True):
            x, y = point[0].tolist()
            if not (10 < x < 38 and 10 < y < 38):
                continue  # the disc reaches over the edge, so that its middle is elsewhere
            seen += 1
            torch.testing.assert_close(middle(picture), point[0], atol=1.5, rtol=0)
            where = (mask == 1).nonzero().float().mean(0).flip(0) + 0.5
            torch.testing.assert_close(where, point[0], atol=1.0, rtol=0)
            torch.testing.assert_close((frame[0, :2] + frame[0, 2:]) / 2, point[0], atol=1.5, rtol=0)
            assert label.tolist() == [1]
    assert seen >= 3


def test_every_kind_of_target_from_one_table(shapes):
    made = block(
        MultiCategoryBlock, RegressionBlock, CategoryBlock, get_y=[words, share, partial(column, column="stars")]
    )
    loaders = made.dataloaders(shapes, batch_size=40)
    _, several, numbers, stars = loaders.one_batch()
    assert (several.shape, numbers.shape, stars.shape) == ((30, 2), (30, 1), (30,))
    assert [target.kind for target in loaders.datasets.targets] == ["multi_category", "regression", "category"]
    assert loaders.target.kind == "category"
    assert loaders.vocab == loaders.target.classes


def test_several_inputs(shapes):
    made = DataBlock(
        (ImageBlock, partial(ImageBlock, "L"), CategoryBlock), get_items=csv_rows, splitter=splitters.column,
        get_x=[None, None], get_y=partial(column, column="stars"), item_transforms=[Resize(16)],
        batch_transforms=[Flip()],
    )  # fmt: skip
    loaders = made.dataloaders(shapes, batch_size=8)
    colour, grey, labels = loaders.one_batch()
    assert (colour.shape, grey.shape, labels.shape) == ((8, 3, 16, 16), (8, 1, 16, 16), (8,))
    assert loaders.n_inputs == 2
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    torch.testing.assert_close((colour * weights).sum(1, keepdim=True), grey, atol=0.02, rtol=0)  # flipped alike


def test_getters_for_all_blocks_and_items_of_any_kind():
    items = [(torch.tensor([float(i), 1.0]), "ab"[i % 2]) for i in range(10)]
    made = DataBlock(
        (RegressionBlock, CategoryBlock), get_items=None, getters=[part(0), part(1)],
        splitter=splitters.by_function(lambda item: item[0][0] >= 8),
    )  # fmt: skip
    loaders = made.dataloaders(items, batch_size=4, shuffle=False)
    x, y = loaders.one_batch()
    assert x.tolist() == [[0, 1], [1, 1], [2, 1], [3, 1]]
    assert y.tolist() == [0, 1, 0, 1]
    assert len(loaders.valid_set) == 2
    with pytest.raises(ConfigError, match="do not say what their input is"):
        loaders.input.channels.bit_length()


def test_names_can_be_labelled(shapes):
    made = DataBlock(
        get_items=lambda root: sorted((root / "images").iterdir()), get_y=using(lambda name: name[0], "name")
    )
    assert set(made.datasets(shapes).target.classes) <= set("0123456789")
    assert attribute("nothing", default=3)("a.png") == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"get_y": [None, None]}, "get_y has 2 functions for 1 blocks"),
        ({"get_x": [None, None]}, "get_x has 2 functions for 1 blocks"),
        ({"getters": [None]}, "getters has 1 functions for 2 blocks"),
        ({"getters": [None, None], "get_x": str}, "getters are given twice"),
        ({"n_inputs": 3}, "n_inputs is 3, but there are 2 blocks"),
        ({"n_inputs": 0}, "n_inputs is 0"),
        ({"blocks": ()}, "at least one block"),
        ({"blocks": (BBoxBlock, CategoryBlock), "getters": [None, None], "get_items": lambda root: [[1, 2, 3, 4]] * 9},
         "points and boxes lie on a picture"),
    ],
)  # fmt: skip
def test_wrong_numbers_of_parts_are_told(shapes, options, message):
    with pytest.raises(ConfigError, match=message):
        DataBlock(**options).dataloaders(shapes / "images")


def test_boxes_and_labels_that_differ_in_number_are_told(shapes):
    made = block(BBoxBlock, BBoxLblBlock, get_y=[lambda row: [[0, 0, 1, 1]], lambda row: ["a", "b"]])
    with pytest.raises(DataError, match=r"images/0.png has 1 boxes, but 2 labels of boxes"):
        made.dataloaders(shapes)


def test_boxes_that_a_view_does_not_show_are_left_out_with_their_labels(shapes):
    made = block(
        BBoxBlock, BBoxLblBlock,
        get_y=[lambda row: [[0, 0, 4, 4], [10, 10, 20, 20], [8, 12, 40, 40]], lambda row: ["corner", "middle", "big"]],
        item_transforms=[Resize((16, 32))],
    )  # fmt: skip
    loaders = made.dataloaders(shapes, batch_size=2)
    _, boxes, labels = next(iter(loaders.valid))  # the central 16 rows: 8 to 24
    assert boxes[0].tolist() == [[10, 2, 20, 12], [8, 4, 32, 16]]
    assert [loaders.vocab[i] for i in labels[0]] == ["middle", "big"]
    ((picture, none), (shown, names)) = loaders.samples(next(iter(loaders.valid)))[0]
    assert isinstance(picture, Image)
    assert none is None
    assert isinstance(shown, BoundingBoxes)
    assert names == ["middle", "big"]


def test_batches_of_boxes_are_filled_up(shapes):
    made = block(
        BBoxBlock,
        BBoxLblBlock,
        get_y=[lambda row: [[1, 1, 9, 9]] * int(row["stars"]), lambda row: ["a"] * int(row["stars"])],
    )
    loaders = made.dataloaders(shapes, batch_size=8)
    datasets = loaders.datasets
    batch = loaders.train.load(loaders.train.plan(0)[0])
    counts = [int(datasets.items[i]["stars"]) for i in loaders.train.plan(0)[0].items]
    _, boxes, labels = batch
    assert boxes.shape == (8, max(counts), 4)
    assert [int((row == 1).sum()) for row in labels] == counts
    assert [int((row[:, 2] > row[:, 0]).sum()) for row in boxes] == counts
    assert [len(sample[1][0]) for sample in loaders.samples(batch)] == counts
    assert loaders.samples(batch)[0][1][1] == ["a"] * counts[0]


def test_one_block_makes_loaders_of_several_sources_without_mixing_their_vocabularies():
    made = DataBlock((RegressionBlock, CategoryBlock), get_items=None, getters=[part(0), part(1)])
    first = made.datasets([(i, "ab"[i % 2]) for i in range(20)])
    second = made.datasets([(i, "xyz"[i % 3]) for i in range(20)])
    assert first.encoders[-1].classes == ("a", "b")
    assert second.encoders[-1].classes == ("x", "y", "z")


def test_a_plugins_label_type_needs_an_encoder_and_a_line():
    class Sign(LabelEncoder):
        element = Category

        def encode(self, value):
            return torch.tensor(int(value > 0)).as_subclass(Category)

    @targets(name="sign_of_a_test")
    def sign(classes, /):
        """Whether a number is positive."""
        return Block(Sign())

    try:
        made = DataBlock((RegressionBlock, targets["sign_of_a_test"](None)), get_items=None, getters=[None, None])
        x, y = made.dataloaders([-2.0, 3.0, -1.0, 4.0, 5.0], batch_size=8).one_batch()
        assert torch.equal(y, (x[:, 0] > 0).long())
        assert made.datasets([-2.0, 3.0, 1.0, 1.0, 1.0]).target.kind == "category"
    finally:
        del targets._components["sign_of_a_test"]


def test_the_aug_transforms_take_all_types(shapes):
    made = block(
        MaskBlock, PointBlock, get_y=[mask_of, centre], batch_transforms=aug_transforms(size=20, min_scale=0.6)
    )
    loaders = made.dataloaders(shapes, batch_size=8, normalize="dataset")
    picture, mask, points = loaders.one_batch()
    assert (picture.shape, mask.shape, points.shape) == ((8, 3, 20, 20), (8, 20, 20), (8, 1, 2))
    sample = loaders.samples()[0]
    assert [type(element) for element, _ in sample] == [Image, Mask, KeyPoints]
    assert float(sample[0][0].min()) >= 0
    assert sample[2][0].canvas_size == (20, 20)
