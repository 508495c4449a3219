from pathlib import Path

import pytest
import torch

from fastcli.data.encoders import Categorize, MultiCategorize, ToNumbers
from fastcli.errors import DataError
from fastcli.types import Category, MultiCategory


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
