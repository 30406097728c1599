"""``gru`` and ``lstm`` with an output layer per position, as ``head`` or ``objective`` asks for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from counterbias import InputError, Resources, Window, parse_options
from counterbias.testing import conformance, planted_log_bias, planted_sample
from counterbias_backends.rnn import counterbias_backends, ratio
from counterbias_backends.rnn.model import GRUModel, LSTMModel
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import parameter_count
from counterbias_backends.rnn.position_scoring import LANES, PositionScorer
from tests.backends.networks import random_contexts, random_parameters

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
