import re

import yaml

from fastcli.report.card import model_card

GIVEN = {
    "name": "pets",
    "model": "resnet34",
    "data": {"source": "PETS", "images for training": 5912, "images for validation": 1478},
    "figures": {"train_loss": 0.0508, "valid_loss": 0.0081, "error_rate": 0.0041},
    "config": "data:\n  source: PETS\n",
    "environment": {"python": "3.11.9", "packages": {"torch": "2.9"}, "git": {"commit": "abc", "dirty": True}},
}


def front_matter(card):
    start, front, rest = card.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front), rest


def test_front_matter_is_yaml_without_a_licence_unless_given():
    front, _ = front_matter(model_card(**GIVEN))
    assert front["metrics"] == ["error_rate"]
    assert front["tags"] == ["image-classification", "fastcli"]
    assert "license" not in front
    front, _ = front_matter(model_card(**GIVEN, license="apache-2.0", tags=["fastcli", "yes", "a: b", "猫"]))
    assert front["license"] == "apache-2.0"
    assert front["tags"] == ["image-classification", "fastcli", "yes", "a: b", "猫"]


def test_body_tells_model_data_figures_and_use():
    _, body = front_matter(model_card(**GIVEN, classes=["cat", "dog"], parameters=21_300_000, epoch=1))
    for line in (
        "# pets",
        "| source | PETS |",
        "| images for training | 5,912 |",
        "| classes | cat, dog |",
        "| error\\_rate | 0.0041 |",
        "## Figures after epoch 1, on the validation split",
        "fastcli predict image.jpg",
        "| torch | 2.9 |",
        "| git dirty | yes |",
    ):
        assert line in body.splitlines()
    assert "`resnet34`, 21.3 M parameters" in body


def test_hostile_words_stay_in_their_place():
    given = {**GIVEN, "name": "a\n# b <script>", "model": "x`y", "config": "notes: '```'\napi_key: abc\n"}
    _, body = front_matter(model_card(**given, classes=["a|b", "*c*", "d\ne"] + ["x"] * 100))
    assert "<script>" not in body
    assert "# a \\# b &lt;script&gt;" in body
    assert "a\\|b, \\*c\\*, d e, x" in body
    assert "… (103 in all)" in body
    assert "abc" not in re.findall(r"````yaml\n(.*?)````", body, re.DOTALL)[0]


def test_the_task_is_named_as_the_hub_names_it():
    given = {"name": "a", "model": "unet", "data": {}, "figures": {}, "config": "", "environment": {}}
    assert "pipeline_tag: image-segmentation" in model_card(**given, kind="mask")
    assert "pipeline_tag" not in model_card(**given, kind="regression")
