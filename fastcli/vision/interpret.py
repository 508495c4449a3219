"""fastai's interpretation of a trained learner, by its names; predictions are computed once."""

from __future__ import annotations

from typing import Any

from fastcli.learner import inference
from fastcli.report.interpret import Interpretation as Interpreted

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

    def top_losses(self, k: int | None = None, largest: bool = True, items: bool = False) -> tuple[Any, ...]:
        """The largest (or smallest) losses and which pictures they are, with `items` also their files."""
        losses, indices = self.found.top_losses(k, largest=largest)
        return (losses, indices, [self.found.names[i] for i in indices]) if items else (losses, indices)

    def plot_top_losses(self, k: int = 9, largest: bool = True) -> None:
        """Draw the pictures with the largest losses."""
        self.found.plot_top_losses(k, largest=largest)


class ClassificationInterpretation(Interpretation):
    """The interpretation of a classifier."""

    def confusion_matrix(self) -> Any:
        """How many pictures of each class (rows) were taken for each (columns)."""
        return self.found.confusion_matrix().numpy()

    def plot_confusion_matrix(self, normalize: bool = False, ax: Any = None) -> None:
        """Draw the confusion matrix."""
        self.found.plot_confusion_matrix(ax, normalize=normalize)

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
