"""The loss and its gradient by torch, on a GPU: the numbers of the compiled code, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from counterbias_backends.adam import Adam
from counterbias_backends.cnn.loss import Batch, descend_step_by_step
from counterbias_backends.cnn.network import scores
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.cnn.rows import Batches, Rows


class TorchLoss:
    """Calculate what :class:`~counterbias_backends.cnn.loss.CompiledLoss` does, by torch.

    Parameters and gradient stay numpy arrays of the host.
    """

    def __init__(self, shape: Shape, device: str) -> None:
        self._shape, self._device = shape, torch.device(device)

    def descend(
        self, network: Adam[np.float64], streams: Sequence[Batches], rates: NDArray[np.float64]
    ) -> list[float]:
        """Take one step per learning rate."""
        return descend_step_by_step(self, network, streams, rates)

    def __call__(
        self, flat: NDArray[np.float64], batches: Sequence[Batch], gradient: NDArray[np.float64]
    ) -> list[float]:
        """Return the loss of each batch, and add the gradient of their sum to ``gradient``."""
        leaf = torch.from_numpy(flat.copy()).to(self._device).requires_grad_(len(gradient) > 0)
        losses = [
            batch.scale * self._loss(leaf, batch.rows, batch.order[batch.first : batch.last])
            for batch in batches
        ]
        if len(gradient):
            torch.stack(losses).sum().backward()
            assert leaf.grad is not None
            gradient += leaf.grad.cpu().numpy()
        return [float(loss.detach()) for loss in losses]

    def _loss(self, leaf: torch.Tensor, rows: Rows, chosen: NDArray[np.int64]) -> torch.Tensor:
        sequence, counts, weights = (
            torch.from_numpy(array[chosen]).to(self._device)
            for array in (rows.sequence, rows.counts, rows.weights)
        )
        if rows.sets:
            sequence = sequence.reshape(-1, self._shape.width)
        found = scores(leaf[None], self._shape, sequence)[:, 0].reshape(counts.shape)  # (n, length)
        if rows.squares:
            each = 0.5 * (found - counts).square().sum(dim=1)
        elif found.shape[1] == 1:
            each = functional.binary_cross_entropy_with_logits(found, counts, reduction="none")
            each = each.sum(dim=1)
        else:
            each = -(counts * torch.log_softmax(found, dim=1)).sum(dim=1)
        return (weights * each).sum()
