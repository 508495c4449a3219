"""Threes and sevens, side by side: fastcli and fastai on MNIST_SAMPLE.

    python benchmarks/mnist_vs_fastai.py --fastai-python PYTHON [--data mnist_sample.tgz]

A resnet18 from scratch for one epoch in one cycle, and the book's small net for 40 epochs of plain gradient descent.
Each run is a process of its own and the sides take turns. For the small net fastai stacks the pictures before it fits,
where fastcli reads them during its first epoch; so that epoch counts here like the one after it, and "epochs" are those
of pixels in memory on both sides. The whole process has it all.
"""

import tempfile
from pathlib import Path

import trainings
from side_by_side import arguments, bar, in_turn, last, settled


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--data", default="MNIST_SAMPLE", help="the archive; else the one that comes with fastcli")
    parser.add_argument("--epochs", type=int, default=40, help="of the small net")
    parser.add_argument("--only", choices=["resnet18", "mlp"])
    parser.add_argument("--warm", action="store_true", help="let fastcli use what it remembers of earlier runs")
    given = settled(parser)
    from fastcli.data.download import untar_data

    with tempfile.TemporaryDirectory() as scratch:
        folder, epochs = untar_data(given.data), given.epochs
        if given.quick:
            folder, epochs = trainings.few(folder, Path(scratch) / "few", 70), 2
        ratio = None
        if given.only != "mlp":
            ratio = resnet18(given, folder)
        if given.only != "resnet18":
            whole = mlp(given, folder, epochs)
            ratio = ratio or whole
    last(ratio, f"seconds of fastai over those of fastcli, whole process, {given.only or 'resnet18'}")


def resnet18(given, folder):
    words = ("mnist_sample.yaml", f"data.source={folder}")
    sides = {
        "fastcli": lambda: trainings.train(*words, figure="accuracy", warm=given.warm),
        "fastai": lambda: trainings.peer(given.fastai_python, "peer_fastai.py", "mnist", folder),
    }
    found = in_turn(sides, given.rounds)
    print("resnet18, one epoch")
    trainings.show(found, "accuracy")
    ratio = trainings.times(found, "fastai", "fastcli")
    bar("resnet18, whole process: fastai / fastcli", ratio, least=2.2)
    return ratio


def mlp(given, folder, epochs):
    words = ("mnist_mlp.yaml", f"data.source={folder}", f"train.epochs={epochs}")
    words = (*words, "data.batch_size=64") if given.quick else words
    sides = {
        "fastcli": lambda: trainings.train(*words, figure="accuracy", warm=given.warm, first_epoch=False),
        "fastai": lambda: trainings.peer(given.fastai_python, "peer_fastai.py", "mlp", folder, epochs),
    }
    found = in_turn(sides, given.rounds)
    print(f"small net, {epochs} epochs")
    trainings.show(found, "accuracy")
    bar("small net, epochs alone: fastai / fastcli", trainings.times(found, "fastai", "fastcli", "fit"), least=6)
    ratio = trainings.times(found, "fastai", "fastcli")
    bar("small net, whole process: fastai / fastcli", ratio, least=2.5)
    return ratio


if __name__ == "__main__":
    main()
