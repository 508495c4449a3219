from __future__ import annotations

import random as standard_random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from fastcli.data.items import Row
from fastcli.data.split_file import split_rows
from fastcli.data.splitters import (
    by_flags,
    by_function,
    column,
    end,
    file,
    grandparent,
    group,
    guess_layout,
    index,
    random,
    stratified,
    subset,
)
from fastcli.errors import ConfigError, DataError
from fastcli.registry import splitters
from fastcli.run.directory import Run

ITEMS = [Path(f"d/{'cat' if i % 3 else 'dog'}/{i}.png") for i in range(50)]
LABELS = [path.parent.name for path in ITEMS]
GOLDEN_RANDOM = [14, 25, 31, 36, 49]
GOLDEN_STRATIFIED = [0, 14, 23, 30, 31]
GOLDEN_GROUP = [0, 5, 6, 7, 8]


def rows(*cells: str, name: str = "is_valid") -> list[Row]:
    return [Row({"path": f"{i}.png", name: cell}, Path(f"{i}.png")) for i, cell in enumerate(cells)]


def sides(items: list[Any], split: tuple[list[int], list[int]]) -> tuple[set[Any], set[Any]]:
    return {items[i] for i in split[0]}, {items[i] for i in split[1]}


def is_partition(split: tuple[list[int], list[int]], n: int) -> bool:
    return sorted(split[0] + split[1]) == list(range(n)) and all(side == sorted(side) and side for side in split)


SHUFFLING = [
    lambda items, labels, **options: random(items, labels, **options),
    lambda items, labels, **options: stratified(items, labels, **options),
    lambda items, labels, **options: group(items, labels, pattern="([0-9])", **options),
]


@pytest.mark.parametrize("split", SHUFFLING)
def test_a_seed_decides_and_neither_order_nor_global_state_does(split: Any) -> None:
    before = (standard_random.getstate(), np.random.get_state()[1].tolist())
    first = split(ITEMS, LABELS, seed=7)
    assert is_partition(first, 50)
    assert split(ITEMS, LABELS, seed=7) == first
    assert split(ITEMS, LABELS, seed=8) != first
    assert split(ITEMS, LABELS, seed=None) == split(ITEMS, LABELS, seed=0)
    other, labels = ITEMS[::-1], LABELS[::-1]
    assert sides(other, split(other, labels, seed=7)) == sides(ITEMS, first)
    moved = [Path("/elsewhere") / path for path in ITEMS]
    assert split(moved, LABELS, seed=7) == first
    assert (standard_random.getstate(), np.random.get_state()[1].tolist()) == before


def test_splits_stay_what_they_were() -> None:
    """A changed draw would silently move images between training and validation of everybody's runs."""
    assert random(ITEMS, LABELS, valid_pct=0.1, seed=42)[1] == GOLDEN_RANDOM
    assert stratified(ITEMS, LABELS, valid_pct=0.1, seed=42)[1] == GOLDEN_STRATIFIED
    assert group(ITEMS, LABELS, pattern="([0-9])", valid_pct=0.1, seed=42)[1] == GOLDEN_GROUP


@pytest.mark.parametrize(("n", "share", "n_valid"), [(50, 0.2, 10), (7, 0.2, 1), (100, 0.29, 29), (7390, 0.2, 1478)])
def test_the_share_is_rounded_down_as_in_fastai(n: int, share: float, n_valid: int) -> None:
    assert len(random(list(map(str, range(n))), [], valid_pct=share)[1]) == n_valid


def test_items_of_any_type_can_be_split() -> None:
    assert is_partition(random([object() for _ in range(10)], []), 10)


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1])
def test_shares_outside_zero_and_one_are_refused(share: float) -> None:
    for name, options in (("random", {}), ("stratified", {}), ("group", {"pattern": "(.)"})):
        with pytest.raises(ConfigError, match="valid_pct"):
            splitters.check(name, valid_pct=share, **options)
    with pytest.raises(ConfigError, match="valid_pct"):
        random(ITEMS, LABELS, valid_pct=share)
    with pytest.raises(ConfigError, match="negative"):
        random(ITEMS, LABELS, seed=-1)


def test_too_few_items_say_what_to_change() -> None:
    with pytest.raises(DataError, match=r"nothing for validation\nhint: there are 3 items"):
        random(ITEMS[:3], LABELS[:3])
    with pytest.raises(DataError, match=r"4 items of 4 classes, each keeps one"):
        stratified(ITEMS[:4], ["a", "b", "c", "d"], valid_pct=0.5)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.floats(0.01, 0.99), st.integers(0, 3))
def test_every_class_keeps_its_share_and_one_for_training(sizes: list[int], share: float, seed: int) -> None:
    labels = [f"c{c}" for c, size in enumerate(sizes) for _ in range(size)]
    items = [Path(f"{label}/{i}.png") for i, label in enumerate(labels)]
    try:
        train, valid = stratified(items, labels, valid_pct=share, seed=seed)
    except DataError:
        assert all(size == 1 for size in sizes) or share * len(items) < 1.001
        return
    trained, validated = Counter(labels[i] for i in train), Counter(labels[i] for i in valid)
    for c, size in enumerate(sizes):
        assert trained[f"c{c}"] >= 1
        assert abs(validated[f"c{c}"] - min(share * size, size - 1)) < 1 + 1e-6
    assert sorted(train + valid) == list(range(len(items)))


def test_stratified_counts_are_those_of_scikit_learn() -> None:
    labels = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    items = [Path(f"{i:03}.png") for i in range(100)]
    ours = Counter(labels[i] for i in stratified(items, labels, valid_pct=0.2, seed=1)[1])
    theirs = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=1).split(labels, labels))[1]
    assert ours == Counter(labels[i] for i in theirs)


def test_lists_of_labels_are_classes_whatever_their_order() -> None:
    labels = [["a", "b"], ["b", "a"]] * 10
    _, valid = stratified(ITEMS[:20], labels, valid_pct=0.1)
    assert len(valid) == 2


def test_grandparent_folders_split_and_others_take_no_part() -> None:
    items = [Path(f"d/{name}/cat/1.png") for name in ("train", "val", "test", "valid", "validation", "train")]
    assert grandparent(items, []) == ([0, 5], [1, 3, 4])
    assert grandparent(items, [], valid="test") == ([0, 5], [2])
    assert grandparent(items, [], train=("train", "val"), valid=("test",)) == ([0, 1, 5], [2])
    assert splitters.build("grandparent", items, [], valid=["test"]) == ([0, 5], [2])
    with pytest.raises(DataError, match="the folders two above the files are: test, train, val"):
        grandparent(items, [], train="training")


def test_a_column_splits() -> None:
    items = rows("True", "false", "", "1", "0", "valid", "test", "YES", "train", "1.0")
    assert column(items, []) == ([1, 2, 4, 8], [0, 3, 5, 7, 9])
    named = rows("valid", "train", name="fold")
    assert column(named, [], column="fold") == column(named, [], column=1) == ([1], [0])
    with pytest.raises(DataError, match=r"'is_valid' of 1\.png says 'maybe'"):
        column(rows("true", "maybe"), [])
    with pytest.raises(DataError, match="nothing for validation"):
        column(rows("false"), [])
    with pytest.raises(DataError, match="did you mean 'is_valid'"):
        column(rows("true"), [], column="isvalid")
    with pytest.raises(ConfigError, match="needs rows"):
        column(ITEMS, [])


def test_positions_split() -> None:
    assert index(ITEMS[:4], [], valid=[3, 1, 1]) == ([0, 2], [1, 3])
    for bad in (-1, 4):
        with pytest.raises(ConfigError, match=f"no item {bad}"):
            index(ITEMS[:4], [], valid=[bad])
    with pytest.raises(DataError, match="nothing for training"):
        index(ITEMS[:1], [], valid=[0])


@given(st.lists(st.integers(1, 9), min_size=2, max_size=12), st.floats(0.05, 0.95), st.integers(0, 3))
def test_groups_stay_whole_and_near_the_share(sizes: list[int], share: float, seed: int) -> None:
    items = [Path(f"p{g}_{i}.png") for g, size in enumerate(sizes) for i in range(size)]
    train, valid = group(items, [], pattern=r"^(p\d+)_", valid_pct=share, seed=seed)
    assert is_partition((train, valid), len(items))
    assert not {items[i].name.split("_")[0] for i in train} & {items[i].name.split("_")[0] for i in valid}
    assert abs(len(valid) - share * len(items)) <= max(sizes)


def test_groups_by_path_or_column() -> None:
    paths = [Path(f"d/{patient}/{i}.png") for patient in "abcde" for i in range(2)]
    assert len(group(paths, [], pattern="/([a-e])/", on="path")[1]) == 2
    table = rows(*"aabbccddee", name="patient")
    train, valid = group(table, [], column="patient")
    assert not {table[i]["patient"] for i in train} & {table[i]["patient"] for i in valid}
    with pytest.raises(DataError, match="there are only 1 groups"):
        group(rows("a", "a", name="patient"), [], column=1)
    for options in ({}, {"pattern": "(a)", "column": 1}):
        with pytest.raises(ConfigError, match="either a pattern or a column"):
            group(table, [], **options)


def test_a_written_split_is_read_back_anywhere(tmp_path: Path) -> None:
    root = tmp_path / "a b"
    items = [root / "ü,1" / "1.png", root / "x" / "ü,1" / "1.png", root / "x" / "2.png", root / "3.png"]
    split = ([0, 3], [1])
    Run(tmp_path).write_split(split_rows(items, ["a", ["b", "c"], "", "d"], *split, root))
    assert file(items, [], path=str(tmp_path / "split.csv")) == split
    moved = [Path("/other") / path.relative_to(root) for path in items]
    assert file(moved, [], path=str(tmp_path / "split.csv")) == split
    with pytest.raises(DataError, match=r"1 of 3 files named in .* are not among the items: 3\.png"):
        file(moved[:3], [], path=str(tmp_path / "split.csv"))


def test_a_list_of_names_splits(tmp_path: Path) -> None:
    items = [Path(name) for name in ("d/cat/1.png", "d/dog/1.png", "d/dog/2.png", "d/dog/3.png")]
    path = tmp_path / "valid.txt"
    path.write_text("\n2.png\n  dog/1.png \n", encoding="utf-8")
    assert file(items, [], path=str(path)) == ([0, 3], [1, 2])
    path.write_text("1.png")
    with pytest.raises(DataError, match=r"'1\.png' names 2 files"):
        file(items, [], path=str(path))
    path.write_text("4.png\n5.png")
    with pytest.raises(DataError, match="2 of 2 files named"):
        file(items, [], path=str(path))
    path.write_text("")
    with pytest.raises(DataError, match="nothing for validation"):
        file(items, [], path=str(path))
    with pytest.raises(DataError, match="cannot read"):
        file(items, [], path=str(tmp_path / "none.txt"))


def layout(*names: str) -> list[Path]:
    return [Path("root") / name / "x.png" for name in names]


@pytest.mark.parametrize(
    ("items", "label", "split"),
    [
        (layout("train/a", "valid/a", "test/a"), "parent", {"name": "grandparent", "train": "train", "valid": "valid"}),
        (layout("train/a", "val/b"), "parent", {"name": "grandparent", "train": "train", "valid": "val"}),
        (layout("training/1", "testing/2"), "parent", {"name": "grandparent", "train": "training", "valid": "testing"}),
        (layout("train/a", "test/b"), "parent", {"name": "grandparent", "train": "train", "valid": "test"}),
        (layout("cat", "dog"), "parent", {"name": "random"}),
        (layout("train", "valid"), "parent", {"name": "random"}),
        (layout("train/a"), "parent", {"name": "random"}),
        (rows("true", "false"), "column", {"name": "column"}),
        (rows("a", "b", name="label"), "column", {"name": "random"}),
        ([], "parent", {"name": "random"}),
    ],
)
def test_the_arrangement_suggests_label_and_split(items: list[Any], label: str, split: dict[str, Any]) -> None:
    assert guess_layout(items) == guess_layout(items, Path("root")) == (label, split)
    assert splitters.check(**split)


def test_folders_above_the_root_suggest_nothing() -> None:
    items = [Path("train/data/1.png"), Path("valid/data/2.png")]
    assert guess_layout(items, Path("train"))[1] == {"name": "random"}


def test_they_are_registered_for_yaml() -> None:
    assert set(splitters) >= {"random", "stratified", "grandparent", "column", "file", "index", "group"}
    with pytest.raises(ConfigError, match="no parameter 'valid'"):
        splitters.check("random", valid=0.2)


def test_fastai_random_splitter_seeds_torch_globally_and_ours_does_not() -> None:
    before = torch.random.get_rng_state()
    random(ITEMS, LABELS, seed=42)
    subset(ITEMS, LABELS, train_pct=0.3, seed=42)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_end_of_the_list_validates() -> None:
    assert end(ITEMS, LABELS, valid_pct=0.1) == (list(range(45)), [45, 46, 47, 48, 49])
    assert end(ITEMS, LABELS, valid_pct=0.1, last=False) == (list(range(5, 50)), [0, 1, 2, 3, 4])
    with pytest.raises(DataError, match="leaves nothing for validation"):
        end(ITEMS[:3], LABELS, valid_pct=0.1)


def test_a_subset_is_drawn_for_both_sides() -> None:
    train, valid = subset(ITEMS, LABELS, train_pct=0.3, valid_pct=0.1, seed=1)
    assert (len(train), len(valid)) == (15, 5)
    assert not set(train) & set(valid)
    assert valid == random(ITEMS, LABELS, valid_pct=0.1, seed=1)[1]
    with pytest.raises(ConfigError, match="more than the whole"):
        subset(ITEMS, LABELS, train_pct=0.9, valid_pct=0.2)


def test_flags_and_functions_split() -> None:
    is_dog = [label == "dog" for label in LABELS]
    train, valid = by_flags(is_dog)(ITEMS, LABELS)
    assert valid == [i for i, dog in enumerate(is_dog) if dog]
    assert by_function(lambda path: path.parent.name == "dog")(ITEMS, LABELS) == (train, valid)
    with pytest.raises(DataError, match="2 flags for 50 items"):
        by_flags([True, False])(ITEMS, LABELS)
