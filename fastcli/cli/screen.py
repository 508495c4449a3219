"""What `train` shows: the line of what was resolved, a row per epoch, the final line; the same goes to train.log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TextIO, cast

from fastcli import __version__
from fastcli.cli import console

if TYPE_CHECKING:
    from fastcli.callbacks.progress import Progress
    from fastcli.events import Callback
    from fastcli.run.directory import Run
    from fastcli.training import Experiment


class Reporter:
    """Shows one training on the screen and in the run's log."""

    def __init__(self, experiment: Experiment, run: Run, name: str) -> None:
        from fastcli.callbacks.screen import Screen

        self.progress: list[Progress] = []
        self._told: list[str] = []
        self.experiment, self.run, self.name, self.started = experiment, run, name, time.perf_counter()
        stream = sys.stderr if console.state.json else sys.stdout
        self.screen = Screen.for_stream(stream, plain=console.state.plain, quiet=console.state.quiet)
        self.log = Screen(cast("TextIO", _Log(run)), live=False, colour=False, quiet=False)

    def begin(self) -> None:
        """Show what was resolved."""
        from fastcli.callbacks.screen import resolved_line

        for screen in (self.screen, self.log):
            screen.line(resolved_line(**self._facts(), width=screen.width))
        for line in (*self._remarks(), *self._notes()):
            self.tell(line)

    def tell(self, line: str) -> None:
        """Show a line, and keep it in the log."""
        self.screen.line(line)
        self.log.line(line)

    def callbacks(self) -> list[Callback]:
        """The callbacks that show epochs."""
        from fastcli.callbacks.progress import JsonProgress, Progress

        epochs = self.experiment.total_epochs
        options: dict[str, Any] = {
            "monitor": self.experiment.monitor,
            "lower_is_better": self.experiment.lower_is_better,
        }
        self.progress = [Progress(screen, epochs=epochs, **options) for screen in (self.screen, self.log)]
        return [*self.progress, JsonProgress(sys.stdout)] if console.state.json else [*self.progress]

    def end(self) -> None:
        """Show how fast it was, the best figure, where it is, and what can follow."""
        from fastcli.callbacks.screen import final_line, pace_line

        for progress in self.progress:
            progress.tell(self.experiment.learner)  # what was chosen after the last fit
        best, metrics = self.experiment.best or {}, self.experiment.learner.metrics
        name = metrics[0].name if metrics else self.experiment.monitor
        afterwards = [*self._skipped(), *self._notes()]
        last = best.get("epoch") == len(self.experiment.learner.history) - 1
        shown = name if last else f"best, epoch {best.get('epoch')}: {name}"
        for screen in (self.screen, self.log):
            for line in afterwards:
                screen.line(line)
            screen.line(pace_line(**self._pace(), width=screen.width))
            screen.line(final_line(
                seconds=time.perf_counter() - self.started, run=self.run.shown,
                figure=(shown, best[name]) if name in best else None, width=screen.width,
            ))  # fmt: skip

    def _pace(self) -> dict[str, Any]:
        from fastcli.callbacks.timing import Timer
        from fastcli.learner.limit import peak_memory

        learner = self.experiment.learner
        timer = learner.callback(Timer)
        assert timer is not None  # every learner has one
        pace, memory = timer.pace, peak_memory(learner.device)
        return {"img_per_s": pace.img_per_s, "wait": pace.wait, "ratio": pace.ratio, "memory": memory}

    def _skipped(self) -> list[str]:
        """The pictures that `on_bad_image: skip` left out: how many, and each with its reason."""
        bad = {i: reason for store in self.experiment.loaders.train.stores for i, reason in store.bad.items()}
        if not bad:
            return []
        n = len(self.experiment.datasets.items)
        return [f"left out {len(bad):,} of {n:,} images that cannot be read:", *(f"  {bad[i]}" for i in sorted(bad))]

    def _notes(self) -> list[str]:
        """What the stores of pixels have to say and have not said yet."""
        notes = [note for store in self.experiment.loaders.train.stores for note in store.notes]
        fresh = [note for note in notes if note not in self._told]
        self._told += fresh
        return fresh

    def _facts(self) -> dict[str, Any]:
        from fastcli.models.create import describe

        config, loaders = self.experiment.config, self.experiment.loaders
        return {
            "version": __version__,
            "experiment": self.name,
            "model": config.network,
            "parameters": describe(self.experiment.learner.model)[0],
            "pretrained": bool(config.model.params.get("pretrained", False)),
            "kind": loaders.target.kind,
            "n_out": loaders.target.n_out,
            "train": loaders.train.n,
            "valid": loaders.valid.n,
            "device": config.runtime.device,
            "precision": config.runtime.precision,
            "channels_last": config.runtime.channels_last is True,
            "cache": config.data.cache,
            "seed": config.experiment.seed,
        }

    def _remarks(self) -> list[str]:
        """What a careful reader would want to know besides."""
        choice, model = self.experiment.choice, self.experiment.learner.model
        lines = []
        if choice.speedup > 1:
            lines.append(f"{choice.precision}{' channels_last' if choice.channels_last else ''} is "
                         f"{choice.speedup:.1f} times as fast as fp32 here ({choice.note})")  # fmt: skip
        if (weights := getattr(model, "weights", None)) is not None:
            lines.append(f"weights: {weights}")
        return lines


class _Log:
    """The run's log as a stream of lines."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def write(self, text: str) -> int:
        if text.strip():
            self.run.log(text.rstrip("\n"))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """A file is no terminal."""
        return False
