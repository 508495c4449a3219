"""Chapters 15 and 16 of fastai's book and its tutorials on training: recipes, schedules, optimizers, callbacks."""

import numpy as np
import pytest

from fastcli.errors import ConfigError
from fastcli.vision.all import *


def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), Flatten(),
                         nn.Linear(8, 2))  # fmt: skip


def get_learner(dls, **options):
    torch.manual_seed(0)
    return Learner(dls, net(), metrics=accuracy, default_cbs=False, seed=0, path=Path(), **options)


def test_every_recipe_by_its_arguments(dls):
    learn = get_learner(dls)
    learn.fit(1, 1e-3, wd=0.1)
    assert learn.opt.param_groups[0]["weight_decay"] == 0.1
    learn.fit_one_cycle(1, 1e-2, div=10, div_final=100, pct_start=0.5, moms=(0.9, 0.8, 0.9), reset_opt=True)
    assert learn.recorder.lrs[3:] == pytest.approx([1e-3, (1e-3 + 1e-2) / 2 + 4.5e-3 * -np.cos(np.pi * 2 / 3),
                                                    (1e-2 + 1e-4) / 2 + 4.95e-3 * np.cos(np.pi / 3)])  # fmt: skip
    assert learn.recorder.hps["mom"][3] == pytest.approx(0.9)
    learn.fit_flat_cos(1, 1e-2, pct_start=0.5)
    learn.fit_sgdr(2, 1, 1e-2)
    assert len(learn.recorder.values) == 1 + 1 + 1 + 3
    assert learn.recorder.iters == [3, 6, 9, 12, 15, 18]
    assert learn.recorder.final_record == learn.recorder.values[-1]
    assert learn.recorder.log[:3] == [5, *learn.recorder.final_record[:2]]
    learn.fine_tune(1, base_lr=1e-2, freeze_epochs=1, pct_start=0.2, div=3)


def test_rates_of_layers(folder, dls):
    learn = vision_learner(dls, "test_resnet", pretrained=False)
    learn.fit(1, slice(1e-5, 1e-3))
    rates = sorted({g["layer"]: g["lr"] for g in learn.opt.param_groups}.values())
    assert rates == pytest.approx([1e-5, 1e-4, 1e-3])
    learn.fit(1, L([1e-4, 1e-3, 1e-2]))
    assert learn.recorder.lrs[-1] == 1e-2
    learn.freeze_to(-2)
    frozen = [all(not p.requires_grad for p in group if p.ndim > 1) for group in learn.layer_groups]
    assert frozen == [True, False, False]
    learn.freeze_to(1)
    learn.unfreeze()
    assert all(p.requires_grad for p in learn.model.parameters())


@pytest.mark.parametrize("function", [valley, slide, minimum, steep])
def test_suggestions_are_functions_of_rates_and_losses(function):
    rates = np.geomspace(1e-7, 10, 90)
    losses = 1 - 0.5 * np.exp(-((np.log(rates) + 4) ** 2) / 8) + (rates > 1) * 2
    assert 1e-7 < function(list(rates), losses, 100) < 1.5
    assert SuggestionMethod.Valley is valley


def test_lr_find_leaves_everything_as_it_was_and_takes_a_function_of_ones_own(dls):
    learn = get_learner(dls)
    before = [p.clone() for p in learn.model.parameters()]

    def lowest(lrs, losses, num_it):
        return lrs[int(np.argmin(losses))], (0, 0)

    found = learn.lr_find(start_lr=1e-5, end_lr=1, num_it=30, suggest_funcs=[lowest, SuggestionMethod.Valley])
    assert found._fields == ("lowest", "valley")
    lr_min = learn.lr_find(1e-5, 1, 30, show_plot=False, suggest_funcs=minimum).minimum
    assert found.lowest == pytest.approx(10 * lr_min)
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))
    assert learn.recorder.values == []
    assert learn.recorder.plot_lr_find(skip_end=3).get_xscale() == "log"


def test_schedules_of_ones_own(dls):
    sched = combine_scheds([0.3, 0.7], [SchedCos(0.1, 1.0), SchedLin(1.0, 0.0)])
    learn = get_learner(dls, opt_func=partial(SGD, mom=0.9))
    learn.fit(2, cbs=ParamScheduler({"lr": sched, "mom": combined_cos(0.5, 0.95, 0.85, 0.95)}))
    assert learn.recorder.lrs == pytest.approx([sched(i / 6) for i in range(6)])
    assert learn.recorder.hps["mom"][0] == pytest.approx(0.95)
    for name, end in (("SchedNo", 1), ("SchedExp", 2), ("SchedCos", 2), ("SchedLin", 2)):
        assert globals()[name](1.0, 2.0)(1.0) == pytest.approx(end)
    assert SchedPoly(0.0, 1.0, 2)(0.5) == pytest.approx(0.25)
    with pytest.raises(ConfigError, match="sqr"):
        learn.fit(1, cbs=ParamScheduler({"sqr_mo": sched}))


def sgd_cb(p, lr, **kwargs):
    p.data.add_(p.grad.data, alpha=-lr)


def momentum_by_hand(p, mom, grad_avg=None, **kwargs):
    if grad_avg is None:
        grad_avg = torch.zeros_like(p.grad.data)
    return {"grad_avg": grad_avg * mom + p.grad.data}


def damped_grad(p, **kwargs):
    return average_grad(p, dampening=True, **kwargs)


ADAM = [weight_decay, damped_grad, average_sqr_grad, step_stat, adam_step]
CASES = [
    (partial(Optimizer, cbs=[sgd_cb]), SGD),
    (partial(Optimizer, cbs=[momentum_by_hand, momentum_step], mom=0.9), partial(SGD, mom=0.9)),
    (partial(Optimizer, cbs=[average_grad, momentum_step]), partial(SGD, mom=0.9)),
    (partial(Optimizer, cbs=[l2_reg, sgd_step], wd=0.1), partial(SGD, wd=0.1, decouple_wd=False)),
    (partial(Optimizer, cbs=[average_sqr_grad, rms_prop_step], eps=1e-7), partial(RMSProp, eps=1e-7)),
    (partial(Optimizer, cbs=ADAM, wd=0.01, mom=0.9), Adam),
]


@pytest.mark.parametrize(("by_hand", "ours"), CASES)
def test_chapter_16_an_optimizer_of_functions_equals_ours(by_hand, ours):
    def trace(opt_func):
        torch.manual_seed(0)
        x, layers = torch.randn(16, 4).double(), nn.ModuleList([nn.Linear(4, 3), nn.Linear(3, 2)]).double()
        opt = opt_func([params(layer) for layer in layers], lr=slice(1e-3, 1e-2))
        for _ in range(20):
            layers[1](torch.tanh(layers[0](x))).square().mean().backward()
            opt.step()
            opt.zero_grad()
        return opt, torch.cat([p.flatten() for p in layers.parameters()])

    (opt, first), (_, second) = trace(by_hand), trace(ours)
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)
    assert [hypers["lr"] for hypers in opt.hypers] == [1e-3, 1e-2]


def test_an_optimizer_of_functions_trains_with_schedules(dls):
    learn = get_learner(dls, opt_func=partial(Optimizer, cbs=[average_grad, momentum_step], mom=0.9))
    learn.fit_one_cycle(1, 0.1)
    assert learn.recorder.hps["mom"][1] < 0.95
    with pytest.raises(ConfigError, match="weight_decay"):
        get_learner(dls, opt_func=partial(Optimizer, cbs=sgd_step), wd=0.01).fit(1)


@pytest.mark.parametrize(
    "opt_func",
    [RAdam, QHAdam, Larc, Lamb, ranger, lambda p, lr: Lookahead(Adam(p, lr), k=3),
     partial(OptimWrapper, opt=torch.optim.AdamW, weight_decay=0.1), partial(Adam, lr=0.5)],
)  # fmt: skip
def test_every_optimizer_trains(dls, opt_func):
    learn = get_learner(dls, opt_func=opt_func)
    learn.fit_one_cycle(1, 1e-3)
    assert learn.opt.param_groups[0]["lr"] < 1e-3
    if isinstance(opt_func, partial) and "lr" in opt_func.keywords:
        learn = get_learner(dls, opt_func=opt_func, lr=1e-4)
        learn.fit(1)
        assert learn.opt.param_groups[0]["lr"] == 0.5


def test_lookahead_wraps_what_is_made_of_pieces():
    with pytest.raises(ConfigError, match="cannot wrap SGD"):
        Lookahead(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1))


def test_callbacks_at_construction_and_per_fit(dls):
    learn = get_learner(dls, cbs=[EarlyStoppingCallback(patience=2), SaveModelCallback])
    learn.fit(2, cbs=[CSVLogger(), GradientAccumulation(24), ShortEpochCallback(0.5), TerminateOnNaNCallback(),
                      ShowGraphCallback(), ActivationStats(with_hist=True)])  # fmt: skip
    assert not any(isinstance(cb, CSVLogger) for cb in learn.cbs)
    assert (learn.path / "models" / "model.safetensors").is_file()
    assert len(pd.read_csv("history.csv")) == 2
    assert learn.save_model is learn.cbs[-1]
    assert learn.early_stopping.patience == 2
    with pytest.raises(AttributeError, match="nothing_such"):
        learn.nothing_such  # noqa: B018
    learn.remove_cb(SaveModelCallback)
    with pytest.raises(AttributeError):
        learn.save_model  # noqa: B018
    with learn.added_cbs(BnFreeze), learn.removed_cbs(EarlyStoppingCallback):
        assert "FreezeBatchNorm" in [type(cb).__name__ for cb in learn.cbs]
    assert "FreezeBatchNorm" not in [type(cb).__name__ for cb in learn.cbs]
    learn.fit(1, cbs=[ReduceLROnPlateau(), GatherPredsCallback(with_loss=True), ChannelsLast()])
    assert MCDropoutCallback().passes > 1


def test_precision(dls):
    learn = get_learner(dls).to_bf16()
    learn.fit(1)
    assert learn.mixed_precision.precision == "bf16"
    learn.to_fp32()
    learn.to_channelslast().fit(1)
    learn.to_contiguous().fit(1)
    assert not hasattr(learn, "channels_last")
    learn.to_fp16().fit(1)
    with pytest.raises(ConfigError, match="init_scale"):
        learn.to_fp16(init_scale=2)


def test_what_is_shown(dls, capsys):
    learn = get_learner(dls)
    learn.show = True
    learn.fine_tune(1, freeze_epochs=1)
    assert capsys.readouterr().out.count("accuracy") == 1
    with learn.no_bar(), learn.no_logging(), learn.no_mbar():
        learn.fit(1)
        learn.validate()
    assert capsys.readouterr().out == ""
    learn.remove_cb(ProgressCallback)
    learn.fit(1)
    assert capsys.readouterr().out == ""
    learn.show_training_loop()
    assert "after_loss" in capsys.readouterr().out
    table = str(learn.summary())
    assert "Conv2d" in table
    assert "parameters" in table


def test_saving_and_loading_go_on_where_it_was(dls):
    learn = get_learner(dls, model_dir="kept")
    learn.fit(1)
    assert learn.save("stage-1") == learn.path / "kept" / "stage-1.safetensors"
    other = get_learner(dls, model_dir="kept").load("stage-1", device="cpu")
    assert torch.equal(other.model[0].weight, learn.model[0].weight)
    learn.save("stage-1.pth", with_opt=False)
    other.load("stage-1")
    torch.save(learn.model.state_dict(), learn.path / "kept" / "plain.pth")
    other.load("plain.pth", with_opt=False)
    assert torch.equal(other.model[0].weight, learn.model[0].weight)


def test_predictions_in_every_form(dls):
    learn = get_learner(dls, loss_func=CrossEntropyLossFlat())
    inputs, preds, targs, decoded, losses = learn.get_preds(with_input=True, with_decoded=True, with_loss=True)
    assert [len(part) for part in (inputs, preds, targs, decoded, losses)] == [20] * 5
    raw, _ = learn.get_preds(act=noop)
    torch.testing.assert_close(raw.softmax(1), preds)
    torch.testing.assert_close(F.cross_entropy(raw, targs, reduction="none"), losses)
    assert learn.get_preds(with_targs=False)[1] is None
    assert len(learn.get_preds(ds_idx=0)[0]) == 36
    assert len(learn.predict(dls.valid_ds.items[0], with_input=True)) == 4
    with learn.loss_not_reduced():
        assert learn.loss_func(raw, targs).shape == (20,)
    assert isinstance(learn.validate(ds_idx=0), L)


def test_hooks_and_summaries(dls):
    learn = get_learner(dls)
    x, _ = dls.one_batch()
    with hook_output(learn.model[0]) as hook:
        learn.model.eval()(x)
    assert hook.stored.shape == (12, 8, 15, 15)
    assert model_sizes(learn.model[:3], size=(32, 32))[0][1] == 8
    assert num_features_model(learn.model[:3]) == 8
    assert "Linear" in str(model_summary(learn.model, (x,)))


def test_predictions_after_every_epoch_and_the_best_weights_by_name(dls):
    learn = get_learner(dls, cbs=FetchPredsCallback())
    learn.fit(2, cbs=SaveModelCallback(fname="best"))
    assert learn.fetch_preds.preds[0].shape == (20, 2)
    assert len(learn.recorder.values) == 2
    learn.load("best")
    assert learn.validate()[0] == pytest.approx(min(row[1] for row in learn.recorder.values), abs=1e-6)


def test_loaders_of_torch(capsys):
    data = torch.utils.data.TensorDataset(torch.randn(20, 4), torch.randint(2, (20,)))
    dls = DataLoaders(torch.utils.data.DataLoader(data, 5), torch.utils.data.DataLoader(data, 5))
    learn = Learner(dls, nn.Linear(4, 2), loss_func=F.cross_entropy, metrics=[accuracy, F1Score(average="macro")])
    learn.fit_one_cycle(1)
    preds, targets = learn.get_preds()
    assert learn.recorder.values[-1][2] == pytest.approx(float((preds.argmax(1) == targets).float().mean()))
    assert "f1_score" in capsys.readouterr().out
