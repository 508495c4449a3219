"""`fastcli eval`, from runs of a second each: every kind of target, other data by class name, bars."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import sklearn.metrics as sk
from PIL import Image

from fastcli import cli
from fastcli.run.directory import Run

BASE = """
experiment: {{name: {name}, output: runs}}
data: {{source: {shapes}/labels.csv, batch_size: 8, batch_transforms: [{{name: dihedral}}], {data}}}
model: {model}
train: {{recipe: fit, epochs: 1, lr: 1e-3}}
runtime: {{precision: fp32, channels_last: false, compile: false, device: cpu}}
"""
SMALL = "{name: test_resnet, pretrained: false}"
KINDS = {
    "category": ("label: {name: column, column: stars}", SMALL),
    "labels": ('target: multi_category, label: {name: column, column: shapes, delimiter: " "}', SMALL),
    "numbers": ("target: regression, label: {name: column, column: [area, tenths]}", SMALL),
    "points": ("target: points, label: {name: column, column: [x, y]}", SMALL),
    "masks": ("target: mask, label: {name: mask_file, folder: masks, suffix: _mask.png}",
              "{name: unet, architecture: test_resnet, pretrained: false}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory, shapes):
    """A folder with a finished run of each kind that was asked for, made when it is first."""
    place = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("FASTCLI_HOME", str(place / "home"))

        def run(kind):
            if not (place / "runs" / kind).exists():
                data, model = KINDS[kind]
                Path(f"{kind}.yaml").write_text(BASE.format(name=kind, shapes=shapes, data=data, model=model))
                assert cli.run(["train", f"{kind}.yaml", "-q"]) == 0
            return Run.open(kind)

        yield run


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_report_is_of_the_runs_own_validation(trained, fastcli):
    run = trained("category")
    code, out, err = fastcli("eval", "category", "--json")
    assert code == 0, err
    report, folder = json.loads(out), run.evaluation("valid")
    assert {path.name for path in folder.iterdir()} == {*report["files"]} == {
        "report.json", "predictions.csv", "per_class.csv", "confusion.csv", "confusion_rates.csv", "confusion.png",
        "report.html"}  # fmt: skip
    assert json.loads((folder / "report.json").read_text())["figures"] == report["figures"]
    rows = table(folder / "predictions.csv")
    valid = {row["path"]: row["label"] for row in table(run.split) if row["split"] == "valid"}
    assert {row["path"]: row["label"] for row in rows} == valid
    true, said = [row["label"] for row in rows], [row["predicted"] for row in rows]
    assert report["figures"]["accuracy"] == pytest.approx(sk.accuracy_score(true, said))
    assert report["figures"]["accuracy"] == pytest.approx(1 - run.metrics()[-1]["error_rate"])
    assert report["figures"]["log_loss"] == pytest.approx(run.metrics()[-1]["valid_loss"], abs=1e-5)
    low, high = report["accuracy_interval_95"]
    assert 0 <= low <= report["figures"]["accuracy"] <= high <= 1
    counts = table(folder / "confusion.csv")
    names = [row.pop("actual \\ predicted") for row in counts]
    assert [[int(value) for value in row.values()] for row in counts] == sk.confusion_matrix(
        true, said, labels=names
    ).tolist()
    assert sum(float(value) for value in list(table(folder / "confusion_rates.csv")[0].values())[1:]) in (
        pytest.approx(1),
        0,
    )
    assert "Grad-CAM" in (folder / "report.html").read_text()


def test_words_go_to_stderr_and_figures_to_stdout(trained, fastcli):
    trained("category")
    code, out, err = fastcli("eval", "category", "-o", "elsewhere")
    assert code == 0
    assert out.splitlines()[0].startswith("accuracy ")
    assert "95 %: " in out
    assert "elsewhere/report.html" in err
    assert Path("elsewhere/report.json").is_file()


FIGURES = {
    "labels": {"exact_match", "accuracy", "f1_micro", "f1_macro", "log_loss", "auroc"},
    "numbers": {"r2", "mae", "rmse", "bias"},
    "points": {"r2", "mae", "rmse", "bias"},
    "masks": {"accuracy", "dice", "jaccard", "log_loss"},
}


@pytest.mark.parametrize("kind", FIGURES)
def test_every_kind_of_target_has_its_figures(kind, trained, fastcli):
    run = trained(kind)
    code, out, err = fastcli("eval", kind, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert set(report["figures"]) == FIGURES[kind]
    assert len(report["per_class"]) == {"labels": 2, "numbers": 2, "points": 2, "masks": 3}[kind]
    assert len(table(run.evaluation("valid") / "predictions.csv")) == report["items"]
    page = (run.evaluation("valid") / "report.html").read_text()
    assert page.count("data:image/jpeg") >= (1 if kind in ("points", "masks") else report["items"])


def test_views_are_averaged_where_they_can_be(trained, fastcli):
    run = trained("category")
    code, out, _ = fastcli("eval", "category", "--tta", "2", "--json")
    assert code == 0
    assert json.loads(out)["views"] == 2
    assert (run.evaluation("valid-tta2") / "report.html").is_file()
    trained("masks")
    code, _, err = fastcli("eval", "masks", "--tta", "2")
    assert code == 2
    assert "cannot be averaged over turned views" in err


def test_the_training_split_can_be_asked_for(trained, fastcli):
    run = trained("category")
    code, out, _ = fastcli("eval", "category", "--split", "train", "--json")
    assert code == 0
    assert json.loads(out)["items"] == sum(row["split"] == "train" for row in table(run.split))


def test_a_bar_that_is_missed_is_named(trained, fastcli):
    trained("category")
    code, out, err = fastcli("eval", "category", "--fail-under", "accuracy=1.01", "--fail-under", "auroc=0", "--json")
    assert code == 1
    assert "accuracy is 0." in err
    assert "below the bar of 1.01" in err
    assert len(json.loads(out)["missed"]) == 1
    assert fastcli("eval", "category", "--fail-under", "accuracy=0")[0] == 0


@pytest.mark.parametrize(
    ("bar", "words"), [("accuracy", "is no FIGURE=NUMBER"), ("acuracy=1", "did you mean 'accuracy'")]
)
def test_a_bar_that_cannot_be_is_told_before_anything_runs(bar, words, trained, fastcli):
    trained("category")
    code, _, err = fastcli("eval", "category", "--fail-under", bar, "-o", "nothing")
    assert code == 2
    assert words in err
    assert not Path("nothing").exists()


@pytest.fixture
def other(trained, shapes, tmp_path):
    """Other data in folders by class: the pictures of the run's own validation."""
    run = trained("category")
    rows = [row for row in table(run.split) if row["split"] == "valid"]
    for row in rows:
        folder = tmp_path / "other" / row["label"]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(shapes / row["path"], folder)
    return tmp_path / "other"


def supports(report):
    return {row["class"]: row["support"] for row in report["per_class"]}


def test_other_data_is_matched_by_the_names_of_classes(other, trained, fastcli):
    _, own, _ = fastcli("eval", "category", "--json")
    code, out, err = fastcli("eval", "category", "--data", str(other), "--json")
    assert code == 0, err
    own, out = json.loads(own), json.loads(out)
    assert out["figures"] == pytest.approx(own["figures"], abs=1e-5)
    assert out["folder"].endswith("eval/other")
    gone = min(other.iterdir())
    shutil.rmtree(gone)  # a class fewer: the numbers of others stay
    code, left, _ = fastcli("eval", "category", "--data", str(other), "--json")
    assert code == 0
    left = json.loads(left)
    assert supports(left) == {**supports(out), gone.name: 0}
    assert sum(supports(left).values()) == left["items"]


def test_unknown_classes_are_named_and_refused(other, fastcli):
    (other / "grizzly").mkdir()
    Image.new("RGB", (32, 32)).save(other / "grizzly" / "a.png")
    code, _, err = fastcli("eval", "category", "--data", str(other))
    assert code == 3
    assert "1 class that the run does not know: 'grizzly'" in err
    assert fastcli("eval", "category", "--data", str(other), "--split", "train")[0] == 2


def test_runs_and_data_that_are_not_there_are_told(trained, fastcli):
    trained("category")
    assert fastcli("eval", "categroy")[0] == 2
    assert fastcli("eval", "category", "--data", "nowhere")[0] == 3


def test_code_that_a_run_names_is_not_imported_without_leave(trained, fastcli, tmp_path):
    run = trained("category")
    copied = tmp_path / "stolen"
    shutil.copytree(run.path, copied)
    Path(copied / "plugin_stranger.py").write_text("raise SystemExit('imported')")
    config = copied / "config.resolved.yaml"
    config.write_text(f"plugins: [{copied / 'plugin_stranger.py'}]\n" + config.read_text().replace("plugins: []\n", ""))
    code, _, err = fastcli("eval", str(copied))
    assert code == 2
    assert "would import the code" in err
