from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcli.data.split_file import SplitRow, match_split, read_split, split_rows
from fastcli.errors import DataError
from fastcli.run.directory import Run


def write(path: Path, *split: Any) -> None:
    run = Run(path.parent)
    run.write_split(split_rows(*split))


def test_the_file_is_a_plain_sorted_csv(tmp_path: Path) -> None:
    items = [
        tmp_path / "b" / 'say "hi", 1.png',
        tmp_path / "a" / "ü.png",
        Path("/else/where.png"),
        tmp_path / "unused.png",
    ]
    write(tmp_path / "split.csv", items, ["cat", ["x", "y"], 3, ""], [0, 1], [2], tmp_path)
    text = 'path,label,split\n/else/where.png,3,valid\na/ü.png,x|y,train\n"b/say ""hi"", 1.png",cat,train\n'
    assert (tmp_path / "split.csv").read_text(encoding="utf-8") == text


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0/\r\n"), min_size=1), unique=True, min_size=2)
)
def test_any_names_come_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("split")
    root = Path("/root")
    names = [name for name in names if name != "."]
    items = [root / name for name in names]
    train, valid = list(range(1, len(items))), [0] if items else []
    write(folder / "split.csv", items, names, train, valid, root)
    rows = read_split(folder / "split.csv")
    assert {row.path for row in rows} == {item.relative_to(root).as_posix() for item in items}
    assert match_split(rows, [item.as_posix() for item in items], "split.csv") == {"train": train, "valid": valid}


def test_files_of_others_may_lack_labels_and_have_a_mark(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbfsplit,path\r\nvalid,a.png\r\ntest,b.png\r\n")
    assert read_split(tmp_path / "s.csv") == [SplitRow("a.png", "", "valid"), SplitRow("b.png", "", "test")]
    assert match_split(read_split(tmp_path / "s.csv"), ["d/a.png"], "s.csv") == {"train": [], "valid": [0]}


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"pth,split\n", "no column 'path'"), (b"", "no column 'path'"), (b"path,split\n\xff,valid\n", "cannot read")],
)
def test_faults_are_named(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "s.csv").write_bytes(data)
    with pytest.raises(DataError, match=why):
        read_split(tmp_path / "s.csv")
    with pytest.raises(DataError, match="cannot read"):
        read_split(tmp_path / "none.csv")


def test_a_file_on_both_sides_is_refused() -> None:
    rows = [SplitRow("a.png", "", "train"), SplitRow("a.png", "", "valid")]
    with pytest.raises(DataError, match=r"d/a\.png is on both sides"):
        match_split(rows, ["d/a.png"], "split.csv")
