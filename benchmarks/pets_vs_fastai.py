"""Cat or dog, side by side: fastcli and fastai on the same photographs, weights, split, recipe and machine.

    python benchmarks/pets_vs_fastai.py --data pets.tgz --weights tf_efficientnet_lite0.safetensors \
        --fastai-python path/to/python --seeds 0 1 2

Runs are alternated, each in a process of its own. Prints seconds and error rates, and the ratio of the medians.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ARCHITECTURE = "tf_efficientnet_lite0"
FASTAI = """
import sys, time
started = time.perf_counter()
from fastai.vision.all import *
folder, weights, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
set_seed(seed, True)
dls = ImageDataLoaders.from_name_func(
    folder, get_image_files(folder / "images"), valid_pct=0.2, seed=42, label_func=lambda name: name[0].isupper(),
    item_tfms=Resize(224), bs=64)
learn = vision_learner(dls, "tf_efficientnet_lite0", metrics=error_rate, pretrained_cfg_overlay={"file": weights})
learn.path = Path(sys.argv[4])
set_seed(seed, True)
fit = time.perf_counter()
with learn.no_bar():
    learn.fine_tune(1)
ended = time.perf_counter()
print("RESULT", float(learn.recorder.values[-1][-1]), ended - fit, ended - started)
"""


def run_fastai(python: str, folder: Path, weights: Path, seed: int) -> dict:
    with tempfile.TemporaryDirectory() as scratch:
        words = [python, "-c", FASTAI, str(folder), str(weights), str(seed), scratch]
        shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    error, fit, total = map(float, re.search(r"RESULT (\S+) (\S+) (\S+)", shown).groups())
    return {"error_rate": error, "fit": fit, "total": total}


def run_fastcli(data: Path, weights: Path, seed: int) -> dict:
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        config = Path(__file__).parent.parent / "configs" / "pets.yaml"
        words = [sys.executable, "-m", "fastcli", "train", str(config), f"data.source={data.resolve()}",
                 f"model.name={ARCHITECTURE}", f"model.pretrained={weights.resolve()}", "--seed", str(seed),
                 "--run-dir", str(run)]  # fmt: skip
        started = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        total = time.perf_counter() - started
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {"error_rate": rows[-1]["error_rate"], "fit": sum(row["time"] for row in rows), "total": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="archive named like pets_mini.tgz: NAME/images/*.jpg")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--fastai-python", default=sys.executable)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--skip-fastai", action="store_true")
    given = parser.parse_args()
    from fastcli.data.download import untar_data

    folder, rows = untar_data(given.data), []
    for seed in given.seeds:
        sides = [("fastcli", run_fastcli(given.data, given.weights, seed))]
        if not given.skip_fastai:
            sides.append(("fastai", run_fastai(given.fastai_python, folder, given.weights, seed)))
        for name, result in sides:
            rows.append((name, result))
            print(f"{name:8} seed {seed}  error_rate {result['error_rate']:.4f}  "
                  f"fit {result['fit']:6.1f} s  in all {result['total']:6.1f} s", flush=True)  # fmt: skip
    summary = {}
    for name in dict.fromkeys(name for name, _ in rows):
        mine = [result for other, result in rows if other == name]
        summary[name] = {key: statistics.median(r[key] for r in mine) for key in ("fit", "total")}
        errors = [r["error_rate"] for r in mine]
        print(f"{name:8} mean error_rate {statistics.mean(errors):.4f}  median in all {summary[name]['total']:.1f} s")
    if "fastai" in summary:
        print(f"ratio: {summary['fastcli']['total'] / summary['fastai']['total']:.3f}  (fastcli / fastai, in all)")


if __name__ == "__main__":
    main()
