"""What can be asked of a learner besides training, in fastai's words: validation, predictions, pictures, files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from fastcli.errors import ConfigError
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
        with_loss: bool = False, act: Any = None, inner: bool = False, reorder: bool = True, cbs: Any = None,
        with_preds: bool = True, with_targs: bool = True,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Scores and targets, with inputs before them and decisions and losses behind them where they are asked for.

        They are in the order of the items whatever `reorder` says. Targets are None where there are none.
        """
        with self.added_cbs(cbs):
            found = inference.predictions(
                self, self._loader(ds_idx, dl), activate=act is None, with_inputs=with_input, with_losses=with_loss,
                decide=with_decoded,
            )  # fmt: skip
        scores = found.scores if act is None else act(found.scores)
        asked = [(with_input, found.inputs), (True, scores if with_preds else None),
                 (True, found.targets if with_targs else None), (with_decoded, found.decisions),
                 (with_loss, found.losses)]  # fmt: skip
        return tuple(part for wanted, part in asked if wanted)

    def predict(self: Any, item: Any, rm_type_tfms: Any = None, with_input: bool = False) -> tuple[Any, ...]:
        """The label of one picture, the number that stands for it, and the scores; before them what the model saw."""
        answer = inference.predict(self, item)
        if not with_input:
            return answer
        given = self.dls.test_dl([item], bs=1).one_batch()
        return self.dls.decode(given[0])[0], *answer

    def tta(
        self: Any, ds_idx: int = 1, dl: Any = None, n: int = 4, item_tfms: Any = None, batch_tfms: Any = None,
        beta: float | None = 0.25, use_max: bool = False,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Scores over `n` random views and the plain one, and targets; the transforms are training's unless given."""
        loader = inference.in_order(self._loader(ds_idx, dl))
        if item_tfms is not None or batch_tfms is not None:
            others = self.dls.new(item_tfms, batch_tfms)
            if dl is not None:
                raise ConfigError("tta takes transforms for its own splits", hint="give ds_idx, or a dl, not both")
            loader = (others.train, others.valid)[ds_idx]
        return inference.tta(self, loader, n=n, beta=beta, use_max=use_max)

    def show_results(
        self: Any, ds_idx: int = 1, dl: Any = None, max_n: int = 9, shuffle: bool = True, figsize: Any = None
    ) -> None:
        """Draw pictures with what they are and what is predicted; as many rows as columns."""
        inference.show_results(self, self._loader(ds_idx, dl), max_n, shuffle, figsize=figsize)

    def summary(self: Any) -> Any:
        """The model layer by layer, with the shapes that the first batch gives."""
        batch = [part.to(self.device) for part in next(iter(self.train_loader))]
        return model_summary(self.model, tuple(batch[: self.n_inputs]))

    def save(self: Any, file: str | Path, with_opt: bool = True) -> Path:
        """Write the model, and the optimizer, below `path`/`model_dir`; returns the file."""
        return saving.save(self, self._file(file), with_optimizer=with_opt)

    def load(self: Any, file: str | Path, device: Any = None, with_opt: bool = True, strict: bool = True) -> Any:
        """Read what `save` wrote, or the weights of a .safetensors or .pth file."""
        if device is not None:
            self.model.to(device)
            self.device = torch.device(device)
        saving.load(self, self._file(file), with_optimizer=None if with_opt else False, strict=strict)
        return self

    def export(self: Any, fname: str | Path = "export.safetensors") -> Path:
        """Write all that predicting needs, below `path`: weights and words, no code; returns the file.

        A name that ends in .pkl ends in .safetensors then, which `load_learner` knows.
        """
        return exported.export(self, without_pickle(self.path / fname))

    def _file(self: Any, file: str | Path) -> Path:
        given = Path(file) if Path(file).is_absolute() else self.path / self.model_dir / file
        return given if given.is_file() else without_pickle(given)

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


def without_pickle(file: Path) -> Path:
    """The name of a file, without the endings of fastai's pickles."""
    return file.with_suffix("") if file.suffix in (".pkl", ".pth") else file
