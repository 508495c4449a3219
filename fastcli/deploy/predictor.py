"""Predictor: a trained model with its preprocessing, loaded from a run directory."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastcli.callbacks.precision import autocast
from fastcli.components import batch_pipeline, item_pipeline, load_components
from fastcli.config.load import load
from fastcli.config.models import Config
from fastcli.config.trust import Trust
from fastcli.data.encoders import Encoder, OpenImage
from fastcli.data.loader import Loader
from fastcli.data.plan import Batch
from fastcli.data.store import Store
from fastcli.deploy.places import View
from fastcli.errors import ConfigError, FastcliError
from fastcli.models.create import create_model
from fastcli.registry import targets
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.directory import Run
from fastcli.types import InputInfo, KeyPoints, Mask

SPATIAL = (KeyPoints, Mask)
"""Targets that lie on the picture, and would have to be turned back with it."""


@dataclass(frozen=True)
class Prediction:
    """What the model says of one file, or why it says nothing."""

    path: str
    scores: Tensor | None = None
    """Of the classes in their order, or the predicted numbers; (n_out,), for masks (n_classes, h, w)."""
    decision: Tensor | None = None
    """As the target's encoder has it; points (n, 2) and masks (h, w) in pixels of the file's picture."""
    error: str | None = None


class Predictor:
    """The best model of a run, ready to be asked about files; `trust` decides whether its plugins are imported."""

    def __init__(self, run: Run, *, device: str | None = None, trust: Trust | None = None) -> None:
        load_components()
        self.run = run
        self.config: Config = load(run.config, check_files=False, trust=trust).config
        self.encoder: Encoder = self._encoder()
        self.classes: list[str] = list(getattr(self.encoder, "classes", ()))
        loaded = Checkpoints(run.checkpoints).load("best")
        self.warning = loaded.warning
        self.device = torch.device(device or usable_device(self.config.runtime.device))
        self.model = self._model(loaded.tensors, loaded.meta)
        self.items, self.batches = item_pipeline(self.config), batch_pipeline(self.config)
        self._view = functools.lru_cache(maxsize=64)(lambda canvas: View(canvas, self.items, self.batches))

    def __repr__(self) -> str:
        return f"Predictor({str(self.run.path)!r}, {self.config.model.name}, {len(self.classes)} classes)"

    def _encoder(self) -> Encoder:
        target = self.config.data.target
        encoder: Encoder = targets.build(target.name, self.config.data.classes, **target.params).encoder
        return encoder

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
        self,
        paths: Sequence[str | Path],
        *,
        batch_size: int = 64,
        views: int = 0,
        threshold: float = 0.5,
        workers: int | None = None,
    ) -> Iterator[Prediction]:
        """One prediction per file, in order; a file that cannot be read gives one with `error`.

        With `views`, three quarters of a score are the mean over that many randomly augmented views, as in fastai.
        Raises ConfigError for views of a target that lies on the picture.
        """
        if views and issubclass(self.encoder.element, SPATIAL):
            raise ConfigError("points and masks cannot be averaged over turned views", hint="predict without --tta")
        data = self.config.data
        encoder = OpenImage(data.image_mode, data.max_pixels)
        store = Store(
            lambda i: encoder.encode_scaled(Path(paths[i]), self.items.scaling), len(paths), prepare=self.items.prepare,
            uniform=not self.items.random, tier="off" if views == 0 else "auto", skip_bad=True, workers=workers,
        )  # fmt: skip
        loader = Loader([store], range(len(paths)), items=self.items, batches=self.batches, batch_size=batch_size,
                        seed=self.config.experiment.seed, device=self.device)  # fmt: skip
        for batch, inputs in loader.planned():
            rows = iter(()) if inputs is None else self._rows(loader, batch, inputs[0], views, threshold)
            for index in batch.items:
                path = str(paths[index])
                yield (
                    Prediction(path, error=store.bad[index])
                    if index in store.bad
                    else self._prediction(path, store, index, *next(rows))
                )

    def _rows(
        self, loader: Loader, batch: Batch, inputs: Tensor, views: int, threshold: float
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Scores and decision of each readable file of a batch."""
        scores = self.scores(inputs)
        if views:
            turned = copy.copy(loader)
            turned.augment = True
            seen = [self.scores(turned.load(replace(batch, epoch=view))[0]) for view in range(views)]
            scores = torch.lerp(torch.stack(seen).mean(0), scores, 0.25)
        return zip(scores, self.encoder.decide(scores, threshold), strict=True)

    def _prediction(self, path: str, store: Store, index: int, scores: Tensor, decision: Tensor) -> Prediction:
        if issubclass(self.encoder.element, KeyPoints):
            decision = self._view(store.canvas(index)).points(decision.view(-1, 2))
        if issubclass(self.encoder.element, Mask):
            decision = self._view(store.canvas(index)).mask(decision)
        return Prediction(path, scores, decision)

    def scores(self, inputs: Tensor) -> Tensor:
        """Probabilities or numbers (n, …) of a preprocessed batch, on the CPU."""
        with torch.inference_mode(), self._autocast():
            logits = self.model(inputs).float()
        return self.encoder.scores(logits).cpu()

    @property
    def precision(self) -> str:
        """The training's on its kind of device, fp32 on others."""
        trained_here = self.device.type == torch.device(self.config.runtime.device).type
        return self.config.runtime.precision if trained_here else "fp32"

    def _autocast(self) -> torch.autocast:
        return autocast(self.device, self.precision)


def usable_device(trained_on: str) -> str:
    """The device of the training where this machine has it, or else the CPU."""
    kind = torch.device(trained_on).type
    if kind == "cuda" and torch.cuda.is_available():
        return "cuda"
    return "mps" if kind == "mps" and torch.backends.mps.is_available() else "cpu"
