import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fastcli.errors import FastcliError
from fastcli.learner.learner import Learner
from fastcli.learner.saving import load, save
from fastcli.optim.algorithms import adam, sgd
from fastcli.run import pair

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
BATCHES = [(X[i : i + 8], (X[i : i + 8].sum(1) > 0).long()) for i in range(0, 32, 8)]


def make(optimizer=adam, width=8, seed=0, batches=BATCHES, model=None):
    torch.manual_seed(seed)
    model = model or nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 2))
    return Learner((batches, batches), model, nn.CrossEntropyLoss(), optimizer)


def tensors(learner):
    return {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


OPTIMIZERS = {
    "ours": adam,
    "ours_with_momentum": lambda groups: sgd(groups, lr=0.01, momentum=0.9),
    "torch_adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
    "torch_amsgrad": lambda groups: torch.optim.Adam(groups, lr=torch.tensor(0.01), amsgrad=True),
    "torch_asgd": lambda groups: torch.optim.ASGD(groups, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_if_it_had_not_been_saved(tmp_path, name):
    learner = make(OPTIMIZERS[name])
    learner.fit(2)
    file = save(learner, tmp_path / "models" / "two")
    assert file == tmp_path / "models" / "two.safetensors"
    other = make(OPTIMIZERS[name], seed=1)
    assert load(other, file) == []
    other.global_epoch = learner.global_epoch
    assert equal(tensors(learner), tensors(other))
    learner.fit(1)
    other.fit(1)
    assert equal(tensors(learner), tensors(other))


def test_a_late_unfrozen_parameter_keeps_its_own_count(tmp_path):
    learner = make()
    learner.model[0].weight.requires_grad_(False)
    learner.fit(1)
    learner.model[0].weight.requires_grad_(True)
    learner.fit(1)
    counts = [state["step"] for state in learner.optimizer.state_dict()["state"].values()]
    assert sorted(set(counts)) == [4, 8]
    other = make(seed=1)
    load(other, save(learner, tmp_path / "a"))
    assert [state["step"] for state in other.optimizer.state_dict()["state"].values()] == counts


def test_the_state_takes_the_layout_of_its_parameter(tmp_path):
    """torch's fused SGD ignores strides: a contiguous state with a channels-last weight gives wrong numbers."""

    def make_it(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
        model(images)
        batches = [(images, torch.arange(4) % 2)] * 2
        return make(fused, batches=batches, model=model.to(memory_format=torch.channels_last))

    def fused(groups):
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, fused=True)

    images = torch.randn(4, 3, 8, 8)
    learner = make_it(0)
    learner.fit(1)
    other = make_it(1)
    load(other, save(learner, tmp_path / "a"))
    other.global_epoch = 1
    learner.fit(1)
    other.fit(1)
    for name, tensor in tensors(learner).items():
        torch.testing.assert_close(tensors(other)[name], tensor)


def test_without_the_optimizer_it_starts_anew(tmp_path):
    learner = make()
    learner.fit(1)
    file = save(learner, tmp_path / "a", with_optimizer=False)
    assert not [name for name in load_file(file) if name.startswith("optimizer/")]
    other = make(seed=1)
    other.fit(1)
    load(other, file)
    assert other.optimizer is None
    with pytest.raises(FastcliError, match="has no optimizer state"):
        load(other, file, with_optimizer=True)
    load(other, save(learner, tmp_path / "b"), with_optimizer=False)
    assert other.optimizer is None


def test_the_file_is_a_plain_one_for_everybody_else(tmp_path):
    learner = make()
    found = load_file(save(learner, tmp_path / "a"))
    assert equal(found, tensors(learner))  # no fit, so there is no state yet


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "wrapped.pt"])
def test_plain_state_dicts_are_taken(tmp_path, name):
    learner, path = make(), tmp_path / name
    if name == "a.safetensors":
        from safetensors.torch import save_file

        save_file(learner.model.state_dict(), path)
    else:
        torch.save(learner.model.state_dict() if name == "a.pth" else {"model": learner.model.state_dict()}, path)
    other = make(seed=1)
    load(other, path)
    assert equal(tensors(learner), tensors(other))


def test_a_file_that_could_run_code_is_not_opened(tmp_path):
    torch.save({"model": make()}, tmp_path / "a.pth")
    with pytest.raises(FastcliError, match="could run code"):
        load(make(), tmp_path / "a.pth")


def test_a_mismatch_is_told_by_name_and_changes_nothing(tmp_path):
    """fastai only warns where the optimizer does not fit, and goes on with half of it."""
    learner = make()
    learner.fit(1)
    file = save(learner, tmp_path / "a")
    wide = make(width=9)
    before = tensors(wide)
    with pytest.raises(FastcliError, match=r"0.weight is \(8, 4\), not \(9, 4\).* \(7 in all\)"):
        load(wide, file)
    with pytest.raises(FastcliError, match="0.weight is"):
        load(wide, file, strict=False)
    assert equal(tensors(wide), before)
    other = make(sgd)
    other.fit(1)
    before, optimizer = tensors(other), other.optimizer
    with pytest.raises(FastcliError, match="has the state of Optimizer"):
        load(other, file)
    assert other.optimizer is optimizer
    assert equal(tensors(other), before)


def test_other_groups_are_other_parameters(tmp_path):
    learner = make()
    learner.fit(1)
    file = save(learner, tmp_path / "a")
    other = make()
    other.layer_groups = [list(other.model[3].parameters()), list(other.model[0].parameters())]
    with pytest.raises(FastcliError, match="is of other parameters"):
        load(other, file)


def test_missing_and_unknown_tensors_are_allowed_when_not_strict(tmp_path):
    learner, other = make(), make(seed=1)
    state = {name: tensor for name, tensor in learner.model.state_dict().items() if not name.startswith("3.")}
    torch.save(state | {"extra": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(FastcliError, match=r"missing 3.weight, 3.bias; unknown extra"):
        load(other, tmp_path / "a.pth")
    assert load(other, tmp_path / "a.pth", strict=False) == ["3.weight", "3.bias"]
    assert torch.equal(other.model[0].weight, learner.model[0].weight)
    torch.save({"extra": torch.zeros(1)}, tmp_path / "b.pth")
    with pytest.raises(FastcliError, match="has no tensor of the model; its first is 'extra'"):
        load(other, tmp_path / "b.pth", strict=False)


def test_a_kill_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    """fastai writes in place, so that a kill leaves half a file."""
    learner = make()
    file = save(learner, tmp_path / "a")
    whole = file.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pair, "_save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        save(learner, tmp_path / "a")
    assert file.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_damage_absence_and_newer_files_are_told(tmp_path):
    learner = make()
    file = save(learner, tmp_path / "a")
    with pytest.raises(FastcliError, match="there is no file"):
        load(learner, tmp_path / "b")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(FastcliError, match="cannot read"):
        load(learner, tmp_path / "a")
    pair.write_tensors(file, learner.model.state_dict(), {"fastcli": json.dumps({"format": 2})})
    with pytest.raises(FastcliError, match="is of format 2"):
        load(learner, file)


def test_names_with_dots_keep_them(tmp_path):
    assert save(make(), tmp_path / "epoch.3").name == "epoch.3.safetensors"
