"""The loss of batches of rows, its gradient, and whole descents, by compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias_backends.adam import Adam
from counterbias_backends.cnn.gradients import (
    add_layers,
    add_rows,
    add_scores,
    descend,
    fill_tables,
)
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.cnn.rows import Batches, Rows
from counterbias_backends.lanes import aligned


@dataclass(frozen=True)
class Batch:
    """The rows ``order[first:last]``; ``scale`` multiplies their loss."""

    rows: Rows
    order: NDArray[np.int64]
    first: int
    last: int
    scale: float

    @classmethod
    def of_all(cls, rows: Rows) -> Batch:
        """Take all rows, with the mean loss."""
        return cls(rows, np.arange(len(rows)), 0, len(rows), 1 / (len(rows) * rows.mass))


class CompiledLoss:
    """The loss of one network (:mod:`.gradients`), with its tables as scratch space."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        size = shape.places * 4**shape.kmer * shape.units
        self._words = np.zeros(4**shape.kmer * shape.channels)
        self._tables, self._errors = aligned(np.zeros(size)), aligned(np.zeros(size))

    def descend(
        self, network: Adam[np.float64], streams: Sequence[Batches], rates: NDArray[np.float64]
    ) -> list[float]:
        """Take one step per learning rate, each with a batch of every stream (one or two).

        All steps are taken without returning to Python. Returns the sum of the losses for each
        stream.
        """
        shape, losses = self.shape, np.zeros(2)
        one, two = streams[0], streams[1] if len(streams) > 1 else None
        rows, more = one.rows, (two or one).rows
        order = one.take(len(rates))
        more_order = np.zeros(0, np.int64) if two is None else two.take(len(rates))
        more_size, more_scale = (0, 0.0) if two is None else (two.size, two.scale)
        descend(
            network.flat, network.gradient, network.first, network.second, network.decays,
            network.taken, rates, shape.kmer, shape.channels, shape.places, shape.units, shape.head,
            self._words, self._tables, self._errors, losses,
            rows.codes, rows.counts, rows.weights, rows.squares, rows.stride, order, one.size,
            one.scale,
            more.codes, more.counts, more.weights, more.stride, more_order, more_size, more_scale,
        )  # fmt: skip
        network.taken += len(rates)
        return [float(loss) for loss in losses[: len(streams)]]

    def __call__(
        self, flat: NDArray[np.float64], batches: Sequence[Batch], gradient: NDArray[np.float64]
    ) -> list[float]:
        """Return the loss of each batch, and add the gradient of their sum to ``gradient``.

        No gradient is calculated where ``gradient`` is empty.
        """
        shape = self.shape
        sizes = (shape.kmer, shape.channels, shape.places, shape.units)
        errors = self._errors if len(gradient) else self._errors[:0]
        fill_tables(flat, *sizes, self._words, self._tables)
        losses = []
        for batch in batches:
            rows = batch.rows
            loss = add_rows(
                rows.codes, rows.counts, rows.weights, rows.squares, rows.stride, batch.order,
                batch.first, batch.last, batch.scale, shape.places, shape.units, self._tables, flat,
                shape.head, errors, gradient,
            )  # fmt: skip
            losses.append(float(loss))
        if len(gradient):
            add_layers(flat, *sizes, self._words, self._errors, gradient)
        return losses

    def add_scores(
        self, flat: NDArray[np.float64], codes: NDArray[np.uint16], out: NDArray[np.float64]
    ) -> None:
        """Add a network's scores of windows to ``out``, float64 (n,).

        ``codes``, uint16 (n, places), are the windows' words.
        """
        shape = self.shape
        sizes = (shape.kmer, shape.channels, shape.places, shape.units)
        fill_tables(flat, *sizes, self._words, self._tables)
        add_scores(codes, shape.places, shape.units, self._tables, flat, shape.head, out)
