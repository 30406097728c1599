"""The compiled code of ``cnn`` against the network in plain torch: scores, loss and gradient."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is torch (extra torch)")

import torch
from torch.nn.functional import logsigmoid

from counterbias import InputError, Resources, Window
from counterbias.testing import planted_sample
from counterbias_backends.cnn import rows
from counterbias_backends.cnn.loss import Batch, CompiledLoss
from counterbias_backends.cnn.model import ConvolutionalModel
from counterbias_backends.cnn.network import scores
from counterbias_backends.cnn.options import Options
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.cnn.scoring import BLOCK, WORD, Scorer

QUICK = Options(units=16, channels=8, members=1, decay=0.5)


def random_networks(shape: Shape, members: int, *, size: float = 1.0, seed: int = 1) -> np.ndarray:
    return (size * np.random.default_rng(seed).normal(0, 0.4, (members, shape.size))).astype(
        np.float32
    )


def log_bias(flat: np.ndarray, shape: Shape, contexts: np.ndarray) -> np.ndarray:
    """Return the networks' mean score of windows by torch, in double precision."""
    found = scores(torch.from_numpy(flat).double(), shape, torch.from_numpy(contexts))
    return found[:, :, 0].mean(dim=1).numpy()


def random_contexts(n: int, width: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, width), dtype=np.uint8)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(
    ("kmer", "channels", "units"), [(5, 16, 16), (3, 16, 32), (1, 4, 16), (6, 5, 48)]
)
def test_scores_equal_torch(kmer: int, channels: int, units: int, members: int) -> None:
    shape = Shape(21, kmer, channels, units)
    flat = random_networks(shape, members, size=0.7)
    contexts = random_contexts(1000, 21)
    expected = log_bias(flat, shape, contexts)
    assert expected.std() > 0.1
    np.testing.assert_allclose(
        Scorer(flat, shape).log_bias(contexts), expected, rtol=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("width", [1, 2, 3, WORD - 1, WORD, WORD + 1, 2 * WORD, 41, 255])
def test_every_width(width: int) -> None:
    shape = Shape(width, min(3, width), 4, 16)
    flat = random_networks(shape, 1, size=0.5)
    contexts = random_contexts(2 * BLOCK + 5, width)
    np.testing.assert_allclose(
        Scorer(flat, shape).log_bias(contexts),
        log_bias(flat, shape, contexts),
        rtol=1e-6,
        atol=1e-5,
    )


@pytest.mark.parametrize("n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_every_number_of_windows(n: int) -> None:
    shape = Shape(12, 3, 4, 16)
    scorer = Scorer(random_networks(shape, 2), shape)
    contexts = random_contexts(2 * BLOCK, 12)
    np.testing.assert_array_equal(scorer.log_bias(contexts[:n]), scorer.log_bias(contexts)[:n])


@pytest.mark.parametrize("width", [1, 7, 8, 12, 21, 33, 64])
@pytest.mark.parametrize("members", [1, 3])
def test_windows_of_a_sequence_score_as_windows(width: int, members: int) -> None:
    shape = Shape(width, min(3, width), 4, 16)
    scorer = Scorer(random_networks(shape, members), shape)
    for n in (1, BLOCK, 200):
        sequence = np.random.default_rng(n).integers(0, 4, n + width - 1, dtype=np.uint8)
        views = np.lib.stride_tricks.sliding_window_view(sequence, width)
        np.testing.assert_array_equal(scorer.along(sequence), scorer.log_bias(views))


def test_anything_but_sequences_is_refused() -> None:
    shape = Shape(5, 3, 4, 16)
    scorer = Scorer(random_networks(shape, 1), shape)
    for sequence in (np.zeros(4, np.uint8), np.zeros((2, 8), np.uint8)):
        with pytest.raises(ValueError, match="has no window of 5 bases"):
            scorer.along(sequence)
    for column in range(9):
        sequence = np.zeros(9, np.uint8)
        sequence[column] = 4
        with pytest.raises(ValueError, match="values other than"):
            scorer.along(sequence)


def test_anything_but_windows_is_refused() -> None:
    shape = Shape(5, 3, 4, 16)
    scorer = Scorer(random_networks(shape, 1), shape)
    for column in range(5):
        contexts = np.zeros((3, 5), dtype=np.uint8)
        contexts[2, column] = 4
        with pytest.raises(ValueError, match="values other than"):
            scorer.log_bias(contexts)
    wide = Shape(40, 3, 4, 16)
    for column in range(40):
        contexts = np.zeros((1, 40), dtype=np.uint8)
        contexts[0, column] = 128
        with pytest.raises(ValueError, match="values other than"):
            Scorer(random_networks(wide, 1), wide).log_bias(contexts)
    with pytest.raises(ValueError, match="shape"):
        scorer.log_bias(np.zeros((2, 6), dtype=np.uint8))


def expected_loss(leaf: torch.Tensor, shape: Shape, batch: Batch) -> torch.Tensor:
    """Return a batch's loss as it is defined, in double precision."""
    chosen = batch.order[batch.first : batch.last]
    sequence, counts, weights = (
        torch.from_numpy(values[chosen])
        for values in (batch.rows.sequence, batch.rows.counts, batch.rows.weights)
    )
    if batch.rows.sets:
        sequence = sequence.reshape(-1, shape.width)
    found = scores(leaf[None], shape, sequence)[:, 0].reshape(counts.shape)  # (n, length)
    if batch.rows.squares:
        each = 0.5 * (found - counts).square()
    elif found.shape[1] == 1:
        each = -torch.where(counts == 1, logsigmoid(found), logsigmoid(-found))
    else:
        each = -counts * torch.log_softmax(found, dim=1)
    return batch.scale * (weights[:, None] * each).sum()


@pytest.mark.parametrize(
    ("kmer", "channels", "units", "window"),
    [(3, 8, 32, (5, 5)), (4, 16, 16, (5, 5)), (3, 8, 16, (1, 1))],
)
def test_loss_and_gradient_equal_autograd(
    kmer: int, channels: int, units: int, window: tuple[int, int] | Window
) -> None:
    window = Window(*window)
    shape = Shape(window.width, kmer, channels, units)
    sample = planted_sample(window, starts=300, seed=1)
    assert sample.tiles is not None
    windows = rows.window_rows(dataclasses.replace(sample, origin=None), shape)
    sets, tiles = rows.window_rows(sample, shape), rows.tile_rows(sample.tiles, shape, 5.0)
    assert (windows.stride, sets.stride, sets.counts.shape) == (1, shape.places, (300, 3))
    rng = np.random.default_rng(3)
    batches = [
        Batch(tiles, rng.permutation(len(tiles)), 1, 6, 0.5),
        Batch(windows, rng.permutation(len(windows)), 0, 700, 0.01),
        Batch(sets, rng.permutation(len(sets)), 5, 250, 0.02),
    ]
    scored = dataclasses.replace(
        windows, counts=np.random.default_rng(4).normal(size=windows.counts.shape), squares=True
    )
    batches.append(Batch(scored, rng.permutation(len(windows)), 10, 400, 0.02))
    flat = random_networks(shape, 1)[0].astype(np.float64)
    leaf = torch.from_numpy(flat).requires_grad_(True)
    expected = torch.stack([expected_loss(leaf, shape, batch) for batch in batches])
    expected.sum().backward()
    compiled = np.ones(shape.size)  # it is added to
    loss = CompiledLoss(shape)
    losses = loss(flat, batches, compiled)
    np.testing.assert_allclose(losses, expected.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(compiled - 1, leaf.grad.numpy(), rtol=1e-8, atol=1e-9)
    assert np.count_nonzero(compiled - 1) > (0.5 if shape.places > 1 else 0.2) * shape.size
    # Scratch tables are left clean; without a gradient the losses are the same.
    again = np.ones(shape.size)
    assert loss(flat, batches, again) == losses
    assert np.array_equal(again, compiled)
    assert loss(flat, batches, flat[:0]) == losses
    found = np.zeros(len(windows))
    loss.add_scores(flat, windows.codes, found)
    np.testing.assert_allclose(
        found, log_bias(flat[None], shape, windows.sequence), rtol=1e-10, atol=1e-12
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_is_reported() -> None:
    model = ConvolutionalModel(Window(2, 2), QUICK)
    model.resources = Resources(device="cuda")
    with pytest.raises(InputError, match="torch finds no GPU"):
        model.fit(planted_sample(Window(2, 2), starts=100, seed=1), np.random.default_rng(1))


def test_no_global_state_is_touched() -> None:
    torch.manual_seed(7)
    before = (
        torch.get_rng_state(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        np.random.get_state()[1].copy(),  # noqa: NPY002
    )
    model = ConvolutionalModel(Window(2, 2), dataclasses.replace(QUICK, min_steps=3, max_steps=3))
    model.fit(planted_sample(Window(2, 2), starts=100, seed=1), np.random.default_rng(1))
    after = (
        torch.get_rng_state(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        np.random.get_state()[1],  # noqa: NPY002
    )
    assert torch.equal(before[0], after[0])
    assert before[1:3] == after[1:3]
    assert np.array_equal(before[3], after[3])
