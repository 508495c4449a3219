"""What does not train costs no memory and no backward pass: the graph begins at the first group that trains."""

import pytest
import torch
from torch import nn

from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.models.create import create_model
from fastcli.types import InputInfo


class Graph(Callback):
    """What autograd knows of the first training batch: its parameters, its nodes, and the bytes that it keeps."""

    def __init__(self, model):
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.weights = {parameter.data_ptr() for parameter in model.parameters()}
        self.reached, self.nodes, self.kept = set(), 0, 0

    def before_batch(self, learner):
        if learner.training:
            self.hooks = torch.autograd.graph.saved_tensors_hooks(self.keep, lambda kept: kept)
            self.hooks.__enter__()

    def keep(self, tensor):
        self.kept += 0 if tensor.data_ptr() in self.weights else tensor.numel() * tensor.element_size()
        return tensor

    def after_loss(self, learner):
        if not learner.training:
            return
        self.hooks.__exit__()
        waiting, seen = [learner.loss.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
            if hasattr(node, "variable"):
                self.reached.add(self.names[id(node.variable)])
        self.nodes = len(seen)


class Modes(Callback):
    """Which batch norms are in training mode while the first batch is."""

    def before_batch(self, learner):
        if learner.training:
            norms = {name: m for name, m in learner.model.named_modules() if isinstance(m, nn.BatchNorm2d)}
            self.training = {name for name, module in norms.items() if module.training}
            self.all = set(norms)


def trained(freeze):
    torch.manual_seed(0)
    model = create_model("test_resnet", InputInfo(3, (32, 32)), 2, pretrained=False)
    batch = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 0, 1])
    learner = Learner(([batch], [batch]), model, nn.CrossEntropyLoss())
    freeze(learner)
    graph, modes = Graph(model), Modes()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learner.fit(1, callbacks=[graph, modes])
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    return learner, graph, modes, changed


def names_of(learner, groups):
    ids = {id(parameter) for group in groups for parameter in group}
    return {name for name, parameter in learner.model.named_parameters() if id(parameter) in ids}


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_graph_begins_at_the_first_group_that_trains(first):
    learner, graph, _, changed = trained(lambda learner: learner.freeze_to(first))
    assert len(learner.layer_groups) == 3
    assert graph.reached == names_of(learner, learner.layer_groups[first:])
    assert not changed & names_of(learner, learner.layer_groups[:first])


def test_the_less_trains_the_less_is_kept_for_the_backward_pass():
    graphs = [trained(lambda learner, n=n: learner.freeze_to(n))[1] for n in (0, 1, 2)]
    assert graphs[0].nodes > graphs[1].nodes > graphs[2].nodes
    assert graphs[0].kept > graphs[1].kept > 4 * graphs[2].kept


def test_a_frozen_body_has_no_graph_and_no_batch_norm_that_learns():
    learner, graph, modes, changed = trained(Learner.freeze)
    with torch.enable_grad():
        assert learner.model.features(torch.randn(2, 3, 32, 32)).grad_fn is None
    assert not any(name.startswith("body.") for name in graph.reached | changed)
    assert modes.all
    assert modes.training == set()


def test_frozen_batch_norms_of_a_body_that_trains_keep_their_statistics():
    learner, graph, modes, changed = trained(lambda learner: learner.unfreeze(norms="freeze"))
    assert modes.training == set()
    assert not {name for name in changed if name.rpartition(".")[0] in modes.all}
    assert {"body.conv1.weight", "body.conv1.0.weight"} & graph.reached
    assert learner.history


def test_batch_norms_that_train_in_a_frozen_body_need_the_graph_as_in_fastai():
    _, graph, modes, _ = trained(lambda learner: learner.freeze(norms="train"))
    assert modes.training == modes.all
    body = {name for name in graph.reached if name.startswith("body.")}
    assert {name.rpartition(".")[0] for name in body} == modes.all
