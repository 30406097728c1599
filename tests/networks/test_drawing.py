"""Training data: each network goes through its own rows, which are on the device from the start."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.testing import planted_sample
from counterbias_torch import TrainingOptions
from counterbias_torch.data import Form, Stream
from counterbias_torch.rows import BASES, Part, Rows
from tests.networks.examples import PROCESSOR, QUICK, WINDOW, Convolution, fitted


def make_rows(n: int) -> Rows:
    return Rows(np.zeros((n, 2), np.uint8), np.ones((n, 1), np.float32), np.ones(n, "f4"), BASES)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    shared=st.booleans(),
    steps=st.integers(1, 5),
    batch=st.integers(1, 7),
    epochs=st.integers(1, 3),
)
def test_every_row_is_seen_once_per_pass(
    sizes: list[int], shared: bool, steps: int, batch: int, epochs: int
) -> None:
    rng = np.random.default_rng(1)
    every = make_rows(9)
    rows = [every if shared else make_rows(9) for _ in sizes]
    own = [np.sort(rng.choice(9, size, replace=False)) for size in sizes]
    parts = [Part(one, chosen) for one, chosen in zip(rows, own, strict=True)]
    stream = Stream(parts, Form(2, False), PROCESSOR)
    rngs = [np.random.default_rng(seed) for seed in range(len(sizes))]
    drawn = torch.cat([stream.draw(rngs, steps, batch) for _ in range(epochs)])
    assert drawn.shape == (epochs * steps, len(sizes), batch)
    for number, chosen in enumerate(own):
        rows_of = drawn[:, number].ravel().numpy() - (0 if shared else 9 * number)
        for first in range(0, len(rows_of) - len(chosen) + 1, len(chosen)):
            assert np.array_equal(np.sort(rows_of[first : first + len(chosen)]), chosen)
        assert set(rows_of) <= set(chosen)


def test_order_is_random_and_each_networks_own() -> None:
    rows = make_rows(50)
    stream = Stream([Part.of_all(rows)] * 2, Form(2, False), PROCESSOR)
    rngs = [np.random.default_rng(seed) for seed in (1, 2)]
    first, second = (stream.draw(rngs, 1, 50)[0] for _ in range(2))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])


def test_a_network_is_evaluated_on_its_own_rows() -> None:
    weights = np.array([1, 1, 1, 5, 5], np.float32)
    rows = Rows(np.zeros((5, 1), np.uint8), np.ones((5, 1), np.float32), weights, "squares")
    parts = [Part(rows, np.array([0, 1, 2])), Part(rows, np.array([2, 3])), Part.of_all(rows)]

    class Zeros:
        def __call__(self, codes: torch.Tensor) -> torch.Tensor:
            return torch.zeros(codes.shape[:2])

    found = Stream(parts, Form(1, False), PROCESSOR).evaluate(Zeros())
    assert found.tolist() == pytest.approx([0.5, 0.5, 0.5])  # weights of a part average 1


def test_nothing_is_copied_to_the_device_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = planted_sample(WINDOW, starts=1200, seed=1)
    copies, copy, drawn, draw = [], torch.from_numpy, [], Stream.draw

    def counted(array: np.ndarray) -> torch.Tensor:
        copies.append(array.shape)
        return copy(array)

    def counted_draw(stream: Stream, rngs: list[np.random.Generator], *sizes: int) -> torch.Tensor:
        drawn.append(sizes)
        return draw(stream, rngs, *sizes)

    monkeypatch.setattr(torch, "from_numpy", counted)
    monkeypatch.setattr(Stream, "draw", counted_draw)
    numbers, steps = [], []
    for batch in (24, 8):
        copies.clear()
        drawn.clear()
        _, report = fitted(Convolution, sample, TrainingOptions(epochs=2, batch=batch))
        assert len(drawn) == 2 * 2  # once per epoch for tiles and for sets
        numbers.append(len(copies))
        steps.append(report.details["steps_per_epoch"])
    assert steps[0] == 50
    assert numbers[0] == numbers[1]


def test_training_learns_from_no_validation_window() -> None:
    """What it is evaluated on is the validation part, or a tenth that it does not learn from."""
    for starts in (1200, 400):  # its validation part has a quarter as many
        _, report = fitted(Convolution, planted_sample(WINDOW, starts=starts, seed=1), QUICK)
        _, sets = report.details["rows"]
        _, held_out = report.details["validation_rows"]
        assert (sets, held_out) == ((1200, 300) if starts == 1200 else (450, 50))
