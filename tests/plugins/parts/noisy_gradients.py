"""A callback: noise on the gradients before every step (Neelakantan et al., arXiv:1511.06807)."""

import torch

from fastcli.events import Callback
from fastcli.registry import callbacks


@callbacks(name="noisy_gradients")
class NoisyGradients(Callback):
    """Adds noise to every gradient, less and less of it."""

    def __init__(self, sigma: float = 0.01, decay: float = 0.55):
        self.sigma, self.decay, self.steps = sigma, decay, 0

    def before_step(self, learner):
        self.steps += 1
        scale = self.sigma / self.steps**self.decay
        for parameter in learner.model.parameters():
            if parameter.grad is not None:
                parameter.grad += scale * torch.randn_like(parameter.grad)

    def after_fit(self, learner):
        learner.history[-1]["noisy_steps"] = self.steps
