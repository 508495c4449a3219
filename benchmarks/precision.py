"""How fast a bare training step and a frozen forward pass are, by precision, layout, allocator and depthwise kernels.

    python benchmarks/precision.py [--quick] [--weights tf_efficientnet_lite0.safetensors]

Every row runs in a process of its own, alternately, `--repeats` times; prints the medians in images per second, their
spread, and the ratio to fp32 in the default layout with everything else as torch has it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

WORK = [("tf_efficientnet_lite0", 224, 32), ("resnet18", 224, 32), ("resnet18", 28, 64)]
COMBINATIONS = [("fp32", False), ("fp32", True), ("bf16", False), ("bf16", True)]


def settings(quick: bool) -> list[dict]:
    """The rows: all combinations as torch has them and as fastcli has them, then one change at a time from the best."""
    plain = {"keep": False, "depthwise": False}
    ours = {"keep": True, "depthwise": True}
    rows = []
    for name, size, images in WORK[:1] if quick else WORK:
        model = {"name": name, "size": size, "images": images}
        for precision, channels_last in COMBINATIONS:
            for extra in (plain, ours):
                rows.append({**model, "precision": precision, "channels_last": channels_last, **extra})
    best = {"name": WORK[0][0], "size": 224, "images": 32, "precision": "bf16", "channels_last": True, **ours}
    changes = [{"keep": False}, {"depthwise": False}, {"threads": 1}, {"denormal": True}, {"cache": False},
               {"cast": True}, {"keep": False, "environment": {"THP_MEM_ALLOC_ENABLE": "1"}}]  # fmt: skip
    return rows + [{**best, **change} for change in changes]


def measure(row: dict) -> dict:
    """Images per second of a training step and of a forward pass without gradients (the body alone)."""
    import torch
    from torch.nn import functional

    from fastcli.learner.allocator import keep_freed_memory
    from fastcli.models import create, layers
    from fastcli.types import InputInfo

    if row["keep"]:
        keep_freed_memory()
    if row.get("threads"):
        torch.set_num_threads(row["threads"])
    torch.set_flush_denormal(row.get("denormal", False))
    create.train_depthwise_fast = layers.train_depthwise_fast if row["depthwise"] else lambda body: 0
    torch.manual_seed(0)
    model = create.create_model(row["name"], InputInfo(3, (row["size"],) * 2), 2, pretrained=row["weights"] or False)
    images = torch.randn(row["images"], 3, row["size"], row["size"])
    targets = torch.arange(row["images"]) % 2
    layout = torch.channels_last if row["channels_last"] else torch.contiguous_format
    cast = row.get("cast", False)
    master = [p.detach().clone() for p in model.parameters()] if cast else []
    if cast:
        model.to(torch.bfloat16)
        images = images.to(torch.bfloat16)
    model.to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    amp = {"dtype": torch.bfloat16, "enabled": row["precision"] == "bf16" and not cast,
           "cache_enabled": row.get("cache", True)}  # fmt: skip

    def train() -> None:
        with torch.autocast("cpu", **amp):
            loss = functional.cross_entropy(model(images).float(), targets)
        loss.backward()
        if cast:  # the master weights' part of a step: gradients up, weights down
            for kept, parameter in zip(master, model.parameters(), strict=True):
                kept.add_(parameter.grad.float(), alpha=-1e-6)
                parameter.data.copy_(kept)
        model.zero_grad()

    def frozen() -> None:
        with torch.no_grad(), torch.autocast("cpu", **amp):
            model.features(images)

    def seconds(work) -> float:
        work()
        taken = []
        for _ in range(4):
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
        return statistics.median(taken)

    trained = seconds(train)
    model.eval()
    return {"train": row["images"] / trained, "frozen": row["images"] / seconds(frozen)}


def run(row: dict) -> dict:
    words = [sys.executable, __file__, "--row", json.dumps(row)]
    environment = {**os.environ, **row.get("environment", {})}
    shown = subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(shown.splitlines()[-1])


def label(row: dict) -> str:
    parts = [
        f"{row['name']}@{row['size']} ×{row['images']}",
        row["precision"],
        "NHWC" if row["channels_last"] else "NCHW",
    ]
    parts += ["keep" if row["keep"] else "-", "depthwise" if row["depthwise"] else "-"]
    parts += [f"{k}={v}" for k, v in row.items() if k in ("threads", "denormal", "cache", "cast", "environment")]
    return " ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the first model only")
    parser.add_argument("--weights", default="", help="pretrained weights of tf_efficientnet_lite0; else random")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(json.loads(options.row))))
        return
    rows = settings(options.quick)
    for row in rows:
        row["weights"] = options.weights if row["name"] == WORK[0][0] else ""
    found = {i: {"train": [], "frozen": []} for i in range(len(rows))}
    for _ in range(options.repeats):
        for i, row in enumerate(rows):
            for what, rate in run(row).items():
                found[i][what].append(rate)
    bases = {}
    for i, row in enumerate(rows):
        base = bases.setdefault((row["name"], row["size"]), found[i])
        shown = []
        for what, rates in found[i].items():
            middle = statistics.median(rates)
            ratio = middle / statistics.median(base[what])
            shown.append(f"{what} {middle:7.1f} img/s [{min(rates):.1f}, {max(rates):.1f}] ×{ratio:.2f}")
        print(f"{label(row):82} {' | '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
