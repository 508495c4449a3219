"""Time of augmenting one batch: fastcli against fastai, torchvision v2 picture by picture, and kornia.

    python benchmarks/augment.py --fastai-python PYTHON --kornia-python PYTHON

All turn the same shape of uint8 pictures, 64 of 3 x 256 x 256, into normalised float ones of 224 x 224, with flips,
rotation, zoom, warp, a random crop, brightness and contrast: `aug_transforms(size=224, min_scale=0.75)` and what comes
nearest to it in torchvision and kornia, each with its own defaults. Every contender is a process of its own.
"""

import sys
from statistics import median

from side_by_side import Ratio, Worker, arguments, bar, in_turn, last, settled, table

LEAST = {"fastai": 3.0, "torchvision v2": 2.0, "kornia": 1.5}


def main():
    parser = arguments(__doc__, rounds=15, quick_rounds=2)
    parser.add_argument("--kornia-python", default=sys.executable, help="a Python that has kornia; else this one")
    parser.add_argument("--pictures", type=int, default=64)
    given = settled(parser)
    shape = (4, 64, 56) if given.quick else (given.pictures, 256, 224)
    workers = {
        "fastcli": Worker(sys.executable, "ours.py", "augment", "fastcli", *shape),
        "fastai": Worker(given.fastai_python, "peer_fastai.py", "augment", *shape),
        "torchvision v2": Worker(sys.executable, "ours.py", "augment", "torchvision v2", *shape),
        "kornia": Worker(given.kornia_python, "ours.py", "augment", "kornia", *shape),
    }
    in_turn(workers, 2, say=False)  # first calls are slow
    found = in_turn(workers, given.rounds, say=given.quick)
    for worker in workers.values():
        worker.close()
    ratios = {name: Ratio.of(times, found["fastcli"]) for name, times in found.items()}
    rows = [
        [name, f"{1e3 * median(times):.1f}", f"{shape[0] / median(times):.0f}", ratios[name]]
        for name, times in found.items()
    ]
    table([f"{shape[0]} x 3 x {shape[1]}² to {shape[2]}²", "ms", "img/s", "x fastcli"], rows)
    for name, least in LEAST.items():
        bar(f"{name} / fastcli", ratios[name], least=least)
    last(ratios["fastai"], "fastai's time over fastcli's")


if __name__ == "__main__":
    main()
