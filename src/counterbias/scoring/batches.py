"""Whether a model's score of a window depends on the other windows that it is given with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterbias.model import BiasModel

#: Largest difference, relative and absolute, between scores that may differ by rounding: those of
#: the other strand, or of the same window alone and among others.
TOLERANCE = 1e-5


def batch_dependence(model: BiasModel, contexts: NDArray[np.uint8]) -> str:
    """Return how scores depend on order and number of the windows given; empty if they do not.

    The scores of all windows are compared with those in reversed order and in two parts, the first
    half as large as the second.

    Args:
        model: a fitted model.
        contexts: some windows, uint8 (n, width).

    Returns:
        One line that gives the score that differs most.
    """
    expected = model.log_bias(contexts)
    for what, scores in _in_other_batches(model, contexts):
        if np.allclose(scores, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            continue
        row = int(np.argmax(np.nan_to_num(np.abs(scores - expected), nan=np.inf)))
        return (
            "log_bias() depends on the other windows in the batch: of "
            f"{len(contexts)} windows, number {row + 1} scores {expected[row]:.6g} as they stand, "
            f"and {scores[row]:.6g} {what}"
        )
    return ""


def _in_other_batches(
    model: BiasModel, contexts: NDArray[np.uint8]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the scores of the same windows from other calls, and what was different."""
    yield "in reversed order", model.log_bias(np.ascontiguousarray(contexts[::-1]))[::-1]
    third = len(contexts) // 3
    parts = [model.log_bias(part) for part in (contexts[:third], contexts[third:]) if len(part)]
    if parts:
        yield "in a smaller batch", np.concatenate(parts)
