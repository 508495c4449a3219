from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastcli.data.spatial_encoders import BoxesEncoder, BoxLabels, OpenMask, PointsEncoder
from fastcli.errors import ConfigError, DataError
from fastcli.types import BoundingBoxes, KeyPoints, Mask

PATHS = [Path(f"{i}.png") for i in range(3)]


def save(folder, name, codes):
    Image.fromarray(np.array(codes, dtype=np.uint8)).save(folder / name)
    return folder / name


def test_a_mask_holds_codes_of_named_classes(tmp_path):
    file = save(tmp_path, "1.png", [[0, 2], [1, 0]])
    encoder = OpenMask(["ground", "disc", "square", "void"])
    mask = encoder.encode(file)
    assert isinstance(mask, Mask)
    assert mask.tolist() == [[[0, 2], [1, 0]]]
    assert encoder.decode(mask) == ["ground", "disc", "square"]
    info = encoder.info([])
    assert (info.kind, info.n_out, info.loss, info.metrics) == (
        "mask",
        4,
        "cross_entropy",
        ("foreground_accuracy", "dice"),
    )


def test_a_code_of_no_class_names_its_file(tmp_path):
    with pytest.raises(
        DataError, match=r"1.png: the mask has the code 5, but the 3 classes are 0 to 2\nhint: name every"
    ):
        OpenMask(3).encode(save(tmp_path, "1.png", [[0, 5]]))


def test_codes_that_are_not_given_are_found_in_training_masks(tmp_path):
    files = [save(tmp_path, "1.png", [[0, 3]]), save(tmp_path, "2.png", [[1, 1]])]
    encoder = OpenMask()
    encoder.setup(files)
    assert encoder.classes == ("0", "1", "2", "3")


def test_black_and_white_masks_are_two_classes(tmp_path):
    file = save(tmp_path, "1.png", [[0, 255], [255, 0]])
    encoder = OpenMask()
    encoder.setup([file])
    assert encoder.classes == ("0", "1")
    assert encoder.encode(file).tolist() == [[[0, 1], [1, 0]]]
    with pytest.raises(DataError, match="the mask has the code 255"):
        OpenMask(3).encode(file)


def test_masks_are_decided_by_the_likeliest_class():
    logits = torch.randn(2, 3, 4, 5)
    encoder = OpenMask(3)
    assert torch.equal(encoder.scores(logits), logits.softmax(1))
    assert torch.equal(encoder.decide(encoder.scores(logits)), logits.argmax(1))
    one = torch.tensor([-1.0, 2.0]).view(1, 1, 1, 2)
    assert OpenMask(2).decide(OpenMask(2).scores(one)).tolist() == [[[0, 1]]]


def test_points_lie_on_the_opened_picture():
    encoder = PointsEncoder()
    values = [["1", "2", "3", "4.5"], [[5, 6], [7, 8]]]
    encoder.setup(values)
    assert (encoder.count, encoder.info(values).n_out) == (2, 4)
    numbers = encoder.encode_each(values, PATHS[:2])
    assert numbers[0].tolist() == [[1, 2], [3, 4.5]]
    points = encoder.lay(numbers[1], (10, 20))
    assert isinstance(points, KeyPoints)
    assert points.canvas_size == (10, 20)
    assert encoder.decode(points) == [[5, 6], [7, 8]]
    assert PointsEncoder(order="yx").encode([1, 2]).tolist() == [[2, 1]]
    assert encoder.scores(torch.arange(4.0)[None]).tolist() == [[[0, 1], [2, 3]]]


def test_points_of_different_counts_name_two_files():
    encoder = PointsEncoder()
    encoder.setup([[1, 2]])
    with pytest.raises(DataError, match=r"1.png: 4 numbers, but 0.png has 2\nhint: give every item as many"):
        encoder.encode_each([[1, 2], [1, 2, 3, 4]], PATHS[:2])
    with pytest.raises(DataError, match=r"0.png: the target \['a', 2\] is not a number"):
        encoder.encode_each([["a", 2]], PATHS[:1])
    encoder = PointsEncoder()
    encoder.setup([["a", 2]])
    with pytest.raises(DataError, match="is not a number"):
        encoder.encode_each([["a", 2]], PATHS[:1])
    with pytest.raises(ConfigError, match="points and boxes need a picture"):
        encoder.lay(torch.zeros(1, 2), None)


def test_boxes_and_their_labels():
    boxes = BoxesEncoder("tlbr")
    assert boxes.encode([[1, 2, 3, 4]]).tolist() == [[2, 1, 4, 3]]
    assert boxes.encode([]).shape == (0, 4)
    assert isinstance(boxes.lay(boxes.encode([[1, 2, 3, 4]]), (9, 9)), BoundingBoxes)
    with pytest.raises(DataError, match="0.png: 5 numbers"):
        boxes.encode_each([[1, 2, 3, 4, 5]], PATHS[:1])
    labels = BoxLabels()
    labels.setup([["dog", "cat"], []])
    assert labels.classes == ("#na#", "cat", "dog")
    assert labels.encode(["dog", "unknown"]).tolist() == [2, 0]
    assert labels.decode(torch.tensor([2, 1])) == ["dog", "cat"]
    assert labels.info([["dog", "cat"], ["dog"]]).counts == (0, 1, 2)
    strict = BoxLabels(["cat"], add_na=False)
    with pytest.raises(DataError, match="class 'dog' is not in the training split: 0.png"):
        strict.encode_each([["dog"]], PATHS[:1])
