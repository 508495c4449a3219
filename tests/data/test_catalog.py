from __future__ import annotations

import re
import subprocess
import sys

import pytest

from fastcli.data.catalog import KNOWN, find_known
from fastcli.data.download import BUNDLED


def test_the_table_is_well_formed() -> None:
    folders = [known.folder for known in KNOWN.values()]
    assert len(set(folders)) == len(folders)
    for name, known in KNOWN.items():
        assert name == known.name == name.upper()
        assert re.fullmatch(r"https://s3\.amazonaws\.com/fast-ai-[a-z]+/[\w-]+\.tgz", known.url)
        assert re.fullmatch("[0-9a-f]{32}", known.md5_first_mib or "")
        assert known.size is not None
        assert known.size > 100_000
        assert known.url.endswith(f"/{known.folder}.tgz")
        assert known.description


@pytest.mark.parametrize(
    ("name", "url", "size", "md5"),
    [
        ("PETS", "imageclas/oxford-iiit-pet", 811706944, "e4db5c768afd933bb91f5f594d7417a4"),
        ("MNIST_SAMPLE", "sample/mnist_sample", 3214948, "2dbc7ec6f9259b583af0072c55816a88"),
        ("IMAGENETTE_160", "imageclas/imagenette2-160", 99003388, "c475f8f7617a200ba35b9facc48443c3"),
        ("CIFAR", "sample/cifar10", 168168549, "a5f8c31371b63a406b23368042812d3c"),
        ("CAMVID", "imagelocal/camvid", 598913237, "648371e4f3a833682afb39b08a3ce2aa"),
        ("COCO_TINY", "coco/coco_tiny", 801038, "367467451ac4fba79a647753c2c66d3a"),
    ],
)
def test_entries_are_fastais(name: str, url: str, size: int, md5: str) -> None:
    known = KNOWN[name]
    assert known.url == f"https://s3.amazonaws.com/fast-ai-{url}.tgz"
    assert (known.size, known.md5_first_mib) == (size, md5)


def test_bundled_copies_and_their_licence_are_in_the_package() -> None:
    assert [known.name for known in KNOWN.values() if known.bundled] == ["MNIST_SAMPLE"]
    assert (BUNDLED / str(KNOWN["MNIST_SAMPLE"].bundled)).is_file()
    assert "CC BY-SA 3.0" in (BUNDLED / "LICENSE-MNIST").read_text(encoding="utf-8")


def test_a_data_set_is_found_by_name_in_any_case_and_by_url() -> None:
    assert find_known("PETS") is find_known("Pets") is find_known(KNOWN["PETS"].url) is KNOWN["PETS"]
    assert find_known("pets2") is find_known("") is None


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, fastcli.data.catalog; print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
