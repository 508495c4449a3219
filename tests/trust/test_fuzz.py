"""Whatever is handed in: an exit code of the table, no traceback, and nothing written but runs."""

import io
import os
import string
import tempfile
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastcli import cli
from fastcli.data.items import csv_rows
from fastcli.errors import DataError
from fastcli.transforms.image import open_image

CODES = (0, 1, 2, 3, 4, 5)
FAST = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
GOOD = "data: {source: d}\nmodel: mlp\n"
KEYS = st.sampled_from(
    ["data", "model", "train", "source", "batch_size", "name", "plugins", "extends", "callbacks", "lr", "optimizer",
     "runtime", "device", "experiment", "seed", "label", "split", "<<", "loss", "metrics", "item_transforms", "classes",
     "output", "version", "normalize", "recipe", "epochs"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["adam", "mlp", "PETS", "..", "/", "${env:HOME}", "${env:", "x.py", "fit", "random", "resize", "auto"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@contextmanager
def empty_place():
    """A fresh working directory, in which nothing but what is there may be found afterwards."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("d").mkdir()
            yield Path(folder)
            assert {path.name for path in Path(folder).iterdir()} <= {"d", "c.yaml", "t.csv"}
        finally:
            os.chdir(before)


def ends_well(words: list[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run(words)
    told = err.getvalue()
    assert code in CODES, told
    assert "bug in fastcli" not in told, told
    assert "Traceback" not in told, told
    assert code == 0 or told


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "home"))


@FAST
@given(st.binary(max_size=300) | st.text(string.printable, max_size=300).map(str.encode))
def test_any_bytes_as_a_configuration(content):
    with empty_place():
        Path("c.yaml").write_bytes(content)
        ends_well(["config", "validate", "c.yaml"])


@FAST
@given(st.dictionaries(KEYS, TREES, max_size=5))
def test_any_tree_as_a_configuration(tree):
    from fastcli.config.dump import to_yaml

    with empty_place():
        Path("c.yaml").write_bytes(
            to_yaml({"data": {"source": "d"}, "model": "mlp", **tree}).encode("utf-8", "replace")
        )
        ends_well(["config", "show", "c.yaml", "--origin"])


@FAST
@given(st.lists(st.text(max_size=30) | st.tuples(KEYS, KEYS, st.text(max_size=20)).map("{0[0]}.{0[1]}={0[2]}".format),
                max_size=3))  # fmt: skip
def test_any_words_as_overrides(words):
    with empty_place():
        Path("c.yaml").write_text(GOOD)
        words = [word for word in words if word not in ("--help", "--version")]
        ends_well(["config", "validate", "c.yaml", *words])


@FAST
@given(st.binary(max_size=200) | st.text(',;"\n\t ab\r\0é', max_size=80).map(str.encode))
def test_any_bytes_as_a_table(content):
    with empty_place() as place:
        Path("t.csv").write_bytes(content)
        try:
            csv_rows(place / "t.csv")
        except DataError as error:
            assert "t.csv" in error.message or "column" in error.message  # noqa: PT017


def picture(kind: str) -> bytes:
    raw = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 9, 3)).astype(np.uint8)).save(raw, kind)
    return raw.getvalue()


PICTURES = [picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PICTURES), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), max_size=4),
       st.integers(0, 2000))  # fmt: skip
def test_any_damage_to_a_picture(data, changes, end):
    changed = bytearray(data)
    for place, what in changes:
        changed[place % len(changed) : place % len(changed) + len(what)] = what
    try:
        pixels = open_image(io.BytesIO(bytes(changed[: end or None])), name="x.png", max_pixels=1_000_000)
    except DataError as error:
        assert error.message.startswith("x.png: ")  # noqa: PT017
    else:
        assert pixels.shape[0] == 3


def test_a_table_of_anything_trains_or_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    here = f"{tmp_path}/a.png,x"
    for rows in (
        ["a.png"], ["a.png,"], ["a.png,x", "a.png"], ["a.png,x", "../a.png,y"], ["a.png,\0"], ["a.png,x"] * 4,
        ["a.png,x", "a.png,y"], [here, "a.png,y"], [",x"], ["a.png,é", "a.png,\u202e"],
    ):  # fmt: skip
        Path("t.csv").write_text("\n".join(["image,label", *rows]))
        Path("c.yaml").write_text("data: {source: t.csv}\nmodel: mlp\ntrain: {recipe: fit, epochs: 1}\n"
                                  "runtime: {precision: fp32, channels_last: false, device: cpu}\n")  # fmt: skip
        ends_well(["train", "c.yaml", "--dry-run"])
    assert {path.name for path in tmp_path.iterdir()} <= {"a.png", "t.csv", "c.yaml", "home"}
