"""open_mask: codes come through as they are in the file."""

import io

import numpy as np
import PIL.Image
import pytest

from fastcli.errors import DataError
from fastcli.transforms.masks import open_mask
from fastcli.types import Mask

CODES = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)


def saved(picture, **options):
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    file.seek(0)
    return file


def palette():
    picture = PIL.Image.fromarray(CODES).convert("P")
    picture.putdata(CODES.flatten().tolist())
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 77])
    return picture


@pytest.mark.parametrize(
    "picture",
    [PIL.Image.fromarray(CODES), palette(), PIL.Image.fromarray(np.stack([CODES] * 3, -1)),
     PIL.Image.fromarray(CODES).convert("LA"),
     PIL.Image.fromarray(CODES.astype(np.uint16))],
    ids=["grey", "palette", "grey as RGB", "alpha", "16 bits"],
)  # fmt: skip
def test_codes_are_kept(picture):
    mask = open_mask(saved(picture))
    assert isinstance(mask, Mask)
    assert mask.tolist() == [CODES.tolist()]


def test_one_bit_is_zero_and_one():
    assert open_mask(saved(PIL.Image.fromarray(CODES > 1))).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_what_is_no_mask_is_told(tmp_path):
    with pytest.raises(DataError, match="the mask is in colours"):
        open_mask(saved(PIL.Image.fromarray(np.dstack([CODES, CODES, CODES + 1]))))
    with pytest.raises(DataError, match="0 to 255, this one has 0 to 300"):
        open_mask(saved(PIL.Image.fromarray(CODES.astype(np.uint16) * 150)))
    with pytest.raises(DataError, match="no such file"):
        open_mask(tmp_path / "a.png")
