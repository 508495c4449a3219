"""Mistakes of a YAML and of data are told with their place and a remedy before anything is trained or written."""

import shutil

import numpy as np
import pytest
from PIL import Image

from fastcli import cli

HEAD = """
experiment: {name: wrong}
data:
  source: drawn/labels.csv
  split: {name: column}
  batch_size: 8
"""
NET = "model: {name: test_resnet, pretrained: false, head: linear}\n"
UNET = "model: {name: unet, architecture: test_resnet, pretrained: false}\n"
REST = "runtime: {precision: fp32, channels_last: false, device: cpu}\n"
KINDS = {
    "classes": "  label: {name: column, column: stars}\n  classes: ['1', '2', '3', '4', '5']\n" + NET,
    "labels": "  target: multi_category\n  label: {name: column, column: shapes, delimiter: ' '}\n" + NET,
    "number": "  target: regression\n  label: {name: column, column: tenths}\n" + NET,
    "points": "  target: points\n  label: {name: column, column: [x, y]}\n" + NET,
    "mask": "  target: mask\n  classes: [ground, disc, square]\n"
    "  label: {name: mask_file, folder: masks, suffix: _mask.png}\n" + UNET,
}


@pytest.fixture
def drawn(tmp_path, monkeypatch, shapes):
    """Shapes that may be spoilt, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "home"))
    shutil.copytree(shapes, tmp_path / "drawn")
    return tmp_path / "drawn"


def told(capsys, kind, *overrides, rest=""):
    """The exit code of a training and what it says on stderr; it leaves nothing behind."""
    with open("wrong.yaml", "w", encoding="utf-8") as file:
        file.write(HEAD + KINDS[kind] + rest + REST)
    code = cli.run(["train", "wrong.yaml", *overrides])
    said = capsys.readouterr().err
    assert "bug in fastcli" not in said
    return code, said


@pytest.mark.parametrize(
    ("kind", "line", "words"),
    [
        ("mask", "loss: mean_squared", ["mean_squared does not fit a mask target", "^ it needs regression or points"]),
        ("number", "loss: cross_entropy", ["does not fit a regression target", "^ it needs category or mask"]),
        ("points", "metrics: [mae, auroc]", ["auroc does not fit a points target", "^ it needs category"]),
        ("mask", "metrics: [{name: foreground_accuracy, background: grund}]", ["unknown class 'grund'", "'ground'?"]),
        ("labels", "metrics: [f1_score, {name: f1_score, average: micro}]", ["f1_score is measured twice"]),
        ("classes", "callbacks: [mixup, cutmix]", ["one callback alone can mix the batches", "^ take mixup or cutmix"]),
        ("points", "callbacks: [cutmix]", ["cutmix does not fit a points target", "^ leave cutmix out"]),
        ("number", "callbacks: [{name: label_smoothing}]", ["^ it needs a cross entropy"]),
        ("classes", "callbacks: [{name: schedule, hyperparameter: momentun, start: 0.1, end: 0.2}]",
         ["'momentun' cannot be scheduled", "did you mean 'momentum'?"]),
        ("classes", "callbacks: [{name: schedule, hyperparameter: lr}]", ["^ give either start and end"]),
        ("classes", "callbacks: [{name: save_model, when: end, load_best: true}]", ["^ use when: improved"]),
        ("classes", "optimizer: {name: lookahead, base: torch_adam}", ["^ name one made of pieces"]),
        ("classes", "optimizer: {name: lookahead, base: {name: adm}}", ["unknown optimizer 'adm'", "'adam'?"]),
        ("classes", "optimizer: {name: timm, algorithm: adann}", ["timm has no optimizer 'adann'", "'adan'?"]),
        ("classes", "optimizer: {name: timm, algorithm: adan, options: {decay: 1}}", ["has no parameter 'decay'"]),
    ],
)  # fmt: skip
def test_a_component_that_does_not_fit_is_told_at_its_line(drawn, capsys, kind, line, words):
    code, said = told(capsys, kind, rest=line + "\n")
    assert code == 2
    number = (HEAD + KINDS[kind]).count("\n") + 1
    assert f"wrong.yaml:{number}:" in said
    for each in words:
        assert each in said
    assert not (drawn.parent / "runs").exists()


@pytest.mark.parametrize(
    ("kind", "overrides", "words"),
    [
        ("classes", ["callbacks=[progressive_resize]", "model=mlp", "data.item_transforms=[{name: resize, size: 64}]"],
         "takes images of 64 x 64 pixels but none of 32 x 32"),
        ("classes", ["model={name: unet, architecture: test_resnet, pretrained: false}"],
         "unet gives 5 x 32 x 32 numbers for a picture, but a category target needs 5"),
        ("mask", ["model={name: test_resnet, pretrained: false}"],
         "test_resnet gives 3 numbers for a picture, but a mask target needs 3 x 32 x 32"),
        ("mask", ["model.architecture=vit_tiny_patch16_224"], "use a convolutional architecture"),
        ("mask", ["data.item_transforms=[rand_augment]"], "it changes pictures alone, and a Mask could not follow"),
        ("points", ["data.item_transforms=[trivial_augment_wide]"], "a KeyPoints could not follow"),
        ("classes", ["data.batch_transforms=[{name: resize, size: 32}, {name: random_resized_crop, size: 40}]"],
         "several sizes: 32 x 32, 40 x 40"),
        ("number", ["data.classes=[a, b]"], "a regression target has no classes"),
        ("classes", ["data.split={name: index, valid: [999]}"], "no item 999"),
        ("classes", ["data.split={name: group}"], "either a pattern or a column"),
        ("labels", ["data.sampler=balanced"], "only data.sampler: shuffle works"),
        ("mask", ["loss={name: cross_entropy, class_weights: balanced}"], "^ give one weight for each class"),
        ("mask", ["callbacks=[mc_dropout]"], "mc_dropout needs a model with dropout"),
        ("classes", ["train={recipe: auto}", "model=mlp"], "Sequential has no frozen body"),
        ("mask", ["data.clases=[ground]"], "did you mean 'classes'?"),
    ],
)  # fmt: skip
def test_a_mistake_of_the_command_line_is_told_with_a_caret(drawn, capsys, kind, overrides, words):
    code, said = told(capsys, kind, *overrides)
    assert code == 2
    assert "command line: error:" in said
    assert "^" in said
    assert words in said


def test_a_file_of_a_callback_stays_in_the_run(drawn, capsys):
    for name, file in (("save_model", "../x.bin"), ("csv_logger", "/tmp/x.csv"), ("csv_logger", "a/../../x.csv"),
                       ("gather_predictions", "~/x"), ("activation_stats", "..\\x.json")):  # fmt: skip
        code, said = told(capsys, "classes", rest=f"callbacks: [{{name: {name}, file: '{file}'}}]\n")
        assert code == 2
        assert "wrong.yaml:" in said
    assert not list(drawn.parent.glob("x*"))


def spoil(drawn, name, pixels):
    Image.fromarray(pixels).save(drawn / "masks" / f"{name}_mask.png")


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((32, 32), 7, np.uint8), "the mask has the code 7, but the 3 classes are 0 to 2"),
        (np.zeros((20, 32), np.uint8), "images/1.png is 32 x 32 pixels, its mask is 32 x 20: of another shape"),
        (np.zeros((16, 16), np.uint8), "the mask of images/1.png is 16 x 16 pixels"),
        (np.arange(3 * 32 * 32, dtype=np.uint8).reshape(32, 32, 3), "the mask is in colours (RGB)"),
    ],
)
def test_a_mask_that_does_not_fit_is_told_with_its_file(drawn, capsys, pixels, words):
    spoil(drawn, 1, pixels)
    code, said = told(capsys, "mask")
    assert (code, words in said) == (3, True), said


def test_a_mask_that_is_missing_is_told_with_its_image(drawn, capsys):
    (drawn / "masks" / "3_mask.png").unlink()
    code, said = told(capsys, "mask")
    assert code == 3
    assert "3_mask.png of" in said
    assert "set folder, suffix, images or pattern" in said


def test_masks_that_cannot_be_read_are_left_out_on_demand(drawn, capsys):
    (drawn / "masks" / "0_mask.png").write_bytes(b"")
    skip = ["data.on_bad_image=skip", "data.classes=null", "--smoke"]
    code, _ = told(capsys, "mask", *skip)
    assert code == 0


def test_points_that_cannot_be(drawn, capsys):
    table = drawn / "labels.csv"
    rows = table.read_text().splitlines()
    for cell, words in (("500", "the point (500, "), ("", "is not a number"), ("nan", "is not finite")):
        cells = rows[2].split(",")
        cells[2] = cell
        table.write_text("\n".join([*rows[:2], ",".join(cells), *rows[3:]]))
        code, said = told(capsys, "points")
        assert (code, words in said, "images/1.png" in said) == (3, True, True), said
    table.write_text("\n".join(rows))
    code, said = told(capsys, "points", "data.label.column=x")
    assert code == 3
    assert "a point has two numbers, x and y; here are 1" in said


def test_a_column_of_masks_is_relative_to_the_table(drawn, capsys):
    rows = (drawn / "labels.csv").read_text().splitlines()
    masks = ["mask", *(f"masks/{i}_mask.png" for i in range(len(rows) - 1))]
    (drawn / "labels.csv").write_text("\n".join(f"{row},{mask}" for row, mask in zip(rows, masks, strict=True)))
    code, _ = told(capsys, "mask", "data.label={name: column, column: mask}", "--dry-run")
    assert code == 0


def test_lookahead_takes_the_name_of_its_base_alone(drawn, capsys):
    code, _ = told(capsys, "classes", "optimizer={name: lookahead, base: lamb, k: 3}", "--dry-run")
    assert code == 0
