"""Predictor: a trained model with its preprocessing, loaded from a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastcli.callbacks.precision import autocast
from fastcli.components import load_components
from fastcli.config.load import load
from fastcli.config.models import Config
from fastcli.data.encoders import OpenImage
from fastcli.data.loader import Loader
from fastcli.data.store import Store
from fastcli.errors import FastcliError
from fastcli.experiment import batch_pipeline, item_pipeline
from fastcli.losses import probabilities
from fastcli.models.create import create_model
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.directory import Run
from fastcli.types import InputInfo


@dataclass(frozen=True)
class Prediction:
    """What the model says of one file: its scores in the order of the classes, or why it says nothing."""

    path: str
    scores: tuple[float, ...] = ()
    error: str | None = None


class Predictor:
    """The best model of a run, ready to be asked about files."""

    def __init__(self, run: Run, *, device: str | None = None) -> None:
        load_components()
        self.run = run
        self.config: Config = load(run.config, check_files=False).config
        self.classes = run.read_classes() if self.config.data.target.name != "regression" else []
        loaded = Checkpoints(run.checkpoints).load("best")
        self.warning = loaded.warning
        self.device = torch.device(device or usable_device(self.config.runtime.device))
        self.model = self._model(loaded.tensors, loaded.meta)
        self.items, self.batches = item_pipeline(self.config), batch_pipeline(self.config)

    def __repr__(self) -> str:
        return f"Predictor({str(self.run.path)!r}, {self.config.model.name}, {len(self.classes)} classes)"

    def _model(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> torch.nn.Module:
        chosen = self.config.model
        params = chosen.params | ({"pretrained": False} if "pretrained" in chosen.params else {})
        self.n_out = int(meta["n_out"])
        inputs = InputInfo(meta["input"]["channels"], tuple(meta["input"]["size"]))
        model = create_model(chosen.name, inputs, self.n_out, **params)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise FastcliError(f"the checkpoint of {self.run.path} does not fit its model: {error}") from None
        layout = torch.channels_last if self.config.runtime.channels_last is True else torch.contiguous_format
        return model.to(self.device).to(memory_format=layout).eval()

    def predict(
        self, paths: Sequence[str | Path], *, batch_size: int = 64, views: int = 0, workers: int | None = None
    ) -> Iterator[Prediction]:
        """One prediction per file, in order; a file that cannot be read gives one with `error`.

        With `views`, three quarters of a score are the mean over that many randomly augmented views, as in fastai.
        """
        encoder = OpenImage("L" if self.config.data.input == "image_bw" else "RGB")
        store = Store(
            lambda i: self.items.prepare(encoder.encode(Path(paths[i]))), len(paths), uniform=not self.items.random,
            tier="off" if views == 0 else "auto", skip_bad=True, workers=workers,
        )  # fmt: skip
        for start in range(0, len(paths), batch_size):
            span = range(start, min(start + batch_size, len(paths)))
            scores = self._scores(store, span, batch_size, views)
            for index in span:
                if index in store.bad:
                    yield Prediction(str(paths[index]), error=store.bad[index])
                else:
                    yield Prediction(str(paths[index]), tuple(next(scores)))

    def _scores(self, store: Store, span: range, batch_size: int, views: int) -> Iterator[list[float]]:
        """The scores of the readable files of `span`."""
        plain = self._pass(store, span, batch_size, None)
        if views:
            mean = torch.stack([self._pass(store, span, batch_size, view) for view in range(views)]).mean(0)
            plain = torch.lerp(mean, plain, 0.25) if len(plain) else plain
        return iter(plain.tolist())

    def _pass(self, store: Store, span: range, batch_size: int, view: int | None) -> Tensor:
        loader = Loader([store], span, items=self.items, batches=self.batches, batch_size=batch_size,
                        augment=view is not None, seed=self.config.experiment.seed, device=self.device)  # fmt: skip
        loader.set_epoch(view or 0)
        scores = [self.scores(inputs) for (inputs,) in loader]
        return torch.cat(scores) if scores else torch.empty(0, 1)

    def scores(self, inputs: Tensor) -> Tensor:
        """Probabilities (n, n_classes), or numbers (n, n_out) of a regression, of a preprocessed batch, on the CPU."""
        with torch.inference_mode(), self._autocast():
            logits = self.model(inputs).float()
        return probabilities(logits, self.config.data.target.name, len(self.classes)).cpu()

    def _autocast(self) -> torch.autocast:
        trained_here = self.device.type == torch.device(self.config.runtime.device).type
        return autocast(self.device, self.config.runtime.precision if trained_here else "fp32")


def usable_device(trained_on: str) -> str:
    """The device of the training where this machine has it, or else the CPU."""
    kind = torch.device(trained_on).type
    if kind == "cuda" and torch.cuda.is_available():
        return "cuda"
    return "mps" if kind == "mps" and torch.backends.mps.is_available() else "cpu"
