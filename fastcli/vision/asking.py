"""What can be asked of a learner besides training, in fastai's words: validation, predictions, pictures, files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from fastcli.learner import exported, inference, saving
from fastcli.models.summary import model_summary
from fastcli.vision.core import L
from fastcli.vision.names import ShortNames

__all__ = ["Asking"]


class Asking(ShortNames):
    """The half of a Learner that does not train. `ds_idx` is 0 for the training split and 1 for validation."""

    def validate(self: Any, ds_idx: Any = 1, dl: Any = None, cbs: Any = None, *, callbacks: Any = ()) -> Any:
        """The loss and the metrics; by name where a loader stands first, which is the library's own way to call it."""
        if not isinstance(ds_idx, int):
            return super().validate(ds_idx, callbacks=callbacks)  # type: ignore[misc]
        with self.added_cbs(cbs):
            scores = super().validate(self._loader(ds_idx, dl))  # type: ignore[misc]
        return L(scores.values())

    def get_preds(
        self: Any, ds_idx: int = 1, dl: Any = None, with_input: bool = False, with_decoded: bool = False,
        with_loss: bool = False, act: Any = None, cbs: Any = None,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Scores and targets, with inputs before them and decisions and losses behind them where they are asked for."""
        with self.added_cbs(cbs):
            found = inference.predictions(
                self, self._loader(ds_idx, dl), activate=act is None, with_inputs=with_input, with_losses=with_loss,
                decide=with_decoded,
            )  # fmt: skip
        scores = found.scores if act is None else act(found.scores)
        asked = [(with_input, found.inputs), (True, scores), (True, found.targets), (with_decoded, found.decisions),
                 (with_loss, found.losses)]  # fmt: skip
        return tuple(part for wanted, part in asked if wanted)

    def predict(self: Any, item: Any) -> tuple[Any, Any, Any]:
        """The label of one picture, the number that stands for it, and the scores."""
        return inference.predict(self, item)

    def tta(
        self: Any, ds_idx: int = 1, dl: Any = None, n: int = 4, beta: float | None = 0.25, use_max: bool = False
    ) -> tuple[Any, Any]:
        """Scores over `n` random views and the plain one, and targets."""
        return inference.tta(self, self._loader(ds_idx, dl), n=n, beta=beta, use_max=use_max)

    def show_results(
        self: Any, ds_idx: int = 1, dl: Any = None, max_n: int = 9, shuffle: bool = True, figsize: Any = None
    ) -> None:
        """Draw pictures with what they are and what is predicted."""
        inference.show_results(self, self._loader(ds_idx, dl), max_n, shuffle, figsize=figsize)

    def summary(self: Any) -> Any:
        """The model layer by layer, with the shapes that the first batch gives."""
        batch = [part.to(self.device) for part in next(iter(self.train_loader))]
        return model_summary(self.model, tuple(batch[: self.n_inputs]))

    def save(self: Any, file: str | Path, with_opt: bool = True) -> Path:
        """Write the model, and the optimizer, below `path`/`model_dir`; returns the file."""
        return saving.save(self, self._file(file), with_optimizer=with_opt)

    def load(self: Any, file: str | Path, with_opt: bool = True, strict: bool = True) -> Any:
        """Read what `save` wrote, or the weights of a .safetensors or .pth file."""
        saving.load(self, self._file(file), with_optimizer=None if with_opt else False, strict=strict)
        return self

    def export(self: Any, fname: str | Path = "export.safetensors") -> Path:
        """Write all that predicting needs, below `path`: weights and words, no code; returns the file."""
        return exported.export(self, self.path / fname)

    def _file(self: Any, file: str | Path) -> Path:
        return Path(file) if Path(file).is_absolute() else self.path / self.model_dir / file

    def _loader(self: Any, ds_idx: int, dl: Any) -> Any:
        return dl if dl is not None else (self.train_loader, self.valid_loader)[ds_idx]

    @contextlib.contextmanager
    def loss_not_reduced(self: Any) -> Any:
        """The loss gives one number for each item for a while; it must know items."""
        kept, self.loss_fn = self.loss_fn, self.loss_fn.per_item
        try:
            yield self
        finally:
            self.loss_fn = kept
