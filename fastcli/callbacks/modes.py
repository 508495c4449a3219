"""FreezeBatchNorm and McDropout: modules that are in another mode than the rest of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from fastcli.data.seeding import derive_seed, seed_device
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


@callbacks(name="freeze_batch_norm")
class FreezeBatchNorm(Callback):
    """Trains with the statistics that every batch norm has; with `weights` its scale and shift stay as well.

    Batch norms of frozen layers keep theirs without this.
    """

    def __init__(self, weights: bool = False) -> None:
        self.weights = weights
        self._frozen: list[nn.Parameter] = []

    def before_fit(self, learner: Learner) -> None:
        if self.weights:
            found = [p for module in _batch_norms(learner.model) for p in module.parameters(recurse=False)]
            self._frozen = [parameter for parameter in found if parameter.requires_grad]
            for parameter in self._frozen:
                parameter.requires_grad_(False)

    def before_train(self, learner: Learner) -> None:
        for module in _batch_norms(learner.model):
            module.eval()

    def cleanup_fit(self, learner: Learner) -> None:
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        self._frozen = []


def _batch_norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if hasattr(module, "running_mean")]


@callbacks(name="mc_dropout")
class McDropout(Callback):
    """Validates with dropout switched on: the outputs are means over `passes` (arXiv:1506.02142).

    `deviations` holds the standard deviation over the passes of every output of the last validation, (n, n_out).
    """

    key = 5
    in_search = False

    def __init__(self, passes: Annotated[int, Field(ge=1)] = 10) -> None:
        self.passes = passes
        self._deviations: list[Tensor] = []

    def check(self, learner: Learner) -> None:
        """Raise ConfigError for a model without dropout."""
        if not _dropouts(learner.model):
            raise ConfigError("mc_dropout needs a model with dropout, and this one has none", hint="leave it out")

    @property
    def deviations(self) -> Tensor:
        """How much the outputs differed from pass to pass, on the CPU."""
        return torch.cat(self._deviations)

    def before_validate(self, learner: Learner) -> None:
        self._deviations.clear()
        self.check(learner)
        for module in _dropouts(learner.model):
            module.train()

    def before_batch(self, learner: Learner) -> None:
        if not learner.training:
            seed_device(learner.device, derive_seed(learner.seed, learner.global_epoch, learner.batch_index, self.key))

    def after_predict(self, learner: Learner) -> None:
        if learner.training:
            return
        more = [learner.model(*learner.inputs) for _ in range(self.passes - 1)]
        outputs = torch.stack([learner.prediction, *more]).float()
        learner.prediction = outputs.mean(0)
        self._deviations.append(outputs.std(0, correction=0).cpu())

    def after_validate(self, learner: Learner) -> None:
        learner.model.eval()


def _dropouts(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if "dropout" in type(module).__name__.lower()]
