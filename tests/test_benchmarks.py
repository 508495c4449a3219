"""The benchmarks run: what they measure is for a quiet machine, and for one with a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastcli.learner import compiling

FOLDER = Path(__file__).parents[1] / "benchmarks"
HELPERS = {
    "side_by_side",
    "trainings",
    "ours",
    "peer_fastai",
    "peer_lightning",
    "peer_timm",
    "first_step_part",
    "bare_step",
    "gpu_switches",
    "data_side",
}
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.stem not in HELPERS)


def run(*words, **options):
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_benchmark_says_what_it_does(script):
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


def test_every_benchmark_is_in_the_readme():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in SCRIPTS if f"`{path.name}" not in text} == set()


def test_without_a_gpu_the_one_for_gpus_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = run(FOLDER / "gpu.py")
    assert done.returncode == 2
    assert "there is no GPU here" in done.stderr


def test_every_part_of_the_one_for_gpus_runs_on_a_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path))
    import gpu  # here and not in a process of its own, which would only import torch once more

    monkeypatch.setattr(compiling, "BACKEND", "eager")
    assert gpu.main(["--device", "cpu", "--quick"]) == 0
    said = capsys.readouterr().out
    for head in ("augmentation, µs a batch", "20 photographs", "MNIST_SAMPLE", "waits of the host", "limit, img/s",
                 "on against off", "graph, small step: no graph of steps: cpu has none"):  # fmt: skip
        assert head in said
    assert "Error" not in said
    assert "DIFFERENT" not in said
    assert "NOT those" not in said


def test_a_ratio_is_the_median_of_the_rounds_and_a_bar_is_told(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from side_by_side import Ratio, bar, last

    ratio = Ratio.of([2.0, 6.0, 9.0], [1.0, 2.0, 1.0])
    assert str(ratio) == "3.00 (2.00–9.00)"
    bar("a / b", ratio, least=4)
    bar("a / b", ratio, most=4)
    last(ratio, "a over b")
    said = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[-1] for line in said[:2]] == ["MISSES at least 4", "reaches at most 4"]
    assert said[2] == "ratio: 3.00  (2.00–9.00; a over b)"


def test_sides_take_turns_and_workers_answer(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    from side_by_side import Worker, in_turn, process

    script = tmp_path / "twice.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\nfrom side_by_side import serve\nserve(lambda x: 2 * x)\n"
    )
    worker, order = Worker(sys.executable, script), []
    assert worker(21) == 42
    worker.close()
    in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, say=False)
    assert order == ["a", "b", "b", "a"]
    done = process([sys.executable, "-c", "print('RESULT 1 2.5')"])
    assert done.find(r"RESULT (\S+) (\S+)") == [1.0, 2.5]
