import pytest

from fastcli.data import blocks
from fastcli.errors import ConfigError
from fastcli.registry import targets


def encoder(name, classes=None, **params):
    return targets.build(name, classes, **params).encoder


def test_the_targets_of_a_configuration():
    assert set(targets) >= {"category", "multi_category", "regression", "mask", "points"}
    assert targets.keys_of("mask") == ["codes"]
    assert encoder("category", ["b", "a"]).classes == ("b", "a")
    assert encoder("category", add_na=True, sort=False).add_na
    assert type(encoder("multi_category", ["a"], encoded=True)).__name__ == "OneHotEncoded"
    assert encoder("regression", n_out=3).n_out == 3
    assert encoder("mask", ["sky", "tree"]).classes == encoder("mask", codes=["sky", "tree"]).classes == ("sky", "tree")
    assert encoder("mask", codes=3).classes == ("0", "1", "2")
    assert encoder("points", count=5, order="yx").count == 5


@pytest.mark.parametrize(
    ("name", "classes", "params", "words"),
    [("regression", ["a"], {}, "a regression target has no classes"),
     ("points", ["a"], {}, "a points target has no classes"), ("mask", ["a"], {"codes": 2}, "given twice"),
     ("multi_category", None, {"encoded": True}, "do not name their classes"),
     ("points", None, {"order": "zz"}, "parameter 'order'"), ("mask", None, {"code": 2}, "did you mean 'codes'")],
)  # fmt: skip
def test_what_does_not_fit_is_told(name, classes, params, words):
    with pytest.raises(ConfigError, match=words):
        targets.build(name, classes, **params)


def test_fastai_names_make_the_same_encoders():
    pairs = [(blocks.CategoryBlock(), "category"), (blocks.MultiCategoryBlock(), "multi_category"),
             (blocks.RegressionBlock(), "regression"), (blocks.MaskBlock(), "mask"),
             (blocks.PointBlock(), "points")]  # fmt: skip
    for block, name in pairs:
        assert type(block.encoder) is type(encoder(name))
    assert blocks.MultiCategoryBlock(["a"], encoded=True).encoder.classes == ("a",)
