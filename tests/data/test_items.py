from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from fastcli.data.items import IMAGE_EXTENSIONS, Row, csv_rows, image_files, item_path
from fastcli.errors import ConfigError, DataError
from fastcli.registry import items


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(root: Path, **options: Any) -> list[str]:
    return [path.relative_to(root).as_posix() for path in image_files(root, **options)]


def test_fastai_lists_in_the_order_of_os_walk_and_ours_is_the_same_on_every_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["B/z.JPG", "a/1.png", "a/10.png", "a/2.png", "a.png", "ö ü/猫.jpeg"]
    touch(tmp_path, *wanted, "a/notes.txt", "a/jpg", ".hidden.png", ".cache/1.png", "a/._1.png")
    assert names(tmp_path) == sorted(wanted)
    listdir = os.scandir
    reverse = type("Reverse", (list,), {"__enter__": lambda self: self, "__exit__": lambda self, *_: None})
    monkeypatch.setattr(os, "scandir", lambda path: reverse(reversed(list(listdir(path)))))
    assert names(tmp_path) == sorted(wanted)


def test_folder_extensions_and_depth_can_be_chosen(tmp_path: Path) -> None:
    touch(tmp_path, "x/cat/1.png", "x/dog/2.JPG", "x/dog/sub/3.npy", "x/4.png", "y/5.png")
    assert names(tmp_path, path="x") == ["x/4.png", "x/cat/1.png", "x/dog/2.JPG"]
    assert names(tmp_path / "x", recurse=False) == ["4.png"]
    assert names(tmp_path / "x", folders=["dog"]) == ["dog/2.JPG"]
    assert names(tmp_path / "x", folders=["cat", "."]) == ["4.png", "cat/1.png"]
    assert names(tmp_path, extensions=[".NPY", "jpg"]) == ["x/dog/2.JPG", "x/dog/sub/3.npy"]


def test_pillow_opens_every_listed_extension() -> None:
    from PIL import Image

    known = Image.registered_extensions()
    assert {f".{extension}" for extension in IMAGE_EXTENSIONS} <= set(known)


def test_links_are_followed_once_and_real_folders_first(tmp_path: Path) -> None:
    touch(tmp_path, "root/z/1.png", "outside/2.png")
    (tmp_path / "root" / "a").symlink_to("z")
    (tmp_path / "root" / "z" / "up").symlink_to("..")
    (tmp_path / "root" / "b").symlink_to("../outside")
    (tmp_path / "root" / "3.png").symlink_to("z/1.png")
    (tmp_path / "root" / "self").symlink_to("self")
    assert names(tmp_path / "root") == ["3.png", "b/2.png", "z/1.png"]


def test_a_broken_link_is_listed_but_a_pipe_is_not(tmp_path: Path) -> None:
    (tmp_path / "1.png").symlink_to("gone.png")
    os.mkfifo(tmp_path / "2.png")
    assert names(tmp_path) == ["1.png"]


@pytest.mark.parametrize(
    ("files", "options", "hint"),
    [
        ((), {}, "it holds no files"),
        (("a/1.png",), {"recurse": False}, "recurse: true"),
        (("a.npy", "b.npy", "c"), {}, "other files are there: 2 .npy, 1 without extension"),
        (("a.png",), {"extensions": ["jpg"]}, "1 .png"),
    ],
)
def test_no_images_says_what_is_there(
    tmp_path: Path, files: tuple[str, ...], options: dict[str, Any], hint: str
) -> None:
    with pytest.raises(DataError, match="no images in") as caught:
        image_files(touch(tmp_path, *files), **options)
    assert hint in (caught.value.hint or "")


def test_folders_that_are_not_there_get_the_nearest_name(tmp_path: Path) -> None:
    touch(tmp_path, "images/cat/1.png")
    with pytest.raises(DataError, match="did you mean 'images'"):
        image_files(tmp_path, path="image")
    with pytest.raises(DataError, match="did you mean 'cat'"):
        image_files(tmp_path / "images", folders=["cats"])
    with pytest.raises(DataError, match="no folder"):
        image_files(tmp_path / "none")
    with pytest.raises(DataError, match="csv_rows"):
        image_files(tmp_path / "images/cat/1.png")


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "ok.png", os.fsdecode(b"caf\xe9.png"))
    with pytest.raises(DataError, match=r"'caf\\udce9\.png' is not UTF-8"):
        image_files(tmp_path)


def csv_folder(root: Path, text: str, name: str = "labels.csv") -> Path:
    touch(root, "img/a 1.png", "img/b,2.png", "c.jpg")
    (root / name).write_text(text, encoding="utf-8")
    return root


def test_rows_keep_order_quotes_and_empty_cells(tmp_path: Path) -> None:
    csv_folder(tmp_path, '\ufeffname, tags,is_valid\n"b,2",cat dog,\n\na 1,"say ""hi""",true\n')
    rows = csv_rows(tmp_path, folder="img", suffix=".png")
    assert [row.path for row in rows] == [tmp_path / "img" / "b,2.png", tmp_path / "img" / "a 1.png"]
    assert rows == [
        {"name": "b,2", "tags": "cat dog", "is_valid": ""},
        {"name": "a 1", "tags": 'say "hi"', "is_valid": "true"},
    ]
    assert rows[1].cell(1) == rows[1].cell("tags") == 'say "hi"'
    copied = pickle.loads(pickle.dumps(rows[0]))
    assert (copied, copied.path) == (rows[0], rows[0].path)


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("x.csv", "label,path\ncat,c.jpg\n", {"path_column": "path"}),
        ("x.csv", "label,path\ncat,c.jpg\n", {"path_column": 1}),
        ("x.csv", "path;label\nc.jpg;cat\n", {}),
        ("x.tsv", "path\tlabel\nc.jpg\tcat\n", {}),
        ("x.csv", "path|label\nc.jpg|cat\n", {"delimiter": "|"}),
    ],
)
def test_columns_and_delimiters(tmp_path: Path, name: str, text: str, options: dict[str, Any]) -> None:
    csv_folder(tmp_path, text, name)
    (row,) = csv_rows(tmp_path / name, **options)
    assert (row["label"], row.path) == ("cat", tmp_path / "c.jpg")
    assert csv_rows(tmp_path, file=name, **options) == [row]
    assert csv_rows(tmp_path / name, file=name, **options) == [row]


def test_without_header_columns_are_numbers(tmp_path: Path) -> None:
    csv_folder(tmp_path, "c.jpg,cat\n")
    assert csv_rows(tmp_path, header=False) == [{"0": "c.jpg", "1": "cat"}]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("path,label\nc.jpg,cat\n", {"path_column": "pth"}, "no column 'pth'\nhint: did you mean 'path'?"),
        ("path,label\nc.jpg,cat\n", {"path_column": 2}, "no column 2: there are 2, from 0"),
        ("path,label\nc.jpg,cat\nc.jpg\n", {}, "labels.csv:3: 1 cells where there are 2 columns"),
        ("path,path\nc.jpg,cat\n", {}, "the column 'path' twice"),
        ("", {}, "is empty"),
        ("path,label\n", {}, "has no rows"),
        ("path\nc.jpg\nx.jpg\ny.jpg\nz.jpg\nw.jpg\n", {}, "4 of 5 files named in"),
        ("path\nx.jpg\n", {}, "hint: set data.items.folder or .suffix"),
        ("path\nc\n", {}, "did you mean data.items.suffix: .jpg?"),
        ("path,label\nc.jpg,cat\n", {"delimiter": "ab"}, "delimiter"),
    ],
)
def test_faults_of_a_csv_are_named(tmp_path: Path, text: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        csv_rows(csv_folder(tmp_path, text), **options)
    assert words in str(caught.value)


def test_a_csv_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        csv_rows(tmp_path)
    (tmp_path / "train.csv").write_bytes("path\nä.jpg\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"data\.items\.file: train\.csv"):
        csv_rows(tmp_path)
    with pytest.raises(DataError, match="UTF-8"):
        csv_rows(tmp_path / "train.csv")


def test_an_item_without_a_path_is_refused() -> None:
    assert item_path("a/b.png") == Path("a/b.png")
    assert item_path(Row({}, Path("c.png"))) == Path("c.png")
    with pytest.raises(ConfigError, match="int has no path"):
        item_path(3)


def test_both_are_registered_for_yaml(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    assert items.build("image_files", tmp_path, path="a") == [tmp_path / "a" / "1.png"]
    assert items.check("csv_rows", path_column=2)["path_column"] == 2
    assert set(items) >= {"image_files", "csv_rows"}
