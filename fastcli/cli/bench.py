"""`fastcli bench`: how near a configuration's training comes to the limit of this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.cli.config import ConfigFile, Overrides

if TYPE_CHECKING:
    from fastcli.learner.limit import Speed
    from fastcli.training import Experiment

HEAD = "phase      limit  training  ratio             wait  first pass    memory"


def bench(
    config: ConfigFile,
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches in each block.")] = 20,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks of training, and as many of bare steps.")] = 5,
    device: Annotated[str | None, typer.Option(help="Instead of runtime.device.")] = None,
) -> None:
    """Measure the training that CONFIG describes against bare forward, backward and optimizer steps.

    Blocks of bare steps on one batch that stays on the device and blocks of the real training loop take turns, with
    the same model, precision, memory layout, optimizer and batch size. Nothing is written to the run directory.
    """
    from fastcli.cli.training import build_or_explain, load_with

    loaded = load_with(config, overrides or (), {"runtime.device": device})
    experiment = build_or_explain(loaded)
    console.say(f"bench · {loaded.name} · {_facts(experiment)}")
    _show(experiment, experiment.speed(steps=steps, blocks=blocks))


def _facts(experiment: Experiment) -> str:
    config = experiment.config
    runtime = config.runtime
    layout = ["channels_last"] if runtime.channels_last is True else []
    place = " ".join([str(runtime.device), str(runtime.precision), *layout])
    return f"{config.model.name} · {place} · batches of {config.data.batch_size} · data {config.data.cache}"


def _show(experiment: Experiment, found: list[Speed]) -> None:
    if console.state.json:
        phases: list[dict[str, Any]] = [asdict(speed) for speed in found]
        console.document({"config": experiment.config.model_dump(), "phases": phases})
        return
    console.data(HEAD)
    for speed in found:
        console.data(row(speed))
    console.say("images per second; ratio is training to limit, the median of the blocks and their range")


def row(speed: Speed) -> str:
    """A line of the table.

    >>> from types import SimpleNamespace
    >>> print(row(SimpleNamespace(phase="whole", limit=120.04, training=118.2, ratio=0.985, ratios=(0.97, 0.99),
    ...     wait=0.012, first=80.0, memory=3 * 2**30)))
    whole      120.0     118.2   0.98 (0.97–0.99)    1%        80.0   3.0 GiB
    """
    spread = f"{speed.ratio:.2f} ({min(speed.ratios):.2f}–{max(speed.ratios):.2f})"
    memory = "-" if speed.memory is None else f"{speed.memory / 2**30:.1f} GiB"
    return (
        f"{speed.phase:8}{speed.limit:8.1f}{speed.training:10.1f}   {spread:18}{speed.wait:4.0%}{speed.first:12.1f}"
        f"{memory:>10}"
    )
