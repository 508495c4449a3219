"""Time of one optimizer step on a real model's parameters: fastcli against torch's own and fastai's.

    python benchmarks/optimizer.py --fastai-python PYTHON [--model resnet18]

Decides too which of the equal ones `adam` and `sgd` use by default. Every contender is a process of its own.
"""

import sys
from statistics import median

from side_by_side import Ratio, Worker, arguments, bar, in_turn, last, settled, table

OTHERS = ("pieces", "torch fused", "torch foreach", "torch for-loop")


def main():
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--model", default="resnet50", help="of timm, for the shapes of its parameters")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sgd", action="store_true", help="sgd with momentum instead of adam; without fastai")
    given = settled(parser)
    model, steps = ("test_resnet", 2) if given.quick else (given.model, 2)
    kind = "sgd" if given.sgd else "adam"
    names = [kind, *(f"{kind}, {other}" for other in OTHERS)]
    workers = {
        name: Worker(sys.executable, "ours.py", "optimizer", model, name, steps, given.threads) for name in names
    }
    if not given.sgd:
        workers["adam, fastai"] = Worker(
            given.fastai_python, "peer_fastai.py", "optimizer", model, steps, given.threads
        )
    in_turn(workers, 2, say=False)  # the first step makes the state
    found = in_turn(workers, given.rounds, say=given.quick)
    for worker in workers.values():
        worker.close()
    ratios = {name: Ratio.of(times, found[kind]) for name, times in found.items()}
    table([model, "ms per step", f"x {kind}"], [[n, f"{1e3 * median(t):.2f}", ratios[n]] for n, t in found.items()])
    bar("fastcli / torch foreach", Ratio.of(found[kind], found[f"{kind}, torch foreach"]), most=1.1)
    if given.sgd:
        last(ratios["sgd, torch foreach"], "torch foreach's time over fastcli's")
        return
    bar("fastai / fastcli", ratios["adam, fastai"], least=5)
    last(ratios["adam, fastai"], "fastai's time over fastcli's")


if __name__ == "__main__":
    main()
