"""``gru`` and ``lstm`` with an output layer per position, as ``head`` or ``objective`` asks for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch (extra rnn)")

import torch

from counterbias import InputError, Resources, Window, parse_options
from counterbias.testing import conformance, planted_log_bias, planted_sample
from counterbias_backends.rnn import counterbias_backends, ratio
from counterbias_backends.rnn.model import GRUModel, LSTMModel
from counterbias_backends.rnn.network import PositionNetwork
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

GRU, LSTM = counterbias_backends()
WINDOW = Window(3, 4)
POSITION = Options(head="position", hidden=6, epochs=6, min_steps=0, batch=16, learning_rate=1e-2)
RATIO = Options(objective="ratio", hidden=6)

TestPosition = conformance(GRU, options=POSITION, windows=(Window(10, 10), Window(0, 5)))


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratio, "LEAST_STEPS", 150)
    monkeypatch.setattr(ratio, "MOST_STEPS", 150)


TestRatioGRU = conformance(GRU, options=RATIO, windows=(Window(10, 10), Window(3, 0)))
TestRatioLSTM = conformance(LSTM, options=RATIO, windows=(Window(4, 4),))


def random_parameters(cell: str, hidden: int, places: int, seed: int = 1) -> Parameters:
    rng = np.random.default_rng(seed)
    return Parameters(
        cell,
        hidden,
        rng.uniform(-0.8, 0.8, parameter_count(cell, hidden, places)).astype(np.float32),
        places,
    )


def random_contexts(n: int, width: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, width), dtype=np.uint8)


def torch_scores(parameters: Parameters, contexts: np.ndarray, *, ratio: bool) -> np.ndarray:
    """Score windows by torch, in double precision."""
    with torch.no_grad():
        network = PositionNetwork.from_parameters(parameters, ratio=ratio).double()
        return network(torch.from_numpy(contexts)).numpy()


@pytest.mark.parametrize("hidden", [1, 10, 20])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_scores_equal_torch(cell: str, hidden: int) -> None:
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
def test_every_width(width: int) -> None:
    network = random_parameters("gru", 4, width)
    contexts = random_contexts(2 * LANES + 5, width)
    np.testing.assert_allclose(
        PositionScorer((network,)).log_bias(contexts),
        torch_scores(network, contexts, ratio=True),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("n", [0, 1, LANES - 1, LANES, LANES + 1])
def test_every_number_of_windows(n: int) -> None:
    scorer = PositionScorer((random_parameters("lstm", 3, 9),))
    contexts = random_contexts(100, 9)
    np.testing.assert_array_equal(scorer.log_bias(contexts[:n]), scorer.log_bias(contexts)[:n])


def test_anything_but_windows_is_refused() -> None:
    scorer = PositionScorer((random_parameters("gru", 2, 5),))
    with pytest.raises(ValueError, match="values other than"):
        scorer.log_bias(np.array([[0, 1, 2, 3, 4]], dtype=np.uint8))
    with pytest.raises(ValueError, match="shape"):
        scorer.log_bias(np.zeros((2, 6), dtype=np.uint8))


@pytest.mark.parametrize("mode", [PROBABILITY, LOGISTIC, SOFTMAX])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradient_equals_autograd(cell: str, mode: int) -> None:
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


@pytest.mark.parametrize(
    ("model_class", "options"), [(GRUModel, POSITION), (GRUModel, RATIO), (LSTMModel, RATIO)]
)
def test_learns_planted_bias(model_class: type, options: Options) -> None:
    model = model_class(WINDOW, options)
    report = model.fit(planted_sample(WINDOW, starts=8000, seed=1), np.random.default_rng(1))
    contexts = random_contexts(4000, WINDOW.width)
    assert np.corrcoef(model.log_bias(contexts), planted_log_bias(WINDOW, contexts))[0, 1] > 0.9
    networks = 1 if options.objective == "ratio" else 2
    assert report.parameters == networks * parameter_count(model.cell, 6, WINDOW.width)
    if networks == 1:
        assert set(report.curves) == {"training_gain", "training_log_loss"}
        assert report.curves["training_gain"][-1] > 0.2
        assert report.details["stretches"] > 0
    else:
        assert report.perplexity["foreground"] < 3.9


def test_position_head_needs_no_memory_for_composition() -> None:
    """With one unit, a shared output layer cannot distinguish positions; one per position can."""
    sample = planted_sample(WINDOW, starts=6000, seed=1)
    contexts = random_contexts(4000, WINDOW.width)
    found = []
    for head in ("shared", "position"):
        model = GRUModel(WINDOW, dataclasses.replace(POSITION, head=head, hidden=1))
        model.fit(sample, np.random.default_rng(1))
        found.append(
            np.corrcoef(model.log_bias(contexts), planted_log_bias(WINDOW, contexts))[0, 1]
        )
    assert found[1] > max(0.95, found[0] + 0.1)


def test_ratio_does_not_depend_on_threads() -> None:
    sample = planted_sample(WINDOW, starts=1000, seed=1)
    models = [GRUModel(WINDOW, RATIO) for _ in range(2)]
    for threads, model in enumerate(models, 1):
        model.resources = Resources(threads)
        model.fit(sample, np.random.default_rng(1))
    one, two = (model.to_arrays() for model in models)
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_no_global_state_is_touched() -> None:
    torch.manual_seed(7)
    before = (torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype())
    GRUModel(WINDOW, RATIO).fit(
        planted_sample(WINDOW, starts=200, seed=1), np.random.default_rng(1)
    )
    after = (torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        (["head=both"], "head=both: must be one of shared, position"),
        (["objective=tiles"], "objective=tiles: must be one of language, ratio"),
        (["objective=ratio", "candidates=5,10"], "only objective=language chooses"),
    ],
)
def test_bad_options(pairs: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_options(GRUModel, pairs)


def test_arrays_of_another_form_are_refused() -> None:
    model = GRUModel(WINDOW, POSITION)
    model.fit(planted_sample(WINDOW, starts=100, seed=1), np.random.default_rng(1))
    with pytest.raises(InputError):
        GRUModel(WINDOW, RATIO).from_arrays(model.to_arrays())
    with pytest.raises(InputError):
        GRUModel(WINDOW).from_arrays(model.to_arrays())
