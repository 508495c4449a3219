"""Files of pixels: what is kept, what is checked, and what is left when something goes wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from fastcli.data import pixel_file
from fastcli.data.pixel_file import DamagedError, PixelFile, kept_pixels, make_room, room_on_disk
from fastcli.errors import DataError

N = 5
SIZES = np.arange(2 * N).reshape(N, 2) + 1


def pixels(i, uniform):
    shape = (4, 3, 2) if uniform else (4 + i, 3, 2)
    return (torch.arange(np.prod(shape)) * (i + 3) % 251).to(torch.uint8).view(shape)


def written(folder, *, uniform=True, key="key", items=range(N)):
    file = PixelFile(N, folder, key, uniform=uniform)
    for i in items:
        assert torch.equal(file.put(i, pixels(i, uniform)), pixels(i, uniform))
    return file


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("items", [range(N), [3, 1], [4, 2, 0]])
def test_what_is_written_is_read_again(uniform, items, tmp_path):
    file = written(tmp_path, uniform=uniform, items=items)
    assert kept_pixels(tmp_path, "key", N, uniform=uniform) is None
    assert file.complete(SIZES)
    assert not file.complete(SIZES)
    kept = kept_pixels(tmp_path, "key", N, uniform=uniform)
    assert kept.here.tolist() == sorted(items)
    for shelf in (file, kept):
        for i in range(N):
            found = shelf.get(i)
            assert torch.equal(found, pixels(i, uniform)) if i in items else found is None
    assert (kept.sizes[kept.here] == SIZES[kept.here]).all()
    assert (kept.array is not None) == uniform
    missing = set(range(N)) - set(items)
    for i in missing:
        assert torch.equal(kept.put(i, pixels(i, uniform)), pixels(i, uniform))
        assert file.put(i, pixels(i, uniform)) is None  # it has its name and is not changed any more
        assert not uniform or torch.equal(kept.array[i], pixels(i, uniform))
    assert kept_pixels(tmp_path, "key", N, uniform=uniform).here.tolist() == sorted(items)


def test_pictures_of_several_sizes_are_mapped_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(pixel_file, "MAPPED", 2 * pixel_file.mmap.ALLOCATIONGRANULARITY)
    pictures = [torch.randint(0, 256, (side, 100, 3), dtype=torch.uint8) for side in (20, 30, 2, 60, 1)]
    file = PixelFile(N, tmp_path, "key", uniform=False)
    for i, picture in enumerate(pictures):
        file.put(i, picture)
    assert file.complete(SIZES)
    kept = kept_pixels(tmp_path, "key", N, uniform=False)
    for i, picture in enumerate(pictures):
        assert torch.equal(file.get(i), picture)
        assert torch.equal(kept.get(i), picture)


def test_another_size_than_the_first_is_told(tmp_path):
    file = written(tmp_path)
    file.complete(SIZES)
    for shelf in (written(tmp_path, key=None, items=[0]), kept_pixels(tmp_path, "key", N, uniform=True)):
        shelf.name_of = lambda i: f"{i}.png"
        shelf._rows = np.full_like(shelf._rows, -1)
        with pytest.raises(DataError, match=r"1.png is 4 x 5 pixels, 0.png is 3 x 4\nhint: "):
            shelf.put(1, torch.zeros(5, 4, 2, dtype=torch.uint8))


def test_nothing_is_left_of_a_file_that_is_not_completed(tmp_path):
    file, other = written(tmp_path, items=[1]), written(tmp_path, items=[1], key=None)
    assert len(list(tmp_path.iterdir())) == 1  # the other one has no name
    del file, other
    assert list(tmp_path.iterdir()) == []
    empty = PixelFile(N, tmp_path, "key", uniform=True)
    assert not empty.complete(SIZES)


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    first, second = written(tmp_path), written(tmp_path, items=[0, 1])
    assert first.complete(SIZES)
    kept = kept_pixels(tmp_path, "key", N, uniform=True)
    for i in (2, 3, 4):
        second.put(i, pixels(i, True))
    assert second.complete(SIZES)
    again = kept_pixels(tmp_path, "key", N, uniform=True)
    for i in range(N):
        assert torch.equal(kept.get(i), pixels(i, True))
        assert torch.equal(again.get(i), pixels(i, True))


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_writes_is_not(tmp_path):
    code = "import os, sys; from fastcli.data.pixel_file import *; from pathlib import Path;" \
           "file = PixelFile(1, Path(sys.argv[1]), 'key', uniform=True); os._exit(1)"  # fmt: skip
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    alive = PixelFile(N, tmp_path, "key", uniform=True)
    assert left[0] not in list(tmp_path.iterdir())
    other = PixelFile(N, tmp_path, "other", uniform=True)
    assert len(list(tmp_path.iterdir())) == 2
    del alive, other


def damaged(data, how):
    cut = {"cut": data[:-1], "half": data[: len(data) // 2], "empty": b"", "longer": data + b"\0", "other": b"x" * 999}
    if how in cut:
        return cut[how]
    at = {"trailer": -20, "index": -60, "magic": -56}[how]
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("how", ["cut", "half", "empty", "longer", "other", "trailer", "index", "magic"])
@pytest.mark.parametrize("uniform", [True, False])
def test_a_damaged_file_is_not_used(how, uniform, tmp_path):
    written(tmp_path, uniform=uniform).complete(SIZES)
    path = tmp_path / "key.pixels"
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(DamagedError):
        kept_pixels(tmp_path, "key", N, uniform=uniform)


def test_a_file_of_another_number_of_items_is_not_used(tmp_path):
    written(tmp_path).complete(SIZES)
    for n in (N - 1, N + 1, 10**6):
        with pytest.raises(DamagedError):
            kept_pixels(tmp_path, "key", n, uniform=True)


def test_a_full_disk_keeps_nothing_more(tmp_path, monkeypatch):
    file = written(tmp_path, items=[0], uniform=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert file.put(1, pixels(1, False)) is None
    assert torch.equal(file.get(0), pixels(0, False))
    assert not file.complete(SIZES)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uniform", [True, False])
def test_no_more_than_the_budget_is_written(uniform, tmp_path):
    file = PixelFile(N, tmp_path, None, uniform=uniform, budget=pixels(0, uniform).numel() * 2)
    put = [file.put(i, pixels(i, uniform)) is not None for i in range(N)]
    assert put == ([False] * N if uniform else [True] + [False] * (N - 1))


def test_files_longest_unused_make_room(tmp_path, monkeypatch):
    for age, name in enumerate("abcd"):
        (tmp_path / f"{name}.pixels").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}.pixels", (10 - age, 10 - age))
    (tmp_path / "other.txt").write_bytes(bytes(500))
    (tmp_path / ".e.pixels.tmp").write_bytes(bytes(500))

    def names():
        return "".join(sorted(path.stem for path in tmp_path.glob("?.pixels")))

    monkeypatch.setattr(pixel_file, "free_disk", lambda folder: 800)
    assert room_on_disk(tmp_path) == 600
    make_room(tmp_path, 200)
    assert names() == "abcd"
    monkeypatch.setattr(pixel_file, "KEPT", 350)
    make_room(tmp_path, 150)
    assert names() == "ab"
    monkeypatch.setattr(pixel_file, "free_disk", lambda folder: 300)
    make_room(tmp_path, 50)
    assert names() == "ab"
    make_room(tmp_path, 60)
    assert names() == "a"
    make_room(tmp_path, 220)
    assert names() == ""


def test_reading_a_file_makes_it_the_last_used(tmp_path):
    written(tmp_path).complete(SIZES)
    os.utime(tmp_path / "key.pixels", (1, 1))
    kept_pixels(tmp_path, "key", N, uniform=True)
    assert (tmp_path / "key.pixels").stat().st_mtime > 1
