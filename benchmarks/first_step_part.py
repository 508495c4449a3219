"""A callback for first_step.py: tells when the first step was taken, and ends the process there."""

import os
import time

from fastcli.events import Callback
from fastcli.registry import callbacks


@callbacks(name="tell_first_step")
class TellFirstStep(Callback):
    """Prints the monotonic clock after the first step and leaves."""

    order = 1000

    def after_step(self, learner) -> None:
        print(f"FIRST {time.monotonic()}", flush=True)
        os._exit(0)
