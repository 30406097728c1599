"""Scores that depend on the other windows in the batch are told from those that do not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from counterbias.scoring import batch_dependence


def model(extra: Callable[[int], Any]) -> Any:
    """Return a model that adds ``extra``, of the number of windows, to a window's first base."""
    return SimpleNamespace(log_bias=lambda contexts: contexts[:, 0] * 1.0 + extra(len(contexts)))


def windows(n: int) -> np.ndarray:
    return (np.arange(3 * n, dtype=np.uint8) % 4).reshape(n, 3)


@pytest.mark.parametrize("n", [0, 1, 2, 300])
def test_scores_of_the_window_alone_pass_in_batches_of_any_size(n: int) -> None:
    assert batch_dependence(model(lambda n: 0.0), windows(n)) == ""


def test_rounding_passes() -> None:
    assert batch_dependence(model(lambda n: np.arange(n) * 1e-9), windows(300)) == ""


def test_the_score_that_differs_most_is_given() -> None:
    # The first bases are 0, 3, 2, 1; the first window scores 0 as it stands, the last in reversed
    # order: 1 + 0 instead of 1 + 3.
    assert batch_dependence(model(np.arange), windows(4)) == (
        "log_bias() depends on the other windows in the batch: of 4 windows, number 1 scores 0 as "
        "they stand, and 3 in reversed order"
    )


def test_the_size_of_the_batch_is_found_out_too() -> None:
    # Reversed, there are as many windows. The first of three is a part of its own.
    assert batch_dependence(model(lambda n: 10.0 * n), windows(3)) == (
        "log_bias() depends on the other windows in the batch: of 3 windows, number 1 scores 30 as "
        "they stand, and 10 in a smaller batch"
    )
