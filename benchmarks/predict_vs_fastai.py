"""Answers about photographs, side by side: `fastcli predict` and fastai with the same network.

    python benchmarks/predict_vs_fastai.py --data pets.tgz --weights tf_efficientnet_lite0.safetensors \
        --fastai-python PYTHON

500 photographs as a table of labels and scores, and one photograph; each a process from its start to its end. What
they predict with is made before: a run of fastcli of two batches, and an exported learner of fastai.
"""

import tempfile
from pathlib import Path

import trainings
from pets_vs_fastai import ARCHITECTURE
from side_by_side import ROOT, Ratio, arguments, bar, gib, in_turn, last, process, seconds_of, settled, table


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--data", type=Path, required=True, help="archive named like pets_mini.tgz: NAME/images/*.jpg")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=500)
    given = settled(parser)
    from fastcli.data.download import untar_data

    with tempfile.TemporaryDirectory() as scratch:
        folder = untar_data(given.data)
        if given.quick:
            folder, given.photographs = trainings.few(folder, Path(scratch) / "few", 96), 20
        run, learner = ready(given, folder, Path(scratch))
        asked = trainings.few(folder, Path(scratch) / "asked", given.photographs)
        ratio = compare(given, Path(scratch), run, learner, asked)
    last(ratio, f"seconds of fastai over those of fastcli, {given.photographs} photographs, whole process")


def ready(given, folder: Path, scratch: Path) -> tuple[Path, Path]:
    """What both sides predict with."""
    words = [f"data.source={folder}", f"model.name={ARCHITECTURE}", f"model.pretrained={given.weights.resolve()}"]
    trainings.fastcli("train", ROOT / "configs" / "pets.yaml", *words, "--smoke", "--run-dir", scratch / "run")
    learner = scratch / "learner.pkl"
    process(
        [given.fastai_python, ROOT / "benchmarks/peer_fastai.py", "export", folder, given.weights.resolve(), learner]
    )
    return scratch / "run", learner


def compare(given, scratch: Path, run: Path, learner: Path, asked: Path) -> Ratio:
    one = next(path for path in sorted(asked.rglob("*")) if path.is_file())
    fastai = [given.fastai_python, ROOT / "benchmarks/peer_fastai.py"]
    many = in_turn({
        "fastcli": lambda: trainings.fastcli("predict", run, asked, "-o", scratch / "ours.csv"),
        "fastai": lambda: process([*fastai, "predict", learner, asked, scratch / "theirs.csv"]),
    }, given.rounds)  # fmt: skip
    single = in_turn({
        "fastcli": lambda: trainings.fastcli("predict", run, one),
        "fastai": lambda: process([*fastai, "one", learner, one]),
    }, given.rounds)  # fmt: skip
    written = [len((scratch / name).read_text().splitlines()) for name in ("ours.csv", "theirs.csv")]
    assert written[0] - 1 == written[1], f"{written} rows"  # one is the head
    ratios = []
    for found, what, least in ((many, f"{written[1]} photographs", 3.0), (single, "one photograph", 2.0)):
        rows = [
            [name, f"{sorted(seconds_of(done))[len(done) // 2]:.2f}", gib(max(one.memory for one in done))]
            for name, done in found.items()
        ]
        table([what, "seconds", "memory"], rows)
        ratios.append(Ratio.of(seconds_of(found["fastai"]), seconds_of(found["fastcli"])))
        bar(f"{what}: fastai / fastcli", ratios[-1], least=least)
    return ratios[0]


if __name__ == "__main__":
    main()
