"""A disk that is full or may not be written, wherever fastcli writes: told, and what was there is still there."""

import builtins
import errno
import io
import os
from pathlib import Path

import pytest
import torch

from fastcli import cli
from fastcli.data.archive import extract_archive
from fastcli.errors import DataError, FastcliError
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.files import atomic_write

CONFIG = """
data: {{source: {shapes}/labels.csv, label: {{name: column, column: stars}}, batch_size: 8}}
model: {{name: mlp}}
train: {{recipe: fit, epochs: 2, lr: 1e-3}}
runtime: {{precision: fp32, channels_last: false, device: cpu}}
"""


@pytest.fixture
def place(place, shapes):
    Path("c.yaml").write_text(CONFIG.format(shapes=shapes))
    return place


def refuse(patch, number: int, below: Path, after: int = 0) -> None:  # noqa: C901 - one small function per call
    """Let files below a folder be neither made nor replaced, as on a full disk; the first `after` of them may."""
    left = [after]

    def check(path) -> None:
        if not isinstance(path, int) and str(Path(os.fsdecode(path)).absolute()).startswith(str(below)):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(number, os.strerror(number), os.fsdecode(path))

    real_open, real_io, real_os, real_replace, real_mkdir = builtins.open, io.open, os.open, os.replace, os.mkdir

    def opened(real):
        def call(path, mode="r", *given, **named):
            if any(letter in mode for letter in "wax+"):
                check(path)
            return real(path, mode, *given, **named)

        return call

    def os_open(path, flags, *given, **named):
        if flags & (os.O_CREAT | os.O_TRUNC):
            check(path)
        return real_os(path, flags, *given, **named)

    def mkdir(path, *given, **named):
        check(path)
        return real_mkdir(path, *given, **named)

    def replace(source, target, *given, **named):
        check(target)
        return real_replace(source, target, *given, **named)

    patch.setattr(builtins, "open", opened(real_open))
    patch.setattr(io, "open", opened(real_io))
    patch.setattr(os, "open", os_open)
    patch.setattr(os, "mkdir", mkdir)
    patch.setattr(os, "replace", replace)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_runs_that_cannot_be_written_are_told(place, number, capsys):
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, number, place / "runs")
        assert cli.run(["train", "c.yaml", "--plain"]) == 1
    err = capsys.readouterr().err
    assert "cannot write" in err
    assert os.strerror(number) in err
    assert "hint:" in err
    assert not list(place.glob("runs/**/*.*"))


@pytest.mark.parametrize("after", [3, 9, 15, 21, 27, 33])
def test_a_disk_that_fills_up_during_a_training_ends_it_in_words(place, after, capsys):
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, errno.ENOSPC, place / "runs", after)
        code = cli.run(["train", "c.yaml", "--plain"])
    err = capsys.readouterr().err
    assert code == 1, err
    assert "No space left on device" in err
    assert "bug in fastcli" not in err
    for index in place.glob("runs/**/checkpoints"):
        for name in Checkpoints(index).available():
            assert Checkpoints(index).load(name).tensors


def test_a_home_that_cannot_be_written_does_not_stop_a_training(place, capsys):
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, errno.EROFS, place / "home")
        assert cli.run(["train", "c.yaml", "--plain"]) == 0, capsys.readouterr().err
        assert cli.run(["predict", "c.yaml"]) == 0


def test_the_checkpoint_before_is_intact(place):
    store = Checkpoints(place / "checkpoints")
    store.save_last({"a": torch.ones(3)}, {"epoch": 0})
    for after in range(8):
        with pytest.MonkeyPatch.context() as patch:
            refuse(patch, errno.ENOSPC, place / "checkpoints", after)
            try:
                store.save_last({"a": torch.zeros(3)}, {"epoch": 1 + after})
            except FastcliError as error:
                assert "cannot write" in error.message  # noqa: PT017
        assert Checkpoints(place / "checkpoints").load("last").tensors["a"].shape == (3,)


def test_what_is_written_at_the_end_of_a_prediction(place, shapes, capsys):
    assert cli.run(["train", "c.yaml", "--plain"]) == 0
    picture = str(shapes / "images" / "0.png")
    for output in ("out/x.csv", "/proc/x.csv"):
        assert cli.run(["predict", picture, "-o", output]) == 1
        assert "cannot write" in capsys.readouterr().err
    Path("old.csv").write_text("old")
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, errno.ENOSPC, place / "old.csv")
        assert cli.run(["predict", picture, "-o", "old.csv"]) == 1
    assert Path("old.csv").read_text() == "old"
    assert cli.run(["lr-find", "c.yaml", "-o", "/proc/x"]) == 1


def test_archives_and_files_leave_nothing_behind(place):
    import tarfile

    with tarfile.open("a.tgz", "w:gz") as archive:
        for i in range(5):
            info = tarfile.TarInfo(f"{i}.png")
            info.size = 10
            archive.addfile(info, io.BytesIO(bytes(10)))
    for after in range(1, 6):
        with pytest.MonkeyPatch.context() as patch:
            refuse(patch, errno.ENOSPC, place / "out", after)
            with pytest.raises(DataError, match="No space left"):
                extract_archive(Path("a.tgz"), place / "out" / "data")
        assert not list(place.glob("out/*"))
    atomic_write(place / "x", "old")
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, errno.ENOSPC, place / "x")
        with pytest.raises(FastcliError, match="cannot write"):
            atomic_write(place / "x", "new")
    assert (place / "x").read_text() == "old"
