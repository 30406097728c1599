"""Windows that the networks learn from, and batches of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Windows:
    """Windows of one loss.

    Args:
        contexts: uint8 (n, width).
        weights: float32 (n,).
        targets: float32 (n,): for the logistic loss 1 at read starts and 0 elsewhere, for the
            softmax the number of reads; not read where the loss is the windows' probability.
    """

    contexts: NDArray[np.uint8]
    weights: NDArray[np.float32]
    targets: NDArray[np.float32]

    @classmethod
    def of(cls, contexts: NDArray[np.uint8], weights: NDArray[np.float64]) -> Windows:
        """Return windows without targets, with the weights scaled to a mean of 1.

        So weights change which windows matter, but not the size of the steps.
        """
        scaled = (weights / weights.mean()).astype(np.float32)
        return cls(np.ascontiguousarray(contexts, dtype=np.uint8), scaled, targets=scaled)

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def width(self) -> int:
        """Bases per window."""
        return int(self.contexts.shape[1])


@dataclass(frozen=True)
class Batch:
    """The windows ``order[first:last]``; ``scale`` multiplies their loss."""

    windows: Windows
    order: NDArray[np.int64]
    first: int
    last: int
    scale: float

    @classmethod
    def of_all(cls, windows: Windows) -> Batch:
        """Take all windows, with the sum of their losses."""
        return cls(windows, np.arange(len(windows)), 0, len(windows), 1.0)

    @property
    def bases(self) -> int:
        """Bases of the batch's windows."""
        return (self.last - self.first) * self.windows.width
