"""Losses, worked out by hand, and against the compiled code of ``cnn``."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch
from torch import Tensor, nn

from counterbias import TrainingSet, Window
from counterbias.testing import planted_sample
from counterbias_backends.cnn import rows as cnn_rows
from counterbias_backends.cnn.loss import Batch, CompiledLoss
from counterbias_backends.cnn.parameters import Shape
from counterbias_torch import rows
from counterbias_torch.data import Form, Stream
from counterbias_torch.losses import log_probabilities, row_losses, scores_of
from counterbias_torch.rows import BASES, LOGISTIC, SOFTMAX, SQUARES, Part, Rows
from counterbias_torch.stack import CODES, LETTERS, Modules
from tests.networks.examples import PROCESSOR, Convolution, Language, Matrix, fitted

pytestmark = pytest.mark.usefixtures("one_thread")
A, C, G, T = range(4)


class ByBase(nn.Module):
    """Scores a window by the sum of its bases' values: A, C, G, T are 0, ln 3, 0, 0."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor([0.0, math.log(3), 0.0, 0.0]))

    def forward(self, codes: Tensor) -> Tensor:
        return self.values[codes].sum(dim=1)


def make_rows(
    sequence: list[list[int]],
    targets: list[list[float]],
    weights: list[float],
    loss: str,
    overlapping: bool = False,
) -> Rows:
    return Rows(
        np.array(sequence, np.uint8),
        np.array(targets, np.float32),
        np.array(weights, np.float32),
        loss,
        overlapping,
    )


def mean_loss(of: Rows, width: int, module: nn.Module | None = None) -> float:
    """Return the mean loss of all rows, by default with :class:`ByBase`."""
    stack = Modules([module or ByBase()], CODES)
    (found,) = Stream([Part.of_all(of)], Form(width, False), PROCESSOR).evaluate(stack)
    return float(found)


#: A tile of two positions, C and A, whose windows have probabilities 3/4 and 1/4, with two reads
#: at the second; and one of A and C with a read at the second.
TILES = make_rows([[C, A], [A, C]], [[0, 2], [0, 1]], [0.5, 1], SOFTMAX, overlapping=True)


def test_tiles_by_hand() -> None:
    # Weight times reads is 1 in both tiles: the mean of −ln 1/4 and −ln 3/4 per read.
    assert Part.of_all(TILES).mass == 1
    assert mean_loss(TILES, 1) == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)


def test_tiles_weigh_what_their_reads_and_weights_say() -> None:
    # The first tile now weighs 2 · 1.5 = 3 against 1 · 1.
    tiles = make_rows([[C, A], [A, C]], [[0, 2], [0, 1]], [1.5, 1], SOFTMAX, overlapping=True)
    assert Part.of_all(tiles).mass == 2
    assert mean_loss(tiles, 1) == pytest.approx((3 * math.log(4) + math.log(4 / 3)) / 4)


def test_sets_by_hand() -> None:
    # A read start CC (9) with AA (1) and AC (3) near it, and AA (1) with GT (1) and TC (3).
    sets = make_rows(
        [[C, C, A, A, A, C], [A, A, G, T, T, C]], [[1, 0, 0], [1, 0, 0]], [2, 1], SOFTMAX
    )
    part = Part.of_all(sets)
    assert (part.mass, part.starts) == (1.5, 2)
    expected = (2 * math.log(13 / 9) + math.log(5)) / 3
    assert mean_loss(sets, 2) == pytest.approx(expected)


def test_logistic_by_hand() -> None:
    windows = make_rows([[C], [A]], [[1], [0]], [1.25, 0.75], LOGISTIC)
    # p(start | C) = 3/4, p(start | A) = 1/2.
    expected = (1.25 * math.log(4 / 3) + 0.75 * math.log(2)) / 2
    assert mean_loss(windows, 1) == pytest.approx(expected)


def test_both_sides_weigh_the_same() -> None:
    window = Window(0, 0)
    starts, near = np.full((3, 1), C, np.uint8), np.full((5, 1), A, np.uint8)
    sample = TrainingSet(window, starts, np.array([1.0, 2.0, 3.0]), near, np.ones(5))
    found = rows.classified_rows(sample, 100, np.random.default_rng(1))
    assert found.weights.tolist() == pytest.approx([4 / 6, 8 / 6, 12 / 6, *[4 / 5] * 5])
    assert mean_loss(found, 1) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_squares_by_hand() -> None:
    windows = make_rows([[C], [A]], [[math.log(3) + 2], [3]], [1, 1], SQUARES)
    assert mean_loss(windows, 1) == pytest.approx((2**2 + 3**2) / 4)


def test_a_uniform_language_model_is_as_perplexed_as_there_are_bases() -> None:
    windows = make_rows([[A, C, G], [T, T, A], [C, G, G]], [[1]] * 3, [0.2, 3, 1], BASES)
    assert mean_loss(windows, 3, Matrix(3)) == pytest.approx(math.log(4))


def test_language_by_hand() -> None:
    # At the first place C has 3/6, the others 1/6; at the second all have 1/4.
    model = Matrix(2)
    with torch.no_grad():
        model.log_odds[0, C] = math.log(3)
    windows = make_rows([[C, A], [G, G]], [[1], [1]], [3, 1], BASES)
    expected = (3 * (math.log(2) + math.log(4)) + math.log(6) + math.log(4)) / (4 * 2)
    assert mean_loss(windows, 2, model) == pytest.approx(expected)


def test_perplexity_is_per_base() -> None:
    _, report = fitted(Language)
    assert set(report.perplexity) == {"foreground", "background"}
    # The background is random, the read starts are not.
    assert report.perplexity["background"] == pytest.approx(4, abs=0.1)
    assert 3 < report.perplexity["foreground"] < 3.98


def test_gains_are_bits_per_read_over_all_places_being_alike() -> None:
    _, report = fitted(Convolution)
    for name in ("training_gain", "validation_gain", "training_start_gain"):
        assert 0 < report.curves[name][-1] < 2


def test_outputs_per_base_are_summed_over_the_windows_own_bases() -> None:
    outputs = torch.arange(24.0).reshape(2, 3, 4)
    codes = torch.tensor([[A, C, T], [G, G, A]], dtype=torch.uint8)
    assert scores_of(outputs, codes).tolist() == [0 + 5 + 11, 14 + 18 + 20]
    assert scores_of(torch.tensor([[1.0], [2.0]]), codes).tolist() == [1, 2]
    assert scores_of(torch.tensor([1.0, 2.0]), codes).tolist() == [1, 2]
    uniform = log_probabilities(torch.zeros(2, 3, 4), codes)
    assert uniform.tolist() == pytest.approx([-3 * math.log(4)] * 2)


def test_losses_are_those_of_each_row() -> None:
    scores = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    found = row_losses(scores, torch.tensor([[1.0, 1.0], [3.0, 0.0]]), SOFTMAX)
    assert found.tolist() == pytest.approx([math.log(4) + math.log(4 / 3), 3 * math.log(2)])


@pytest.mark.parametrize("slides", [False, True])
def test_pieces_of_a_batch_add_up_to_the_whole(slides: bool) -> None:
    sample = planted_sample(Window(2, 2), starts=200, seed=1)
    assert sample.tiles is not None
    tiles = rows.tile_rows(sample.tiles, 100, np.random.default_rng(1))
    assert tiles is not None
    model = Convolution(sample.window)
    stack = Modules([model.network()], LETTERS)
    stream = Stream([Part.of_all(tiles)], Form(5, slides), PROCESSOR)
    every = torch.arange(len(tiles))[None]
    with torch.no_grad():
        whole = float(stream.losses(stack, every))
        pieces = [float(stream.losses(stack, piece)) for piece in every.split(2, dim=1)]
    assert len(pieces) > 1
    assert sum(pieces) == pytest.approx(whole, rel=1e-5)
    assert whole / len(tiles) == pytest.approx(float(stream.evaluate(stack)[0]), rel=1e-5)


def as_module(flat: np.ndarray, shape: Shape) -> nn.Module:
    """Return the network of ``cnn`` with these parameters."""
    module = nn.Sequential(
        nn.Conv1d(4, shape.channels, shape.kmer),
        nn.ReLU(),
        nn.Conv1d(shape.channels, shape.units, shape.places),
        nn.ReLU(),
        nn.Conv1d(shape.units, 1, 1),
        nn.Flatten(),
    )
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), as_torch(flat, shape), strict=True):
            parameter.copy_(torch.from_numpy(value).reshape(parameter.shape))
    return module


def as_torch(flat: np.ndarray, shape: Shape) -> list[np.ndarray]:
    """Return parameters of ``cnn``, or their gradients, in the order of torch's axes."""
    return [
        np.ascontiguousarray(value.transpose(2, 1, 0)) if value.ndim == 3 else value
        for value in shape.split(flat).values()
    ]


@pytest.mark.parametrize("slides", [False, True])
def test_loss_and_gradient_are_those_of_cnn(slides: bool) -> None:
    window, shape = Window(3, 4), Shape(8, 3, 4, 16)
    sample = planted_sample(window, starts=300, seed=1)
    assert sample.tiles is not None
    flat = np.random.default_rng(1).normal(0, 0.4, shape.size)
    compiled, gradient = CompiledLoss(shape), np.zeros(shape.size)
    theirs = [
        cnn_rows.tile_rows(sample.tiles, shape, 0.0),
        cnn_rows.window_rows(sample, shape),
    ]
    expected = compiled(flat, [Batch.of_all(one) for one in theirs], gradient)
    rng = np.random.default_rng(1)
    ours = [rows.tile_rows(sample.tiles, 10**6, rng), rows.set_rows(sample, 10**6, rng)]
    module = as_module(flat, shape)
    stack, found = Modules([module], LETTERS), []
    for one in ours:
        assert one is not None
        stream = Stream([Part.of_all(one)], Form(window.width, slides), PROCESSOR)
        loss = stream.losses(stack, torch.arange(len(one))[None]).sum() / len(one)
        loss.backward()
        found.append(loss.item())
    assert found == pytest.approx(expected, rel=1e-5)
    for parameter, reference in zip(module.parameters(), as_torch(gradient, shape), strict=True):
        assert parameter.grad is not None
        np.testing.assert_allclose(
            parameter.grad.numpy().ravel(), reference.ravel(), rtol=1e-3, atol=1e-5
        )
    assert np.count_nonzero(gradient) > 0.5 * shape.size
