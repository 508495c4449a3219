import io
import json
import math
import os
import re
import subprocess
import sys

import pytest
import torch

from fastcli.callbacks.progress import JsonProgress, Progress, drawn_bar
from fastcli.callbacks.screen import Screen, final_line, resolved_line
from fastcli.callbacks.table import fitted
from fastcli.callbacks.timing import Timer
from fastcli.events import handlers

ROWS = [
    {"epoch": 0, "train_loss": 0.14123, "valid_loss": 0.02031, "error_rate": 0.00676, "lr": 2e-3, "img_per_s": 6120.4,
     "wait": 0.012, "time": 1.21},
    {"epoch": 1, "train_loss": 0.05079, "valid_loss": 0.00812, "error_rate": 0.00406, "lr": 1e-3, "img_per_s": 3239.6,
     "wait": 0.008, "time": 2.34},
]  # fmt: skip
SPEC = """\
 epoch  train_loss  valid_loss  error_rate     lr   img/s  wait   time
     0      0.1412      0.0203      0.0068  2e-03    6120    1%    1.2
     1      0.0508      0.0081      0.0041  1e-03    3240    1%    2.3  best
"""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class Loss(float):
    """A loss that counts how often it was read from the device."""

    reads = 0

    def detach(self):
        Loss.reads += 1
        return self


class Learner:
    """As much of a learner as a callback that shows relies on; a batch takes 0.1 s of `time`, 0.02 s of it waiting."""

    steps_per_epoch = 20
    valid_loader = range(5)

    def __init__(self, showing, rows=ROWS):
        self.showing, self.rows, self.history, self.time, self.progress = showing, list(rows), [], 0.0, 0.0
        self.notes = []
        self.inputs = (torch.zeros(64, 1),)
        self.timer = Timer(self.clock)

    def clock(self):
        return self.time

    def callback(self, kind):
        return {Timer: self.timer}[kind]

    def emit(self, event):
        for handler in handlers([self.timer, self.showing])[event]:
            handler(self)

    def fit(self, epochs, fail_at=None):
        self.epochs, self.progress = epochs, 0.0
        self.emit("before_fit")
        try:
            for self.epoch in range(epochs):
                self.run_epoch(fail_at)
            self.emit("after_fit")
        finally:
            self.emit("cleanup_fit")

    def run_epoch(self, fail_at):
        self.emit("before_epoch")
        self.training = True
        self.emit("before_train")
        for index in range(self.steps_per_epoch):
            self.batch_index = index
            self.time += 0.02
            self.emit("before_batch")
            self.time += 0.08
            self.loss = Loss(0.5)
            self.emit("after_loss")
            if self.batch_index == fail_at:
                raise KeyboardInterrupt
            self.emit("after_batch")
            self.progress += 1 / self.steps_per_epoch / self.epochs
        self.training = False
        for index in range(len(self.valid_loader)):
            self.batch_index = index
            self.time += 0.1
            self.emit("after_batch")
        if len(self.history) < len(self.rows):
            self.history.append(self.rows[len(self.history)])
        self.emit("after_epoch")


def shown(fits=(2,), rows=ROWS, stream=None, **options):
    """What a training of these fits prints."""
    stream = stream or io.StringIO()
    screen_options = {key: options.pop(key) for key in ("width", "live", "colour", "quiet") if key in options}
    options = {"monitor": "error_rate", **options}
    progress = Progress(Screen(stream, **screen_options), **options)
    learner = Learner(progress, rows)
    progress._clock = learner.clock
    for epochs in fits:
        learner.fit(epochs)
    return stream.getvalue()


def test_plain_rows_are_those_of_the_specification():
    assert shown() == SPEC


def test_several_fits_continue_one_table():
    assert shown(fits=(1, 1)) == SPEC


def test_quiet_prints_nothing():
    assert shown(quiet=True) == shown(quiet=True, live=True, stream=Terminal()) == ""


def test_an_epoch_without_a_row_prints_nothing():
    assert shown(fits=(2, 1)) == SPEC


def values(*errors):
    return [{"epoch": i, "error_rate": error} for i, error in enumerate(errors)]


def marks(*errors, **options):
    lines = shown(fits=(len(errors),), rows=values(*errors), **options).splitlines()[1:]
    return [line.endswith("best") for line in lines]


def test_best_is_what_beats_all_rows_before():
    assert marks(0.5, 0.4, 0.4, 0.45, 0.3) == [False, True, False, False, True]
    assert marks(0.5, 0.4, 0.6, lower_is_better=False) == [False, False, True]
    assert marks(math.nan, 0.4, math.nan, 0.3) == [False, False, False, True]
    assert marks(math.inf, 0.4, 0.5) == [False, True, False]
    assert marks(0.5, 0.4, monitor="valid_loss") == [False, False]


def test_a_resumed_training_shows_new_rows_only_and_remembers_the_best():
    stream = io.StringIO()
    learner = Learner(Progress(Screen(stream), monitor="error_rate"), values(0.3, 0.4, 0.2))
    learner.history = values(0.3)
    learner.fit(2)
    assert [line.split() for line in stream.getvalue().splitlines()[1:]] == [["1", "0.4000"], ["2", "0.2000", "best"]]


def test_new_columns_get_a_new_head():
    rows = [{"epoch": 0, "error_rate": 0.5}, {"epoch": 1, "error_rate": 0.4, "accuracy": 0.6}]
    assert shown(rows=rows).splitlines() == [
        " epoch  error_rate",
        "     0      0.5000",
        " epoch  error_rate  accuracy",
        "     1      0.4000    0.6000  best",
    ]


def test_columns_stay_in_line_whatever_the_numbers():
    row = {**ROWS[0], "train_loss": 123456789.0, "valid_loss": math.nan, "error_rate": 3e-7, "img_per_s": 1234567.0}
    long = {**row, "epoch": 10000, "lr": 1e-10, "wait": 1.0, "time": 35999.6, "train_loss": -math.inf}
    lines = shown(rows=[row, long]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["0", "1.2e+08", "nan", "3.0e-07", "2e-03", "1234567", "1%", "1.2"]
    assert lines[2].split() == ["10000", "-inf", "nan", "3.0e-07", "1e-10", "1234567", "100%", "36000"]


MANY = {**dict(list(ROWS[0].items())[:4]), "accuracy": 0.9, "a_metric_with_a_very_long_name": 0.5, "f1_score": 0.8,
        **dict(list(ROWS[0].items())[4:])}  # fmt: skip


@pytest.mark.parametrize("width", range(40, 201, 4))
def test_rows_never_wrap_and_never_lose_what_matters(width):
    lines = shown(rows=[MANY, {**MANY, "epoch": 1, "error_rate": 0.001}], width=width).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert {"epoch", "error_rate"} <= set(lines[0].split())
    assert lines[2].endswith("best")


def test_columns_leave_in_their_order():
    assert [fitted(ROWS[0], width, "error_rate").columns for width in (76, 75, 66, 60, 50)] == [
        tuple(ROWS[0]),
        tuple(ROWS[0]),
        ("epoch", "train_loss", "valid_loss", "error_rate", "img_per_s", "wait", "time"),
        ("epoch", "train_loss", "valid_loss", "error_rate", "lr", "wait", "time"),
        ("epoch", "train_loss", "valid_loss", "error_rate", "time"),
    ]
    assert fitted(ROWS[0], 76, "error_rate").gap == 2
    assert fitted(ROWS[0], 75, "error_rate").gap == 1


def test_plain_output_has_no_control_characters():
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown())
    assert "\x1b" not in shown(stream=Terminal(), width=80)


def live(**options):
    """The escape sequences of a live training, and its bars."""
    text = shown(stream=Terminal(), live=True, **{"width": 80, **options})
    return text, re.findall(r"epoch \d.*?(?=\r|\n|\x1b\[2K|\x1b\[\?25)", text)


def test_the_bar_tells_loss_speed_wait_and_time_left():
    _, bars = live(rows=ROWS, width=100)
    assert any(
        re.fullmatch(r"epoch 1/2 ━+╌+ +65%  loss 0\.5000  0:0\d left  640 img/s  wait 20%\S*", bar) for bar in bars
    )
    assert any(bar.startswith("epoch 2/2 validating ") for bar in bars)


def test_rows_stand_above_the_bar_and_nothing_is_left_of_it():
    text, bars = live()
    assert len(bars) > 5
    after = text[text.rindex("best") :]
    assert after.endswith("\x1b[2K")  # the last bar is erased
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # and the cursor shown


def test_the_cursor_is_shown_while_the_bar_runs():
    text, _ = live()
    assert text.index("\x1b[?25h") < text.index("loss 0.5")


def test_a_loss_is_read_four_times_a_second_at_most():
    Loss.reads = 0
    shown(stream=Terminal(), live=True, width=80)
    assert 10 <= Loss.reads <= 2 * 20 * 0.1 * 4 + 2
    Loss.reads = 0
    shown()
    assert Loss.reads == 0


def test_an_interrupt_leaves_a_clean_terminal():
    stream = Terminal()
    learner = Learner(None)
    learner.showing = Progress(Screen(stream, 80, live=True), clock=learner.clock)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(2, fail_at=7)
    assert learner.showing.screen._bar is None
    assert stream.getvalue().endswith("\x1b[2K")
    learner.showing.screen.line("interrupted")
    assert stream.getvalue().endswith("\x1b[2Kinterrupted\n")


def test_a_validation_outside_of_a_fit_draws_nothing():
    learner = Learner(Progress(Screen(Terminal(), 80, live=True)))
    learner.training, learner.batch_index = False, 0
    learner.emit("before_batch")
    learner.emit("after_batch")
    assert learner.showing.screen.stream.getvalue() == ""


def test_the_time_left_is_that_of_all_fits_together():
    stream = Terminal()
    learner = Learner(None)
    learner.showing = Progress(Screen(stream, 100, live=True), epochs=11, clock=learner.clock)
    learner.fit(1)
    assert "epoch 1/11" in stream.getvalue()
    assert "0:21 left" in stream.getvalue()  # after half an epoch of 2 s: ten and a half to come


def test_colours_only_where_they_are_wanted():
    assert "\x1b[1m epoch" in live(colour=True)[0]
    assert "\x1b[1;32m" in live(colour=True)[0]
    assert not re.search(r"\x1b\[[0-9;]*m", live(colour=False)[0])


@pytest.mark.parametrize(("environ", "plain", "expected"), [
    ({"TERM": "xterm"}, False, (True, True)),
    ({"TERM": "xterm", "NO_COLOR": "1"}, False, (True, False)),
    ({"TERM": "xterm", "NO_COLOR": ""}, False, (True, True)),
    ({"TERM": "dumb"}, False, (False, False)),
    ({"TERM": "xterm"}, True, (False, False)),
])  # fmt: skip
def test_a_terminal_is_asked_what_it_can(environ, plain, expected):
    screen = Screen.for_stream(Terminal(), plain=plain, environ=environ)
    assert (screen.live, screen.colour) == expected


def test_a_stream_that_is_no_terminal_has_lines_of_any_length():
    screen = Screen.for_stream(io.StringIO(), environ={"TERM": "xterm"})
    assert (screen.live, screen.colour, screen.width) == (False, False, None)
    assert repr(screen) == "Screen(plain, any columns)"


def test_an_encoding_without_boxes_or_dots_is_served(tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        screen = Screen(stream)
        screen.line("one · two ━ 猫")
        assert not screen.draws_boxes
    assert (tmp_path / "out").read_text() == "one ? two ? ?\n"
    assert drawn_bar("epoch 1/2", 0.5, [], 25, boxes=False)[0] == "epoch 1/2 #####-----"[:20]


@pytest.mark.parametrize("width", range(20, 200, 7))
def test_the_bar_fits_and_leaves_room_for_an_echoed_interrupt(width):
    for share in (0.0, 0.5, 1.0):
        bar, done = drawn_bar(
            "epoch 10/10", share, ["100%", "loss 0.1234", "1:02:03 left", "99999 img/s", "wait 1%"], width
        )
        assert len(bar) <= width - 5
        assert done <= len(bar)


def test_json_lines_are_one_object_per_epoch():
    stream = io.StringIO()
    Learner(JsonProgress(stream), [{**ROWS[0], "valid_loss": math.nan}, ROWS[1]]).fit(2)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["valid_loss"] is None
    assert second == ROWS[1]


def test_json_of_a_resumed_training_has_new_rows_only():
    stream = io.StringIO()
    learner = Learner(JsonProgress(stream))
    learner.history = [ROWS[0]]
    learner.fit(1)
    assert json.loads(stream.getvalue()) == ROWS[1]


GIVEN = {
    "version": "0.1.0", "experiment": "pets", "model": "resnet34", "parameters": 21_300_000, "pretrained": True,
    "kind": "category", "n_out": 2, "train": 5912, "valid": 1478, "device": "cuda", "precision": "bf16",
    "channels_last": True, "cache": "device", "seed": 42,
}  # fmt: skip


def test_the_first_and_last_line_are_those_of_the_specification():
    assert resolved_line(**GIVEN) == (
        "fastcli 0.1 · pets · resnet34 (21.3 M, pretrained) · 2 classes · 5,912 + 1,478 images · "
        "cuda bf16 channels_last · data on device · seed 42"
    )
    assert final_line(seconds=5.1, figure=("error_rate", 0.0041), run="runs/pets/latest") == (
        "done in 5.1 s · error_rate 0.0041 · runs/pets/latest · next: fastcli predict image.jpg"
    )


def test_other_facts_have_their_words():
    other = {"parameters": 785, "pretrained": False, "kind": "regression", "n_out": 1, "valid": 0, "device": "cpu"}
    line = resolved_line(**{**GIVEN, **other, "channels_last": False, "cache": "ram", "precision": "fp32"})
    assert "resnet34 (785, from scratch) · 1 number · 5,912 images · cpu fp32 · data in RAM" in line


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_long_lines_break_between_facts(width):
    lines = resolved_line(**GIVEN, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == resolved_line(**GIVEN)


def test_rich_and_torch_are_not_needed_for_plain_rows():
    code = (
        "import sys, io; from fastcli.callbacks.screen import Screen; from fastcli.callbacks.progress import Progress;"
        "Screen(io.StringIO()).line('x', 'best'); print(sorted({'torch', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout == "[]\n"
