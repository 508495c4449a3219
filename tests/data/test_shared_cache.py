"""The folder of decoded pixels when things go wrong: several processes, one that dies, a full or closed disk."""

import errno
import os
import subprocess
import sys
import tempfile
import time

import pytest
import torch

from fastcli.data.decoders import MOST
from fastcli.data.loader import Loader
from fastcli.data.store import Store
from fastcli.errors import ConfigError
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline

N, MEASURED = 40, 20
BUILD = """
import os, sys, time, torch
from pathlib import Path
from fastcli.data.store import Store
folder, mark = map(Path, sys.argv[1:])
dying = False
def load(i):
    if dying and i == 33:
        os._exit(9)
    return torch.full((3, 4, 5), i, dtype=torch.uint8)
def build(key):
    store = Store(load, 40, uniform=True, tier="disk", workers=2, cache_folder=folder, key=lambda: key)
    for i in range(40):
        assert int(store.take([i])[0].amax()) == i
    store.close()
mark.touch()
while not (mark.parent / "go").exists():
    time.sleep(0.001)
build("key")
dying = True
build("other")
"""


def make(folder, load=None, **options):
    calls = []

    def counted(i):
        calls.append(i)
        return (load or picture)(i)

    options = {"tier": "disk", "key": lambda: "key", "workers": 1} | options
    return Store(counted, N, uniform=True, cache_folder=folder, **options), calls


def picture(i):
    return torch.full((3, 4, 5), i, dtype=torch.uint8)


def epochs(store, n=2):
    """What a loader gives in `n` epochs."""
    loader = Loader([store], range(N), items=ItemPipeline(), batches=BatchPipeline(), batch_size=16)
    return [torch.cat([x for (x,) in loader]) for _ in range(n)]


def right(found):
    return all(torch.equal((x[:, 0, 0, 0] * 255).round().long(), torch.arange(N)) for x in found)


def test_two_processes_build_the_same_at_once_and_one_dies_over_the_next(tmp_path):
    folder, mark = tmp_path / "cache", tmp_path / "ready"
    other = subprocess.Popen([sys.executable, "-c", BUILD, folder, mark])
    while not mark.exists() and other.poll() is None:
        time.sleep(0.001)
    (tmp_path / "go").touch()
    store, _ = make(folder)
    assert right(epochs(store))
    store.close()
    assert other.wait(timeout=60) == 9
    assert sorted(path.suffix for path in folder.iterdir()) == [".pixels", ".tmp"]
    again, calls = make(folder)
    assert again.reused
    assert right(epochs(again))
    assert calls == []
    third, calls = make(folder, key=lambda: "other")  # who makes a file tidies up
    assert not third.reused
    assert right(epochs(third))
    third.close()
    assert sorted(path.name for path in folder.iterdir()) == ["key.pixels", "other.pixels"]


@pytest.mark.parametrize("written", [0, 25])
def test_a_disk_that_gets_full_is_told_and_the_rest_is_decoded_anew(written, tmp_path, monkeypatch):
    left, pwrite = [written], os.pwrite

    def full(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(*arguments)

    monkeypatch.setattr(os, "pwrite", full)
    store, calls = make(tmp_path)
    assert right(epochs(store))
    unkept = N - written
    wasted = len(calls) - N - unkept  # measured, or decoded ahead before the first write failed
    assert 0 <= wasted <= MEASURED + MOST
    assert not store.complete
    assert store.notes == ["there is no room for all pixels: the rest is decoded anew for each epoch"]
    store.close()
    monkeypatch.undo()
    del store
    again, calls = make(tmp_path)
    assert not again.reused
    assert right(epochs(again))
    assert len(calls) == N


READ_ONLY = OSError(errno.EROFS, "Read-only file system")


def closed(monkeypatch):
    def refuse(*_, **__):
        raise READ_ONLY

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(os, "utime", refuse)


def test_a_folder_that_may_only_be_read(tmp_path, monkeypatch):
    store, _ = make(tmp_path)
    epochs(store)
    store.close()
    closed(monkeypatch)
    monkeypatch.setattr("fastcli.data.tiers.available_memory", lambda: 0)
    for tier in ("disk", "auto"):
        again, calls = make(tmp_path, tier=tier)
        assert again.reused  # what is there can be read
        assert right(epochs(again))
        assert len(calls) == (MEASURED if tier == "auto" else 0)
    with pytest.raises(ConfigError, match=r"Read-only file system\nhint: set FASTCLI_HOME"):
        make(tmp_path, key=lambda: "other")
    streamed, calls = make(tmp_path, tier="auto", key=lambda: "other")
    assert streamed.tier == "off"
    assert right(epochs(streamed))
    assert streamed.notes == [
        f"cannot keep pixels in {tmp_path}: Read-only file system: pictures are decoded anew for each epoch"
    ]


def test_a_file_that_cannot_get_its_name_serves_this_run(tmp_path, monkeypatch):
    def refuse(_):
        raise READ_ONLY

    monkeypatch.setattr(os, "fsync", refuse)
    store, calls = make(tmp_path)
    assert right(epochs(store))
    store.close()
    assert right(epochs(store))
    assert len(calls) == N
    assert store.notes == [f"the decoded pixels could not be kept for later runs in {tmp_path / 'key.pixels'}"]
    assert list(tmp_path.iterdir()) == []
