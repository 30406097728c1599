"""The code of ``gru`` and ``lstm`` for GPUs, run on the processor, against the compiled code."""

from __future__ import annotations

import functools

import numpy as np
import pytest

pytest.importorskip("torch", reason="the code for GPUs is torch (extra torch)")

from counterbias import Resources, Window
from counterbias.testing import planted_sample
from counterbias_backends.rnn import ratio, training
from counterbias_backends.rnn.device import TorchLoss
from counterbias_backends.rnn.loss import CompiledLoss
from counterbias_backends.rnn.model import GRUModel, LSTMModel
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import parameter_count
from counterbias_backends.rnn.position import LOGISTIC, PROBABILITY, SOFTMAX
from counterbias_backends.rnn.windows import Batch, Windows

WINDOW = Window(3, 4)


def on_processor(cell: str, hidden: int, places: int, mode: int) -> TorchLoss:
    return TorchLoss(cell, hidden, places, mode, "cpu")


@pytest.mark.parametrize(
    ("places", "mode"), [(0, PROBABILITY), (9, PROBABILITY), (9, LOGISTIC), (9, SOFTMAX)]
)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_loss_and_gradient_are_the_same(cell: str, places: int, mode: int) -> None:
    rng = np.random.default_rng(5)
    flat = rng.uniform(-1, 1, parameter_count(cell, 6, places)).astype(np.float32)
    contexts = rng.integers(0, 4, (160, 9), dtype=np.uint8)
    weights = (
        np.full(160, 0.7, np.float32)
        if mode == SOFTMAX
        else rng.uniform(0.5, 2.0, 160).astype(np.float32)
    )
    targets = rng.integers(0, 2, 160).astype(np.float32)
    batch = Batch(Windows(contexts, weights, targets), rng.permutation(160), 32, 128, 0.5)
    found = []
    for maker in (CompiledLoss, on_processor):
        gradient = np.ones_like(flat)  # it is added to
        loss = maker(cell, 6, places, mode)
        value = loss(flat, batch, gradient)
        assert loss(flat, batch, flat[:0]) == pytest.approx(value, rel=1e-6)
        found.append((value, gradient - 1))
    (loss, gradient), (expected, reference) = found
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient, reference, rtol=1e-4, atol=2e-5 * abs(reference).max())
    assert np.count_nonzero(reference) > 0.5 * len(flat)


@pytest.mark.parametrize(
    ("model_class", "options"),
    [
        (GRUModel, Options(hidden=6, epochs=3, min_steps=0)),
        (LSTMModel, Options(hidden=6, epochs=3, min_steps=0)),
        (GRUModel, Options(hidden=6, epochs=2, min_steps=0, head="position")),
        (LSTMModel, Options(hidden=6, objective="ratio")),
    ],
)
def test_training_on_another_device_gives_the_same_model(
    model_class: type, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratio, "LEAST_STEPS", 120)
    monkeypatch.setattr(ratio, "MOST_STEPS", 120)
    sample = planted_sample(WINDOW, starts=2000, seed=1)
    contexts = np.random.default_rng(2).integers(0, 4, (3000, WINDOW.width), dtype=np.uint8)
    scores = []
    for maker in (CompiledLoss, on_processor):
        for module in (training, ratio):
            monkeypatch.setattr(
                module,
                "loss_maker",
                functools.partial(lambda device, maker: maker, maker=maker),
            )
        model = model_class(WINDOW, options)
        model.resources = Resources(2)
        model.fit(sample, np.random.default_rng(1))
        scores.append(model.log_bias(contexts))
    assert scores[0].std() > 0.1
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_compiled_code_unless_a_gpu_is_asked_for(device: str) -> None:
    assert training.loss_maker(device) is CompiledLoss
