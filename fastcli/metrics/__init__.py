"""Metrics: figures that people read, accumulated over the whole set.

One idea: sums or counts stay on the device until `compute`, which reads them once; nothing is averaged over batches, so
that a figure does not depend on the batch size. `update` gets what the model gave (logits) and the encoded targets.

- `base`: the protocol, and `Mean`, which makes a metric of a function
- `classification`: means over items: accuracy, error rate, top-k, …
- `counts`: figures of hits, misses and false alarms per class, of items, labels and pixels: F, Jaccard, Dice, …
- `regression`: errors and correlations of numbers, distances of points
- `library`: the rest, by name from torchmetrics

Rejected: functions averaged over batches (fastai), which give an F-score that is none; scikit-learn at run time, which
needs all predictions on the CPU.
"""

from fastcli.metrics.base import Mean, Metric, default_metrics
from fastcli.metrics.classification import accuracy, accuracy_multi, error_rate, top_k_accuracy
from fastcli.metrics.counts import Counts, confusion_counts, f_beta
from fastcli.metrics.library import Torchmetric
from fastcli.metrics.regression import Moments, mae, mse, rmse

__all__ = ["Counts", "Mean", "Metric", "Moments", "Torchmetric", "accuracy", "accuracy_multi", "confusion_counts",
           "default_metrics", "error_rate", "f_beta", "mae", "mse", "rmse", "top_k_accuracy"]  # fmt: skip
