import io
import json
import os
import platform
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fastcli.run.find import point_latest

DAY = datetime(2026, 11, 1, 10).astimezone()
CONFIG = "data: {source: PETS, batch_size: %d}\nmodel: {name: resnet18}\ntrain: {recipe: fit, epochs: %d}\n"


def make(name, i, state="finished", *, losses=(0.9, 0.5, 0.6), smoke=False, batch=64, pid=None, error=None):
    """A run `name/stamp-resnet18` as a training leaves it, `i` hours after the first."""
    start = DAY + timedelta(hours=i)
    path = Path("runs") / name / f"{start:%Y%m%d-%H%M%S}-resnet18"
    (path / "checkpoints").mkdir(parents=True)
    rows = [{"epoch": e, "train_loss": 1.0, "valid_loss": loss, "accuracy": 1 - loss} for e, loss in enumerate(losses)]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    best = min(rows, key=lambda row: row["valid_loss"])
    status = {
        "state": state, "started": start.isoformat(), "smoke": smoke, "error": error, "pid": pid,
        "host": platform.node(), "finished": None if state == "running" else (start + timedelta(minutes=5)).isoformat(),
        "epoch": len(rows), "epochs": 3,
        "best": {"monitor": "valid_loss", "value": best["valid_loss"], "epoch": best["epoch"]},
    }  # fmt: skip
    (path / "status.json").write_text(json.dumps(status))
    (path / "overrides.txt").write_text(f"data.batch_size={batch}\n")
    (path / "config.resolved.yaml").write_text(CONFIG % (batch, 3))
    (path / "checkpoints" / "best.safetensors").write_bytes(bytes(2048))
    os.link(path / "checkpoints" / "best.safetensors", path / "checkpoints" / "last.safetensors")
    point_latest(path)
    return path


@pytest.fixture
def runs(place):
    return {
        "old": make("pets", 0, losses=(0.9, 0.7)),
        "good": make("pets", 1, batch=32),
        "smoke": make("pets", 2, smoke=True),
        "failed": make("pets", 3, "failed", error="DeviceMemoryError: out of memory"),
        "died": make("birds", 4, "running", pid=2**22 + 5),
        "running": make("birds", 5, "running", pid=os.getpid()),
    }


def test_list_tells_state_best_curve_and_why(fastcli, runs):
    code, out, err = fastcli("runs", "list")
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 7)
    assert lines[0].split() == ["run", "state", "best", "of", "epoch", "curve", "time", "note"]
    by_name = {line.split()[0]: line for line in lines[1:]}
    assert next(iter(by_name)) == "birds/20261101-150000-resnet18"  # the newest first
    good = by_name["pets/20261101-110000-resnet18"]
    assert "finished  0.5000  valid_loss    3/3  █▁▂" in good
    assert good.endswith("5 min 00 s  data.batch_size=32")
    assert by_name["pets/20261101-130000-resnet18"].endswith("DeviceMemoryError: out of memory")
    assert " died " in by_name["birds/20261101-140000-resnet18"]
    assert by_name["pets/20261101-120000-resnet18"].endswith("smoke data.batch_size=64")


def test_list_of_an_experiment_a_state_or_the_newest(fastcli, runs):
    assert len(fastcli("runs", "list", "birds")[1].splitlines()) == 3
    assert len(fastcli("runs", "list", "--state", "finished")[1].splitlines()) == 4
    code, out, err = fastcli("runs", "list", "-n", "2")
    assert (code, len(out.splitlines()), err) == (0, 3, "2 of 6 runs; -n 0 shows all\n")
    assert fastcli("runs", "list", "pest")[2] == (
        "error: there is no experiment 'pest' in runs\nhint: did you mean 'pets'?\n"
    )
    assert fastcli("runs", "list", "--state", "finish")[0] == 2


def test_list_as_a_document(fastcli, runs):
    code, out, _ = fastcli("runs", "list", "--json", "--state", "finished")
    found = json.loads(out)
    assert (code, found["total"]) == (0, 3)
    good = next(run for run in found["runs"] if run["path"] == str(runs["good"]))
    assert good["figures"] == {"train_loss": 1.0, "valid_loss": 0.5, "accuracy": 0.5}  # of the best epoch
    assert (good["curve"], good["seconds"], good["model"]) == ([0.9, 0.5, 0.6], 300.0, "resnet18")


def test_list_where_there_is_nothing(fastcli, place):
    assert fastcli("runs", "list") == (0, "", "no runs in runs · train one: fastcli train CONFIG\n")
    assert json.loads(fastcli("runs", "list", "--json")[1]) == {"runs": [], "total": 0}


def test_list_reads_three_small_files_of_a_run_and_no_configuration(fastcli, runs, monkeypatch):
    opened = []
    true_open = io.open

    def counted(file, *arguments, **options):
        opened.append(str(file))
        return true_open(file, *arguments, **options)

    monkeypatch.setattr(io, "open", counted)  # what pathlib reads with
    fastcli("runs", "list")
    ours = [name for name in opened if name.startswith("runs")]
    assert len(ours) == 3 * len(runs) - 1  # of the one that failed, the reason is told and not what was typed
    assert not any(name.endswith(".yaml") for name in ours)
    opened.clear()
    fastcli("runs", "list", "-n", "1")
    assert len([name for name in opened if name.startswith("runs")]) == len(runs) + 2


def test_damaged_runs_are_listed_all_the_same(fastcli, runs):
    (runs["good"] / "metrics.jsonl").write_text("{half a li")
    (runs["old"] / "status.json").write_text("[]")
    (runs["smoke"] / "status.json").write_text('{"state": "finished", "best": 3, "started": 7}')
    code, out, _ = fastcli("runs", "list")
    assert (code, len(out.splitlines())) == (0, 7)
    assert fastcli("runs", "show", str(runs["smoke"]))[0] == 0


def test_show(fastcli, runs):
    code, out, _ = fastcli("runs", "show", str(runs["good"]))
    assert code == 0
    assert "best     valid_loss 0.5000 in epoch 1" in out
    assert "    1      1.0000      0.5000    0.5000  best" in out
    assert "size     3." in out or "size     2." in out  # the checkpoint with two names once
    code, out, _ = fastcli("runs", "show", "pets", "--json")
    assert json.loads(out)["state"] == "failed"
    assert len(json.loads(out)["epochs_done"]) == 3
    code, _, err = fastcli("runs", "show", "pest")
    assert code == 2
    assert "did you mean 'pets'?" in err


def test_compare_tells_figures_and_what_differs(fastcli, runs):
    code, out, _ = fastcli("runs", "compare", str(runs["old"]), str(runs["good"]))
    assert code == 0
    table, _, different = out.partition("\n\n")
    assert table.splitlines()[2].split()[:3] == ["B", "pets/20261101-110000-resnet18", "finished"]
    assert table.splitlines()[2].endswith("best")
    assert [line.split() for line in different.splitlines()] == [["differs", "A", "B"], ["data.batch_size", "64", "32"]]
    found = json.loads(fastcli("runs", "compare", "--json", str(runs["old"]), str(runs["good"]))[1])
    assert found["differences"] == {
        "data.batch_size": {"pets/20261101-100000-resnet18": 64, "pets/20261101-110000-resnet18": 32}
    }
    assert found["best"] == "pets/20261101-110000-resnet18"


def test_compare_takes_the_two_newest_and_refuses_one(fastcli, runs):
    found = json.loads(fastcli("runs", "compare", "--json")[1])
    assert [run["path"] for run in found["runs"]] == [str(runs["died"]), str(runs["running"])]
    code, _, err = fastcli("runs", "compare", str(runs["old"]), str(runs["old"]))
    assert (code, err.splitlines()[0]) == (2, "error: only one run was named")
    assert fastcli("runs", "compare", "-o", "curves.xls")[0] == 2


def test_compare_writes_a_picture_and_a_page(fastcli, runs):
    code, _, err = fastcli(
        "runs", "compare", str(runs["old"]), str(runs["good"]), "-o", "out/a.png", "-o", "out/a.html"
    )
    assert (code, err) == (0, "wrote out/a.png\nwrote out/a.html\n")
    from PIL import Image

    with Image.open("out/a.png") as picture:
        assert picture.width > 900
    assert "data.batch_size" in Path("out/a.html").read_text("utf-8")


# Cleaning.


def names(out):
    return {line.split()[0] for line in out.splitlines()[1:]}


def shown(*paths):
    return {path.relative_to("runs").as_posix() for path in paths}


def test_clean_asks_for_nothing_but_smoke_and_failed_runs(fastcli, runs):
    code, out, err = fastcli("runs", "clean", "--dry-run")
    assert (code, names(out)) == (0, shown(runs["smoke"], runs["failed"], runs["died"]))
    assert out.splitlines()[1].split()[:3] == ["pets/20261101-120000-resnet18", "smoke", "run"]  # smoke runs first
    assert err.startswith("3 runs, ")
    assert err.endswith("nothing was deleted\n")
    assert all(path.is_dir() for path in runs.values())


def test_clean_deletes_nothing_where_nobody_can_say_yes(fastcli, runs, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, _, err = fastcli("runs", "clean")
    assert (code, err) == (
        2, "error: nothing was deleted: there is nobody to ask\nhint: --yes deletes, --dry-run only lists\n",
    )  # fmt: skip
    assert all(path.is_dir() for path in runs.values())


class Person(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "deleted"), [("n\n", False), ("y\n", True)])
def test_clean_does_what_the_answer_is(fastcli, runs, monkeypatch, answer, deleted):
    monkeypatch.setattr(sys, "stdin", Person(answer))
    code, _, err = fastcli("runs", "clean")
    assert "Delete 3 runs and free" in err
    assert code == (0 if deleted else 2)
    assert runs["smoke"].exists() is not deleted


def test_clean_with_yes_deletes_what_it_listed_and_mends_latest(fastcli, runs):
    code, out, _ = fastcli("runs", "clean", "--yes", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found["deleted"]) == shown(runs["smoke"], runs["failed"], runs["died"])
    assert found["freed"] == sum(run["bytes"] for run in found["runs"]) > 3 * 2048
    assert [name for name, path in runs.items() if path.exists()] == ["old", "good", "running"]
    assert (Path("runs") / "pets" / "latest").resolve() == runs["good"].resolve()
    assert fastcli("runs", "clean", "--yes")[2] == "nothing to delete in runs\n"


def test_clean_never_takes_the_newest_finished_nor_a_running_one(fastcli, runs):
    fastcli("runs", "clean", "--yes", "--keep", "1", "--older-than", "0")
    assert [name for name, path in runs.items() if path.exists()] == ["good", "running"]
    for name, reason in (("good", "it is the newest finished run of its experiment"), ("running", "it is running")):
        code, _, err = fastcli("runs", "clean", "--yes", str(runs[name]))
        assert code == 2
        assert f"stays: {reason}" in err
        assert runs[name].exists()


def test_clean_takes_what_is_named(fastcli, runs):
    assert fastcli("runs", "clean", "--yes", str(runs["old"]))[0] == 0
    assert not runs["old"].exists()
    code, _, err = fastcli("runs", "clean", "--yes", "nowhere")
    assert code == 2
    assert "there is no run 'nowhere'" in err


def test_a_run_that_began_again_meanwhile_is_left_alone(runs):
    from fastcli.errors import FastcliError
    from fastcli.run.cleaning import delete, planned
    from fastcli.run.overview import overviews

    chosen = next(one for one in planned(overviews(Path("runs"), Path("runs"))) if one.run.path == runs["failed"])
    status = json.loads((runs["failed"] / "status.json").read_text())
    (runs["failed"] / "status.json").write_text(json.dumps({**status, "state": "running", "pid": os.getpid()}))
    with pytest.raises(FastcliError, match="is running; it was left alone"):
        delete(chosen)
    assert (runs["failed"] / "config.resolved.yaml").exists()


def test_an_experiment_without_runs_goes_too_but_not_other_files(fastcli, place):
    make("a", 0, smoke=True, state="failed")
    make("b", 1, smoke=True, state="failed")
    (Path("runs") / "b" / "lr_find.png").write_text("mine")
    fastcli("runs", "clean", "--yes")
    assert sorted(path.as_posix() for path in Path("runs").rglob("*")) == ["runs/b", "runs/b/lr_find.png"]
