import pytest
from pydantic import ValidationError

from fastcli.config.load import load
from fastcli.config.marks import Place
from fastcli.config.problems import InvalidConfigError
from fastcli.errors import ConfigError

GOOD = "data: {source: PETS}\nmodel: resnet18\n"


def test_the_smallest_configuration_has_all_defaults(write):
    config = load(write("pets.yaml", GOOD)).config
    assert (config.data.source, config.data.batch_size, config.model.name) == ("PETS", 64, "resnet18")
    assert (config.optimizer.name, config.optimizer.params, config.train.recipe) == ("adam", {}, None)
    assert config.loss is None
    assert config.callbacks == []


def test_bare_names_and_mappings_are_the_same(write):
    bare = load(write("a.yaml", GOOD + "optimizer: sgd\nmetrics: [error_rate]\ntrain: fine_tune")).config
    spelt = "optimizer: {name: sgd}\nmetrics: [{name: error_rate}]\ntrain: {recipe: fine_tune}"
    assert bare == load(write("b.yaml", GOOD + spelt)).config
    assert bare.train.recipe == "fine_tune"


def test_an_optimizer_without_a_name_is_adam(write):
    config = load(write("a.yaml", GOOD + "optimizer: {weight_decay: 0.1}")).config
    assert (config.optimizer.name, config.optimizer.params) == ("adam", {"weight_decay": 0.1})


def test_a_configuration_cannot_be_changed(write):
    config = load(write("a.yaml", GOOD)).config
    with pytest.raises(ValidationError, match="frozen"):
        config.data.batch_size = 3


def test_names_of_the_experiment(write):
    assert load(write("pets.yaml", GOOD)).name == "pets"
    assert load(write("pets.yaml", GOOD + "experiment: {name: cats}")).name == "cats"


# Paths.


def test_relative_paths_are_relative_to_the_file_that_has_them(write, folder):
    write("data/images/1.png", "")
    write("configs/base/base.yaml", "data: {source: ../../data/images}\nmodel: mlp")
    config = load(write("configs/a.yaml", "extends: base/base.yaml\nexperiment: {output: here}")).config
    assert config.data.source == str(folder / "data/images")
    assert config.experiment.output == "here"


def test_paths_in_overrides_are_relative_to_the_working_directory(write, folder):
    write("images/1.png", "")
    name = write("configs/a.yaml", GOOD)
    assert load(name, ["data.source=images"]).config.data.source == str(folder / "images")
    assert load(name, set_values={"data.source": "images"}).config.data.source == str(folder / "images")


def test_known_names_and_urls_stay_but_a_file_goes_before_a_name_in_other_case(write, folder):
    for source in ("PETS", "pets", "https://example.com/a.tgz"):
        assert load(write("a.yaml", GOOD), [f"data.source={source}"]).config.data.source == source
    write("pets/1.png", "")
    assert load("a.yaml", ["data.source=pets"]).config.data.source == str(folder / "pets")
    assert load("a.yaml", ["data.source=PETS"]).config.data.source == "PETS"


@pytest.mark.parametrize(
    ("source", "hint"), [("PEST", "did you mean 'PETS'?"), ("imags", "did you mean '{folder}/images'?")]
)
def test_missing_data_is_answered_with_the_nearest_name(write, folder, errors, source, hint):
    write("images/1.png", "")
    message = f"data.source: no data set, file or folder is called '{source}'"
    assert errors(f"data: {{source: {source}}}\nmodel: mlp") == [(message, hint.format(folder=folder))]


def test_files_need_not_exist_where_only_the_configuration_is_wanted(write, folder):
    name = write("a.yaml", "plugins: [gone.py]\ndata: {source: gone, label: by_plugin}\nmodel: mlp")
    assert load(name, check_files=False).config.data.source == str(folder / "gone")


def test_environment_variables_stand_in_paths_alone(write, folder, errors, monkeypatch):
    monkeypatch.setenv("IMAGES", "images")
    write("images/1.png", "")
    write("base.yaml", "model: mlp")
    text = "extends: ${env:NOT_SET,base}.yaml\ndata: {source: '${env:IMAGES}'}\nexperiment: {output: '${env:IMAGES}'}"
    config = load(write("a.yaml", text)).config
    assert (config.data.source, config.experiment.output) == (str(folder / "images"), "images")
    assert errors(GOOD + "experiment: {notes: 'in ${env:IMAGES}'}\nmetrics: ['${env:IMAGES}']")[0] == (
        "${env:…} is only read in paths",
        None,
    )
    assert errors("data: {source: '${env:IMAGE}'}\nmodel: mlp") == [
        ("the environment variable IMAGE is not set", "did you mean 'IMAGES'?")
    ]
    assert errors("data: {source: '${env:A B}'}\nmodel: mlp")[0][0] == "not a reference to a variable"


# Extends.


def test_maps_merge_and_lists_replace(write):
    write("base.yaml", GOOD + "experiment: {seed: 1, tags: [a, b]}\nmetrics: [error_rate, accuracy]")
    config = load(write("a.yaml", "extends: base.yaml\nexperiment: {tags: [c]}\nmetrics: [accuracy]")).config
    assert (config.experiment.seed, config.experiment.tags) == (1, ["c"])
    assert [metric.name for metric in config.metrics] == ["accuracy"]


def test_later_bases_lie_over_earlier_ones(write):
    write("one.yaml", GOOD + "experiment: {seed: 1, notes: one}")
    write("two.yaml", "experiment: {seed: 2}")
    config = load(write("a.yaml", "extends: [one.yaml, two.yaml]")).config
    assert (config.experiment.seed, config.experiment.notes) == (2, "one")


@pytest.mark.parametrize(
    ("base", "over", "params"),
    [
        ("optimizer: {name: adam, eps: 1}", "optimizer: {weight_decay: 2}", {"eps": 1, "weight_decay": 2}),
        ("optimizer: {name: adam, eps: 1}", "optimizer: {name: adam, weight_decay: 2}", {"eps": 1, "weight_decay": 2}),
        ("optimizer: {eps: 1}", "optimizer: adam", {"eps": 1}),
        ("optimizer: {name: adam, eps: 1}", "optimizer: {name: sgd, weight_decay: 2}", {"weight_decay": 2}),
        ("optimizer: {name: adam, eps: 1}", "optimizer: sgd", {}),
        ("optimizer: sgd", "optimizer: {weight_decay: 2}", {"weight_decay": 2}),
    ],
)
def test_a_component_of_another_name_inherits_no_parameters(write, base, over, params):
    write("base.yaml", f"{GOOD}{base}")
    assert load(write("a.yaml", f"extends: base.yaml\n{over}")).config.optimizer.params == params


def test_architectures_of_timm_share_their_parameters(write):
    write("base.yaml", "data: {source: PETS}\nmodel: {name: resnet18, pretrained: false}")
    name = write("a.yaml", "extends: base.yaml\nmodel: resnet34")
    assert load(name).config.model.params == {"pretrained": False}
    assert load(name, ["model.name=resnet50"]).config.model.params == {"pretrained": False}
    assert load(name, ["model.name=mlp"]).config.model.params == {}


def test_null_replaces(write):
    write("base.yaml", GOOD + "loss: cross_entropy")
    assert load(write("a.yaml", "extends: base.yaml\nloss: null")).config.loss is None


def test_a_circle_is_refused(write, errors):
    write("b.yaml", "extends: a.yaml")
    assert errors("extends: b.yaml") == [("extends goes in a circle: a.yaml → b.yaml → a.yaml", None)]
    assert errors("extends: a.yaml") == [("extends goes in a circle: a.yaml → a.yaml", None)]


def test_a_missing_base_is_shown_where_it_is_named(write):
    write("configs/base.yaml", GOOD)
    with pytest.raises(InvalidConfigError) as caught:
        load(write("configs/a.yaml", "extends: bsae.yaml"))
    assert str(caught.value).splitlines() == [
        "configs/a.yaml:1:10: error: no such file: configs/bsae.yaml",
        "    1 | extends: bsae.yaml",
        "      |          ^^^^^^^^^ did you mean 'configs/base.yaml'?",
        "1 error; nothing was run",
    ]


def test_mistakes_in_a_base_are_shown_in_its_own_lines(write):
    write("base.yaml", "model: mlp\ndata: {source: PETS, batch_size: x}")
    with pytest.raises(InvalidConfigError) as caught:
        load(write("a.yaml", "extends: base.yaml\nlos: null"))
    assert [str(problem.place) for problem in caught.value.problems] == ["a.yaml:2", "base.yaml:2"]


def test_extends_must_be_paths(errors):
    assert errors("extends: [3]\n" + GOOD) == [("extends must be a path or a list of paths", None)]


# Where values come from.


def test_origins(write):
    write("base.yaml", GOOD + "optimizer: {name: adam,\n  eps: 1}")
    loaded = load(write("a.yaml", "extends: base.yaml\nexperiment:\n  seed: 3"), ["data.batch_size=8"])
    origin = {key: str(loaded.origin[key]) for key in loaded.origin}
    assert origin["model", "name"] == "base.yaml:2"
    assert origin["optimizer", "eps"] == "base.yaml:4"
    assert origin["experiment", "seed"] == "a.yaml:3"
    assert origin["data", "batch_size"] == "command line"
    assert origin["optimizer", "weight_decay"] == origin["data", "cache"] == "default"
    assert loaded.origin["experiment", "seed"] == Place("a.yaml", 3, 3, 4)
    assert loaded.files == ("a.yaml", "base.yaml")
    assert loaded.tree["optimizer"] == {"name": "adam", "eps": 1}


def test_later_errors_are_shown_with_their_lines_too(write):
    loaded = load(write("a.yaml", GOOD + "callbacks:\n- name: early_stopping\n  monitor: acc"), ["data.batch_size=999"])
    assert str(loaded.error_at("callbacks.0.monitor", "'acc' is not measured", "did you mean 'accuracy'?")) == (
        "a.yaml:5:12: error: 'acc' is not measured\n"
        "    4 | - name: early_stopping\n"
        "    5 |   monitor: acc\n"
        "      |            ^^^ did you mean 'accuracy'?\n"
        "1 error; nothing was run"
    )
    assert str(loaded.error_at("data.batch_size", "larger than the data")) == (
        "command line: error: larger than the data\n"
        "      | data.batch_size=999\n"
        "      |                 ^^^\n"
        "1 error; nothing was run"
    )
    assert str(loaded.error_at("data.split", "no item validates")).startswith("a.yaml:1:7: error: no item validates")
    assert str(loaded.error_at("loss", "does not fit")).startswith("a.yaml: error: does not fit\n")


def test_an_error_with_a_key_is_explained_once(write):
    loaded = load(write("a.yaml", GOOD))
    explained = loaded.explain(ConfigError("no such model", key="model.name"))
    assert str(explained).startswith("a.yaml:2:8: error: no such model\n")
    assert explained.key == "model.name"
    assert loaded.explain(explained) is explained
    plain = ConfigError("no key")
    assert loaded.explain(plain) is plain


def test_what_only_the_models_know_is_shown_alike(errors):
    text = "data:\n  source: PETS\n  normalize: {mean: [0.5], std: [1, 1]}\nmodel: mlp"
    assert errors(text) == [("mean has 1 numbers and std has 2; give one per channel", None)]
