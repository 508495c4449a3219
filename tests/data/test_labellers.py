from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastcli.data.items import Row
from fastcli.data.labellers import column, grandparent, is_cat, label_all, mask_file, parent, regex
from fastcli.errors import ConfigError, DataError
from fastcli.registry import labellers

ROW = Row({"path": "x/1.png", "tags": "a; b;;c ", "x": "1.5", "y": "-2"}, Path("d/train/x/1.png"))


def test_folders_label_paths_and_rows() -> None:
    for item in (Path("d/train/ü ö/1.png"), "d/train/ü ö/1.png"):
        assert (parent(item), grandparent(item)) == ("ü ö", "train")
    assert (parent(ROW), grandparent(ROW)) == ("x", "train")
    assert parent(Path("1.png")) == ""


@pytest.mark.parametrize(
    ("name", "breed"),
    [
        ("great_pyrenees_173.jpg", "great_pyrenees"),
        ("Abyssinian_1.jpg", "Abyssinian"),
        ("wheaten terrier_10.jpg", "wheaten terrier"),
    ],
)
def test_regex_takes_the_first_group_of_the_name(name: str, breed: str) -> None:
    assert regex(Path("images_9.jpg") / name, pattern=r"^(.+)_\d+\.jpg$") == breed


def test_regex_can_read_the_whole_path_with_slashes() -> None:
    assert regex(Path("d") / "patient7" / "1.png", pattern="/(patient[0-9]+)/", on="path") == "patient7"


def test_regex_names_the_file_that_does_not_match() -> None:
    with pytest.raises(DataError, match=r"the name of a/b\.png does not match '\(x\)'"):
        regex(Path("a/b.png"), pattern="(x)")
    with pytest.raises(DataError, match="does not match"):
        regex(Path("a/b.png"), pattern="(x)?b")


@pytest.mark.parametrize(("pattern", "why"), [("(", "bad pattern"), ("abc", "has no group")])
def test_a_bad_pattern_is_the_configurations_fault(pattern: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        regex(Path("a/b.png"), pattern=pattern)


def test_capitals_are_cats() -> None:
    assert [is_cat(Path("d") / name) for name in ("Bengal_1.jpg", "beagle_2.jpg", "Éclair.jpg", "1.jpg")] == [
        "cat", "dog", "cat", "dog",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "a; b;;c "),
        ({"column": "x"}, "1.5"),
        ({"column": 3}, "-2"),
        ({"delimiter": ";"}, ["a", "b", "c"]),
        ({"column": ["x", 3]}, ["1.5", "-2"]),
    ],
)
def test_a_column_gives_one_label_or_a_list(options: dict[str, Any], label: Any) -> None:
    assert column(ROW, **options) == label
    assert labellers.build("column", ROW, **options) == label


def test_an_empty_cell_has_no_labels() -> None:
    assert column(Row({"p": "1.png", "tags": ""}, Path("1.png")), delimiter=" ") == []


def test_faults_of_a_column_are_named() -> None:
    with pytest.raises(DataError, match="did you mean 'tags'"):
        column(ROW, column="tag")
    with pytest.raises(DataError, match="no column 9"):
        column(ROW, column=9)
    with pytest.raises(ConfigError, match=r"needs rows of a CSV, but a/b\.png is a file"):
        column(Path("a/b.png"))
    with pytest.raises(ConfigError, match="not both"):
        column(ROW, column=["x", "y"], delimiter=" ")


def test_all_items_are_labelled_in_order() -> None:
    assert label_all([Path("b/1"), Path("a/2"), Path("b/3")], parent) == ["b", "a", "b"]


def test_they_are_registered_for_yaml() -> None:
    assert set(labellers) >= {"parent", "grandparent", "regex", "is_cat", "column"}
    with pytest.raises(ConfigError, match="pattern"):
        labellers.check("regex")
    with pytest.raises(ConfigError, match="on"):
        labellers.check("regex", pattern="(a)", on="nmae")


def test_masks_stand_beside_their_images(tmp_path: Path) -> None:
    for name in ("images/a/1.jpg", "masks/a/1.png", "images/masks/1_P.png", "images/a/masks/1_P.png", "x/a/0_mask.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    image = tmp_path / "images" / "a" / "1.jpg"
    assert mask_file(image, suffix="_P.png") == str(tmp_path / "images" / "masks" / "1_P.png")
    assert Path(mask_file(image, folder="../masks", suffix="_P.png")).samefile(
        tmp_path / "images" / "masks" / "1_P.png"
    )
    assert mask_file(image, folder="./masks", suffix="_P.png") == str(tmp_path / "images" / "a" / "masks" / "1_P.png")
    assert mask_file(image, images="images") == str(tmp_path / "masks" / "a" / "1.png")
    assert mask_file(tmp_path / "images" / "a" / "0-left.jpg", folder="x", images="images", pattern="(.*)-",
                     suffix="_mask.gif") == str(tmp_path / "x" / "a" / "0_mask.gif")  # fmt: skip
    with pytest.raises(DataError, match=r"the mask .*masks/1.png of .*1.jpg does not exist\nhint: set folder, suffix"):
        mask_file(image)
    with pytest.raises(DataError, match="no folder 'pictures' above"):
        mask_file(image, images="pictures")


def test_mask_files_of_a_configuration() -> None:
    assert labellers.keys_of("mask_file") == ["folder", "suffix", "images", "pattern"]
