import torch
from hypothesis import given
from hypothesis import strategies as st

from fastcli.transforms.mix import cutmix_boxes, cutmix_pixels, is_pixelwise, kept_share, mixup_pixels


def pair(shape):
    random = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=random), torch.rand(shape, generator=random)


def test_each_sample_is_mixed_in_its_own_share():
    own, other = pair((3, 2, 4, 5))
    share = torch.tensor([1.0, 0.25, 0.6])
    mixed = mixup_pixels(own, other, share)
    for i in range(3):
        torch.testing.assert_close(mixed[i], share[i] * own[i] + (1 - share[i]) * other[i])
    torch.testing.assert_close(mixup_pixels(own, other, share[1:2]), 0.25 * own + 0.75 * other)


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True),
       st.integers(1, 40), st.integers(1, 40))  # fmt: skip
def test_a_box_has_its_side_around_its_centre_and_ends_at_the_edge(share, x, y, height, width):
    (box,) = cutmix_boxes(
        torch.tensor([share], dtype=torch.float64), torch.tensor([[x, y]], dtype=torch.float64), height, width
    ).tolist()
    for start, end, centre, size in (
        (box[0], box[2], int(x * width), width),
        (box[1], box[3], int(y * height), height),
    ):
        side = round(size * (1 - share) ** 0.5)
        assert 0 <= start <= end <= size
        assert (start, end) == (max(0, centre - side // 2), min(size, centre - side // 2 + side))


def test_a_box_of_odd_side_keeps_its_side():
    # fastai halves the side twice, so that a box of 5 becomes one of 4.
    (box,) = cutmix_boxes(torch.tensor([0.75]), torch.tensor([[0.5, 0.5]]), 10, 10).tolist()
    assert (box[2] - box[0], box[3] - box[1]) == (5, 5)


def test_boxes_are_filled_in_pictures_and_masks_alike():
    own, other = pair((4, 3, 8, 6))
    boxes = cutmix_boxes(torch.tensor([0.9, 0.5, 0.0, 1.0]), torch.rand(4, 2), 8, 6)
    mixed = cutmix_pixels(own, other, boxes)
    for i, (left, top, right, bottom) in enumerate(boxes.tolist()):
        expected = own[i].clone()
        expected[:, top:bottom, left:right] = other[i, :, top:bottom, left:right]
        assert torch.equal(mixed[i], expected)
    masks = cutmix_pixels(torch.zeros(4, 8, 6, dtype=torch.int64), torch.ones(4, 8, 6, dtype=torch.int64), boxes)
    assert torch.equal(masks == 1, (mixed == other).all(1) & (own != other).all(1))
    torch.testing.assert_close(kept_share(boxes, 8, 6), 1 - masks.float().mean((1, 2)))


def test_masks_are_told_from_labels():
    images = torch.zeros(2, 3, 8, 8)
    assert is_pixelwise(torch.zeros(2, 8, 8), images)
    assert is_pixelwise(torch.zeros(2, 5, 8, 8), images)
    assert not is_pixelwise(torch.zeros(2), images)
    assert not is_pixelwise(torch.zeros(8, 8), images)
    assert not is_pixelwise(torch.zeros(2, 3), torch.zeros(2, 3))
