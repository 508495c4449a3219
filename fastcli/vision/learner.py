"""fastai's Learner: its methods by their names and argument names, on the library's loop, recipes and callbacks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastcli.events import Callback, CancelEpoch
from fastcli.learner import learner, recipes
from fastcli.learner.lr_find import lr_find
from fastcli.models.freezing import Norms
from fastcli.optim.groups import parameter_groups, set_hyper
from fastcli.vision.asking import Asking
from fastcli.vision.core import L, listed
from fastcli.vision.listening import Listening
from fastcli.vision.losses import as_loss
from fastcli.vision.measures import as_metric, distinct
from fastcli.vision.optimizers import Adam, given_rate
from fastcli.vision.rates import suggested, valley
from fastcli.vision.recorder import Recorder

__all__ = ["Learner"]

RATE = 1e-3
Momenta = tuple[float, float, float]


class SkipTo(Callback):
    """Leaves out the epochs before `epoch`, so that schedules go on where they would be."""

    order = -60

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def before_epoch(self, learner: Any) -> None:
        """Skip this epoch if it was run before."""
        if learner.epoch < self.epoch:
            learner.iteration += learner.steps_per_epoch
            raise CancelEpoch


def steadily(learner: Any, n_epoch: int, rate: Any) -> None:
    """Train at the rate that is set now, so that callbacks may schedule it."""
    if learner.optimizer is None:
        learner.create_optimizer()
    set_hyper(learner.optimizer, "lr", rate)
    learner.fit(n_epoch, callbacks=())


class Learner(Asking, Listening, learner.Learner):
    """Trains `model` on `dls`; everything that is not given is what fits the data.

    `train_bn` trains the batch norms of a frozen body too, as fastai does; False keeps them as they were pretrained,
    which is faster, and better on small data.
    """

    def __init__(
        self, dls: Any, model: nn.Module, loss_func: Any = None, opt_func: Any = Adam, lr: Any = RATE,
        splitter: Any = None, cbs: Any = None, metrics: Any = None, path: str | Path | None = None,
        model_dir: str | Path = "models", wd: float | None = None, wd_bn_bias: bool = False, train_bn: bool = True,
        moms: Momenta = recipes.MOMENTA, default_cbs: bool = True, seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            dls, model, as_loss(loss_func, dls), opt_func, metrics=listed(metrics),
            seed=int(torch.initial_seed() % 2**31) if seed is None else seed,
        )  # fmt: skip
        self.opt_func, self.lr, self.wd, self.moms = opt_func, given_rate(opt_func) or lr, wd, moms
        self.wd_bn_bias, self.train_bn = wd_bn_bias, train_bn
        self.path, self.model_dir = Path(path or getattr(dls, "path", None) or "."), Path(model_dir)
        if splitter is not None:
            self.layer_groups = [list(group) for group in splitter(model)]
        self.show = default_cbs
        self.directory = self.path / self.model_dir
        self.recorder = Recorder(self)
        self.add_cbs(cbs)

    @property
    def metrics(self) -> list[Any]:
        """What is computed in every validation."""
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Any) -> None:
        self._metrics = distinct([as_metric(metric, self.loaders) for metric in listed(metrics)])

    # Training.

    def fit(  # type: ignore[override]
        self, n_epoch: int, lr: Any = None, wd: float | None = None, cbs: Any = None, reset_opt: bool = False,
        start_epoch: int = 0, *, callbacks: Any = None,
    ) -> None:  # fmt: skip
        """Train for `n_epoch` epochs at the rate `lr`; `callbacks` (a recipe's) take the place of a constant rate."""
        if callbacks is not None:
            with self._showing():
                super().fit(n_epoch, callbacks=callbacks)
            return
        self._run(steadily, n_epoch, self._rate(lr), wd=wd, cbs=cbs, reset_opt=reset_opt, start_epoch=start_epoch)

    def fit_one_cycle(
        self, n_epoch: int, lr_max: Any = None, div: float = 25.0, div_final: float = 1e5, pct_start: float = 0.25,
        wd: float | None = None, moms: Momenta | None = None, cbs: Any = None, reset_opt: bool = False,
        start_epoch: int = 0,
    ) -> None:  # fmt: skip
        """Train with one cycle of the rate, up to `lr_max` and down."""
        self._run(
            recipes.fit_one_cycle, n_epoch, self._rate(lr_max), div, div_final, pct_start, moms or self.moms,
            wd=wd, cbs=cbs, reset_opt=reset_opt, start_epoch=start_epoch,
        )  # fmt: skip

    def fine_tune(
        self, epochs: int, base_lr: float = 2e-3, freeze_epochs: int = 1, lr_mult: float = 100, pct_start: float = 0.3,
        div: float = 5.0, *, wd: float | None = None, moms: Momenta | None = None,
        cbs: Any = None, reset_opt: bool = False, start_epoch: int = 0,
    ) -> None:  # fmt: skip
        """Train the head for `freeze_epochs`, then everything for `epochs` at half the rate.

        `start_epoch` is of the second part, and where it is given the first is left out; in fastai it is of both.
        """
        self._run(
            recipes.fine_tune, epochs, 0 if start_epoch else freeze_epochs, base_lr, lr_mult, pct_start, div,
            moms or self.moms, not self.train_bn, wd=wd, cbs=cbs, reset_opt=reset_opt, start_epoch=start_epoch,
        )  # fmt: skip

    def fit_flat_cos(
        self, n_epoch: int, lr: Any = None, div_final: float = 1e5, pct_start: float = 0.75, wd: float | None = None,
        cbs: Any = None, reset_opt: bool = False, start_epoch: int = 0,
    ) -> None:  # fmt: skip
        """Train at a flat rate, then down a cosine."""
        self._run(recipes.fit_flat_cos, n_epoch, self._rate(lr), div_final, pct_start, wd=wd, cbs=cbs,
                  reset_opt=reset_opt, start_epoch=start_epoch)  # fmt: skip

    def fit_sgdr(
        self, n_cycles: int, cycle_len: int, lr_max: Any = None, cycle_mult: int = 2, cbs: Any = None,
        reset_opt: bool = False, wd: float | None = None, start_epoch: int = 0,
    ) -> None:  # fmt: skip
        """Train in cosine cycles with warm restarts."""
        self._run(recipes.fit_sgdr, n_cycles, cycle_len, self._rate(lr_max), cycle_mult, wd=wd, cbs=cbs,
                  reset_opt=reset_opt, start_epoch=start_epoch)  # fmt: skip

    def lr_find(
        self, start_lr: float = 1e-7, end_lr: float = 10, num_it: int = 100, stop_div: bool = True,
        show_plot: bool = True, suggest_funcs: Any = valley,
    ) -> Any:  # fmt: skip
        """The suggested learning rates by name, after a run with a rising one that leaves everything as it was."""
        with self._showing(False):
            self.recorder.search = lr_find(
                self, start_lr=start_lr, end_lr=end_lr, steps=num_it, stop_on_divergence=stop_div
            )
        chosen = suggested(self.recorder.search, listed(suggest_funcs), num_it)
        if show_plot:
            self.recorder.plot_lr_find(suggestions=chosen)
        return chosen

    def _run(
        self, recipe: Any, *args: Any, wd: float | None = None, cbs: Any = None, reset_opt: bool = False,
        start_epoch: int = 0,
    ) -> None:  # fmt: skip
        if reset_opt:
            self.optimizer = None
        kept, self.wd = self.wd, self.wd if wd is None else wd
        if self.optimizer is not None and self.wd is not None:
            set_hyper(self.optimizer, "weight_decay", self.wd)
        with self._showing(), self.added_cbs([*listed(cbs), *([SkipTo(start_epoch)] if start_epoch else [])]):
            recipe(self, *args)
        self.wd = kept

    def _rate(self, given: Any) -> Any:
        rate = self.lr if given is None else given
        return tuple(rate) if isinstance(rate, L) else rate

    def create_opt(self) -> None:
        """A new optimizer over the layer groups."""
        self.create_optimizer()

    def create_optimizer(self) -> torch.optim.Optimizer:
        """A new optimizer over the layer groups, with this learner's rate and weight decay."""
        groups = parameter_groups(self.layer_groups, decay_norm_bias=self.wd_bn_bias)
        make = self.opt_func if given_rate(self.opt_func) else partial(self.opt_func, lr=self.lr)
        optimizer: torch.optim.Optimizer = make(groups)
        if self.wd is not None:
            set_hyper(optimizer, "weight_decay", self.wd)
        self.optimizer = optimizer
        return optimizer

    def freeze_to(self, n: int, *, norms: Norms | None = None) -> None:
        """Freeze the first `n` layer groups; batch norms among them train on with `train_bn`."""
        super().freeze_to(n, norms=norms or ("train" if self.train_bn else "follow"))
