import pytest

from fastcli.config.edit import edited, set_value
from fastcli.errors import ConfigError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("train: {recipe: fit, lr: 1e-3} # c\n", "train: {recipe: fit, lr: 0.02} # c\n"),
        ("train: {recipe: fit} # c\nloss: null\n", "train: {recipe: fit, lr: 0.02} # c\nloss: null\n"),
        ("train: {}\n", "train: {lr: 0.02}\n"),
        ("train:\n  recipe: fit # a\n  epochs: 2   # b\n\n# next\nloss: null\n",
         "train:\n  recipe: fit # a\n  epochs: 2   # b\n  lr: 0.02\n\n# next\nloss: null\n"),
        ("train:\n  momentum:\n    - 1\n    - 2 # b\nloss: null\n",
         "train:\n  momentum:\n    - 1\n    - 2 # b\n  lr: 0.02\nloss: null\n"),
        ("# head\nmodel: mlp\n", "# head\nmodel: mlp\ntrain: {lr: 0.02}\n"),
        ("train: fit_one_cycle # c\n", "train: {recipe: fit_one_cycle, lr: 0.02} # c\n"),
        ("train:\n  lr: [1e-4, 1e-2] # pair", "train:\n  lr: 0.02 # pair"),
        ("model: mlp\ntrain:\n  lr: 1.0", "model: mlp\ntrain:\n  lr: 0.02"),
    ],
)  # fmt: skip
def test_only_the_value_changes(before, after):
    assert edited(before, "train", "lr", "0.02") == after


def test_the_file_is_written(tmp_path):
    path = tmp_path / "ä b.yaml"
    path.write_text("# ü\ntrain: {lr: 1}\n", encoding="utf-8")
    set_value(path, "train.lr", 2.09e-3)
    assert path.read_text(encoding="utf-8") == "# ü\ntrain: {lr: 0.00209}\n"


def test_an_edit_that_would_go_wrong_leaves_the_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("base: &t {lr: 1}\ntrain: *t\n")
    with pytest.raises(ConfigError, match="without changing something else"):
        set_value(path, "train.lr", 0.1)
    assert path.read_text() == "base: &t {lr: 1}\ntrain: *t\n"
