"""Renew fastcli/models/published.csv from timm's published results and the installed timm.

    git clone https://github.com/huggingface/pytorch-image-models timm-source
    python tools/model_table.py timm-source

Accuracies, parameters, GMACs and activations are from the tables in `results/` (Apache-2.0); family, licence and place
of the weights are what the installed timm says of them. One row for each set of weights and size of picture.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from pathlib import Path

RESULTS = "results/results-imagenet.csv"
BENCHMARKS = (
    "results/benchmark-infer-amp-nchw-pt291-cu128-4090.csv",
    "results/benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv",
)
TARGET = Path(__file__).parent.parent / "fastcli" / "models" / "published.csv"
COLUMNS = ("model", "family", "default", "size", "top1", "top5", "params", "gmacs", "macts", "license", "weights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a clone of timm, or its git directory")
    source = parser.parse_args().source
    commit = git(source, "rev-parse", "HEAD").strip()
    rows = sorted(table(source), key=lambda row: (row["model"], int(row["size"] or 0)))
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        file.write(header(commit))
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(
        f"{len(rows):,} rows, {len({row['model'] for row in rows}):,} sets of weights, {TARGET.stat().st_size:,} bytes"
    )


def header(commit: str) -> str:
    import timm

    return (
        f"# From https://github.com/huggingface/pytorch-image-models at {commit[:12]}: {RESULTS} and\n"
        f"# {', '.join(BENCHMARKS)}; Apache-2.0, Ross Wightman and others.\n"
        f"# Family, licence and place of the weights: timm {timm.__version__}. Made by tools/model_table.py.\n"
    )


def table(source: Path) -> list[dict[str, object]]:
    import timm
    from timm.models._registry import _model_default_cfgs, _model_pretrained_cfgs, _model_to_module

    results = by_model(source, RESULTS)
    costs = [row for path in reversed(BENCHMARKS) for row in read(source, path)]
    sizes = {(row["model"], int(row["infer_img_size"])): row for row in costs}
    params = {row["model"]: row["param_count"] for row in costs}
    rows = []
    for name in timm.list_models(pretrained=True):
        facts = _model_pretrained_cfgs[name]
        architecture = name.partition(".")[0]
        default = _model_default_cfgs[architecture]
        described = {
            "model": name,
            "family": _model_to_module[architecture],
            "default": int(f"{architecture}.{default.tags[0]}" == name),
            "license": facts.license or "",
            "weights": place(name, facts),
        }
        seen = results.get(name) or [{"img_size": facts.input_size[-1]}]
        for result in seen:
            cost = sizes.get((architecture, int(result["img_size"])), {})
            rows.append({
                **described, "size": result["img_size"], "top1": short(result.get("top1")),
                "top5": short(result.get("top5")),
                "params": short(result.get("param_count") or params.get(architecture)),
                "gmacs": short(cost.get("infer_gmacs")), "macts": short(cost.get("infer_macts")),
            })  # fmt: skip
    return rows


def place(name: str, facts: object) -> str:
    """Where the weights are, empty for timm's own repository of the same name: a repository on the Hub, or an URL."""
    if facts.hf_hub_id:
        repository = facts.hf_hub_id + ("" if facts.hf_hub_id != "timm/" else name)
        file = f":{facts.hf_hub_filename}" if facts.hf_hub_filename else ""
        return "" if repository == f"timm/{name}" and not file else repository + file
    return facts.url


def by_model(source: Path, path: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in read(source, path):
        found.setdefault(row["model"], []).append(row)
    return found


def read(source: Path, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(git(source, "show", f"HEAD:{path}").splitlines()))


def short(number: str | None) -> str:
    """Two decimals at most, without the thousands' comma."""
    return f"{float(number.replace(',', '')):.2f}".rstrip("0").rstrip(".") if number else ""


def git(source: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", source, *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
