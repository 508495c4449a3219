"""Optimizers as lists of small functions, the parameter groups they work on, and the schedules of their numbers.

The one idea is fastai's: *stats* keep state and *steppers* change the update or the parameters, so that an optimizer is
the list of its pieces, and the order of the list is its meaning. Here a piece works on lists of tensors at once
(`torch._foreach_*`), inside a real `torch.optim.Optimizer`, so torch's schedulers, scalers and hooks work unchanged.

Rejected: one call per parameter (fastai; a thousand launches a step), wrapping torch's optimizers (no composition),
functional pairs of init and update (optax; not torch's idiom), one step count per group (wrong after unfreezing),
schedule-free optimizers (a model would carry other weights in validation than in training, and its batch norms would
have statistics of neither: the callback `ema` averages weights in the open).
"""
