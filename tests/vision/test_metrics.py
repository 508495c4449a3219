"""fastai's metrics: given to a learner, called as functions, made of functions; held to scikit-learn."""

import pytest
from sklearn import metrics as skm

from fastcli.errors import ConfigError
from fastcli.vision.all import *


@pytest.fixture
def learn(dls):
    torch.manual_seed(0)
    return Learner(dls, nn.Sequential(nn.AvgPool2d(8), Flatten(), nn.Linear(48, 2)), default_cbs=False, path=Path())


def figures(learn, metrics):
    learn.metrics = metrics
    values = learn.validate()[1:]
    preds, targs = learn.get_preds()
    return list(values), preds.numpy(), targs.numpy()


def test_metrics_of_a_learner_are_scikit_learns(learn):
    asked = [accuracy, error_rate, F1Score(average="macro"), Precision(), Recall, BalancedAccuracy(), CohenKappa(),
             MatthewsCorrCoef(), RocAucBinary(), APScoreBinary(), Jaccard(), HammingLoss(), BrierScore(),
             FBeta(2, average="macro"), partial(top_k_accuracy, k=1)]  # fmt: skip
    values, preds, targs = figures(learn, asked)
    said = preds.argmax(1)
    expected = [
        skm.accuracy_score(targs, said), 1 - skm.accuracy_score(targs, said),
        skm.f1_score(targs, said, average="macro"),
        skm.precision_score(targs, said, zero_division=0), skm.recall_score(targs, said),
        skm.balanced_accuracy_score(targs, said), skm.cohen_kappa_score(targs, said),
        skm.matthews_corrcoef(targs, said), skm.roc_auc_score(targs, preds[:, 1]),
        skm.average_precision_score(targs, preds[:, 1]), skm.jaccard_score(targs, said),
        skm.hamming_loss(targs, said), skm.brier_score_loss(targs, preds[:, 1]),
        skm.fbeta_score(targs, said, beta=2, average="macro"), skm.accuracy_score(targs, said),
    ]  # fmt: skip
    assert values == pytest.approx(expected, abs=1e-5)
    assert learn.recorder.metric_names[3] == "accuracy"


def test_metrics_called_as_functions():
    preds, targs = torch.randn(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    right = (preds.argmax(1) == targs).float()
    assert accuracy(preds, targs) == right.mean()
    assert error_rate(preds, targs).item() == pytest.approx(1 - right.mean().item())
    assert top_k_accuracy(preds, targs, k=3) == 1
    numbers, truth = torch.rand(8, 1), torch.rand(8, 1)
    assert mae(numbers, truth).item() == pytest.approx((numbers - truth).abs().mean().item(), abs=1e-6)
    assert rmse(numbers, truth).item() == pytest.approx((numbers - truth).square().mean().sqrt().item(), abs=1e-6)
    assert mse(numbers, truth).item() == pytest.approx((numbers - truth).square().mean().item(), abs=1e-6)
    logits, mask = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    there = mask != 0
    assert foreground_acc(logits, mask).item() == pytest.approx(
        (logits.argmax(1) == mask)[there].float().mean().item(), abs=1e-6
    )
    labels, given = torch.randn(6, 4), (torch.rand(6, 4) > 0.5).float()
    assert accuracy_multi(labels, given, thresh=0.3) == ((labels.sigmoid() > 0.3) == given.bool()).float().mean()


def test_functions_of_ones_own(learn):
    def share_of_ones(inp, targ):
        return (inp.argmax(1) == 1).float().mean()

    def by_hand(inp, targ):
        return skm.accuracy_score(targ, inp.argmax(1))

    def power(inp, targ, n):
        return inp.abs().mean() ** n

    values, preds, targs = figures(learn, [share_of_ones, by_hand, partial(power, n=0), AvgMetric(share_of_ones)])
    said = preds.argmax(1)
    assert values == pytest.approx([said.mean(), skm.accuracy_score(targs, said), 1, said.mean()], abs=1e-5)
    assert list(learn.recorder.metric_names[3:6]) == ["share_of_ones", "by_hand", "power"]
    assert learn.recorder.metric_names[6] == "share_of_ones_2"


def test_functions_of_the_whole_set(learn):
    asked = [
        skm_to_fastai(skm.f1_score, average="macro"),
        AccumMetric(skm.roc_auc_score, activation="binarysoftmax", invert_arg=True, to_np=True, name="auc"),
        AccumMetric(lambda p, t: (p == t).float().mean(), dim_argmax=-1, name="same"),
    ]
    values, preds, targs = figures(learn, asked)
    said = preds.argmax(1)
    assert values == pytest.approx(
        [skm.f1_score(targs, said, average="macro"), skm.roc_auc_score(targs, preds[:, 1]), (said == targs).mean()],
        abs=1e-5,
    )
    with pytest.raises(ConfigError, match="activation"):
        AccumMetric(skm.f1_score, activation="tanh")


class Hits(Metric):
    def reset(self):
        self.hits, self.count = 0, 0

    def accumulate(self, learn):
        self.hits += (learn.pred.argmax(1) == learn.y).sum().item()
        self.count += len(learn.yb[0])

    @property
    def value(self):
        return self.hits / self.count if self.count else None


class Named(Hits):
    @property
    def name(self):
        return "hit_rate"


def test_a_metric_in_fastais_style(learn):
    values, preds, targs = figures(learn, [Hits(), Named])
    assert values == pytest.approx([(preds.argmax(1) == targs).mean()] * 2)
    assert list(learn.recorder.metric_names[3:5]) == ["hits", "hit_rate"]
    learn.fit(1, cbs=SaveModelCallback(monitor="hit_rate"))


def test_what_scikit_learn_alone_knows_is_refused(learn):
    with pytest.raises(ConfigError, match="sample_weight"):
        learn.metrics = F1Score(sample_weight=[1, 2])
    with pytest.raises(ConfigError, match="axis"):
        learn.metrics = partial(accuracy, axis=3)
    learn.metrics = F1Score(axis=-1, labels=None, pos_label=1)
