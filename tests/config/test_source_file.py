import os

import pytest

from fastcli.config.load import load
from fastcli.config.problems import InvalidConfigError

GOOD = "data: {source: PETS}\nmodel: resnet18\n"


def complaint(path):
    with pytest.raises(InvalidConfigError) as caught:
        load(path)
    return str(caught.value)


def test_a_missing_file_is_answered_with_its_neighbour(write):
    write("configs/pets.yaml", GOOD)
    assert complaint("configs/pest.yaml") == (
        "configs/pest.yaml: error: no such file: configs/pest.yaml\n"
        "  hint: did you mean 'configs/pets.yaml'?\n"
        "1 error; nothing was run"
    )


def test_a_missing_file_unlike_any_other_is_answered_with_what_is_there(write):
    write("configs/pets.yaml", GOOD)
    write("configs/notes.txt", "")
    assert "hint: configs holds pets.yaml\n" in complaint("configs/zzz")
    assert "hint: there is no folder nowhere\n" in complaint("nowhere/pets.yaml")
    assert "hint" not in complaint("zzz")


def test_a_folder_is_not_a_file_but_may_hold_one(write):
    write("run/config.resolved.yaml", GOOD)
    assert "run is a folder, not a YAML file\n  hint: it holds config.resolved.yaml" in complaint("run")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"# nothing but a comment\n", "the file is empty"),
        (b"- a\n- b\n", "a configuration is made of 'key: value' lines"),
        (b"just words", "a configuration is made of 'key: value' lines"),
        (b"data:\n  source: caf\xe9\n", "a.yaml is not UTF-8 text (byte 0xe9 in line 2)"),
        (GOOD.encode("utf-16"), "is not UTF-8 text"),
        (b"#" * 1_000_001, "a.yaml is larger than 1 MB"),
    ],
)
def test_what_is_not_a_configuration(write, content, message):
    assert message in complaint(write("a.yaml", content))


def test_a_byte_order_mark_and_windows_line_ends_are_read(write):
    text = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert load(write("a.yaml", text)).config.model.name == "resnet18"


def test_a_pipe_is_read():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        pipe.write(GOOD)
    assert load(f"/dev/fd/{reader}").config.data.source == "PETS"
    os.close(reader)


def test_an_impossible_name_is_no_crash():
    assert "cannot read" in complaint("a\0b.yaml")
