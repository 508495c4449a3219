"""A trained run asked about a labelled set: its own validation or training split, or other data, matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fastcli.callbacks.precision import MixedPrecision
from fastcli.components import Parts
from fastcli.config.paths import as_written
from fastcli.config.trust import Trust
from fastcli.data.blocks import Block, ImageBlock
from fastcli.data.datasets import Datasets
from fastcli.data.download import Source, resolve_source
from fastcli.data.encoders import OneHotEncoded
from fastcli.data.labellers import beside, label_all
from fastcli.data.loader import Loader
from fastcli.data.loaders import DataLoaders
from fastcli.data.progress import Progress
from fastcli.data.sources import Sources
from fastcli.data.splitters import guess_layout
from fastcli.data.values import names_of
from fastcli.deploy.predictor import Predictor
from fastcli.errors import DataError, first_few
from fastcli.experiment_data import datasets_of
from fastcli.learner.answers import item_losses
from fastcli.learner.inference import tta
from fastcli.learner.learner import Learner
from fastcli.losses import default_loss
from fastcli.report.evaluation import Evaluation
from fastcli.report.interpret import Interpretation, files_of
from fastcli.report.plain_loss import PLAIN, PlainLoss
from fastcli.run.directory import Run
from fastcli.show.kernels import in_words

Split = Literal["valid", "train"]
SMALLEST = 1e-12
"""Probabilities are taken for at least this before their logarithm is."""


@dataclass
class Evaluator:
    """A run's model and the labelled items that it is to be asked about."""

    predictor: Predictor
    learner: Learner
    loader: Loader
    about: dict[str, Any]
    notes: list[str]

    @property
    def kind(self) -> str:
        """The kind of target."""
        return str(self.learner.loaders.target.kind)

    def evaluate(self, views: int = 0) -> Evaluation:
        """What the model says of every item, from one pass; with `views` from so many random ones and the plain one.

        Raises DataError where no item can be opened, ConfigError for views of a target that lies on the picture.
        """
        found = self._with_views(views) if views else Interpretation.from_learner(self.learner, self.loader)
        notes, bad = list(self.notes), self.loader.stores[0].bad
        if bad:
            notes.append(f"{len(bad):,} pictures cannot be opened and are left out: {next(iter(bad.values()))}")
        more = {} if self.kind in PLAIN else self._own_figures(found)
        return Evaluation(
            found, {**self.about, "views": views}, notes, more, None if self.kind in PLAIN else self._words
        )

    def _own_figures(self, found: Interpretation) -> dict[str, float]:
        """The metrics of the run, of a plugin's kind of target, whose decisions are the model's outputs."""
        for metric in self.learner.metrics:
            metric.reset()
            metric.update(found.decisions, found.targets)
        return {metric.name: metric.compute() for metric in self.learner.metrics}

    def _words(self, target: Tensor, outputs: Tensor) -> tuple[str, str]:
        """A target and what the outputs say, as the target's encoder says it."""
        encoder = self.predictor.encoder
        said = encoder.decide(encoder.scores(outputs[None]))[0]
        return in_words(encoder.decode(target)), in_words(encoder.decode(said))

    def _with_views(self, views: int) -> Interpretation:
        scores, targets = tta(self.learner, self.loader, n=views)
        outputs = _outputs(scores, self.kind)
        losses = item_losses(self.learner.loss_fn, outputs, targets)
        names, samples = files_of(self.learner.loaders, self.loader)
        target = self.learner.loaders.target
        return Interpretation.from_arrays(outputs, targets, losses, target, names=names, samples=samples)


def open_evaluator(
    run: Run,
    *,
    data: str | None = None,
    split: Split = "valid",
    batch_size: int | None = None,
    device: str | None = None,
    trust: Trust | None = None,
    progress: Progress | None = None,
) -> Evaluator:
    """What evaluates the best model of `run` on one of its splits, or on all of the other `data`.

    Raises DataError where data is gone or other data has classes that the run does not know.
    """
    predictor = Predictor(run, device=device, trust=trust)
    notes = [predictor.warning] if predictor.warning else []
    if data is None:
        resolve_source(predictor.config.data.source, progress=progress)
        datasets, told = datasets_of(predictor.config, run.split)
        notes += told
        indices = (datasets.valid if split == "valid" else datasets.train).indices
    else:
        datasets = _other_data(predictor, resolve_source(data, progress=progress), data)
        indices = datasets.train.indices
    if not indices:
        raise DataError(f"there is nothing in the {split} split", hint="evaluate other data with --data")
    loader = _loader(predictor, datasets, indices, batch_size)
    source = as_written(predictor.config.data.source) if data is None else data
    about = {"run": run.shown, "model": predictor.config.network, "data": source,
             "split": split if data is None else None, "classes": len(datasets.target.classes)}  # fmt: skip
    return Evaluator(predictor, _learner(predictor, datasets, loader), loader, about, notes)


def _loader(predictor: Predictor, datasets: Datasets, indices: Sequence[int], batch_size: int | None) -> Loader:
    data = predictor.config.data
    workers = None if data.workers == "auto" else data.workers
    sources = Sources(datasets.encoders, predictor.items, device=predictor.device, cache="off", workers=workers,
                      skip_bad=data.on_bad_image == "skip", root=datasets.root)  # fmt: skip
    elements = sources.elements(datasets.values, datasets.paths, datasets.name_of, used=indices, epochs=1)
    return Loader(elements, indices, items=predictor.items, batches=predictor.batches, device=predictor.device,
                  batch_size=batch_size or data.batch_size, seed=predictor.config.experiment.seed,
                  name_of=datasets.name_of)  # fmt: skip


def _learner(predictor: Predictor, datasets: Datasets, loader: Loader) -> Learner:
    """A learner that only validates, in the precision of the predictor."""
    target, config = datasets.target, predictor.config
    known = target.kind in PLAIN
    loss_fn = PlainLoss(target.kind) if known else Parts(config).one("loss", config.loss, default_loss(target))(target)
    precision: Any = predictor.precision
    loaders = DataLoaders(loader, loader, target=target, n_inputs=datasets.n_inputs, datasets=datasets)
    callbacks = [] if precision == "fp32" else [MixedPrecision(precision)]
    metrics = [] if known else Parts(config).several("metrics", config.metrics or (), target)
    return Learner(loaders, predictor.model, loss_fn, metrics=metrics, callbacks=callbacks, device=predictor.device)


def _other_data(predictor: Predictor, source: Source, given: str) -> Datasets:
    """All items of other data, labelled as the run's were where they are of the same sort, else as their place says."""
    config, parts = predictor.config, Parts(predictor.config)
    table = source.kind == "csv"
    same = table == (config.data.items is not None and config.data.items.name == "csv_rows")
    items = parts.one("data.items", config.data.items if same else None, source.default_items)(source.path)
    label, _ = guess_layout(items, source.path)
    get_y: Any = parts.one("data.label", config.data.label if same else None, label)
    folder = source.folder
    target = parts.one("data.target", config.data.target, "category")(config.data.classes)
    blocks = (ImageBlock(config.data.image_mode, config.data.max_pixels), target)
    get_y = beside(folder, get_y) if target.encoder.made_from == "file" else get_y
    labels = label_all(items, get_y)
    _refuse_other_classes(labels, target, given)
    # On the side of training, whose values tell an encoder how many numbers there are.
    datasets = Datasets(items, [items, labels], blocks, range(len(items)), [], root=folder, getters=[None, get_y])
    if datasets.target.classes and datasets.target.n_out != len(predictor.classes):
        raise DataError(f"{given} has {datasets.target.n_out} classes, the run {len(predictor.classes)}")
    return datasets


def _refuse_other_classes(labels: Sequence[Any], target: Block, given: str) -> None:
    """Raise DataError naming the classes that the run does not know."""
    known = getattr(target.encoder, "classes", ())
    if target.encoder.made_from == "file" or not known or getattr(target.encoder, "add_na", False):
        return
    if isinstance(target.encoder, OneHotEncoded):  # its labels are zeros and ones, and no names
        return
    strangers = sorted({name for label in labels for name in names_of(label)} - set(known))
    if strangers:
        classes = "1 class" if len(strangers) == 1 else f"{len(strangers)} classes"
        raise DataError(f"{given} has {classes} that the run does not know: {first_few(list(map(repr, strangers)), 8)}",
                        hint=f"it knows {first_few(known, 8)}; rename folders or labels, or leave them out"
                        )  # fmt: skip


def _outputs(scores: Tensor, kind: str) -> Tensor:
    """What a model would have given for these scores."""
    if kind == "category":
        return scores.clamp_min(SMALLEST).log()
    return torch.logit(scores, eps=1e-6) if kind == "multi_category" else scores


def where_to(run: Run, data: str | None, split: str, views: int) -> Path:
    """The folder of a report in its run: by the split or the data's name, and by the views."""
    name = split if data is None else Path(data.rstrip("/")).stem or "data"
    return run.evaluation(f"{name}-tta{views}" if views else name)
