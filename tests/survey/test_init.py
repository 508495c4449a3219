"""`fastcli init`: what is recognised, what is written, and that it trains as it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fastcli.config.load import load
from fastcli.errors import DataError
from fastcli.survey.recognise import recognise
from fastcli.survey.tables import table_layout


def written(name="photos.yaml"):
    load(name)
    return yaml.safe_load(Path(name).read_text(encoding="utf-8"))


def test_a_folder_per_class(fastcli, picture):
    for i in range(10):
        picture(f"photos/cat/{i}.jpg", size=(200, 150))
        picture(f"photos/grand chien/é{i}.jpg", size=(200, 150))
    code, out, err = fastcli("init", "photos")
    assert (code, out) == (0, "")
    assert "a folder per class: 2 classes (cat 10, grand chien 10) · 16 + 4 pictures" in err
    assert "all 200 x 150 pixels" in err
    assert "wrote photos.yaml" in err
    assert "fastcli train photos.yaml" in err
    config = written()
    assert config["data"]["source"] == "photos"
    assert (config["data"]["label"], config["data"]["split"]["name"]) == ("parent", "stratified")
    assert config["data"]["batch_size"] == 4
    text = Path("photos.yaml").read_text(encoding="utf-8")
    schema = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert json.loads(Path(schema).read_text(encoding="utf-8"))["$schema"]


def test_what_is_written_trains_as_it_is(fastcli, picture):
    for i in range(6):
        picture(f"photos/cat/{i}.png")
        picture(f"photos/dog/{i}.png")
    assert fastcli("config", "init", "photos", "-o", "sub/mine.yaml")[0] == 0
    assert written("sub/mine.yaml")["data"]["source"] == str(Path("photos").absolute())
    code, _, err = fastcli("train", "sub/mine.yaml", "--smoke", "runtime.precision=fp32", "runtime.device=cpu")
    assert code == 0, err


def test_a_file_that_is_there_stays(fastcli, picture):
    for i in range(4):
        picture(f"photos/cat/{i}.png")
        picture(f"photos/dog/{i}.png")
    Path("photos.yaml").write_text("mine")
    code, _, err = fastcli("init", "photos")
    assert (code, Path("photos.yaml").read_text()) == (2, "mine")
    assert "photos.yaml is there already\nhint: give another name with -o, or --force" in err
    assert fastcli("init", "photos", "--force")[0] == 0
    assert written()["data"]["source"] == "photos"


def test_stdout_and_json(fastcli, picture):
    for i in range(5):
        picture(f"photos/cat/{i}.png")
        picture(f"photos/dog/{i}.png")
    code, out, err = fastcli("init", "photos", "-o", "-")
    assert (code, err) == (0, "")
    assert yaml.safe_load(out)["data"]["source"] == "photos"
    assert not Path("photos.yaml").exists()
    facts = json.loads(fastcli("init", "photos", "--json")[1])
    assert (facts["layout"], facts["classes"], facts["train"], facts["valid"]) == (
        "folders", {"cat": 5, "dog": 5}, 8, 2,
    )  # fmt: skip


def test_train_and_valid_folders(fastcli, picture):
    for side, n in (("train", 3), ("val", 2), ("test", 1)):
        for i in range(n):
            picture(f"photos/{side}/no/{i}.png")
            picture(f"photos/{side}/yes/{i}.png")
    _, _, err = fastcli("init", "photos")
    assert "a folder per class in train/ and val/: 2 classes (no 5, yes 5) · 6 + 4 pictures" in err
    assert "2 pictures in test take no part" in err
    assert written()["data"]["split"] == {"name": "grandparent", "train": "train", "valid": "val"}


def test_names_with_a_pattern(fastcli, picture):
    for i in range(4):
        picture(f"pets/images/great_pyrenees_{i}.jpg")
        picture(f"pets/images/beagle_{i}.jpg")
    _, _, err = fastcli("init", "pets")
    assert "2 classes (beagle 4, great_pyrenees 4)" in err
    assert written("pets.yaml")["data"]["items"] == {"name": "image_files", "path": "images"}


def test_a_table_with_a_split(fastcli, picture):
    rows = ["label;file;is_valid"]
    for i in range(8):
        picture(f"work/photos/{i}.png")
        rows.append(f"{'ripe' if i % 2 else 'raw'};{i};{'true' if i > 5 else 'false'}")
    Path("work/labels.csv").write_text("\n".join(rows))
    for given in ("work", "work/labels.csv"):
        code, _, err = fastcli("init", given, "-o", "a.yaml", "--force")
        assert code == 0
        assert "2 classes (raw 4, ripe 4) · 6 + 2 pictures" in err
        data = written("a.yaml")["data"]
        assert (data["items"]["folder"], data["items"]["suffix"]) == ("photos", ".png")
        assert data["split"] == {"name": "column", "column": "is_valid"}
        assert data["source"] == given


@pytest.mark.parametrize(
    ("cells", "target", "more"),
    [
        (["a b", "b", "a", "b a"] * 3, "multi_category", {"delimiter": " "}),
        (["great dane", "black cat", "great dane", "black cat"] * 3, "category", {}),
        ([f"{i / 7:.3f}" for i in range(12)], "regression", {}),
        (["1", "2", "3"] * 4, "category", {}),
    ],
)
def test_what_a_table_is_to_predict(fastcli, picture, cells, target, more):
    for i in range(12):
        picture(f"{i}.png")
    Path("t.tsv").write_text("file\tvalue\n" + "".join(f"{i}.png\t{cell}\n" for i, cell in enumerate(cells)))
    layout = table_layout(Path("t.tsv"))
    assert (layout.target, layout.label) == (target, {"name": "column", "column": "value", **more})
    assert fastcli("init", "t.tsv")[0] == 0
    written("t.yaml")


def test_a_table_without_header_or_without_pictures(fastcli, picture):
    for i in range(4):
        picture(f"{i}.png")
    Path("a.csv").write_text("".join(f"{i}.png,{'x' if i % 2 else 'y'}\n" for i in range(4)))
    assert table_layout(Path("a.csv").absolute()).items == {"name": "csv_rows", "path_column": "0", "header": False}
    Path("b.csv").write_text("file,label\nnone.png,x\nnone2.png,y\n")
    code, _, err = fastcli("init", "b.csv")
    assert (code, "no column of" in err) == (3, True)


def test_pictures_with_masks(fastcli, shapes, picture):
    layout = recognise(shapes)
    assert (layout.kind, layout.target) == ("masks", "mask")
    assert layout.label == {"name": "mask_file", "folder": "masks", "suffix": "_mask.png"}
    assert layout.remarks == ("could also be the table labels.csv: --as table",)
    assert fastcli("init", str(shapes), "-o", "a.yaml")[0] == 0
    assert written("a.yaml")["model"]["name"] == "unet"
    assert fastcli("init", str(shapes), "-o", "b.yaml", "--as", "table")[0] == 0
    assert written("b.yaml")["data"]["target"] == "multi_category"
    for i in range(6):
        picture(f"beside/{i}.jpg")
        Image.fromarray(np.zeros((18, 24), np.uint8)).save(Path("beside") / f"{i}_mask.png")
    assert fastcli("init", "beside")[0] == 0
    assert written("beside.yaml")["data"]["items"]["extensions"] == ["jpg"]


def test_what_cannot_be_told_is_an_error_with_what_can(fastcli, picture, tmp_path):
    for i in range(4):
        picture(f"heap/IMG_{i}.jpg")
    code, _, err = fastcli("init", "heap")
    assert code == 3
    assert "cannot tell the classes of the 4 pictures in" in err
    assert "a folder per class (cat/1.jpg)" in err
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.heic").write_bytes(b"x")
    code, _, err = fastcli("init", "empty")
    assert (code, "other files are there: 1 .heic" in err) == (3, True)
    code, _, err = fastcli("init", "heap", "--as", "foldrs")
    assert (code, "did you mean 'folders'?" in err) == (2, True)
    with pytest.raises(DataError, match="not arranged as table"):
        recognise(tmp_path / "heap", "table")


def test_names_that_would_end_a_comment_or_a_line(fastcli, picture):
    for i in range(3):
        picture(f"odd\nname: [/a\nb: 1/{i}.png")
        picture(f"odd\nname: [/# no/{i}.png")
    assert fastcli("init", "odd\nname: [", "-o", "a.yaml")[0] == 0
    assert load("a.yaml").config.data.source.endswith("odd\nname: [")
