"""The loss of a batch of windows and its gradient, by compiled code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias_backends.rnn.gradients import loss_and_gradient
from counterbias_backends.rnn.position import position_loss_and_gradient
from counterbias_backends.rnn.windows import Batch


class CompiledLoss:
    """The loss of one network, in single precision, but summed in double precision.

    Args:
        cell: ``gru`` or ``lstm``.
        hidden: hidden units.
        places: output layers, 0 for one that all positions share.
        mode: of the loss (:mod:`.position`).
    """

    def __init__(self, cell: str, hidden: int, places: int, mode: int) -> None:
        self._hidden, self._places, self._mode = hidden, places, mode
        # The type, None or int, decides which cell is compiled.
        self._cell = None if cell == "gru" else 0

    def __call__(
        self, flat: NDArray[np.float32], batch: Batch, gradient: NDArray[np.float32]
    ) -> float:
        """Return Σ scale · weight · loss over the batch, in nats.

        The gradient with respect to the parameters ``flat`` is added to ``gradient``, unless that
        is empty.
        """
        windows = batch.windows
        common = (
            windows.weights, batch.order, batch.first, batch.last, np.float32(batch.scale), flat,
            self._hidden, self._cell,
        )  # fmt: skip
        if self._places:
            loss = position_loss_and_gradient(
                windows.contexts, windows.targets, *common, self._mode, gradient
            )
        else:
            loss = loss_and_gradient(windows.contexts, *common, gradient)
        return float(loss)
