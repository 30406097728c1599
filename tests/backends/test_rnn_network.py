"""The compiled code of ``gru`` and ``lstm`` against the networks in plain torch.

That is the loss and its gradient, the scores of the forms with an output layer per position, and a
reported perplexity. Scores of the plain form are in ``test_rnn_scoring.py``.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is torch (extra torch)")

import torch

from counterbias import Window
from counterbias.testing import planted_sample
from counterbias_backends.rnn.gradients import loss_and_gradient
from counterbias_backends.rnn.model import GRUModel
from counterbias_backends.rnn.network import CharacterNetwork, PositionNetwork
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import Parameters, parameter_count
from counterbias_backends.rnn.position import (
    LOGISTIC,
    PROBABILITY,
    SOFTMAX,
    position_loss_and_gradient,
)
from counterbias_backends.rnn.position_scoring import LANES, PositionScorer
from counterbias_backends.rnn.scoring import PREFIX
from tests.backends.networks import random_contexts, random_parameters


@pytest.mark.parametrize("hidden", [1, 10, 20])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradient_of_the_plain_form_equals_autograd(cell: str, hidden: int) -> None:
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


@pytest.mark.parametrize("mode", [PROBABILITY, LOGISTIC, SOFTMAX])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradient_of_an_output_layer_per_position_equals_autograd(cell: str, mode: int) -> None:
    rng = np.random.default_rng(5)
    parameters = random_parameters(cell, 7, 12)
    contexts = random_contexts(3 * LANES, 12)
    targets = (
        rng.integers(0, 2, len(contexts)) if mode == LOGISTIC else rng.poisson(0.5, len(contexts))
    )
    weights = rng.uniform(0.5, 2.0, len(contexts))
    if mode == SOFTMAX:
        weights[:] = 0.7
    order = rng.permutation(len(contexts))
    gradient = np.ones_like(parameters.flat)  # it is added to
    loss = position_loss_and_gradient(
        contexts, targets.astype(np.float32), weights.astype(np.float32), order, LANES, 3 * LANES,
        np.float32(0.5), parameters.flat, 7, None if cell == "gru" else 0, mode, gradient,
    )  # fmt: skip
    network = PositionNetwork.from_parameters(parameters, ratio=mode != PROBABILITY).double()
    rows = order[LANES:]
    scores = network(torch.from_numpy(contexts[rows]))
    wanted, weight = (
        torch.from_numpy(targets[rows]).double(),
        torch.from_numpy(weights[rows].astype(np.float32)).double(),
    )
    if mode == PROBABILITY:
        each = -scores
    elif mode == LOGISTIC:
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            scores, wanted, reduction="none"
        )
    else:
        each = -(wanted * torch.log_softmax(scores.reshape(-1, LANES), dim=1).ravel())
    expected = 0.5 * (weight * each).sum()
    expected.backward()
    parts = torch.nn.utils.parameters_to_vector([one.grad for one in network.ordered()]).numpy()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(gradient - 1, parts, rtol=1e-4, atol=2e-5 * abs(parts).max())


def torch_scores(parameters: Parameters, contexts: np.ndarray, *, ratio: bool) -> np.ndarray:
    """Score windows by torch, in double precision."""
    with torch.no_grad():
        network = PositionNetwork.from_parameters(parameters, ratio=ratio).double()
        return network(torch.from_numpy(contexts)).numpy()


@pytest.mark.parametrize("hidden", [1, 10, 20])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_scores_of_an_output_layer_per_position(cell: str, hidden: int) -> None:
    networks = (random_parameters(cell, hidden, 21, 1), random_parameters(cell, hidden, 21, 2))
    contexts = random_contexts(1000, 21)
    foreground, background = (torch_scores(one, contexts, ratio=False) for one in networks)
    np.testing.assert_allclose(
        PositionScorer(networks).log_bias(contexts), foreground - background, rtol=0, atol=1e-5
    )
    expected = torch_scores(networks[0], contexts, ratio=True)
    assert expected.std() > 0.5
    np.testing.assert_allclose(
        PositionScorer(networks[:1]).log_bias(contexts), expected, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("width", [1, 2, PREFIX - 1, PREFIX, PREFIX + 1, 41])
def test_every_width_with_an_output_layer_per_position(width: int) -> None:
    network = random_parameters("gru", 4, width)
    contexts = random_contexts(2 * LANES + 5, width)
    np.testing.assert_allclose(
        PositionScorer((network,)).log_bias(contexts),
        torch_scores(network, contexts, ratio=True),
        rtol=0,
        atol=1e-5,
    )


def test_reported_perplexity_is_that_of_the_kept_parameters() -> None:
    window = Window(3, 4)
    sample = planted_sample(window, starts=1000, seed=1)
    validation = sample.validation
    assert validation is not None
    model = GRUModel(window, Options(hidden=6, epochs=10, min_steps=0, batch=32))
    report = model.fit(sample, np.random.default_rng(1))
    flat = {
        name.removeprefix("foreground_"): values
        for name, values in model.to_arrays().items()
        if name.startswith("foreground_")
    }
    network = CharacterNetwork.from_parameters(Parameters.from_arrays("gru", 6, flat)).double()
    with torch.no_grad():
        log_p = network(torch.from_numpy(validation.foreground)).numpy()
    weight = validation.foreground_weight
    expected = 2 ** (-(log_p / np.log(2) * weight).sum() / weight.sum() / window.width)
    assert report.perplexity["foreground"] == pytest.approx(expected, rel=1e-6)
