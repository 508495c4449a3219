"""One sample's image, mask, points and boxes move together, in every geometric transform that is registered.

A bright block on black is drawn into the image and the mask, its centre is the point and its outline the box. After a
transform each is looked for again: all must be in the same place.
"""

from __future__ import annotations

import pytest
import torch

from fastcli.registry import batch_transforms, item_transforms
from fastcli.transforms import foreign, placement  # noqa: F401 - they register
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.foreign import GEOMETRIC, Foreign
from fastcli.transforms.geometry import BatchResize, Geometric
from fastcli.transforms.item import ItemPipeline, Resize
from fastcli.types import BoundingBoxes, Image, KeyPoints, Mask, typed

HEIGHT, WIDTH, N = 60, 80, 24
BATCH = {
    "aug_transforms": {"size": 48, "min_scale": 0.6, "max_lighting": 0, "max_zoom": 1.4},
    "deterministic_dihedral": {},
    "deterministic_flip": {},
    "dihedral": {"p": 0.9},
    "flip": {},
    "random_resized_crop": {"size": (40, 50), "min_scale": 0.4},
    "resize": {"size": (90, 70)},
    "rotate": {"max_deg": 60, "p": 0.9},
    "warp": {"magnitude": 0.3, "p": 0.9},
    "zoom": {"min_zoom": 0.7, "max_zoom": 1.8, "p": 0.9},
}
ITEM = {
    "center_crop": {"size": [50, 60]},
    "crop_pad": {"size": [50, 90]},
    "dihedral_item": {},
    "elastic_transform": {"alpha": 20.0, "interpolation": "bilinear"},
    "flip_item": {},
    "pad": {"padding": [1, 2, 3, 4]},
    "random_affine": {"degrees": 40, "translate": [0.1, 0.1], "scale": [0.8, 1.3], "shear": 10},
    "random_crop": {"size": [50, 70]},
    "random_horizontal_flip": {},
    "random_perspective": {"p": 0.9, "distortion_scale": 0.3},
    "random_resize": {"min_size": 40, "max_size": 100},
    "random_resized_crop": {"size": [40, 60], "min_scale": 0.4},
    "random_rotation": {"degrees": 60},
    "random_shortest_size": {"min_size": [30, 50, 90]},
    "random_vertical_flip": {},
    "random_zoom_out": {"side_range": [1, 2], "p": 0.9},
    "ratio_resize": {"max_size": 50},
    "resize": {"size": 40},
    "scale_jitter": {"target_size": [60, 80], "scale_range": [0.5, 1.5]},
}


def sample(height, width, row, column, half=4):
    """Image, mask, point and box of one block."""
    pixels = torch.zeros(height, width, 3, dtype=torch.uint8)
    pixels[row - half : row + half + 1, column - half : column + half + 1] = 255
    box = [column - half, row - half, column + half + 1, row + half + 1]
    return (typed(pixels.permute(2, 0, 1), Image), typed((pixels[None, ..., 0] > 0).to(torch.uint8), Mask),
            KeyPoints([[column + 0.5, row + 0.5]], canvas_size=(height, width)),
            BoundingBoxes([[float(side) for side in box]], format="XYXY", canvas_size=(height, width)))  # fmt: skip


def centre(weights):
    """Where a plane of weights has its centre of gravity, as x and y."""
    weights = weights.double()
    y, x = (torch.arange(length) + 0.5 for length in weights.shape)
    return torch.stack([(weights.sum(0) * x).sum(), (weights.sum(1) * y).sum()]) / weights.sum()


def agree(image, mask, point, box, tolerance=1.0):
    """Check that all are in one place; False where the block is not wholly to be seen."""
    height, width = image.shape
    if box[0] < 2 or box[1] < 2 or box[2] > width - 2 or box[3] > height - 2:
        return False
    rows, columns = torch.where(mask > 0)
    edges = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert (centre(image) - point).abs().max() < tolerance
    assert (centre(mask) - point).abs().max() < tolerance
    assert ((box[:2] + box[2:]) / 2 - point).abs().max() < 1.5 * tolerance
    assert (edges - box).abs().max() < 2 + tolerance
    return True


def geometric_batches():
    """The names of the registered batch transforms that move pixels."""
    for name in batch_transforms:
        made = batch_transforms.build(name, **BATCH.get(name, {}))
        if any(isinstance(transform, Geometric) for transform in (made if isinstance(made, list) else [made])):
            yield name


def geometric_items():
    """The names of the registered item transforms that move pixels."""
    for name in item_transforms:
        made = item_transforms.build(name, **ITEM[name]) if name in ITEM else None
        own = item_transforms[name].__module__ != foreign.__name__ and name != "jpeg"
        if own or (isinstance(made, Foreign) and type(made.transform).__name__ in GEOMETRIC):
            yield name


@pytest.mark.parametrize("train", [True, False], ids=["train", "valid"])
@pytest.mark.parametrize("name", list(geometric_batches()))
def test_all_types_move_together_in_every_batch_transform(name, train):
    made = batch_transforms.build(name, **BATCH[name])
    made = [t for t in (made if isinstance(made, list) else [made]) if not isinstance(t, BatchResize) or t.size]
    reading = BatchResize(next((t.size for t in made if isinstance(t, BatchResize)), None), pad_mode="zeros")
    pipeline = BatchPipeline([*(t for t in made if not isinstance(t, BatchResize)), reading])
    random = torch.Generator().manual_seed(0)
    places = torch.randint(14, HEIGHT - 14, (N, 2), generator=random).tolist()
    parts = zip(*(sample(HEIGHT, WIDTH, row, column + 10) for row, column in places), strict=True)
    elements = [torch.stack(list(part)).as_subclass(kind) for part, kind in
                zip(parts, (Image, Mask, KeyPoints, BoundingBoxes), strict=True)]  # fmt: skip
    images, masks, points, boxes = pipeline(elements, random, train=train)
    points = pipeline.decode_element(KeyPoints, points, images.shape[-2:]).as_subclass(torch.Tensor)
    both = [agree(image[0], mask, point[0], box[0])
            for image, mask, point, box in zip(images, masks, points, boxes, strict=True)]  # fmt: skip
    assert sum(both) >= 5


@pytest.mark.parametrize("train", [True, False], ids=["train", "valid"])
@pytest.mark.parametrize("name", list(geometric_items()))
def test_all_types_move_together_in_every_item_transform(name, train):
    pipeline = ItemPipeline([item_transforms.build(name, **ITEM[name])])
    random = torch.Generator().manual_seed(0)
    rows, seen = pipeline.draw(N, random), 0
    for i, (row, column) in enumerate(torch.randint(14, HEIGHT - 14, (N, 2), generator=random).tolist()):
        drawn = [None if r is None else r[i] for r in rows] if train else None
        parts = [pipeline.finish(pipeline.prepare(part), drawn) for part in sample(HEIGHT, WIDTH, row, column + 10)]
        image, mask, points, boxes = parts
        assert [type(part) for part in parts] == [Image, Mask, KeyPoints, BoundingBoxes]
        assert image.shape[1:] == mask.shape[1:] == points.canvas_size == boxes.canvas_size
        seen += agree(image[0], mask[0], *(part[0].as_subclass(torch.Tensor) for part in (points, boxes)))
    assert seen >= 5


@pytest.mark.parametrize("train", [True, False], ids=["train", "valid"])
def test_all_types_move_together_through_presizing(train):
    """Items resized and cut, then the usual augmentation at a smaller size: what `Resize(460)` and size 224 do."""
    items = ItemPipeline([Resize(56), item_transforms.build("random_horizontal_flip")])
    batches = BatchPipeline(
        batch_transforms.build("aug_transforms", size=36, min_scale=0.7, max_lighting=0, pad_mode="zeros")
    )
    random = torch.Generator().manual_seed(2)
    rows, collected = items.draw(N, random), []
    for i in range(N):
        drawn = [None if r is None else r[i] for r in rows] if train else None
        collected.append([items.finish(items.prepare(p), drawn) for p in sample(HEIGHT, WIDTH, 24 + i % 9, 32 + i)])
    kinds = [type(part) for part in collected[0]]
    elements = [torch.stack(part).as_subclass(kind) for part, kind in
                zip(zip(*collected, strict=True), kinds, strict=True)]  # fmt: skip
    images, masks, points, boxes = batches(elements, random, train=train)
    points = batches.decode_element(KeyPoints, points, images.shape[-2:]).as_subclass(torch.Tensor)
    assert sum(agree(*four) for four in zip(images[:, 0], masks, points[:, 0], boxes[:, 0], strict=True)) >= 5
