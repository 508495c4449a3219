import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastcli.errors import FastcliError
from fastcli.run.nested import join_tensors, split_tensors

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.recursive(
    plain,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@given(nested)
def test_a_value_comes_back_from_json_as_it_was(value):
    tensors = {}
    assert join_tensors(json.loads(json.dumps(split_tensors(value, "v", tensors))), tensors) == value
    assert tensors == {}


def test_tensors_are_named_by_their_place():
    state = {"state": {0: {"step": 3, "average": torch.ones(2)}}, "groups": [{"lr": torch.tensor(0.1), "b": (1, 2)}]}
    tensors = {}
    found = json.loads(json.dumps(split_tensors(state, "o", tensors)))
    assert set(tensors) == {"o/state/0/average", "o/groups/0/lr"}
    back = join_tensors(found, tensors)
    assert torch.equal(back["state"][0].pop("average"), torch.ones(2))
    assert back["groups"][0].pop("lr") == torch.tensor(0.1)
    assert back == {"state": {0: {"step": 3}}, "groups": [{"b": (1, 2)}]}
    assert type(back["groups"][0]["b"]) is tuple


def test_numbers_that_are_not_finite_stay():
    value = join_tensors(json.loads(json.dumps(split_tensors([math.inf, math.nan], "v", {}))), {})
    assert value[0] == math.inf
    assert math.isnan(value[1])


def test_what_json_cannot_say_is_refused_by_its_place():
    with pytest.raises(FastcliError, match="o/hook is a function, which cannot be saved"):
        split_tensors({"hook": lambda: 0}, "o", {})
