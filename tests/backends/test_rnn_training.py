"""Training of the character networks: its beginning, convergence, early stopping, determinism."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterbias import FitReport, InputError, Resources, TrainingSet, Window
from counterbias.testing import planted_log_bias, planted_sample
from counterbias_backends.rnn.gradients import loss_and_gradient
from counterbias_backends.rnn.model import GRUModel, LSTMModel
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import initial_parameters, parameter_count
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


@given(
    cell=st.sampled_from(("gru", "lstm")),
    hidden=st.integers(1, 20),
    width=st.integers(1, 41),
    head=st.sampled_from(("shared", "position")),
    seed=st.integers(0, 2**62),
)
def test_training_begins_small_with_every_other_unit_slow(
    cell: str, hidden: int, width: int, head: str, seed: int
) -> None:
    places = width if head == "position" else 0
    drawn = initial_parameters(cell, hidden, width, places, np.random.default_rng(seed))
    again = initial_parameters(cell, hidden, width, places, np.random.default_rng(seed))
    assert drawn.flat.dtype == np.float32
    assert drawn.flat.tobytes() == again.flat.tobytes()
    arrays = {name: values.copy() for name, values in drawn.arrays().items()}
    slow, others = np.arange(0, hidden, 2), np.arange(1, hidden, 2)
    keep = arrays["bias_ih"][hidden + slow]  # of a GRU's update gate, an LSTM's forget gate
    # The gate keeps the state for 1 to width bases: σ(ln(T − 1)) = 1 − 1 / T.
    assert (keep >= 0).all()
    assert (keep <= np.float32(np.log(max(width - 1, 2)))).all()
    assert not arrays["bias_hh"][hidden + slow].any()
    if cell == "lstm":  # and what a unit keeps, it does not take in
        assert np.array_equal(arrays["bias_ih"][slow], -keep)
    bound = np.float32(hidden**-0.5)
    assert (abs(arrays["bias_ih"][hidden + others]) <= bound).all()
    assert (abs(arrays["weight_hh"]) <= bound).all()
    if places:
        assert (abs(arrays["readout_weight"]) <= 0.1001 * bound).all()
        assert not arrays["readout_bias"].any()
        assert not arrays["skip_weight"].any()


def test_first_parameters_are_numpys_numbers() -> None:
    """They stay the same from release to release: U(−½, ½) with seed 1; two of four units slow."""
    drawn = initial_parameters("gru", 4, 21, 0, np.random.default_rng(1)).arrays()
    np.testing.assert_allclose(
        drawn["weight_ih"][0], [0.0118216, 0.4504637, -0.3558404, 0.4486494], atol=5e-7
    )
    np.testing.assert_allclose(
        drawn["bias_ih"][4:8], [0.9020264, -0.0687733, 2.3302524, 0.1321351], atol=5e-7
    )


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
    _, report = fitted(planted_sample(WINDOW, starts=1000, seed=1))
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


@pytest.mark.parametrize("objective", ["language", "ratio"])
def test_the_callers_generator_alone_decides(objective: str) -> None:
    """numpy's global generator is neither used nor touched."""
    options = dataclasses.replace(QUICK, epochs=1, objective=objective)
    arrays = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        model, _ = fitted(planted_sample(WINDOW, starts=200, seed=1), options)
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
        arrays.append(model.to_arrays())
    assert all(arrays[0][name].tobytes() == arrays[1][name].tobytes() for name in arrays[0])


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
