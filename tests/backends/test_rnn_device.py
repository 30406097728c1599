"""How ``gru`` and ``lstm`` are trained on a GPU, with torch's processor in its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks are trained on GPUs by torch")

import torch
from torch import Tensor, nn

from counterbias import FitReport, InputError, Resources, TrainingSet, Window
from counterbias.testing import planted_sample
from counterbias_backends.rnn import ratio
from counterbias_backends.rnn import stack as rnn_stack
from counterbias_backends.rnn.device import fit_all
from counterbias_backends.rnn.model import CharacterModel, GRUModel, LSTMModel
from counterbias_backends.rnn.network import CharacterNetwork, PositionNetwork
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.stack import RecurrentStack
from counterbias_torch.cross_fitting import Fit
from counterbias_torch.losses import log_probabilities, scores_of
from tests.backends.networks import agreement, random_contexts, random_parameters

WINDOW = Window(3, 4)
PROCESSOR = torch.device("cpu")
POSITION = Options(head="position", hidden=4, epochs=4, batch=8, min_steps=1200)
RATIO = Options(objective="ratio", hidden=4)


def fitted(
    model: type[CharacterModel],
    options: Options,
    samples: Sequence[TrainingSet],
    **resources: object,
) -> tuple[list[CharacterModel], list[FitReport | InputError]]:
    fits = [
        Fit(model(WINDOW, options), sample, np.random.default_rng(seed))
        for seed, sample in enumerate(samples)
    ]
    for fit in fits:
        fit.model.resources = Resources(**resources)
    return [fit.model for fit in fits], fit_all(fits, PROCESSOR)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``objective=ratio`` take a quarter of 240 steps."""
    for name in ("LEAST_STEPS", "MOST_STEPS"):
        monkeypatch.setattr(ratio, name, 240)


@pytest.mark.parametrize("units", [5, 10, 160])
@pytest.mark.parametrize("kind", ["shared", "position", "ratio"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_stack_is_its_networks(
    cell: str, kind: str, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs and gradients are those of each network by itself, however many share a layer."""
    monkeypatch.setattr(rnn_stack, "UNITS", units)
    count, width = 3, 7
    parameters = [
        random_parameters(cell, 5, 0 if kind == "shared" else width, seed) for seed in range(count)
    ]
    modules: list[nn.Module] = [
        CharacterNetwork.from_parameters(one)
        if kind == "shared"
        else PositionNetwork.from_parameters(one, ratio=kind == "ratio")
        for one in parameters
    ]
    stack = RecurrentStack(modules)
    codes = torch.from_numpy(random_contexts(count * 11, width).reshape(count, 11, width))
    factors = torch.from_numpy(np.random.default_rng(1).normal(size=(count, 11))).float()
    found = (scores_of if kind == "ratio" else log_probabilities)(stack(codes), codes)
    expected = torch.stack([module(own) for module, own in zip(modules, codes, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    (found * factors).sum().backward()
    (expected * factors).sum().backward()
    for name, value in stack.parameters():
        own = torch.stack([dict(module.named_parameters())[name].grad for module in modules])
        assert own.abs().max() > 1e-3
        torch.testing.assert_close(value.grad, own, rtol=1e-4, atol=1e-5)
    assert_states_equal(stack.snapshot(1), dict(modules[1].state_dict()))


def assert_states_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("model", "options"), [(GRUModel, POSITION), (GRUModel, RATIO), (LSTMModel, RATIO)]
)
def test_models_are_as_good_as_those_of_the_processor(
    model: type[CharacterModel], options: Options, side_by_side: list[int]
) -> None:
    samples = [planted_sample(WINDOW, starts=1500, seed=seed) for seed in (1, 2)]
    models, reports = fitted(model, options, samples)
    # Of language models, those of read starts and those of the background.
    assert side_by_side == ([2] if options is RATIO else [2, 2])
    for sample, one, found in zip(samples, models, reports, strict=True):
        compiled = model(WINDOW, options)
        report = compiled.fit(sample, np.random.default_rng(0))
        assert agreement(compiled) > 0.9
        assert agreement(one) > agreement(compiled) - 0.04
        assert isinstance(found, FitReport)
        assert found.parameters == report.parameters
        assert found.details.keys() == report.details.keys() | {"device"}
        assert one.to_arrays().keys() == compiled.to_arrays().keys()
        assert found.curves.keys() == report.curves.keys()
        for name, values in report.curves.items():
            assert found.curves[name][-1] == pytest.approx(values[-1], rel=0.1)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("options", [POSITION, RATIO])
def test_models_do_not_see_each_other(options: Options, side_by_side: list[int]) -> None:
    options = dataclasses.replace(options, epochs=2, min_steps=200)
    samples = [planted_sample(WINDOW, starts=600, seed=seed) for seed in (1, 2)]
    (alone, *_), _ = fitted(GRUModel, options, samples[:1])
    (together, other), _ = fitted(GRUModel, options, samples)
    assert side_by_side == ([1, 2] if options.objective == "ratio" else [2, 4])
    contexts = random_contexts(500, WINDOW.width)
    scores = alone.log_bias(contexts)
    assert scores.std() > 0.1
    np.testing.assert_allclose(together.log_bias(contexts), scores, atol=1e-3)
    assert abs(other.log_bias(contexts) - scores).max() > 0.01


def test_the_best_of_several_sizes_is_kept(side_by_side: list[int]) -> None:
    options = dataclasses.replace(POSITION, candidates=(1, 5), epochs=3, min_steps=900)
    samples = [planted_sample(WINDOW, starts=900, seed=seed) for seed in (1, 2)]
    models, reports = fitted(GRUModel, options, samples)
    assert side_by_side == [4, 4]  # two networks of two models, size by size
    for model, report in zip(models, reports, strict=True):
        assert isinstance(report, FitReport)
        losses = report.details["candidates"]
        assert list(losses) == ["1", "5"]
        best = min(losses, key=lambda size: losses[size])
        assert report.details["hidden"] == int(best) == model.to_arrays()["hidden"][0]
        assert np.mean(np.log(list(report.perplexity.values()))) == pytest.approx(losses[best])


@pytest.mark.usefixtures("short", "side_by_side")
@pytest.mark.parametrize(
    ("options", "problem"),
    [(POSITION, "0 read starts are too few"), (RATIO, "no read starts to train a network with")],
)
def test_too_few_windows_refuse_their_own_fit_only(options: Options, problem: str) -> None:
    options = dataclasses.replace(options, epochs=1, min_steps=0)
    good = dataclasses.replace(planted_sample(WINDOW, starts=300, seed=1), validation=None)
    none = dataclasses.replace(
        good,
        foreground=good.foreground[:0],
        foreground_weight=good.foreground_weight[:0],
        background=good.background[:2],
        background_weight=good.background_weight[:2],
        tiles=None,
        origin=None,
    )
    models, reports = fitted(GRUModel, options, [good, none, good])
    assert isinstance(reports[1], InputError)
    assert problem in reports[1].problem
    for place in (0, 2):
        assert isinstance(reports[place], FitReport)
        assert np.isfinite(models[place].log_bias(random_contexts(5, WINDOW.width))).all()
    _, refused = fitted(GRUModel, options, [none, none])
    assert [type(one) for one in refused] == [InputError, InputError]


@pytest.mark.usefixtures("short")
def test_with_and_without_stretches(side_by_side: list[int]) -> None:
    """Models without tiles learn from windows alone, apart from those that have tiles."""
    sample = planted_sample(WINDOW, starts=900, seed=1)
    assert sample.validation is not None
    bare = dataclasses.replace(
        sample, tiles=None, validation=dataclasses.replace(sample.validation, tiles=None)
    )
    models, reports = fitted(GRUModel, RATIO, [sample, bare, sample])
    assert side_by_side == [2, 1]
    assert [sorted(report.curves) for report in reports if isinstance(report, FitReport)] == [
        ["training_gain", "training_log_loss"],
        ["training_log_loss"],
        ["training_gain", "training_log_loss"],
    ]
    assert all(agreement(model) > 0.85 for model in models)


@pytest.mark.usefixtures("short", "side_by_side")
@pytest.mark.parametrize(
    "options",
    [dataclasses.replace(POSITION, candidates=(2, 3), epochs=3, min_steps=240), RATIO],
)
def test_progress_has_the_real_number_of_steps(options: Options) -> None:
    told: list[tuple[str, int, int]] = []
    samples = [planted_sample(WINDOW, starts=300, seed=seed) for seed in (1, 2)]
    _, reports = fitted(
        GRUModel,
        options,
        samples,
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    assert isinstance(reports[0], FitReport)
    if options is RATIO:
        total = reports[0].details["steps"]
        assert total == 60
    else:
        # Two sizes, three epochs, in each at least 240 / 8 / 3 steps and whole passes: four of
        # three batches for read starts, two of five for the background.
        total = 2 * 3 * (12 + 10)
    assert {(stage, of) for stage, _, of in told} == {("training gru", total)}
    done = [steps for _, steps, _ in told]
    assert done == sorted(done)
    assert done[-1] == total
    assert len(set(done)) > 10
