from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from fastcli.data.encoders import Categorize, MultiCategorize, OneHotEncoded, OpenImage, ToNumbers
from fastcli.errors import ConfigError, DataError
from fastcli.types import Category, ImageBW, MultiCategory


def paths(n):
    return [Path(f"{i}.png") for i in range(n)]


def test_the_vocabulary_is_sorted_and_of_the_training_split_alone():
    encoder = Categorize()
    encoder.setup(["cat", "ant", "cat"])
    assert encoder.classes == ("ant", "cat")
    assert encoder.encode_all(["cat", "ant"], paths(2)).tolist() == [1, 0]
    assert isinstance(encoder.encode("cat"), Category)
    assert encoder.decode(torch.tensor(1)) == "cat"
    info = encoder.info(["cat", "ant", "cat"])
    assert (info.kind, info.n_out, info.counts) == ("category", 2, (1, 2))


def test_a_class_unknown_to_training_names_its_files():
    encoder = Categorize()
    encoder.setup(["cat"])
    with pytest.raises(DataError, match=r"class 'dog' is not in the training split: 1.png, 2.png"):
        encoder.encode_all(["cat", "dog", "dog"], paths(3))


def test_given_classes_fix_the_order():
    encoder = Categorize(["b", "a", "c"])
    encoder.setup(["a"])
    assert encoder.classes == ("b", "a", "c")
    with pytest.raises(DataError, match="names 'a' twice"):
        Categorize(["a", "a"])


def test_several_classes_per_sample():
    encoder = MultiCategorize()
    encoder.setup([["sea", "sun"], [], "sand"])
    assert encoder.classes == ("sand", "sea", "sun")
    hot = encoder.encode_all([["sun", "sea"], []], paths(2))
    assert hot.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert isinstance(encoder.encode(["sea"]), MultiCategory)
    assert encoder.decode(hot[0]) == ["sea", "sun"]
    assert encoder.info([["sea", "sun"], ["sea"]]).counts == (0, 2, 1)


def test_numbers():
    encoder = ToNumbers()
    encoder.setup([["1.5", "2"]])
    assert encoder.encode_all([["1.5", "2"], [3, 4]], paths(2)).tolist() == [[1.5, 2.0], [3.0, 4.0]]
    with pytest.raises(DataError, match=r"1.png: the target 'x' is not a number"):
        ToNumbers(1).encode_all([1, "x"], paths(2))
    with pytest.raises(DataError, match=r"1.png: 3 numbers, but 0.png has 2"):
        encoder.encode_all([[1, 2], [1, 2, 3]], paths(2))


def test_what_a_model_says_of_one_class():
    encoder, logits = Categorize(["a", "b", "c"]), torch.tensor([[1.0, 3.0, 2.0]])
    assert torch.equal(encoder.scores(logits), logits.softmax(1))
    assert encoder.decide(encoder.scores(logits)).tolist() == [1]
    assert (encoder.info([]).loss, encoder.info([]).metrics) == ("cross_entropy", ("error_rate",))
    two = Categorize(["a", "b"])
    one_output = two.scores(torch.tensor([[0.0], [2.0]]))
    torch.testing.assert_close(one_output[:, 1], torch.tensor([0.0, 2.0]).sigmoid())
    torch.testing.assert_close(one_output.sum(1), torch.ones(2))
    assert two.decide(one_output).tolist() == [0, 1]


def test_what_a_model_says_of_several_classes_and_of_numbers():
    encoder = MultiCategorize(["a", "b"])
    scores = encoder.scores(torch.tensor([[-1.0, 1.0]]))
    assert encoder.decide(scores).tolist() == [[0, 1]]
    assert encoder.decide(scores, threshold=0.2).tolist() == [[1, 1]]
    assert encoder.decode(encoder.decide(scores)[0]) == ["b"]
    assert (encoder.info([]).loss, encoder.info([]).metrics) == ("binary_cross_entropy", ("accuracy_multi",))
    numbers = torch.tensor([[1.5, -2.0]], dtype=torch.float64)
    assert ToNumbers(2).decide(ToNumbers(2).scores(numbers)).tolist() == [[1.5, -2.0]]
    assert (ToNumbers(2).info([]).loss, ToNumbers(2).info([]).metrics) == ("mean_squared", ("mae",))


def test_unknown_labels_may_have_a_class_of_their_own():
    encoder = Categorize(add_na=True)
    encoder.setup(["cat", "ant"])
    assert encoder.classes == ("#na#", "ant", "cat")
    assert encoder.encode_all(["cat", "dog"], paths(2)).tolist() == [2, 0]
    assert encoder.info(["cat", "dog"]).counts == (1, 0, 1)
    several = MultiCategorize(["a"], add_na=True)
    assert several.encode_all([["a"], ["x", "a"]], paths(2)).tolist() == [[0, 1], [1, 1]]


def test_numbers_are_sorted_as_numbers_and_labels_may_keep_their_order():
    encoder = Categorize()
    encoder.setup([10, 9, 10])
    assert encoder.classes == ("9", "10")
    encoder = Categorize(sort=False)
    encoder.setup(["b", "a", "b"])
    assert encoder.classes == ("b", "a")
    encoder = Categorize()
    encoder.setup([True, False])
    assert encoder.classes == ("False", "True")


def test_labels_that_are_zeros_and_ones_already():
    encoder = OneHotEncoded(["a", "b", "c"])
    assert encoder.encode_all([["1", "0", 1], [0, 0, 0]], paths(2)).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert encoder.decode(encoder.encode(["1", "0", "1"])) == ["a", "c"]
    assert encoder.info([["1", "0", "1"], [1, 0, 0]]).counts == (2, 0, 1)
    with pytest.raises(DataError, match=r"1.png: labels must be 0 or 1, these are \[0.0, 2.0, 0.0\]"):
        encoder.encode_all([[0, 1, 0], [0, 2, 0]], paths(2))
    with pytest.raises(DataError, match=r"0.png: 2 numbers, but 3 are expected"):
        encoder.encode_all([[0, 1]], paths(1))
    with pytest.raises(ConfigError, match="do not name their classes"):
        OneHotEncoded()


def test_numbers_must_be_finite():
    with pytest.raises(DataError, match="0.png: the target 'nan' is not finite"):
        ToNumbers(1).encode_all(["nan"], paths(1))


def test_pictures_come_from_files_arrays_and_pillow(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    picture = PIL.Image.fromarray(pixels)
    picture.save(tmp_path / "a.png")
    made = [OpenImage().encode(source) for source in (tmp_path / "a.png", pixels, picture)]
    assert all(torch.equal(image, made[0]) for image in made)
    grey = OpenImage("L").encode(picture)
    assert (type(grey), grey.shape) == (ImageBW, (1, 2, 4))
    assert OpenImage("L").info([]).n_out == 1
