import hashlib
import itertools
import json
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest
import torch

from fastcli.errors import FastcliError
from fastcli.run import checkpoint
from fastcli.run.checkpoint import Checkpoints


def state(epoch):
    """Tensors and meta of one moment, each telling its epoch."""
    tensors = {"weight": torch.full((4, 3), float(epoch)), "step": torch.tensor(epoch)}
    return tensors, {"epoch": epoch, "metrics": {"accuracy": 0.5}}


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_tensors_and_meta_come_back_as_they_were(tmp_path):
    base = torch.arange(24.0).reshape(2, 3, 4)
    tensors = {
        "plain": torch.randn(3, 4),
        "tied": base,
        "tied too": base,
        "a view": base[1],
        "turned": base.transpose(0, 2),
        "channels last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "bf16": torch.randn(5).to(torch.bfloat16),
        "half": torch.randn(5).half(),
        "bool": torch.tensor([True, False]),
        "one number": torch.tensor(7, dtype=torch.int64),
        "empty": torch.empty(0, 3),
        "also empty": torch.empty(0),
        "bytes": torch.arange(255, dtype=torch.uint8),
    }
    meta = {"epoch": 3, "nan": float("nan"), "best": float("-inf"), "exact": 0.1 + 0.2, "text": "猫", "list": [1, [2]]}
    checkpoint.save(tmp_path, "last", tensors, meta)
    loaded, got = checkpoint.load(tmp_path, "last")
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor.detach())
    assert got.pop("nan") != meta.pop("nan")
    assert got == meta
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.json", "last.json", "last.safetensors"]


def test_no_tensors_are_fine(tmp_path):
    checkpoint.save(tmp_path, "last", {}, {})
    assert checkpoint.load(tmp_path, "last") == ({}, {})


def test_the_file_is_plain_safetensors_as_readable_as_its_neighbours(tmp_path):
    from safetensors.torch import load_file

    checkpoint.save(tmp_path, "last", *state(1))
    assert torch.equal(load_file(tmp_path / "last.safetensors")["weight"], state(1)[0]["weight"])
    modes = {(tmp_path / name).stat().st_mode for name in ("last.json", "last.safetensors", "index.json")}
    assert len(modes) == 1


def test_last_moves_to_last_1_and_older_ones_go(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in range(4):
        checkpoints.save_last(*state(epoch))
    assert {name: record.meta["epoch"] for name, record in checkpoints.available().items()} == {"last": 3, "last-1": 2}
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert checkpoints.load("last").tensors["weight"][0, 0] == 3
    assert checkpoints.load("last-1").tensors["weight"][0, 0] == 2


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_keep_last_is_the_number_of_last_ones(tmp_path, keep):
    checkpoints = Checkpoints(tmp_path, keep_last=keep)
    for epoch in range(5):
        checkpoints.save_last(*state(epoch))
    assert [record.meta["epoch"] for record in checkpoints.available().values()] == [4, 3, 2][:keep]


def test_keep_none_saves_none(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=0, keep_best=0)
    checkpoints.save_last(*state(0))
    assert not checkpoints.save_best(*state(0), 0.1)
    assert checkpoints.available() == {}


def test_best_keeps_the_best_by_value_whatever_their_order(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_best=2, lower_is_better=False)
    saved = [checkpoints.save_best(*state(epoch), value) for epoch, value in enumerate([0.90, 0.95, 0.93, 0.94, 0.95])]
    assert saved == [True, True, True, True, True]
    assert {name: record.value for name, record in checkpoints.available().items()} == {"best": 0.95, "best-1": 0.95}
    assert checkpoints.load("best").meta["epoch"] == 1  # of equals the earlier one
    assert checkpoints.load("best-1").meta["epoch"] == 4
    assert not checkpoints.would_keep(0.95)
    assert checkpoints.would_keep(0.96)


def test_best_of_one_by_the_lowest_value(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    values = [3.0, float("nan"), 2.0, 2.5, float("inf"), 1.0]
    assert [checkpoints.save_best(*state(e), value) for e, value in enumerate(values)] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    assert checkpoints.load("best").meta["epoch"] == 5
    assert list(checkpoints.available()) == ["best"]


def test_the_index_tells_other_programs(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(*state(0))
    checkpoints.save_last(*state(1))
    checkpoints.save_best(*state(1), 0.25)
    index = json.loads((tmp_path / "index.json").read_text())["checkpoints"]
    assert list(index) == ["best", "last", "last-1"]
    content = (tmp_path / "best.safetensors").read_bytes()
    assert index["best"] == {
        "file": "best.safetensors",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "epoch": 1,
        "metrics": {"accuracy": 0.5},
        "value": 0.25,
    }


def test_named_checkpoints_do_not_disturb_each_other(tmp_path):
    for name in ("epoch-3", "epoch-4", "frozen"):
        checkpoint.save(tmp_path, name, *state(int(name[-1]) if name[-1].isdigit() else 0))
    checkpoint.save(tmp_path, "epoch-3", *state(30))
    assert {name: record.meta["epoch"] for name, record in Checkpoints(tmp_path).available().items()} == {
        "epoch-3": 30,
        "epoch-4": 4,
        "frozen": 0,
    }
    assert set(json.loads((tmp_path / "index.json").read_text())["checkpoints"]) == {"epoch-3", "epoch-4", "frozen"}


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_flipped_byte_falls_back_and_says_so(tmp_path, suffix):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(*state(0))
    checkpoints.save_last(*state(1))
    assert checkpoints.load("last").warning is None
    path = tmp_path / f"last{suffix}"
    content = bytearray(path.read_bytes())
    content[-6 if suffix == ".json" else -1] ^= 1
    path.write_bytes(content)
    loaded = checkpoints.load("last")
    assert (loaded.name, loaded.meta["epoch"]) == ("last-1", 0)
    assert f"last{suffix} is damaged" in loaded.warning
    assert loaded.warning.endswith("using 'last-1' of epoch 0")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format": 99, "tensors": {}, "meta": {}}'])
def test_json_that_is_none_of_ours_falls_back(tmp_path, content):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(*state(0))
    checkpoints.save_last(*state(1))
    (tmp_path / "last.json").write_bytes(content)
    assert checkpoints.load("last").name == "last-1"
    Checkpoints(tmp_path).save_last(*state(2))
    assert [record.meta["epoch"] for record in Checkpoints(tmp_path).available().values()] == [2, 0]


def test_best_falls_back_to_last_with_a_warning(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(*state(4))
    loaded = checkpoints.load("best")
    assert loaded.name == "last"
    assert "there is no checkpoint 'best'" in loaded.warning


def test_nothing_good_is_an_error(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(FastcliError, match="no checkpoint 'last'"):
        checkpoints.load("last")
    checkpoints.save_last(*state(0))
    flip_byte(tmp_path / "last.safetensors")
    with pytest.raises(FastcliError, match="damaged"):
        checkpoints.load("last")
    with pytest.raises(FastcliError, match="damaged"):
        checkpoint.load(tmp_path, "last")


def test_a_damaged_last_does_not_replace_a_good_one_before_it(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(*state(0))
    checkpoints.save_last(*state(1))
    flip_byte(tmp_path / "last.safetensors")
    Checkpoints(tmp_path).save_last(*state(2))
    assert [Checkpoints(tmp_path).load(name).meta["epoch"] for name in ("last", "last-1")] == [2, 0]


class Killed(BaseException):
    """The process is dead: nothing after it touches the disk."""


def kill_at(monkeypatch, moment):
    """Let the process die before its `moment`-th change of the file system; every later one fails as well."""
    calls = itertools.count()

    def deadly(function):
        def call(*args, **kwargs):
            if next(calls) >= moment:
                raise Killed
            return function(*args, **kwargs)

        return call

    for owner, names in {
        os: ["link", "fsync", "rmdir"],
        shutil: ["rmtree", "copymode", "copyfile"],
        Path: ["replace", "unlink", "mkdir", "write_bytes"],
    }.items():
        for name in names:
            monkeypatch.setattr(owner, name, deadly(getattr(owner, name)))


def no_links(*args):
    raise OSError("none here")


@pytest.mark.parametrize("links", [True, False])
def test_a_kill_before_any_step_of_a_save_leaves_a_good_checkpoint(tmp_path, monkeypatch, links):
    def save_both(checkpoints, epoch):
        checkpoints.save_last(*state(epoch))
        checkpoints.save_best(*state(epoch), -epoch)

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    for epoch in (1, 2):
        save_both(Checkpoints(tmp_path / "before"), epoch)
    for moment in range(1000):
        directory = shutil.copytree(tmp_path / "before", tmp_path / str(moment))
        with monkeypatch.context() as deadly:
            kill_at(deadly, moment)
            try:
                save_both(Checkpoints(directory), 3)
                break  # it came to its end: every moment was tried
            except Killed:
                pass
        for name in ("last", "best"):
            loaded = Checkpoints(directory).load(name)
            epoch = loaded.meta["epoch"]
            assert epoch in (2, 3)
            assert torch.all(loaded.tensors["weight"] == epoch)
            assert loaded.name.startswith(name)
        save_both(Checkpoints(directory), 4)  # and the next save finds its way
        assert [Checkpoints(directory).load(name).meta["epoch"] for name in ("last", "best")] == [4, 4]
        assert Checkpoints(directory).load("last").warning is None
    assert moment > 25


def test_two_kills_in_a_row_do_not_lose_the_last_good_one(tmp_path, monkeypatch):
    def place_half(folder, directory, name):
        (folder / f"{name}.safetensors").replace(directory / f"{name}.safetensors")
        raise Killed

    Checkpoints(tmp_path).save_last(*state(1))
    monkeypatch.setattr(checkpoint, "place", place_half)
    for epoch in (2, 3):
        with pytest.raises(Killed):
            Checkpoints(tmp_path).save_last(*state(epoch))
        loaded = Checkpoints(tmp_path).load("last")
        assert (loaded.name, loaded.meta["epoch"]) == ("last-1", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_full_disk_keeps_the_older_one_and_says_so(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(*state(0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(FastcliError, match=r"cannot write .*File too large"):
            checkpoints.save_last({"weight": torch.zeros(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.load("last").meta["epoch"] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.json", "last.json", "last.safetensors"]


def test_too_little_space_is_seen_before_writing(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_last(*state(0))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 100))
    with pytest.raises(FastcliError, match="are free") as caught:
        checkpoints.save_last(*state(1))
    assert "free some space" in caught.value.hint
    assert checkpoints.load("last").meta["epoch"] == 0


def test_other_errors_of_safetensors_are_not_hidden(tmp_path):
    with pytest.raises(Exception, match=r".") as caught:
        checkpoint.save(tmp_path, "last", {"sparse": torch.eye(3).to_sparse()}, {})
    assert not isinstance(caught.value, FastcliError)
    assert list(tmp_path.iterdir()) == []


def test_repr_tells_what_there_is(tmp_path):
    assert "none yet" in repr(Checkpoints(tmp_path / "none"))
    checkpoint.save(tmp_path, "best", *state(0))
    assert repr(Checkpoints(tmp_path)).endswith("best)")
