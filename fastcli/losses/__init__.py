"""Losses: chosen by name, told what the target is, and saying how many numbers the model must give.

One idea: each is a module, where `loss(logits, targets)` is the mean, `loss.per_item(logits, targets)` one number per
item (mixup and top losses need it) and `loss.n_out` what the head must have. The arithmetic is in float32 whatever the
precision of training. A loss that does not fit the target is a ConfigError. Class weights are a buffer: move the loss
to the device.

- `base`: what a loss is, and how any function becomes the loss of each item
- `classification`: cross entropy, focal, binary cross entropy, for items and for pixels
- `segmentation`: dice, and its sums with the losses of the pixels
- `regression`: squared, absolute, Huber, for numbers and points

Rejected: flattening of whatever comes (fastai's `Flat` losses), which hides a wrong shape; loss objects shared by all
learners of a process (fastai), whose weights one learner changes for another.
"""

from fastcli.losses.base import Loss, default_loss, loss_per_item
from fastcli.losses.classification import BinaryCrossEntropy, CrossEntropy, Focal, probability_missed
from fastcli.losses.regression import Elementwise, absolute_error, huber_error, smooth_absolute_error, squared_error
from fastcli.losses.segmentation import Combined, Dice

__all__ = ["BinaryCrossEntropy", "Combined", "CrossEntropy", "Dice", "Elementwise", "Focal", "Loss", "absolute_error",
           "default_loss", "huber_error", "loss_per_item", "probability_missed", "smooth_absolute_error",
           "squared_error"]  # fmt: skip
