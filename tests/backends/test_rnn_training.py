"""Training of the character networks: gradient, convergence, early stopping, determinism."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch (extra rnn)")

import torch

from counterbias import FitReport, InputError, Resources, TrainingSet, Window
from counterbias.testing import planted_log_bias, planted_sample
from counterbias_backends.rnn.gradients import loss_and_gradient
from counterbias_backends.rnn.model import GRUModel, LSTMModel
from counterbias_backends.rnn.network import CharacterNetwork
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import Parameters, initial_parameters, parameter_count
from counterbias_backends.rnn.training import Job, Part, train_network
from counterbias_backends.rnn.windows import Windows

WINDOW = Window(3, 4)
QUICK = Options(hidden=6, epochs=10, min_steps=0, batch=32, learning_rate=2e-2)


def fitted(
    sample: TrainingSet, options: Options = QUICK, seed: int = 1, resources: Resources | None = None
) -> tuple[GRUModel, FitReport]:
    model = GRUModel(sample.window, options)
    model.resources = resources or Resources()
    return model, model.fit(sample, np.random.default_rng(seed))


@pytest.mark.parametrize("hidden", [1, 10, 20])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradient_equals_autograd(cell: str, hidden: int) -> None:
    rng = np.random.default_rng(5)
    flat = rng.uniform(-1.5, 1.5, parameter_count(cell, hidden)).astype(np.float32)
    contexts = rng.integers(0, 4, (80, 21), dtype=np.uint8)
    weights = rng.uniform(0.5, 2.0, 80).astype(np.float32)
    order = rng.permutation(80)
    gradient = np.ones_like(flat)  # it is added to
    loss = loss_and_gradient(
        contexts,
        weights,
        order,
        3,
        70,
        np.float32(0.5),
        flat,
        hidden,
        None if cell == "gru" else 0,
        gradient,
    )
    network = CharacterNetwork.from_parameters(Parameters(cell, hidden, flat)).double()
    rows = order[3:70]
    expected = (
        -0.5
        * (
            torch.from_numpy(weights[rows]).double() * network(torch.from_numpy(contexts[rows]))
        ).sum()
    )
    expected.backward()
    parts = torch.nn.utils.parameters_to_vector([one.grad for one in network.parameters()]).numpy()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    np.testing.assert_allclose(gradient - 1, parts, rtol=1e-4, atol=1e-5 * abs(parts).max())


def test_loss_without_gradient_is_the_same() -> None:
    flat = initial_parameters("lstm", 4, 8, 0, np.random.default_rng(1)).flat
    contexts = np.random.default_rng(1).integers(0, 4, (40, 8), dtype=np.uint8)
    common = (
        contexts,
        np.ones(40, dtype=np.float32),
        np.arange(40),
        0,
        40,
        np.float32(1),
        flat,
        4,
        0,
    )
    gradient = np.zeros_like(flat)
    assert loss_and_gradient(*common, gradient) == loss_and_gradient(*common, gradient[:0])
    assert gradient.any()


@pytest.mark.parametrize("model_class", [GRUModel, LSTMModel])
def test_learns_planted_bias(model_class: type) -> None:
    model = model_class(WINDOW, dataclasses.replace(QUICK, hidden=10))
    report = model.fit(planted_sample(WINDOW, starts=8000, seed=1), np.random.default_rng(1))
    contexts = np.random.default_rng(2).integers(0, 4, (5000, WINDOW.width), dtype=np.uint8)
    truth = planted_log_bias(WINDOW, contexts)
    assert np.corrcoef(model.log_bias(contexts), truth)[0, 1] > 0.9
    # The background is uniform, the foreground is not.
    assert report.perplexity["foreground"] < 3.9 < 3.99 < report.perplexity["background"] < 4.05


def test_report() -> None:
    model, report = fitted(planted_sample(WINDOW, starts=1000, seed=1))
    assert report.parameters == 2 * parameter_count("gru", 6)
    assert report.seconds > 0
    for role in ("foreground", "background"):
        passes = report.details[f"{role}_epochs"]
        curve = report.curves[f"{role}_validation_perplexity"]
        assert (
            len(curve)
            == len(report.curves[f"{role}_training_perplexity"])
            == passes
            <= QUICK.epochs
        )
        assert (
            report.perplexity[role] == min(curve) == curve[report.details[f"{role}_best_epoch"] - 1]
        )
    assert report.details["hidden"] == 6
    assert report.details["validation"] == "separate genomic blocks"
    # The reported perplexity is that of the kept parameters.
    validation = planted_sample(WINDOW, starts=1000, seed=1).validation
    assert validation is not None
    arrays = model.to_arrays()
    flat = {
        name.removeprefix("foreground_"): values
        for name, values in arrays.items()
        if name.startswith("foreground_")
    }
    network = CharacterNetwork.from_parameters(Parameters.from_arrays("gru", 6, flat)).double()
    with torch.no_grad():
        log_p = network(torch.from_numpy(validation.foreground)).numpy()
    weight = validation.foreground_weight
    expected = 2 ** (-(log_p / np.log(2) * weight).sum() / weight.sum() / WINDOW.width)
    assert report.perplexity["foreground"] == pytest.approx(expected, rel=1e-6)


def test_weights_matter_as_copies_do() -> None:
    """A heavy window attracts the network as copies do: the skewed windows' perplexity falls."""
    rng = np.random.default_rng(1)
    common = np.zeros((400, 6), dtype=np.uint8)
    rare = rng.integers(0, 4, (400, 6), dtype=np.uint8)
    contexts = np.concatenate([common, rare])
    light, heavy = np.ones(800), np.r_[np.full(400, 10.0), np.ones(400)]
    validation = Windows.of(common, np.ones(400))
    losses = [
        train_network(
            Job("gru", 3, Part(Windows.of(contexts, weights), validation), seed=1),
            QUICK,
            threading.Event(),
        ).best_perplexity
        for weights in (light, heavy)
    ]
    # The best that can be is 1 / P(all A) = 1 / share of weight, per base.
    assert losses[0] == pytest.approx((1 / 0.5) ** (1 / 6), rel=0.02)
    assert losses[1] == pytest.approx((11 / 10) ** (1 / 6), rel=0.02)


def test_early_stopping_keeps_the_best() -> None:
    """200 windows are learnt by heart, so that validation gets worse and training stops."""
    options = Options(hidden=20, epochs=60, min_steps=0, patience=4, batch=16, learning_rate=2e-2)
    _, report = fitted(planted_sample(Window(10, 10), starts=200, seed=1), options)
    details, curve = report.details, report.curves["background_validation_perplexity"]
    assert details["background_epochs"] == len(curve) < 60
    assert details["background_best_epoch"] == len(curve) - options.patience
    assert report.perplexity["background"] == min(curve) < curve[-1]


def test_candidates_are_chosen_by_validation() -> None:
    sample = planted_sample(WINDOW, starts=3000, seed=1)
    options = dataclasses.replace(QUICK, candidates=(1, 8))
    model, report = fitted(sample, options)
    losses = report.details["candidates"]
    assert list(losses) == ["1", "8"]
    assert losses["8"] < losses["1"]
    assert report.details["hidden"] == 8
    assert model.to_arrays()["foreground_weight_hh"].shape == (24, 8)
    assert report.parameters == 2 * parameter_count("gru", 8)


def test_same_seed_same_model_whatever_the_threads() -> None:
    sample = planted_sample(WINDOW, starts=1000, seed=1)
    one, two = (
        fitted(sample, dataclasses.replace(QUICK, candidates=(3, 5)), resources=Resources(threads))[
            0
        ].to_arrays()
        for threads in (1, 4)
    )
    other = fitted(sample, dataclasses.replace(QUICK, candidates=(3, 5)), seed=2)[0].to_arrays()
    for name in one:
        assert one[name].tobytes() == two[name].tobytes()
    assert not np.array_equal(one["foreground_weight_hh"], other["foreground_weight_hh"])


def test_no_global_state_is_touched() -> None:
    torch.manual_seed(7)
    before = (torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype())
    fitted(planted_sample(WINDOW, starts=200, seed=1))
    after = (torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize("kept", ["none", "few"])
def test_a_tenth_is_held_out_without_validation_part(kept: str) -> None:
    sample = planted_sample(WINDOW, starts=600, seed=1)
    if kept == "none":
        sample = dataclasses.replace(sample, validation=None)
    else:
        sample = dataclasses.replace(sample, validation=planted_sample(WINDOW, starts=20, seed=2))
    _, report = fitted(sample, dataclasses.replace(QUICK, epochs=1))
    details = report.details
    assert details["validation"] == "a tenth of the windows"
    assert (details["foreground_windows"], details["foreground_validation_windows"]) == (540, 60)
    assert (details["background_windows"], details["background_validation_windows"]) == (1080, 120)


def test_small_samples_have_more_passes_per_epoch() -> None:
    _, report = fitted(
        planted_sample(WINDOW, starts=1280, seed=1),
        dataclasses.replace(QUICK, epochs=2, batch=128, min_steps=79),
    )
    # 10 and 20 steps per pass; 2 epochs of 4 and 2 passes have 80 steps.
    assert (
        report.details["foreground_passes_per_epoch"],
        report.details["background_passes_per_epoch"],
    ) == (4, 2)


def test_max_windows() -> None:
    _, report = fitted(
        planted_sample(WINDOW, starts=900, seed=1),
        dataclasses.replace(QUICK, epochs=1, max_windows=1000),
    )
    assert (report.details["foreground_windows"], report.details["background_windows"]) == (
        900,
        1000,
    )


def test_empty_sample_is_refused() -> None:
    sample = planted_sample(WINDOW, starts=200, seed=1)
    empty = dataclasses.replace(
        sample, foreground=sample.foreground[:0], foreground_weight=sample.foreground_weight[:0]
    )
    with pytest.raises(InputError, match="0 read starts are too few"):
        fitted(empty)


def test_training_stops_when_told_to() -> None:
    stop = threading.Event()
    stop.set()
    windows = Windows.of(np.zeros((100, 5), dtype=np.uint8), np.ones(100))
    with pytest.raises(RuntimeError, match="stopped"):
        train_network(Job("gru", 2, Part(windows, windows), seed=1), QUICK, stop)
