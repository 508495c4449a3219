"""Time of a training step beyond that of a hand-written loop.

    python benchmarks/loop.py --fastai-python PYTHON

The model is `nn.Linear(10, 10)` on batches of 64, so that hardly anything but the loop is timed; one thread. fastcli
trains with one cycle and the callbacks of a command's run, from its loader of tensors. fastai trains with one cycle and
its default callbacks, from batches that are ready (its own loader of tensors is shown too, and counts for nothing).
"""

import sys
from statistics import median

from side_by_side import Ratio, Worker, arguments, in_turn, last, settled, table


def main():
    parser = arguments(__doc__, rounds=25, quick_rounds=2)
    given = settled(parser)
    steps = 50 if given.quick else 400
    ours, theirs = (
        Worker(sys.executable, "ours.py", "loop", steps),
        Worker(given.fastai_python, "peer_fastai.py", "loop", steps),
    )
    sides = {name: lambda name=name: ours(name) for name in ("raw", "raw, fastcli's adam", "fastcli")}
    sides |= {f"fastai, {name}": lambda name=name: theirs(name) for name in ("ready", "tensors")}
    in_turn(sides, 1, say=False)  # first steps are slow
    found = in_turn(sides, given.rounds, say=given.quick)
    ours.close()
    theirs.close()
    over = {name: [a - b for a, b in zip(times, found["raw"], strict=True)] for name, times in found.items()}
    rows = [
        [name, f"{median(times):.0f}", *(f"{figure(over[name]):+.0f}" for figure in (median, min, max))]
        for name, times in found.items()
    ]
    table(["", "µs per step", "over raw, µs", "least", "most"], rows)
    reached = "reaches" if median(over["fastcli"]) <= 40 else "MISSES"
    print(f"fastcli's overhead: {median(over['fastcli']):+.0f} µs, {reached} at most 40")
    at_least = [max(1.0, own) for own in over["fastcli"]]  # an overhead of nothing would make the ratio endless
    ratio = Ratio.of(over["fastai, ready"], at_least)
    last(ratio, "overhead of fastai over that of fastcli, counted as 1 µs or more; should be 8 or more")


if __name__ == "__main__":
    main()
