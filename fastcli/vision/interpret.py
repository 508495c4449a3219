"""fastai's interpretation of a trained learner, by its names; predictions are computed once, and kept."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastcli.learner import inference
from fastcli.report.interpret import Interpretation as Interpreted
from fastcli.vision.core import CategoryMap

__all__ = ["ClassificationInterpretation", "Interpretation", "SegmentationInterpretation"]


class Interpretation:
    """What a learner said of every picture of a split, and where it was wrong."""

    def __init__(self, learn: Any, found: Interpreted) -> None:
        self.learn, self.found = learn, found

    @classmethod
    def from_learner(cls, learn: Any, ds_idx: int = 1, dl: Any = None) -> Interpretation:
        """The interpretation of the training (0) or validation split (1), or of a loader."""
        loader = dl if dl is not None else (learn.train_loader, learn.valid_loader)[ds_idx]
        return cls(learn, Interpreted.from_learner(learn, inference.in_order(loader)))

    @property
    def vocab(self) -> CategoryMap:
        """The names of the classes."""
        return CategoryMap(self.found.classes)

    @property
    def preds(self) -> Tensor | None:
        """The scores of every picture; None for masks, which would fill the memory."""
        return self.found.scores

    @property
    def decoded(self) -> Tensor:
        """What was decided for every picture."""
        return self.found.decisions

    @property
    def targs(self) -> Tensor:
        """What was right for every picture."""
        return self.found.targets

    @property
    def losses(self) -> Tensor:
        """The loss of every picture."""
        return self.found.losses

    def top_losses(self, k: int | None = None, largest: bool = True, items: bool = False) -> tuple[Any, ...]:
        """The largest (or smallest) losses and which pictures they are, with `items` also their files."""
        losses, indices = self.found.top_losses(k, largest=largest)
        return (losses, indices, [self.found.names[i] for i in indices]) if items else (losses, indices)

    def plot_top_losses(
        self, k: Any = 9, largest: bool = True, nrows: int | None = None, ncols: int | None = None, figsize: Any = None
    ) -> None:
        """Draw the `k` pictures with the largest losses, or those whose places are given."""
        chosen = (
            self.found.top_losses(k, largest=largest).indices.tolist() if isinstance(k, int) else [int(i) for i in k]
        )
        self.found.plot_items(chosen, rows=nrows, columns=ncols, figsize=figsize)

    def show_results(self, idxs: Any, nrows: int | None = None, ncols: int | None = None, figsize: Any = None) -> None:
        """Draw the pictures at these places, with their losses and what was predicted."""
        self.found.plot_items([int(i) for i in idxs], rows=nrows, columns=ncols, figsize=figsize)


class ClassificationInterpretation(Interpretation):
    """The interpretation of a classifier."""

    def confusion_matrix(self) -> Any:
        """How many pictures of each class (rows) were taken for each (columns)."""
        return self.found.confusion_matrix().numpy()

    def plot_confusion_matrix(
        self, normalize: bool = False, title: str | None = None, figsize: Any = None, dpi: float | None = None,
        ax: Any = None,
    ) -> None:  # fmt: skip
        """Draw the confusion matrix."""
        if ax is None and (figsize is not None or dpi is not None):
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=figsize, dpi=dpi, layout="constrained").subplots()
        figure = self.found.plot_confusion_matrix(ax, normalize=normalize)
        if title is not None:
            (ax or figure.axes[0]).set_title(title, loc="left")

    def most_confused(self, min_val: int = 1) -> list[tuple[str, str, int]]:
        """Pairs of actual and predicted class with how often they were confused, the most first."""
        return self.found.most_confused(min_val)

    def print_classification_report(self) -> None:
        """Print precision, recall and F1 of every class."""
        print(self.found.classification_report())  # noqa: T201 - what it is for


class SegmentationInterpretation(Interpretation):
    """The interpretation of a segmentation."""

    def intersection_over_union(self) -> dict[str, float]:
        """Each class's overlap of predicted and true."""
        return self.found.intersection_over_union()
