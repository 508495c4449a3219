import os

import pytest

from fastcli.data import content
from fastcli.data.content import content_key

TIME = 10**18


@pytest.fixture
def files(tmp_path):
    """Three files in a folder, with a time of their own."""
    made = []
    for i in range(3):
        (tmp_path / f"{i}.bmp").write_bytes(bytes([i]) * 100)
        os.utime(tmp_path / f"{i}.bmp", ns=(TIME, TIME))
        made.append(tmp_path / f"{i}.bmp")
    return made


def key(files, how="RGB", indices=range(3), n=3, root=None):
    return content_key(how, indices, n, files, root or files[0].parent)


def test_the_key_is_that_of_the_same_content_wherever_it_lies(files, tmp_path):
    before = key(files)
    assert before == key(files)
    assert len(before) == 32
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    there = [file.rename(moved / file.name) for file in files]
    assert key(there) == before
    assert key(there, root=tmp_path) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(b"longer" * 100),
        lambda file: os.utime(file, ns=(TIME, TIME + 1)),
        lambda file: file.unlink(),
        lambda file: (file.write_bytes(bytes([9]) * 100), os.utime(file, ns=(TIME, TIME))),
    ],
)
def test_any_change_of_a_file_changes_the_key(files, change):
    before = key(files)
    change(files[1])
    assert key(files) != before


def test_how_and_which_and_in_what_order_matter(files, monkeypatch):
    keys = [key(files), key(files, "L"), key(files, n=4), key(files, indices=(0, 1, 3)), key(files[::-1]),
            key(files[:2], indices=(0, 1))]  # fmt: skip
    monkeypatch.setattr(content, "DECODING", 1)
    keys.append(key(files))
    assert len(set(keys)) == 7
