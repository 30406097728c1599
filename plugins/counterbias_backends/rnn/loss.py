"""What training asks of a device: the loss of some windows and its gradient, for every form of the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterbias_backends.gpu import require_gpu
from counterbias_backends.rnn.gradients import loss_and_gradient
from counterbias_backends.rnn.position import position_loss_and_gradient


class Gradient(Protocol):
    """Give Σ scale · weight · loss over ``order[first:last]``, nats, and add its gradient to ``gradient``, unless that is empty.

    Arguments are those of :func:`~counterbias_backends.rnn.position.position_loss_and_gradient`.
    """

    def __call__(
        self,
        contexts: NDArray[np.uint8],
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        order: NDArray[np.int64],
        first: int,
        last: int,
        scale: float,
        flat: NDArray[np.float32],
        gradient: NDArray[np.float32],
    ) -> float:
        """Give the loss."""
        ...


#: Makes the gradient of a network: cell, hidden units, output layers (0: one for all positions), mode of the loss.
Maker = Callable[[str, int, int, int], Gradient]


class CompiledGradient:
    """The compiled code, single precision with sums of the loss in double."""

    def __init__(self, cell: str, hidden: int, places: int, mode: int) -> None:
        # None and 0: the type decides which cell is compiled.
        self._hidden, self._kind, self._places, self._mode = (
            hidden,
            None if cell == "gru" else 0,
            places,
            mode,
        )

    def __call__(
        self,
        contexts: NDArray[np.uint8],
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        order: NDArray[np.int64],
        first: int,
        last: int,
        scale: float,
        flat: NDArray[np.float32],
        gradient: NDArray[np.float32],
    ) -> float:
        """Give the loss."""
        rows = (weights, order, first, last, np.float32(scale), flat, self._hidden, self._kind)
        if self._places:
            return float(position_loss_and_gradient(contexts, targets, *rows, self._mode, gradient))
        return float(loss_and_gradient(contexts, *rows, gradient))


def gradient_maker(device: str) -> Maker:
    """Give what makes gradients. Raises InputError where ``cuda`` is not there.

    ``auto`` is the processor: a step takes 21 positions in turn for 64 windows, so that a GPU would wait for its next small operation
    nearly all the time.
    """
    if device != "cuda":
        return CompiledGradient
    where = require_gpu()
    from counterbias_backends.rnn.device import TorchGradient

    return lambda cell, hidden, places, mode: TorchGradient(cell, hidden, places, mode, where)
