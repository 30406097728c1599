"""Loss and gradient of one convolutional network, compiled.

In: codes of overlapping k-mers, counts, the flat parameters (:mod:`.parameters`). Out: the loss,
and its gradient in the order of the parameters. The first layer sees only ``kmer`` bases, so it is
calculated once per step for all 4^kmer words; the second layer is then a sum over places of one row
of a table each (places × words × units). The gradient goes back the same way: it is added up in a
table of the same shape, and taken through both layers once per step. So a step costs about the same
for a hundred windows as for a thousand. Tests compare every entry with torch's autograd.

A *row* holds the words of ``length`` windows, each beginning ``stride`` words after the one before:

- a tile, with the windows of consecutive positions (a stride of 1);
- a set, a read start and the background windows drawn near it (a stride of ``places``);
- a single window.

Tiles and sets have a softmax over their windows; single windows have the logistic loss, or the
squared one where scores are to be learnt.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias_backends.adam import adam_step
from counterbias_backends.cnn.parameters import LANES
from counterbias_backends.lanes import vector_functions

_VECTORS = vector_functions("float64", LANES)
_load, _store, _splat, _total = _VECTORS.load, _VECTORS.store, _VECTORS.splat, _VECTORS.total
_rectified, _where_positive = _VECTORS.rectified, _VECTORS.where_positive


@loop("f8[::1], i8, i8, i8, i8, f8[::1], f8[::1]", error_model="numpy")
def fill_tables(
    flat: NDArray[np.float64],
    kmer: int,
    channels: int,
    places: int,
    units: int,
    words: NDArray[np.float64],
    tables: NDArray[np.float64],
) -> None:
    """Write both layers' tables.

    Args:
        flat: the parameters.
        kmer, channels, places, units: the network's shape.
        words: (4^kmer · channels,), written: the first layer, rectified.
        tables: (places · 4^kmer · units,), written: what each word adds to the second layer's sums
            at each place.
    """
    number = 4**kmer
    bias = 4 * kmer * channels
    second = bias + channels
    for word in range(number):
        for c in range(channels):
            value = flat[bias + c]
            for i in range(kmer):
                base = (word >> (2 * (kmer - 1 - i))) & 3
                value += flat[(4 * i + base) * channels + c]
            words[word * channels + c] = max(value, 0.0)
    for place in range(places):
        for word in range(number):
            for g in range(0, units, LANES):
                sums = _splat(0.0)
                for c in range(channels):
                    sums = sums + words[word * channels + c] * _load(
                        flat, second + (place * channels + c) * units + g
                    )
                _store(tables, (place * number + word) * units + g, sums)


@helper(error_model="numpy")
def _forward(
    codes: NDArray[np.uint16],
    row: int,
    length: int,
    stride: int,
    places: int,
    number: int,
    units: int,
    tables: NDArray[np.float64],
    flat: NDArray[np.float64],
    head: int,
    hidden: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Write the rectified second layer and the scores of a row's windows."""
    for j in range(length):
        score = flat[head + 2 * units]
        for g in range(0, units, LANES):
            sums = _load(flat, head + g)
            for place in range(places):
                code = np.int64(codes[row, j * stride + place])
                sums = sums + _load(tables, (place * number + code) * units + g)
            sums = _rectified(sums)
            _store(hidden, j * units + g, sums)
            score += _total(sums * _load(flat, head + units + g))
        scores[j] = score


@helper(error_model="numpy")
def _logistic(score: float, label: float, weight: float) -> tuple[float, float]:
    """Return the logistic loss and its derivative with respect to the score, times ``weight``."""
    power = math.exp(-abs(score))
    loss = max(score, 0.0) - label * score + math.log1p(power)
    probability = 1.0 / (1.0 + power) if score > 0 else power / (1.0 + power)
    return weight * loss, weight * (probability - label)


@helper(error_model="numpy")
def _squared(score: float, target: float, weight: float) -> tuple[float, float]:
    """Return half the squared difference and its derivative, times ``weight``."""
    difference = score - target
    return 0.5 * weight * difference * difference, weight * difference


@helper(error_model="numpy")
def _softmax(
    scores: NDArray[np.float64],
    counts: NDArray[np.float64],
    row: int,
    length: int,
    weight: float,
) -> float:
    """Return the loss −Σ counts · ln softmax(scores), times ``weight``.

    Scores are replaced by the derivative of the loss with respect to them.
    """
    top = scores[0]
    for j in range(length):
        top = max(top, scores[j])
    whole = 0.0
    reads = 0.0
    loss = 0.0
    for j in range(length):
        whole += math.exp(scores[j] - top)
        reads += counts[row, j]
    level = top + math.log(whole)
    for j in range(length):
        loss += counts[row, j] * (level - scores[j])
        scores[j] = weight * (reads * math.exp(scores[j] - level) - counts[row, j])
    return weight * loss


@loop(
    "u2[:, ::1], f8[:, ::1], f8[::1], b1, i8, i8[::1], i8, i8, f8, i8, i8, f8[::1], f8[::1], "
    "i8, f8[::1], f8[::1]",
    error_model="numpy",
)
def add_rows(
    codes: NDArray[np.uint16],
    counts: NDArray[np.float64],
    weights: NDArray[np.float64],
    squares: bool,
    stride: int,
    order: NDArray[np.int64],
    first: int,
    last: int,
    scale: float,
    places: int,
    units: int,
    tables: NDArray[np.float64],
    flat: NDArray[np.float64],
    head: int,
    grad_tables: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Return Σ scale · weight · loss over the rows ``order[first:last]``.

    Its gradient is added to ``grad_tables`` and ``gradient``.

    Args:
        codes: (rows, (length − 1) · stride + places).
        counts: (rows, length); of single windows, 1 at a read start and 0 in the background, or the
            score to be learnt.
        weights: (rows,).
        squares: whether single windows have the squared loss instead of the logistic one.
        stride: words from one window of a row to the next.
        tables: of :func:`fill_tables`.
        flat: the parameters.
        head: index of the second layer's biases in ``flat``; the readout and its bias follow.
        grad_tables: as long as ``tables``, or empty where no gradient is wanted.
        gradient: as long as ``flat``.
    """
    length = counts.shape[1]
    number = len(tables) // (places * units)
    hidden = np.zeros(length * units, np.float64)
    scores = np.zeros(length, np.float64)
    wanted = len(grad_tables) > 0
    loss = 0.0
    for at in range(first, last):
        row = order[at]
        weight = scale * weights[row]
        _forward(
            codes, row, length, stride, places, number, units, tables, flat, head, hidden, scores
        )
        if squares:
            part, scores[0] = _squared(scores[0], counts[row, 0], weight)
        elif length == 1:
            part, scores[0] = _logistic(scores[0], counts[row, 0], weight)
        else:
            part = _softmax(scores, counts, row, length, weight)
        loss += part
        if not wanted:
            continue
        for j in range(length):
            error = scores[j]
            gradient[head + 2 * units] += error
            for g in range(0, units, LANES):
                state = _load(hidden, j * units + g)
                _store(
                    gradient, head + units + g, _load(gradient, head + units + g) + error * state
                )
                down = _where_positive(state, error * _load(flat, head + units + g))
                _store(gradient, head + g, _load(gradient, head + g) + down)
                for place in range(places):
                    entry = (place * number + np.int64(codes[row, j * stride + place])) * units + g
                    _store(grad_tables, entry, _load(grad_tables, entry) + down)
    return loss


@loop("u2[:, ::1], i8, i8, f8[::1], f8[::1], i8, f8[::1]", error_model="numpy")
def add_scores(
    codes: NDArray[np.uint16],
    places: int,
    units: int,
    tables: NDArray[np.float64],
    flat: NDArray[np.float64],
    head: int,
    out: NDArray[np.float64],
) -> None:
    """Add the scores of windows, ``codes`` (n, places), to ``out`` (n,).

    The other arguments are those of :func:`add_rows`.
    """
    number = len(tables) // (places * units)
    hidden = np.zeros(units, np.float64)
    scores = np.zeros(1, np.float64)
    for row in range(len(codes)):
        _forward(codes, row, 1, 1, places, number, units, tables, flat, head, hidden, scores)
        out[row] += scores[0]


@loop("f8[::1], i8, i8, i8, i8, f8[::1], f8[::1], f8[::1]", error_model="numpy")
def add_layers(
    flat: NDArray[np.float64],
    kmer: int,
    channels: int,
    places: int,
    units: int,
    words: NDArray[np.float64],
    grad_tables: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> None:
    """Take the gradient with respect to the tables back through both layers.

    It is added to ``gradient``, and ``grad_tables`` are set to 0.
    """
    number = 4**kmer
    bias = 4 * kmer * channels
    second = bias + channels
    for place in range(places):
        start = place * number * units
        for c in range(channels):
            for g in range(0, units, LANES):
                sums = _splat(0.0)
                for word in range(number):
                    sums = sums + words[word * channels + c] * _load(
                        grad_tables, start + word * units + g
                    )
                at = second + (place * channels + c) * units + g
                _store(gradient, at, _load(gradient, at) + sums)
    for word in range(number):
        for c in range(channels):
            if words[word * channels + c] <= 0:
                continue
            sums = _splat(0.0)
            for place in range(places):
                for g in range(0, units, LANES):
                    sums = sums + _load(grad_tables, (place * number + word) * units + g) * _load(
                        flat, second + (place * channels + c) * units + g
                    )
            error = _total(sums)
            gradient[bias + c] += error
            for i in range(kmer):
                base = (word >> (2 * (kmer - 1 - i))) & 3
                gradient[(4 * i + base) * channels + c] += error
    for at in range(0, len(grad_tables), LANES):
        _store(grad_tables, at, _splat(0.0))


@loop(
    "f8[::1], f8[::1], f8[::1], f8[::1], f8[::1], i8, f8[::1], i8, i8, i8, i8, i8, f8[::1], "
    "f8[::1], f8[::1], f8[::1], u2[:, ::1], f8[:, ::1], f8[::1], b1, i8, i8[::1], i8, f8, "
    "u2[:, ::1], f8[:, ::1], f8[::1], i8, i8[::1], i8, f8",
    error_model="numpy",
)
def descend(
    flat: NDArray[np.float64],
    gradient: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    decays: NDArray[np.float64],
    taken: int,
    rates: NDArray[np.float64],
    kmer: int,
    channels: int,
    places: int,
    units: int,
    head: int,
    words: NDArray[np.float64],
    tables: NDArray[np.float64],
    grad_tables: NDArray[np.float64],
    losses: NDArray[np.float64],
    codes: NDArray[np.uint16],
    counts: NDArray[np.float64],
    weights: NDArray[np.float64],
    squares: bool,
    stride: int,
    order: NDArray[np.int64],
    size: int,
    scale: float,
    more_codes: NDArray[np.uint16],
    more_counts: NDArray[np.float64],
    more_weights: NDArray[np.float64],
    more_stride: int,
    more_order: NDArray[np.int64],
    more_size: int,
    more_scale: float,
) -> None:
    """Take one step of the optimiser per learning rate, with one or two batches each.

    Args:
        flat, gradient, first, second, decays, taken: as in
            :class:`~counterbias_backends.adam.Adam`.
        rates: (steps,).
        kmer, channels, places, units, words, tables: as for :func:`fill_tables`.
        head, grad_tables: as for :func:`add_rows`.
        losses: (2,), the loss of each of the two batches is added to it.
        codes, counts, weights, squares, stride, scale: the rows, as for :func:`add_rows`.
        order: (steps · size,), the rows of one batch after another.
        more_codes and so on: the rows of a second batch per step; ``more_size`` may be 0.
    """
    for step in range(len(rates)):
        fill_tables(flat, kmer, channels, places, units, words, tables)
        losses[0] += add_rows(
            codes, counts, weights, squares, stride, order, step * size, (step + 1) * size, scale,
            places, units, tables, flat, head, grad_tables, gradient,
        )  # fmt: skip
        if more_size > 0:
            losses[1] += add_rows(
                more_codes, more_counts, more_weights, False, more_stride, more_order,
                step * more_size, (step + 1) * more_size, more_scale, places, units, tables, flat,
                head, grad_tables, gradient,
            )  # fmt: skip
        add_layers(flat, kmer, channels, places, units, words, grad_tables, gradient)
        adam_step(flat, gradient, first, second, taken + step + 1, rates[step], decays)
