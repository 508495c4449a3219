"""Time of one optimizer step on a real model's parameter shapes, as ratios to ours: python benchmarks/optimizer.py.

Decides which of the equal ones `adam` and `sgd` use by default. The contenders take turns, so that a busy machine slows
all of them alike; the median over the rounds is printed with the range between the quartiles.
"""

import argparse
import platform
import statistics
import time
from functools import partial

import timm
import torch
from torch import nn

from fastcli.optim.algorithms import adam, sgd

ADAM = {"lr": 1e-3, "betas": (0.9, 0.99), "eps": 1e-5, "weight_decay": 0.01}
SGD = {"lr": 1e-2, "momentum": 0.9}
CONTENDERS = {
    "adam": {
        "ours, default": adam,
        "ours, pieces": partial(adam, fused=False),
        "torch fused": partial(torch.optim.AdamW, fused=True, **ADAM),
        "torch foreach": partial(torch.optim.AdamW, foreach=True, **ADAM),
        "torch for-loop": partial(torch.optim.AdamW, foreach=False, **ADAM),
    },
    "sgd with momentum": {
        "ours, default": partial(sgd, **SGD),
        "ours, pieces": partial(sgd, fused=False, **SGD),
        "torch fused": partial(torch.optim.SGD, fused=True, **SGD),
        "torch foreach": partial(torch.optim.SGD, foreach=True, **SGD),
        "torch for-loop": partial(torch.optim.SGD, foreach=False, **SGD),
    },
}


def parameters(shapes, device):
    made = [nn.Parameter(torch.randn(shape, device=device)) for shape in shapes]
    for parameter in made:
        parameter.grad = torch.randn_like(parameter)
    return made


def seconds(optimizer, device, steps):
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def measure(contenders, shapes, device, rounds, steps):
    optimizers = {name: make(parameters(shapes, device)) for name, make in contenders.items()}
    times = {name: [] for name in optimizers}
    for round_ in range(rounds + 1):
        for name, optimizer in optimizers.items():
            taken = seconds(optimizer, device, steps)
            if round_ > 0:  # the first round makes the state
                times[name].append(taken)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=2, help="steps per round")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    shapes = [parameter.shape for parameter in timm.create_model(args.model).parameters()]
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"{args.model}: {len(shapes)} tensors, {hardware}, {args.threads} threads, torch {torch.__version__}")
    for kind, contenders in CONTENDERS.items():
        times = measure(contenders, shapes, device, args.rounds, args.steps)
        base = statistics.median(times["ours, default"])
        for name, taken in times.items():
            low, middle, high = statistics.quantiles(taken, n=4)
            spread = f"({low / base:.2f}–{high / base:.2f})"
            print(f"{kind:18} {name:15} {middle * 1e3:8.2f} ms  x{middle / base:5.2f}  {spread}")


if __name__ == "__main__":
    main()
