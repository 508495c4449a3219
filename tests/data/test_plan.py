import pytest
import torch

from fastcli.data.plan import BatchPlan, class_weights
from fastcli.errors import ConfigError


def batches(plan, epoch=0):
    return [batch.items for batch in plan.plan(epoch)]


def test_each_epoch_has_its_own_order_of_the_same_items():
    plan = BatchPlan(range(3, 13), 4, shuffle=True, seed=1)
    assert batches(plan) == batches(plan) != batches(plan, 1)
    assert sorted(sum(batches(plan, 1), ())) == list(range(3, 13))
    assert batches(plan) != batches(BatchPlan(range(3, 13), 4, shuffle=True, seed=2))
    assert batches(BatchPlan(range(5), 4)) == [(0, 1, 2, 3), (4,)]


@pytest.mark.parametrize(
    ("n", "options", "sizes"),
    [(9, {}, [4, 4, 1]), (9, {"join_single": True}, [4, 5]), (1, {"join_single": True}, [1]), (0, {}, []),
     (9, {"drop_last": True, "join_single": True}, [4, 4]), (8, {"drop_last": True}, [4, 4]),
     (10, {"per_epoch": 6}, [4, 2]), (10, {"per_epoch": 6, "drop_last": True}, [4])],
)  # fmt: skip
def test_the_sizes_of_batches(n, options, sizes):
    plan = BatchPlan(range(n), 4, shuffle=True, **options)
    assert [len(items) for items in batches(plan)] == sizes
    assert len(plan) == len(sizes)


def test_a_partial_epoch_is_other_items_each_time():
    plan = BatchPlan(range(100), 10, shuffle=True, per_epoch=20)
    assert plan.n == 20
    epochs = [set(sum(batches(plan, epoch), ())) for epoch in range(40)]
    assert all(len(items) == 20 for items in epochs)
    assert set().union(*epochs) == set(range(100))


def test_items_are_drawn_by_given_weights():
    plan = BatchPlan([5, 6, 7], 10, shuffle=True, weights=[0, 1, 3], per_epoch=4000)
    drawn = torch.tensor(sum(batches(plan), ()))
    assert (drawn != 5).all()
    assert float((drawn == 7).float().mean()) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"weights": [1.0]}, "1 weights for 3 items"), ({"weights": [0.0, 0, 0]}, "one above it"),
     ({"weights": [1, -1, 1.0]}, "none below 0"), ({"batch_size": 0}, "batch_size is 0"),
     ({"drop_last": True}, "drop_last leaves nothing of 3 items in batches of 64"),
     ({"per_epoch": 4}, "an epoch of 4 items cannot be made of 3"), ({"per_epoch": 0}, "an epoch of 0 items")],
)  # fmt: skip
def test_what_cannot_be_planned_is_told(options, words):
    with pytest.raises(ConfigError, match=words):
        BatchPlan(range(3), **options)


def test_balanced_sampling_shows_classes_equally_often():
    labels = torch.tensor([0] * 90 + [1] * 10)
    weights = class_weights("balanced", labels)
    assert weights[labels == 0].sum() == pytest.approx(float(weights[labels == 1].sum()))
    halfway = class_weights("weighted", labels)
    assert halfway[labels == 0].sum() / halfway[labels == 1].sum() == pytest.approx(3.0)
    assert class_weights("shuffle", labels) is None
