"""Scores of the character networks: against torch, by hand, and at the limits of compiled code."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is torch (extra torch)")

import torch

from counterbias_backends.rnn.network import CharacterNetwork
from counterbias_backends.rnn.parameters import Parameters, parameter_count
from counterbias_backends.rnn.scoring import LANES, PREFIX, Scorer


def random_networks(
    cell: str, hidden: int, *, size: float, seed: int = 1
) -> tuple[Parameters, Parameters]:
    """Draw two networks; ``size`` times the range in which training begins."""
    rng = np.random.default_rng(seed)
    limit = size / math.sqrt(hidden)
    flats = rng.uniform(-limit, limit, (2, parameter_count(cell, hidden))).astype(np.float32)
    return Parameters(cell, hidden, flats[0]), Parameters(cell, hidden, flats[1])


def random_contexts(n: int, width: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, width), dtype=np.uint8)


def log_ratio(networks: tuple[Parameters, Parameters], contexts: np.ndarray) -> np.ndarray:
    """Return ln p_f − ln p_b by torch, in double precision."""
    with torch.no_grad():
        foreground, background = (
            CharacterNetwork.from_parameters(one).double()(torch.from_numpy(contexts))
            for one in networks
        )
    return (foreground - background).numpy()


@pytest.mark.parametrize("size", [1.0, 3.0])
@pytest.mark.parametrize("hidden", [1, 10, 20])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_equals_torch(cell: str, hidden: int, size: float) -> None:
    networks = random_networks(cell, hidden, size=size)
    contexts = random_contexts(2000, 21)
    expected = log_ratio(networks, contexts)
    assert expected.std() > 0.1
    np.testing.assert_allclose(Scorer(networks, 21).log_bias(contexts), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_saturated_gates_and_impossible_letters(cell: str) -> None:
    """Gates at their limits, states at ± 1 and probabilities of 1e-15 do no harm."""
    networks = random_networks(cell, 10, size=1.0, seed=3)
    for network in networks:
        arrays = network.arrays()
        arrays["weight_ih"] *= 400
        arrays["readout_weight"] *= 16
    contexts = random_contexts(500, 21)
    expected = log_ratio(networks, contexts)
    assert abs(expected).max() > 90
    # Sums of hundreds of nats, of which float32 states preserve seven digits.
    np.testing.assert_allclose(
        Scorer(networks, 21).log_bias(contexts), expected, rtol=1e-6, atol=1e-4
    )


@pytest.mark.parametrize("width", [1, 2, PREFIX - 1, PREFIX, PREFIX + 1, 41, 255])
def test_every_width(width: int) -> None:
    networks = random_networks("gru", 5, size=2.0)
    contexts = random_contexts(3 * LANES + 5, width)
    np.testing.assert_allclose(
        Scorer(networks, width).log_bias(contexts),
        log_ratio(networks, contexts),
        rtol=1e-6,
        atol=1e-5,
    )


@pytest.mark.parametrize("n", [0, 1, LANES - 1, LANES, LANES + 1])
def test_every_number_of_windows(n: int) -> None:
    scorer = Scorer(random_networks("lstm", 3, size=2.0), 12)
    contexts = random_contexts(100, 12)
    np.testing.assert_array_equal(scorer.log_bias(contexts[:n]), scorer.log_bias(contexts)[:n])


def test_gru_by_hand() -> None:
    """One unit, two bases: calculated with the equations of the documentation."""
    foreground = Parameters("gru", 1, np.zeros(parameter_count("gru", 1), dtype=np.float32))
    arrays = foreground.arrays()
    arrays["weight_ih"][:] = [
        [0.5, 0, 0, 0],
        [0, 0, 0.25, 0],
        [1, -1, 2, 0],
    ]  # reset, update, new; of A, C, G, T
    arrays["weight_hh"][:] = [[0.5], [-1.0], [2.0]]
    arrays["bias_ih"][:] = [0.0, 0.0, 1.0]
    arrays["bias_hh"][:] = [0.0, 0.0, 0.5]
    arrays["readout_weight"][:] = [[1.0], [0.0], [-1.0], [2.0]]
    arrays["readout_bias"][:] = [0.0, 0.5, 0.0, 0.0]
    # Background: all zeros, so each base has probability 1/4.
    background = Parameters("gru", 1, np.zeros_like(foreground.flat))

    def logistic(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    # Start symbol: input and state 0, so reset = update = 1/2, new = tanh(1 + 0.5 · 0.5).
    first = 0.5 * math.tanh(1.25)
    sums = [first, 0.5, -first, 2 * first]
    p_g = math.exp(sums[2]) / sum(math.exp(one) for one in sums)
    # After G: reset = σ(0.5 h), update = σ(0.25 − h), new = tanh(2 + 1 + reset (2 h + 0.5)).
    reset, update = logistic(0.5 * first), logistic(0.25 - first)
    second = (1 - update) * math.tanh(3 + reset * (2 * first + 0.5)) + update * first
    sums = [second, 0.5, -second, 2 * second]
    p_t = math.exp(sums[3]) / sum(math.exp(one) for one in sums)
    score = Scorer((foreground, background), 2).log_bias(np.array([[2, 3]], dtype=np.uint8))
    assert score[0] == pytest.approx(math.log(p_g) + math.log(p_t) - 2 * math.log(0.25), abs=1e-6)


def test_lstm_by_hand() -> None:
    """One unit, one base: the start symbol alone."""
    foreground = Parameters("lstm", 1, np.zeros(parameter_count("lstm", 1), dtype=np.float32))
    arrays = foreground.arrays()
    arrays["bias_ih"][:] = [0.5, 3.0, 1.0, -0.5]  # in, forget, new, out
    arrays["bias_hh"][:] = [0.25, 1.0, 0.5, 0.0]
    arrays["readout_weight"][:] = [[4.0], [0.0], [0.0], [0.0]]
    background = Parameters("lstm", 1, np.zeros_like(foreground.flat))
    cell = math.tanh(1.5) / (1 + math.exp(-0.75))
    hidden = math.tanh(cell) / (1 + math.exp(0.5))
    scores = Scorer((foreground, background), 1).log_bias(np.array([[0], [1]], dtype=np.uint8))
    below = math.exp(4 * hidden) + 3
    assert scores[0] == pytest.approx(4 * hidden - math.log(below / 4), abs=1e-6)
    assert scores[1] == pytest.approx(-math.log(below / 4), abs=1e-6)


def test_probabilities_sum_to_one() -> None:
    """Against a uniform background, exp(log_bias) averages 1 over all windows."""
    networks = random_networks("lstm", 8, size=3.0)
    networks[1].flat[:] = 0
    words = (np.arange(4**8)[:, None] >> 2 * np.arange(8) & 3).astype(np.uint8)
    assert np.exp(Scorer(networks, 8).log_bias(words)).mean() == pytest.approx(1, abs=1e-5)


def test_anything_but_windows_is_refused() -> None:
    scorer = Scorer(random_networks("gru", 2, size=1.0), 5)
    with pytest.raises(ValueError, match="values other than"):
        scorer.log_bias(np.array([[0, 1, 2, 3, 4]], dtype=np.uint8))
    with pytest.raises(ValueError, match="shape"):
        scorer.log_bias(np.zeros((2, 6), dtype=np.uint8))
