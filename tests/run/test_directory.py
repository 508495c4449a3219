import csv
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from fastcli.errors import FastcliError, UsageError
from fastcli.run import find
from fastcli.run.directory import NullRun, Run
from fastcli.run.environment import git_state
from fastcli.run.files import make_directory

NOON = datetime(2026, 11, 24, 10, 15)


def create(root, experiment="pets", model="resnet34", **kwargs):
    return Run.create(root / "runs", experiment, model, now=NOON, **kwargs)


def test_create_makes_the_directory_the_status_and_latest(tmp_path):
    run = create(tmp_path)
    assert run.path == tmp_path / "runs/pets/20261124-101500-resnet34"
    latest = tmp_path / "runs/pets/latest"
    assert latest.is_symlink()
    assert latest.readlink() == Path(run.name)
    assert (run.status.state, run.status.pid, run.status.finished) == ("running", os.getpid(), None)


def test_a_directory_is_never_reused_and_latest_follows(tmp_path):
    names = [create(tmp_path).name for _ in range(3)]
    assert names == ["20261124-101500-resnet34", "20261124-101500-resnet34-2", "20261124-101500-resnet34-3"]
    assert (tmp_path / "runs/pets/latest").readlink() == Path(names[-1])


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("timm/vit_tiny:a", "timm-vit_tiny-a"),
        ("..", "unnamed"),
        ("-rf", "rf"),
        ("latest", "latest_"),
        ("CON.txt", "CON.txt_"),
        ("猫 и собака", "猫_и_собака"),
        ("a\nb\x00", "a_b-".rstrip("-")),
        ("", "unnamed"),
        ("ends.", "ends"),
    ],
)
def test_names_are_safe_and_keep_their_script(name, safe):
    assert find.safe_name(name) == safe


def test_long_names_are_cut_between_letters():
    assert find.safe_name("é" * 200, limit=5) == "éé"


def test_a_given_directory_must_be_new_or_empty(tmp_path):
    (tmp_path / "empty").mkdir()
    run = create(tmp_path, directory=tmp_path / "empty")
    assert run.path == tmp_path / "empty"
    assert not (tmp_path / "runs").exists()
    with pytest.raises(UsageError, match="not empty") as caught:
        create(tmp_path, directory=tmp_path / "empty")
    assert "--run-dir" in caught.value.hint


def test_a_given_directory_in_the_experiment_is_the_latest(tmp_path):
    create(tmp_path)
    create(tmp_path, directory=tmp_path / "runs/pets/mine")
    assert (tmp_path / "runs/pets/latest").readlink() == Path("mine")


def test_latest_is_a_file_where_links_are_impossible(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no links here")

    create(tmp_path)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    run = create(tmp_path)
    latest = tmp_path / "runs/pets/latest"
    assert not latest.is_symlink()
    assert latest.read_text() == run.name + "\n"
    assert Run.open("pets/latest", tmp_path / "runs").path == run.path
    assert not list(latest.parent.glob(".*"))


def test_an_output_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(FastcliError, match=r"cannot write .*runs"):
        create(tmp_path)


@pytest.fixture
def three(tmp_path):
    """An old finished run, a newer finished one, and one that still runs."""
    old, new, running = create(tmp_path), create(tmp_path, "birds"), create(tmp_path, model="vit")
    for hour, run in enumerate((old, new)):
        run.finish()
        run.update_status(finished=f"2020-11-24T1{hour}:00:00+00:00")
    return tmp_path / "runs", old, new, running


def test_open_latest_is_the_newest_finished_run_of_all(three):
    runs, _, new, running = three
    assert Run.open("latest", runs).path == new.path
    running.finish()
    running.update_status(finished="2020-11-24T23:00:00+00:00")
    assert Run.open(output=runs).path == running.path


def test_a_smoke_run_is_passed_over_where_there_is_another(three):
    runs, old, new, _ = three
    new.update_status(smoke=True)
    assert Run.open("latest", runs).path == old.path
    old.update_status(smoke=True)
    assert Run.open("latest", runs).path == new.path


def test_open_takes_directories_names_experiments_and_latest_of_one(three, monkeypatch):
    runs, old, new, running = three
    monkeypatch.chdir(runs.parent)
    for name in (old.path, str(old.path.relative_to(runs.parent)), f"pets/{old.name}", "pets", "runs/pets"):
        assert Run.open(name, runs).path.resolve() == old.path
    assert Run.open(running.name, runs).path == running.path  # a stamp that only one run has
    assert Run.open("pets/latest", runs).path == running.path
    assert Run.open("pets", runs, finished=False).path == running.path
    assert Run.open("birds", runs).path == new.path


def test_open_by_an_unsafe_experiment_name(tmp_path):
    run = create(tmp_path, "my pets")
    run.finish()
    assert Run.open("my pets", tmp_path / "runs").path == run.path


def test_a_run_is_known_by_its_config_alone(tmp_path):
    (tmp_path / "copied").mkdir()
    (tmp_path / "copied/config.resolved.yaml").write_text("data: {}")
    assert Run.open(tmp_path / "copied").status.state == "unknown"


def test_unknown_names_get_the_nearest_and_the_newest(three):
    runs, old, *_ = three
    with pytest.raises(UsageError, match=r"there is no run 'pest'") as caught:
        Run.open("pest", runs)
    assert "did you mean 'pets'?" in caught.value.hint
    assert f"pets/{old.name}" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        Run.open("20261124-101500-resnet43", runs)
    assert "-resnet34'?" in caught.value.hint


def test_a_file_of_a_run_is_answered_by_the_run(three):
    runs, old, *_ = three
    with pytest.raises(UsageError) as caught:
        Run.open(old.checkpoints / "best.safetensors", runs)
    assert caught.value.hint == f"a run is named by its directory: {old.path}"


def test_no_runs_and_no_finished_runs(tmp_path):
    with pytest.raises(UsageError) as caught:
        Run.open("latest", tmp_path / "runs")
    assert "fastcli train" in caught.value.hint
    run = create(tmp_path)
    with pytest.raises(UsageError, match="no finished run") as caught:
        Run.open("latest", tmp_path / "runs")
    assert f"{run.path} (running)" in caught.value.hint


def test_config_split_and_classes(tmp_path):
    run = create(tmp_path)
    run.write_config("data: {}\n", "data: {batch_size: 64}\n", ["train.epochs=2", "optimizer.lr=1e-3"])
    assert run.config.read_text() == "data: {batch_size: 64}\n"
    assert (run.path / "config.yaml").read_text() == "data: {}\n"
    assert (run.path / "overrides.txt").read_text() == "train.epochs=2\noptimizer.lr=1e-3\n"
    run.write_split([("a, b.jpg", "cat", "train"), ('"c".jpg', "猫", "valid")])
    with run.split.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == [["a, b.jpg", "cat", "train"], ['"c".jpg', "猫", "valid"]]
    run.write_classes(("cat", "猫"))
    assert run.read_classes() == ["cat", "猫"]
    (run.path / "classes.json").write_text('{"cat": 0}')
    with pytest.raises(FastcliError, match="damaged"):
        run.read_classes()


def test_status_keeps_fields_and_times(tmp_path):
    run = create(tmp_path)
    run.update_status(epoch=1, epochs=3, best={"monitor": "valid_loss", "value": float("nan"), "epoch": 1})
    started = run.status.started
    assert run.status.best["value"] is None
    run.update_status(state="failed", error="disk full", exit_code=1)
    status = run.status
    assert (status.state, status.error, status.exit_code, status.epoch) == ("failed", "disk full", 1, 1)
    assert status.started == started
    assert datetime.fromisoformat(status.finished) >= datetime.fromisoformat(started)
    run.update_status(state="running")
    assert (run.status.finished, run.status.error, run.status.exit_code, run.status.epoch) == (None, None, None, 1)
    run.finish(epoch=3)
    assert (run.status.state, run.status.exit_code, run.status.epoch) == ("finished", 0, 3)


def test_a_running_status_without_its_process_is_seen_as_died(tmp_path):
    run = create(tmp_path)
    assert run.status.seen_state == "running"
    run.update_status(pid=2**22 + 1)  # above the largest id of Linux
    assert run.status.seen_state == "died"
    run.update_status(host="another")
    assert run.status.seen_state == "running"


def test_a_damaged_or_newer_status_is_no_obstacle(tmp_path):
    run = create(tmp_path)
    (run.path / "status.json").write_text("{half")
    assert run.status.state == "unknown"
    (run.path / "status.json").write_text(json.dumps({"state": "finished", "of_the_future": 1}))
    assert run.status.state == "finished"


def read_csv(run):
    with (run.path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_are_lines_of_json_and_a_table(tmp_path):
    run = create(tmp_path)
    run.append_metrics({"epoch": 0, "train_loss": float("inf"), "valid_loss": float("nan")})
    run.append_metrics({"epoch": 1, "train_loss": 0.1, "valid_loss": 0.25, "accuracy": 0.5})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"epoch": 0, "train_loss": None, "valid_loss": None}
    assert json.loads(lines[1]) == {"epoch": 1, "train_loss": 0.1, "valid_loss": 0.25, "accuracy": 0.5}
    assert read_csv(run) == [
        {"epoch": "0", "train_loss": "nan", "valid_loss": "nan", "accuracy": ""},
        {"epoch": "1", "train_loss": "0.1", "valid_loss": "0.25", "accuracy": "0.5"},
    ]


def test_a_resumed_run_leaves_no_doubled_rows(tmp_path):
    run = create(tmp_path)
    for epoch in range(4):
        run.append_metrics({"epoch": epoch, "train_loss": 1.0 + epoch})
    resumed = Run.open(run.path)
    resumed.append_metrics({"epoch": 2, "train_loss": 9.0})
    assert [(row["epoch"], row["train_loss"]) for row in Run.open(run.path).metrics()] == [(0, 1.0), (1, 2.0), (2, 9.0)]
    assert [row["epoch"] for row in read_csv(run)] == ["0", "1", "2"]


def test_log_is_plain_text_with_times(tmp_path):
    run = create(tmp_path)
    run.log("\x1b[1;32mhello\x1b[0m\nworld\n")
    run.log("again")
    first, second, third = (run.path / "train.log").read_text().splitlines()
    assert datetime.strptime(first[:19], "%Y-%m-%d %H:%M:%S")
    assert first[19:] == " hello"
    assert second == "  world"
    assert third.endswith(" again")


def test_environment_tells_versions_and_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["/usr/bin/fastcli", "train", "a b.yaml", "wandb.api_key=abc", "x=https://me:pw@h/a"]
    )
    monkeypatch.chdir(tmp_path)
    run = create(tmp_path)
    run.write_environment("cpu")
    kept = json.loads((run.path / "environment.json").read_text())
    assert kept["command"] == "fastcli train 'a b.yaml' wandb.api_key=*** x=https://***@h/a"
    assert kept["device"] == "cpu"
    assert kept["device_name"] == kept["cpu"] != ""
    assert kept["cores"] >= 1
    assert all(kept["packages"][name] for name in ("fastcli", "torch", "timm"))


def test_git_state_is_commit_and_dirty_flag(tmp_path):
    assert git_state(tmp_path) is None
    name = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    (tmp_path / "a").write_text("1")
    for command in (["init", "-q"], ["add", "a"], [*name, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    state = git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path)["dirty"] is True


def test_draw_makes_the_folder_and_shown_is_short(tmp_path, monkeypatch):
    run = create(tmp_path)
    run.draw("history.png", lambda path: path.write_bytes(b"png"))
    assert (run.plots / "history.png").read_bytes() == b"png"
    assert run.evaluation("my data").relative_to(run.path) == Path("eval/my_data")
    monkeypatch.chdir(tmp_path)
    assert run.shown == "runs/pets/latest"
    create(tmp_path, model="vit")
    assert run.shown == f"runs/pets/{run.name}"


def test_sweep_cleans_all_folders(tmp_path):
    run = create(tmp_path)
    run.checkpoints.mkdir()
    for folder in (run.path, run.checkpoints):
        (folder / f".a.{os.getpid()}.tmp").write_text("half")
    assert len(run.sweep()) == 2
    assert run.sweep() == []


def test_null_run_takes_everything_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = NullRun()
    run.write_config("a", "b")
    run.write_classes(["a"])
    run.write_split([("a", "b", "train")])
    run.write_environment()
    run.write_card("card")
    run.append_metrics({"epoch": 0, "loss": 1.0})
    run.log("text")
    run.update_status(state="running", epoch=1)
    run.draw("x.png", lambda path: pytest.fail("drawn for nobody"))
    assert run.metrics() == [{"epoch": 0, "loss": 1.0}]
    assert run.status.epoch == 1
    assert run.sweep() == []
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FastcliError):
        make_directory(run.checkpoints)


def test_no_torch_is_needed():
    imports = "import sys, fastcli.run.directory, fastcli.run.checkpoint"
    code = f"{imports}; print(sorted({{'torch', 'numpy', 'rich'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_environment_is_read_back_or_empty(tmp_path):
    run = create(tmp_path)
    assert run.read_environment() == {}
    run.write_environment()
    assert run.read_environment()["device"] is None
