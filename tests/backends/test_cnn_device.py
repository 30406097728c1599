"""How ``cnn`` is trained on a GPU, with torch's processor in its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks are trained on GPUs by torch")

import torch

from counterbias import FitReport, InputError, Resources, TrainingSet, Window
from counterbias.testing import planted_sample
from counterbias_backends.cnn import distillation
from counterbias_backends.cnn.device import fit_all
from counterbias_backends.cnn.model import ConvolutionalModel
from counterbias_backends.cnn.network import ConvolutionalNetwork, scores
from counterbias_backends.cnn.options import Options
from counterbias_backends.cnn.parameters import Shape
from counterbias_torch.cross_fitting import Fit
from counterbias_torch.stack import LETTERS, as_input, stack_modules
from tests.backends.networks import agreement, random_contexts

WINDOW = Window(3, 4)
PROCESSOR = torch.device("cpu")
QUICK = Options(
    members=2, units=16, channels=4, min_steps=240, max_steps=240, distil=False, decay=0.5
)


def fitted(
    options: Options, samples: Sequence[TrainingSet], **resources: object
) -> tuple[list[ConvolutionalModel], list[FitReport | InputError]]:
    fits = [
        Fit(ConvolutionalModel(WINDOW, options), sample, np.random.default_rng(seed))
        for seed, sample in enumerate(samples)
    ]
    for fit in fits:
        fit.model.resources = Resources(**resources)
    return [fit.model for fit in fits], fit_all(fits, PROCESSOR)


@pytest.mark.parametrize("kmer", [1, 3, 6])
def test_networks_side_by_side_score_as_they_are_defined(kmer: int) -> None:
    """As products of matrices, for several networks at once: scores and gradients."""
    shape, count = Shape(8, kmer, 5, 16), 3
    flat = np.random.default_rng(1).normal(0, 0.4, (count, shape.size))
    modules = [ConvolutionalNetwork(one, shape) for one in flat]
    codes = torch.from_numpy(random_contexts(count * 11, 20).reshape(count, 11, 20))
    stack = stack_modules(modules, LETTERS, codes[0])
    found = stack(codes)
    leaf = torch.from_numpy(flat).requires_grad_(True)
    expected = torch.stack([scores(leaf, shape, own)[:, me] for me, own in enumerate(codes)])
    assert found.shape == (count, 11, 13)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    one = modules[1](as_input(codes[1], LETTERS))
    torch.testing.assert_close(one, found[1], rtol=1e-5, atol=1e-5)
    factors = torch.from_numpy(np.random.default_rng(2).normal(size=found.shape))
    (found.double() * factors).sum().backward()
    (expected * factors).sum().backward()
    named = {name: value.grad.numpy() for name, value in stack.parameters()}
    gradient = shape.join(named)
    assert abs(gradient).max() > 1
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("objective", ["both", "tiles", "windows"])
def test_models_are_as_good_as_those_of_the_processor(
    objective: str, side_by_side: list[int]
) -> None:
    options = dataclasses.replace(QUICK, objective=objective)
    samples = [planted_sample(WINDOW, starts=1500, seed=seed) for seed in (1, 2)]
    models, reports = fitted(options, samples)
    assert side_by_side == [4]
    for sample, one, found in zip(samples, models, reports, strict=True):
        compiled = ConvolutionalModel(WINDOW, options)
        report = compiled.fit(sample, np.random.default_rng(0))
        assert agreement(compiled) > 0.95
        assert agreement(one) > agreement(compiled) - 0.03
        assert isinstance(found, FitReport)
        assert found.parameters == report.parameters
        assert found.details.keys() == report.details.keys()
        assert found.details["device"] == "cpu"
        assert found.details["steps"] == 120  # half of those of the processor
        assert found.details["weight_decay"] == report.details["weight_decay"] == 0.5
        assert found.curves.keys() == report.curves.keys()
        for name, values in report.curves.items():
            assert len(found.curves[name]) == len(values) == 20
            assert found.curves[name][-1] == pytest.approx(values[-1], rel=0.2)


def test_the_distilled_network_scores_as_the_others(
    side_by_side: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "DRAWN", 5000)
    monkeypatch.setattr(distillation, "COMPARED", 1000)
    options = dataclasses.replace(
        QUICK, distil=True, distil_steps=600, distil_units=16, distil_channels=8
    )
    samples = [planted_sample(WINDOW, starts=900, seed=seed) for seed in (1, 2)]
    models, reports = fitted(options, samples)
    assert side_by_side == [4, 2]
    for model, report in zip(models, reports, strict=True):
        assert isinstance(report, FitReport)
        assert report.details["distilled"] is True
        assert 0 < report.details["distilled_difference"] < 0.2 * report.details["distilled_spread"]
        assert agreement(model) > 0.95
        assert report.parameters == model.shape.size


def test_validation_that_is_not_learnt_gives_curves_only(side_by_side: list[int]) -> None:
    """There is no early stopping: all steps are taken."""
    options = dataclasses.replace(QUICK, learn_validation=False)
    sample = planted_sample(WINDOW, starts=900, seed=1)
    (model,), (report,) = fitted(options, [sample])
    assert side_by_side == [2]
    assert isinstance(report, FitReport)
    assert report.details["validation_learnt"] is False
    assert report.details["starts"] == len(sample.foreground)
    assert set(report.curves) == {
        f"{part}_{name}" for part in ("training", "validation") for name in ("gain", "start_gain")
    }
    assert {len(values) for values in report.curves.values()} == {20}
    assert report.curves["validation_gain"][-1] > report.curves["validation_gain"][0]
    assert agreement(model) > 0.95


def test_models_do_not_see_each_other(side_by_side: list[int]) -> None:
    samples = [planted_sample(WINDOW, starts=600, seed=seed) for seed in (1, 2)]
    (alone,), _ = fitted(QUICK, samples[:1])
    (together, other), _ = fitted(QUICK, samples)
    assert side_by_side == [2, 4]
    contexts = random_contexts(500, WINDOW.width)
    expected = alone.log_bias(contexts)
    assert expected.std() > 0.3
    np.testing.assert_allclose(together.log_bias(contexts), expected, atol=1e-3)
    assert abs(other.log_bias(contexts) - expected).max() > 0.01


def test_samples_with_other_parts_are_trained_apart(side_by_side: list[int]) -> None:
    """With tiles or without, with a validation part or without: networks have other losses."""
    sample = planted_sample(WINDOW, starts=600, seed=1)
    assert sample.validation is not None
    bare = dataclasses.replace(
        sample, tiles=None, validation=dataclasses.replace(sample.validation, tiles=None)
    )
    unchecked = dataclasses.replace(sample, validation=None)
    options = dataclasses.replace(QUICK, learn_validation=False)
    models, reports = fitted(options, [sample, bare, unchecked, sample])
    assert side_by_side == [4, 2, 2]
    curves = [len(report.curves) for report in reports if isinstance(report, FitReport)]
    assert curves == [4, 2, 2, 4]
    assert all(agreement(model) > 0.9 for model in models)


@pytest.mark.usefixtures("side_by_side")
def test_too_few_windows_refuse_their_own_fit_only() -> None:
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
    options = dataclasses.replace(QUICK, min_steps=20, max_steps=20)
    models, reports = fitted(options, [good, none, good])
    assert isinstance(reports[1], InputError)
    assert "no read starts to train a network with" in reports[1].problem
    for place in (0, 2):
        assert isinstance(reports[place], FitReport)
        assert np.isfinite(models[place].log_bias(random_contexts(5, WINDOW.width))).all()
    _, refused = fitted(options, [none, none])
    assert [type(one) for one in refused] == [InputError, InputError]


@pytest.mark.usefixtures("side_by_side")
def test_progress_has_the_real_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "DRAWN", 1000)
    told: list[tuple[str, int, int]] = []
    fitted(
        dataclasses.replace(QUICK, distil=True, distil_steps=100),
        [planted_sample(WINDOW, starts=300, seed=seed) for seed in (1, 2)],
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    totals = {"training cnn": 120, "distilling cnn": 60}
    assert {(stage, total) for stage, _, total in told} == set(totals.items())
    for stage, total in totals.items():
        done = [steps for own, steps, _ in told if own == stage]
        assert done == sorted(done)
        assert done[-1] == total
        assert len(set(done)) > 10
