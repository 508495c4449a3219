"""The whole state of a training at rest, and the replay of a recipe that goes on from one.

A recipe calls `learner.fit` several times and decides things in between. A resumed training runs the recipe again: the
fits that were done are passed by, the one that was under way begins where it stood, and those after it run as ever.
In that one, the phases that were open begin with their events, then the state is put in place, then the next batch
comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fastcli.data.seeding import derive_seed, seed_device
from fastcli.errors import ConfigError, FastcliError
from fastcli.events import Callback
from fastcli.learner.saving import kind_of, parameter_names
from fastcli.optim.optimizer import laid_out_like

__all__ = ["Phase", "Position", "Resumable", "Resumption", "capture", "ended"]

Phase = Literal["epoch", "train", "validate", "over"]
COUNTERS = ("global_epoch", "global_step", "epoch", "epoch_done", "step", "iteration")
OTHER = "a resumed training goes on with the one that was begun: --fork begins another from its weights"


class Position(NamedTuple):
    """Where in a training nothing is under way: between two batches, before a validation, between epochs, after a fit.

    `epoch` is of its fit; in the phase `epoch` it is the next to begin, in `over` the number of those done. `batch` is
    the next one to train on.
    """

    fit: int = 0
    phase: Phase = "epoch"
    epoch: int = 0
    batch: int = 0


def capture(learner: Any) -> dict[str, Any]:
    """All that a training needs to go on from `learner.position`: plain values and the live tensors themselves."""
    model, loss = learner.model, learner.loss_fn
    return {
        "position": learner.position._asdict(),
        "epochs": learner.epochs,
        "fits": list(learner.done),
        "counters": {name: getattr(learner, name) for name in COUNTERS},
        "history": list(learner.history),
        "chosen": dict(learner.chosen),
        "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
        "evaluating": [name for name, module in model.named_modules() if not module.training],
        "model": dict(model.state_dict()),
        "loss": dict(loss.state_dict()) if isinstance(loss, nn.Module) else {},
        "optimizer": {
            "kind": kind_of(learner.optimizer),
            "parameters": parameter_names(model, learner.optimizer),
            "state": learner.optimizer.state_dict(),
        },
        "gradients": {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
        "callbacks": [
            [name, number, state]
            for name, number, callback in _numbered(learner.callbacks)
            if (state := callback.state_dict())
        ],
        "generators": _generators(learner.device),
    }


def ended(learner: Any) -> dict[str, int]:
    """What is kept of a fit that is done."""
    return {"epochs": learner.epochs, "rows": len(learner.history), "global_epoch": learner.global_epoch,
            "global_step": learner.global_step}  # fmt: skip


class Resumption:
    """Leads a learner through the replay, to the position of `state` and on from there."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.state = state
        try:
            self.position = Position(**state["position"])
        except (KeyError, TypeError) as error:
            raise FastcliError("the saved state is not one of a training", hint=OTHER) from error

    def __repr__(self) -> str:
        return f"Resumption({self.position})"

    def passes(self, learner: Any, epochs: int) -> bool:
        """Whether the fit that is asked for was done before; its end is noted then.

        Raises ConfigError where it is another than it was.
        """
        number = len(learner.done)
        if number >= self.position.fit:
            return False
        done = self.state["fits"][number]
        if done["epochs"] != epochs:
            raise ConfigError(
                f"the recipe asks for {epochs} epochs where it had {done['epochs']} when the run was begun",
                hint=OTHER, key="train",
            )  # fmt: skip
        learner.done.append(done)
        learner.history[:] = self.state["history"][: done["rows"]]
        learner.global_epoch, learner.global_step = done["global_epoch"], done["global_step"]
        return True

    def begin(self, learner: Any) -> None:
        """Put the numbers in place, before the fit that was under way begins with its events."""
        learner.history[:] = self.state["history"]
        vars(learner).update(self.state["counters"])

    def first_epoch(self, learner: Any) -> int:
        """The epoch of the fit to begin or go on with; a fit that was over may have been extended."""
        over = self.position.phase == "over" and learner.epochs <= self.state["epochs"]
        return int(learner.epochs) if over else self.position.epoch

    def restore(self, learner: Any) -> None:
        """Put everything in place, after the phases that were open have begun. Raises FastcliError for what differs."""
        self._restore_model(learner)
        _restore_optimizer(learner, self.state["optimizer"])
        parameters = dict(learner.model.named_parameters())
        for name, parameter in parameters.items():
            given = self.state["gradients"].get(name)
            parameter.grad = None if given is None else _own(given, parameter, parameter.device)
        self._restore_callbacks(learner)
        self.begin(learner)
        generators = self.state["generators"]
        torch.set_rng_state(generators["cpu"])
        if learner.device.type == "cuda" and "cuda" in generators:
            torch.cuda.set_rng_state(generators["cuda"], learner.device)

    def _restore_model(self, learner: Any) -> None:
        try:
            learner.model.load_state_dict(self.state["model"])
            if isinstance(learner.loss_fn, nn.Module):
                learner.loss_fn.load_state_dict(self.state["loss"])
        except RuntimeError as error:
            raise FastcliError(f"the saved state does not fit the model: {error}", hint=OTHER) from None
        frozen, evaluating = set(self.state["frozen"]), set(self.state["evaluating"])
        for name, parameter in learner.model.named_parameters():
            parameter.requires_grad_(name not in frozen)
        if self.position.phase == "train":
            for name, module in learner.model.named_modules():
                module.training = name not in evaluating

    def _restore_callbacks(self, learner: Any) -> None:
        here = {(name, number): callback for name, number, callback in _numbered(learner.callbacks)}
        for name, number, state in self.state["callbacks"]:
            if (name, number) not in here:
                raise ConfigError(f"the saved state is of a training with the callback {name}, which is missing now",
                                  hint=OTHER, key="callbacks")  # fmt: skip
            here[name, number].load_state_dict(state)


class Resumable:
    """The part of a learner that can be put down and taken up again."""

    position: Position
    resumed: Resumption | None
    done: list[dict[str, int]]
    """The fits that ended in this training."""
    chosen: dict[str, Any]
    notes: list[str]
    seed: int
    global_epoch: int
    device: torch.device
    _handlers: dict[str, list[Any]]
    emit: Callable[[str], None]

    def state(self) -> dict[str, Any]:
        """All that a training needs to go on from its position: plain values and live tensors; asked for at rest."""
        return capture(self)

    def resume(self, state: Mapping[str, Any]) -> None:
        """Let the recipe that runs next go on from a state, on a learner made as that one was."""
        self.resumed, self.done = Resumption(state), []

    def choose(self, name: str, value: Any, note: str = "") -> Any:
        """Keep what a recipe chose for its parameter `name`; `note` is told to whoever watches.

        Returns the value, which in a resumed training is the one that was chosen when it was begun.
        """
        if self.resumed is not None and name in self.resumed.state["chosen"]:
            value, note = self.resumed.state["chosen"][name], ""
        self.chosen[name] = value
        self.notes += [note] if note else []
        return value

    def _rest(self, phase: Phase, epoch: int, batch: int = 0) -> None:
        """Nothing is under way: whoever keeps the state hears it."""
        if self._handlers["at_rest"]:
            self.position = Position(len(self.done), phase, epoch, batch)
            self.emit("at_rest")

    def _resumed_in(self, *phases: Phase) -> bool:
        """Whether a resumed training stood in one of these phases; its state is in place then."""
        if self.resumed is None or self.resumed.position.phase not in phases:
            return False
        self.resumed.restore(self)
        self.position, self.resumed = self.resumed.position, None
        return True

    def _seed(self, use: int, number: int | None = None) -> None:
        seed_device(self.device, derive_seed(self.seed, self.global_epoch if number is None else number, 0, use))


def _restore_optimizer(learner: Any, saved: Mapping[str, Any]) -> None:
    optimizer = learner.optimizer
    for what, own in (("kind", kind_of(optimizer)), ("parameters", parameter_names(learner.model, optimizer))):
        if saved[what] != own:
            raise FastcliError(f"the saved state is of another optimizer, its {what} differ", hint=OTHER)
    optimizer.load_state_dict(saved["state"])
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, parameter in enumerate(parameters):
        # torch casts what it loads to the parameter's type, and neither a file nor torch keeps the memory layout.
        kept = optimizer.state[parameter] if index in saved["state"]["state"] else {}
        for name, value in saved["state"]["state"].get(index, {}).items():
            if isinstance(value, Tensor):
                kept[name] = _own(value, parameter, kept[name].device)


def _own(value: Tensor, parameter: Tensor, device: torch.device) -> Tensor:
    """A copy of `value` on `device` in the memory layout of `parameter`, if it is of its shape."""
    return laid_out_like(value.to(device, copy=True), parameter)


def _numbered(callbacks: Sequence[Callback]) -> Iterator[tuple[str, int, Callback]]:
    """Each callback with the name of its class and how many of that class came before."""
    seen: dict[str, int] = {}
    for callback in callbacks:
        name = type(callback).__name__
        yield name, seen.setdefault(name, 0), callback
        seen[name] += 1


def _generators(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return {**states, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states
