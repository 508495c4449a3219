import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fastcli.errors import FastcliError
from fastcli.run import files


def test_write_replaces_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "a b ü.json"
    files.atomic_write(path, "old")
    files.atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_error_in_the_block_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), files.atomic_path(path) as unfinished:
        unfinished.write_text(None)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_file_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.atomic_path(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission"), (errno.EDQUOT, "quota")],
)
def test_a_failed_write_says_which_path_why_and_what_to_do(tmp_path, monkeypatch, number, words):
    def fail(self, content):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(FastcliError) as caught:
        files.atomic_write(tmp_path / "status.json", "{}")
    assert f"cannot write {tmp_path / 'status.json'}: {os.strerror(number)}" in caught.value.message
    assert words in caught.value.hint


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FastcliError, match=r"no-such.*No such file"):
        files.atomic_write(tmp_path / "no-such" / "a.txt", "x")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_real_file_size_limit_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(FastcliError, match="File too large") as caught:
            files.atomic_write(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "ulimit" in caught.value.hint
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_sweep_takes_what_dead_processes_left(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = os.getppid()
    (tmp_path / f".last.json.{dead.pid}.tmp").write_text("half")
    (tmp_path / f".last.{dead.pid}.tmp").mkdir()
    (tmp_path / f".last.{dead.pid}.tmp" / "last.json").write_text("half")
    (tmp_path / f".own.{os.getpid()}.tmp").write_text("from another life")
    (tmp_path / f".a.{living}.tmp").write_text("being written")
    (tmp_path / ".notes.tmp").write_text("of the user")
    (tmp_path / "kept.json").write_text("{}")
    assert len(files.sweep_temporaries(tmp_path)) == 3
    assert {p.name for p in tmp_path.iterdir()} == {f".a.{living}.tmp", ".notes.tmp", "kept.json"}


def test_sweep_of_a_missing_folder_is_nothing(tmp_path):
    assert files.sweep_temporaries(tmp_path / "none") == []


def test_json_keeps_unicode_and_names_that_are_not_utf8(tmp_path):
    path = tmp_path / "a.json"
    value = {"Katze": "猫", "file": os.fsdecode(b"bad\xff.jpg"), "loss": [float("nan"), float("-inf"), 1.5]}
    files.write_json(path, value)
    assert "猫".encode() in path.read_bytes()
    assert files.read_json(path) == {**value, "loss": [None, None, 1.5]}


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe"])
def test_damaged_json_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FastcliError, match=r"a\.json is damaged"):
        files.read_json(path)


def test_missing_json_is_an_error(tmp_path):
    with pytest.raises(FastcliError, match=r"cannot read .*a\.json: No such file"):
        files.read_json(tmp_path / "a.json")
