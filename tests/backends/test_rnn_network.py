"""The compiled code of ``gru`` and ``lstm`` against the networks in plain torch.

That is the loss and its gradient, the scores of the forms with an output layer per position, and a
reported perplexity. Scores of the plain form are in ``test_rnn_scoring.py``.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is torch (extra torch)")

import torch
from torch.nn.functional import logsigmoid

from counterbias import Window
from counterbias.testing import planted_sample
from counterbias_backends.rnn.loss import CompiledLoss
from counterbias_backends.rnn.model import GRUModel
from counterbias_backends.rnn.network import CharacterNetwork, PositionNetwork
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import Parameters
from counterbias_backends.rnn.position import LOGISTIC, PROBABILITY, SOFTMAX
from counterbias_backends.rnn.position_scoring import LANES, PositionScorer
from counterbias_backends.rnn.scoring import PREFIX
from counterbias_backends.rnn.windows import Batch, Windows
from tests.backends.networks import random_contexts, random_parameters


def expected_loss(
    parameters: Parameters, batch: Batch, mode: int
) -> tuple[torch.Tensor, list[torch.nn.Parameter]]:
    """Return a batch's loss as it is defined, in double precision, and what it is a function of."""
    if parameters.places:
        network = PositionNetwork.from_parameters(parameters, ratio=mode != PROBABILITY).double()
        leaves = network.ordered()
    else:
        network = CharacterNetwork.from_parameters(parameters).double()
        leaves = list(network.parameters())
    rows = batch.order[batch.first : batch.last]
    contexts, weights, targets = (
        torch.from_numpy(values[rows])
        for values in (batch.windows.contexts, batch.windows.weights, batch.windows.targets)
    )
    scores = network(contexts)
    if mode == PROBABILITY:
        each = -scores
    elif mode == LOGISTIC:
        each = -torch.where(targets == 1, logsigmoid(scores), logsigmoid(-scores))
    else:
        each = -targets * torch.log_softmax(scores.reshape(-1, LANES), dim=1).ravel()
    return batch.scale * (weights.double() * each).sum(), leaves


@pytest.mark.parametrize("hidden", [1, 6, 20])
@pytest.mark.parametrize(
    ("places", "mode"), [(0, PROBABILITY), (9, PROBABILITY), (9, LOGISTIC), (9, SOFTMAX)]
)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_loss_and_gradient_equal_autograd(cell: str, places: int, mode: int, hidden: int) -> None:
    rng = np.random.default_rng(5)
    parameters = random_parameters(cell, hidden, places)
    contexts = random_contexts(5 * LANES, 9)
    weights = rng.uniform(0.5, 2.0, len(contexts))
    if mode == SOFTMAX:
        weights[:] = 0.7  # positions of a stretch weigh the same
    targets = rng.integers(0, 2, len(contexts)) if mode == LOGISTIC else rng.poisson(0.5, 5 * LANES)
    windows = Windows(contexts, weights.astype(np.float32), targets.astype(np.float32))
    last = 4 * LANES if mode == SOFTMAX else 4 * LANES - 3
    batch = Batch(windows, rng.permutation(len(contexts)), LANES, last, 0.5)
    expected, leaves = expected_loss(parameters, batch, mode)
    expected.backward()
    reference = torch.nn.utils.parameters_to_vector([one.grad for one in leaves]).numpy()
    compiled, gradient = CompiledLoss(cell, hidden, places, mode), np.ones_like(parameters.flat)
    loss = compiled(parameters.flat, batch, gradient)  # the gradient is added to
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(gradient - 1, reference, rtol=1e-4, atol=2e-5 * abs(reference).max())
    assert np.count_nonzero(reference) > 0.5 * len(reference)
    assert compiled(parameters.flat, batch, gradient[:0]) == pytest.approx(loss, rel=1e-6)


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
