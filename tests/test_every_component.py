"""Every registered component trains from YAML and the command line, and what was resolved trains again to equal rows.

The tables below say which target each component fits and what must be given to it; one that is missing there fails.
"""

import csv
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from fastcli import cli
from fastcli.components import load_components
from fastcli.run.directory import Run

CONFIG = """
experiment: {{name: every}}
data:
  source: {source}
  batch_size: 8
  target: {target}
  {data}
model: {model}
train: {{recipe: fit, epochs: 1, lr: 1e-3}}
runtime: {{precision: fp32, channels_last: false, device: cpu, deterministic: "off"}}
"""
NET = "{name: test_resnet, pretrained: false, head: linear, dropout: 0.0}"
UNET = "{name: unet, architecture: test_resnet, pretrained: false}"
TARGETS = {
    "category": ("labels.csv", "label: {name: column, column: stars}\n  classes: ['1', '2', '3', '4', '5']", "mlp"),
    "multi_category": ("labels.csv", "label: {name: column, column: shapes, delimiter: ' '}", "mlp"),
    "regression": ("labels.csv", "label: {name: column, column: tenths}", "mlp"),
    "points": ("labels.csv", "label: {name: column, column: [x, y]}", "mlp"),
    "mask": ("images", "label: {name: mask_file, suffix: _mask.png}\n  classes: [ground, disc, square]", UNET),
    "two": ("tree", "label: parent", "mlp"),
}
"""By kind of target (`two`: of two classes, from folders): source, data and model. The split is told by the source."""


@dataclass(frozen=True)
class Trial:
    """One training: its target, what is overridden, and the components that it is about, with parameters to find."""

    target: str
    overrides: list[str]
    parts: dict[str, list[dict]] = field(default_factory=dict)
    """Components as config.resolved.yaml must have them, by their place there."""
    files: tuple[str, ...] = ()


def component(given: str) -> dict:
    """`adam` or `{name: adam, …}` as a mapping."""
    spelled = yaml.safe_load(given)
    return {"name": spelled} if isinstance(spelled, str) else spelled


def single(place: str, target: str, given: str, *more: str) -> Trial:
    return Trial(target, [f"{place}={given}", *more], {place: [component(given)]})


def listed(place: str, target: str, given: list[str], *more: str, files: tuple[str, ...] = ()) -> Trial:
    return Trial(target, [f"{place}=[{', '.join(given)}]", *more], {place: [component(each) for each in given]}, files)


OPTIMIZERS = [
    "adam", "adamw", "adopt", "lamb", "larc", "lars", "lion", "{name: lookahead, base: radam, k: 2}", "qhadam", "radam",
    "{name: ranger, k: 3}", "rmsprop", "{name: sgd, momentum: 0.9, nesterov: true}", "{name: timm, algorithm: adan}",
    "torch_adadelta", "torch_adafactor", "torch_adagrad", "{name: torch_adam, amsgrad: true}", "torch_adamax",
    "torch_adamw", "torch_asgd", "torch_nadam", "torch_radam", "torch_rmsprop", "torch_rprop", "torch_sgd",
]  # fmt: skip
LOSSES = [
    ("multi_category", "{name: binary_cross_entropy, pos_weight: 2.0}"),
    ("mask", "{name: cross_entropy, label_smoothing: 0.1, ignore_index: ground}"),
    ("mask", "dice"), ("mask", "{name: dice_cross_entropy, dice_weight: 0.5}"), ("mask", "dice_focal"),
    ("category", "{name: focal, gamma: 1.5}"), ("points", "{name: huber, delta: 0.5}"), ("regression", "l1"),
    ("regression", "mean_squared"), ("two", "mnist_loss"), ("points", "{name: smooth_l1, beta: 0.1}"),
]  # fmt: skip
AVERAGED = ["precision", "recall", "f1_score", "{name: f_beta, beta: 2}", "jaccard", "specificity",
            "negative_predictive_value"]  # fmt: skip
OF_CLASSES = ["accuracy", "error_rate", "balanced_accuracy", "perplexity", *AVERAGED]
CURVES = [
    "auroc", "average_precision", "eer", "log_auc", "matthews_corrcoef",
    "{name: recall_at_fixed_precision, min_precision: 0.5}", "{name: precision_at_fixed_recall, min_recall: 0.5}",
    "{name: sensitivity_at_specificity, min_specificity: 0.5}",
    "{name: specificity_at_sensitivity, min_sensitivity: 0.5}",
]  # fmt: skip
OF_NUMBERS = [
    "mae", "mse", "rmse", "msle", "exp_rmspe", "r2_score", "explained_variance", "pearson_corrcoef",
    "spearman_corrcoef", "kendall_corrcoef", "concordance_corrcoef", "cosine_similarity", "log_cosh_error", "mape",
    "smape", "wmape", "{name: minkowski_distance, p: 3}", "nrmse", "relative_squared_error",
    "{name: tweedie_deviance, power: 0.0}", "{name: critical_success_index, threshold: 0.5}",
]  # fmt: skip
METRICS = {
    "category": [*OF_CLASSES, *CURVES, "brier_score", "{name: top_k_accuracy, k: 2}", "cohen_kappa",
                 "{name: calibration_error, n_bins: 5}"],
    "multi_category": ["accuracy_multi", "hamming_loss", "exact_match", "coverage_error", "ranking_loss",
                       "ranking_average_precision", *AVERAGED, *CURVES],
    "mask": [*OF_CLASSES, "foreground_accuracy", "dice", "dice_per_image", "generalized_dice", "jaccard_per_image"],
    "regression": OF_NUMBERS,
    "points": ["mae", "{name: point_distance, size: 32}"],
}  # fmt: skip
GEOMETRIC = [
    "{name: pad, padding: 4}", "{name: center_crop, size: 36}", "elastic_transform", "flip_item", "dihedral_item",
    "{name: random_affine, degrees: 10, translate: [0.1, 0.1]}", "random_horizontal_flip", "random_vertical_flip",
    "{name: random_perspective, distortion_scale: 0.2}", "{name: random_rotation, degrees: 20}",
    "{name: random_resize, min_size: 28, max_size: 40}", "{name: random_shortest_size, min_size: [30, 34]}",
    "{name: random_zoom_out, side_range: [1.0, 1.2]}", "{name: scale_jitter, target_size: [36, 36]}",
    "{name: ratio_resize, max_size: 40}", "{name: crop_pad, size: 36}", "{name: random_crop, size: 34}",
    "{name: random_resized_crop, size: 32, min_scale: 0.5}", "{name: resize, size: 32}",
]  # fmt: skip
COLOURED = [
    "{name: color_jitter, brightness: 0.2, hue: 0.1}", "{name: gaussian_blur, kernel_size: 3}", "gaussian_noise",
    "{name: grayscale, num_output_channels: 3}", "{name: random_adjust_sharpness, sharpness_factor: 2}",
    "random_autocontrast", "random_channel_permutation", "random_equalize", "random_erasing", "random_grayscale",
    "random_invert", "random_photometric_distort", "{name: random_posterize, bits: 4}",
    "{name: random_solarize, threshold: 128}", "{name: jpeg, quality: [40, 90]}",
]  # fmt: skip
POLICIES = [
    "aug_mix",
    "{name: auto_augment, policy: cifar10}",
    "{name: rand_augment, num_ops: 1}",
    "trivial_augment_wide",
]
BATCH = [
    "{name: aug_transforms, flip_vert: true}", "brightness", "contrast", "{name: deterministic_dihedral, n: 3}",
    "deterministic_flip", "dihedral", "flip", "hue", "{name: random_erasing, max_count: 2}",
    "{name: random_resized_crop, size: 24, min_scale: 0.5}", "{name: resize, size: 24}", "{name: rotate, max_deg: 30}",
    "saturation", "{name: warp, magnitude: 0.1}", "{name: zoom, max_zoom: 1.3}",
]  # fmt: skip
SPLITS = [
    ("category", "{name: column, column: is_valid}"), ("category", "{name: end, valid_pct: 0.3}"),
    ("category", "{name: file, path: FOLDER/valid.txt}"), ("two", "{name: grandparent, valid: valid}"),
    ("category", "{name: group, column: stars}"), ("category", "{name: index, valid: [0, 1, 2, 3]}"),
    ("category", "{name: random, valid_pct: 0.5, seed: 3}"), ("category", "{name: stratified, valid_pct: 0.3}"),
    ("category", "{name: subset, train_pct: 0.5}"),
]  # fmt: skip
ON_FOLDERS = "data.split={name: random, valid_pct: 0.4}"
LABELS = [
    ("category", "{name: column, column: stars}"), ("two", "parent"), ("two", "grandparent", ON_FOLDERS),
    ("two", "is_cat"), ("two", "{name: regex, pattern: '([A-Za-z]+)_'}"),
    ("mask", "{name: mask_file, folder: masks, images: images, suffix: _mask.png}"),
]  # fmt: skip
CALLBACKS = [
    ("category", ["mixup", "{name: label_smoothing, amount: 0.05}", "{name: accumulate, items: 16}", "clip_gradients",
                  "{name: ema, decay: 0.9}", "{name: progressive_resize, multiple: 8}", "freeze_batch_norm",
                  "{name: activation_stats, every: 1, file: seen/activations.json}", "csv_logger",
                  "{name: gather_predictions, losses: true, file: predictions.safetensors}",
                  "{name: save_model, file: kept/best.safetensors, monitor: accuracy}",
                  "{name: early_stopping, monitor: accuracy, patience: 1}", "reduce_on_plateau", "terminate_on_nan",
                  "{name: schedule, hyperparameter: weight_decay, start: 0.1, end: 0.01}", "channels_last"]),
    ("mask", ["cutmix", "{name: short_epoch, pct: 0.2}"]),
    ("category", ["{name: mc_dropout, passes: 2}"]),
]  # fmt: skip
WRITTEN = ("history.csv", "predictions.safetensors", "seen/activations.json", "kept/best.safetensors")
RECIPES = ["{recipe: fit, epochs: 1}", "{recipe: fit_one_cycle, pct_start: 0.5}", "{recipe: fit_cosine}",
           "{recipe: fit_flat_cos}", "{recipe: fit_sgdr, cycle_mult: 3}", "{recipe: fine_tune, epochs: 1}",
           "{recipe: auto, head_passes: 4, body_epochs: 1}"]  # fmt: skip
MODELS = [
    ("category", "linear"), ("category", "{name: mlp, hidden: [8, 4], dropout: 0.1}"), ("category", NET),
    ("mask", UNET),
]  # fmt: skip
ENCODINGS = [
    ("category", "{name: category, sort: false, add_na: true}", "data.classes=null"),
    ("multi_category", "{name: multi_category, add_na: true}"), ("regression", "{name: regression, n_out: 1}"),
    ("mask", "mask"), ("points", "{name: points, order: yx}"),
]  # fmt: skip
ITEMS = [("category", "{name: csv_rows, file: labels.csv}"), ("two", "{name: image_files, path: train}", ON_FOLDERS)]


def trials() -> dict[str, Trial]:
    """Every training, by a name that says what it is about."""
    made = {f"optimizer {each}": single("optimizer", "category", each) for each in OPTIMIZERS}
    for place, table in (("loss", LOSSES), ("data.split", SPLITS), ("data.label", LABELS), ("model", MODELS),
                         ("data.target", ENCODINGS), ("data.items", ITEMS)):  # fmt: skip
        made |= {f"{place} {given}": single(place, target, given, *more) for target, given, *more in table}
    made |= {f"metrics of {target}": listed("metrics", target, given) for target, given in METRICS.items()}
    item, batch = "data.item_transforms", "data.batch_transforms"
    made |= {
        "geometric item transforms": listed(item, "mask", GEOMETRIC),
        "colouring item transforms": listed(item, "category", COLOURED),
        "policies": listed(item, "category", POLICIES),
        "batch transforms of masks": listed(batch, "mask", BATCH),
        "batch transforms of points": listed(batch, "points", BATCH),
    }
    for i, (target, given) in enumerate(CALLBACKS):
        more = [f"model={NET}", "metrics=[accuracy]"] if target == "category" else []
        made[f"callbacks {i}"] = listed("callbacks", target, given, *more, files=() if i else WRITTEN)
    for given in RECIPES:
        recipe = {"name": component(given).pop("recipe"), **component(given)}
        made[f"recipe {given}"] = Trial("category", [f"model={NET}", f"train={given}"], {"train": [recipe]})
    return made


TRIALS = trials()
FILLED_IN = ("base", "path")
"""Parameters that are not resolved to what was written: parts of them are defaults, or made absolute."""
REGISTERED = {
    "loss": "loss", "optimizer": "optimizer", "metrics": "metric", "train": "recipe", "callbacks": "callback",
    "data.item_transforms": "item_transform", "data.batch_transforms": "batch_transform", "data.split": "split",
    "data.target": "target", "data.label": "label", "data.items": "items", "model": "model",
}  # fmt: skip


def test_no_component_is_forgotten():
    tried = {kind: set() for kind in REGISTERED.values()}
    for trial in TRIALS.values():
        for place, given in trial.parts.items():
            tried[REGISTERED[place]] |= {each["name"] for each in given}
    tried["model"] = {"timm" if name == "test_resnet" else name for name in tried["model"]}
    registered = {
        kind: {name for name in registry if registry[name].__module__.startswith("fastcli.")}
        for kind, registry in load_components().items()
    }
    assert tried == registered


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shapes) -> Path:
    """The drawn shapes, with a list of names, and some of them in folders of two classes below `tree`."""
    path = tmp_path_factory.mktemp("every") / "shapes"
    shutil.copytree(shapes, path)
    with (path / "labels.csv").open() as table:
        rows = list(csv.DictReader(table))
    (path / "valid.txt").write_text("".join(f"{i}.png\n" for i in range(8)))
    for i, row in enumerate(rows):
        kind, split = "square" if "square" in row["shapes"] else "Disc", "valid" if i % 4 == 0 else "train"
        (path / "tree" / split / kind).mkdir(parents=True, exist_ok=True)
        (path / "tree" / split / kind / f"{kind}_{i}.png").symlink_to(path / row["image"])
    return path


@pytest.fixture
def train(place, monkeypatch, folder):
    """Trains by the command line on two batches, without plots; gives back the run's folder."""
    monkeypatch.setattr(Run, "draw", lambda self, name, draw: None)  # others test them, and they take longest

    def run(file: Path, *overrides: str) -> Path:
        run = place / f"run{len(list(place.glob('run*')))}"
        words = [word.replace("FOLDER", str(folder)) for word in overrides]
        assert cli.run(["-v", "-q", "train", str(file), *words, "--smoke", "--run-dir", str(run)]) == 0
        return run

    return run


def rows(run: Path) -> list[dict]:
    """What was measured, without what depends on the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("time", "img_per_s", "wait")} for line in lines]


def place_of(resolved: dict, place: str) -> list[dict]:
    """The components at a place of a resolved configuration, each with a name."""
    for key in place.split("."):
        resolved = resolved[key]
    found = resolved if isinstance(resolved, list) else [resolved]
    return [{"name": each.get("recipe"), **each} for each in found]


def written(trial: Trial, folder: Path) -> str:
    """The YAML of a trial without its overrides."""
    source, data, model = TARGETS[trial.target]
    target = "category" if trial.target == "two" else trial.target
    return CONFIG.format(source=folder / source, target=target, data=data, model=model)


@pytest.mark.parametrize("name", TRIALS)
def test_every_component_trains_and_repeats(train, folder, tmp_path, name):
    trial = TRIALS[name]
    (tmp_path / "every.yaml").write_text(written(trial, folder))
    run = train(tmp_path / "every.yaml", *trial.overrides)
    resolved = yaml.safe_load((run / "config.resolved.yaml").read_text())
    for place, given in trial.parts.items():
        found = place_of(resolved, place)
        assert [each["name"] for each in found] == [each["name"] for each in given]
        for each, wanted in zip(found, given, strict=True):
            assert {**each, **{key: value for key, value in wanted.items() if key not in FILLED_IN}} == each
    assert {each["name"] for each in trial.parts.get("metrics", ())} <= rows(run)[0].keys()
    assert all((run / file).stat().st_size for file in trial.files)
    assert rows(train(run / "config.resolved.yaml")) == rows(run)
