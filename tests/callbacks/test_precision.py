import copy

import pytest
import torch
from timm.layers import StdConv2d
from torch import nn

from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.events import Callback
from fastcli.learner.learner import Learner


class Look(Callback):
    def __init__(self):
        self.dtypes, self.layouts = set(), set()

    def after_predict(self, learner):
        self.dtypes.add(learner.prediction.dtype)
        self.layouts.add(learner.inputs[0].is_contiguous(memory_format=torch.channels_last))


def make(callbacks):
    x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), torch.tensor([0, 1] * 4).split(4), strict=True))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    return Learner((batches, batches), model, nn.CrossEntropyLoss(), callbacks=callbacks)


def test_bf16_runs_the_model_in_bf16_and_keeps_weights_and_losses_in_fp32():
    look = Look()
    learner = make([MixedPrecision("bf16"), look])
    plain = make([])
    learner.fit(1)
    plain.fit(1)
    assert look.dtypes == {torch.bfloat16}
    assert learner.model[0].weight.dtype == torch.float32
    assert learner.loss.dtype == torch.float32
    assert abs(learner.history[0]["valid_loss"] - plain.history[0]["valid_loss"]) < 0.02


def test_channels_last_reaches_model_and_batches_and_changes_no_result():
    look = Look()
    learner, plain = make([ChannelsLast(), look]), make([])
    learner.fit(1)
    plain.fit(1)
    assert look.layouts == {True}
    assert learner.model[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(learner.model[2].weight, plain.model[2].weight)


def test_a_fit_after_one_that_failed_in_its_step_goes_on():
    """GradScaler refuses to unscale twice, and once remembered the step that failed."""

    class FailsOnce(Callback):
        order = 5
        failed = False

        def before_step(self, learner):
            if not self.failed:
                self.failed = True
                raise OSError("the disk is full")

    learner = make([MixedPrecision("fp16"), FailsOnce()])
    with pytest.raises(OSError, match="full"):
        learner.fit(1)
    learner.fit(1)
    assert len(learner.history) == 1


@pytest.mark.parametrize("convolution", [nn.Conv2d, StdConv2d])
def test_bf16_gradients_are_right_where_a_strided_convolution_meets_one_pixel(convolution):
    """oneDNN's kernel for them leaves memory in the gradient that it never wrote."""
    torch.manual_seed(0)
    made = nn.Conv2d(3, 24, 3, 2, 1), convolution(24, 24, 3, 2, padding=1)
    model = nn.Sequential(*made, nn.Flatten(), nn.Linear(24, 2))
    x, y = torch.randn(16, 3, 2, 2), torch.tensor([0, 1] * 8)
    gradients = []

    class Look(Callback):
        def before_backward(self, learner):
            for size in (10**3, 10**4, 10**5, 10**6):  # what is read without having been written shows
                torch.full((size,), float("nan"))

        def before_step(self, learner):
            gradients.append(learner.model[1].weight.grad.clone())

    for callbacks in ([], [MixedPrecision("bf16")]):
        learner = Learner(([(x, y)], None), copy.deepcopy(model), nn.CrossEntropyLoss(), callbacks=[*callbacks, Look()])
        learner.fit(1)
        assert not learner.model[1]._forward_hooks
        assert not learner.model[1]._forward_pre_hooks
    assert torch.nn.functional.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0) > 0.98
