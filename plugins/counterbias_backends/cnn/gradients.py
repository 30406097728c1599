"""Loss and gradient of one convolutional network, compiled.

In: codes of overlapping k-mers, counts, the flat parameters (:mod:`.parameters`). Out: the loss, and its gradient in the order of
the parameters. The first layer sees only ``kmer`` bases, so it is calculated once per step for all 4^kmer words; the second
layer is then a sum over places of one row of a table each (places × words × units). The gradient goes back the same way: it
is added up in a table of the same shape, and taken through both layers once per step. A step thus costs about the same for a
hundred windows and for a thousand. tests/test_cnn_training.py compares every entry with torch's autograd.

A *row* holds the words of ``length`` windows, each of which begins ``stride`` words after the one before it: tiles, whose windows are
those of consecutive positions (a stride of 1); sets, a read start and background windows drawn near it (a stride of ``places``); or single
windows. Tiles and sets have a softmax over their windows, single ones the logistic loss, or the squared one where scores are to be learnt.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

from counterbias_backends.adam import adam_step
from counterbias_backends.lanes import vector_kind

#: Units that are calculated side by side; a second layer has a multiple of these.
LANES = 16

_KIND = vector_kind(types.float64, LANES)
_load, _store, _splat, _total, _rectified, _where_positive = (
    _KIND.load, _KIND.store, _KIND.splat, _KIND.total, _KIND.rectified, _KIND.where_positive
)  # fmt: skip
_inner = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def fill_tables(flat, kmer, channels, places, units, words, tables):
    """Write both layers' tables.

    Args:
        flat: float64, the parameters.
        words: float64 (4^kmer · channels), written: the first layer, rectified.
        tables: float64 (places · 4^kmer · units), written: what each word adds to the second layer's sums at each place.
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


@_inner  # type: ignore[misc]
def _forward(codes, row, length, stride, places, number, units, tables, flat, head, hidden, scores):
    """Write the rectified second layer and the scores of a row's windows."""
    for j in range(length):
        score = flat[head + 2 * units]
        for g in range(0, units, LANES):
            sums = _load(flat, head + g)
            for place in range(places):
                sums = sums + _load(
                    tables, (place * number + np.int64(codes[row, j * stride + place])) * units + g
                )
            sums = _rectified(sums)
            _store(hidden, j * units + g, sums)
            score += _total(sums * _load(flat, head + units + g))
        scores[j] = score


@_inner  # type: ignore[misc]
def _logistic(score, label, weight):
    """Give loss and its derivative by the score, times ``weight``."""
    power = math.exp(-abs(score))
    loss = max(score, 0.0) - label * score + math.log1p(power)
    probability = 1.0 / (1.0 + power) if score > 0 else power / (1.0 + power)
    return weight * loss, weight * (probability - label)


@_inner  # type: ignore[misc]
def _squares(score, target, weight):
    """Give half the squared difference and its derivative by the score, times ``weight``."""
    difference = score - target
    return 0.5 * weight * difference * difference, weight * difference


@_inner  # type: ignore[misc]
def _softmax(scores, counts, row, length, weight):
    """Replace scores by the derivative of the loss, −Σ counts · ln softmax(scores) times ``weight``; give the loss."""
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


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def add_rows(
    codes,
    counts,
    weights,
    squares,
    stride,
    order,
    first,
    last,
    scale,
    places,
    units,
    tables,
    flat,
    head,
    grad_tables,
    gradient,
):
    """Give Σ scale · weight · loss over the rows ``order[first:last]``; add its gradient to ``grad_tables`` and ``gradient``.

    Args:
        codes: uint16 (rows, (length − 1) · stride + places).
        counts: float64 (rows, length); for windows 1 at a read start and 0 in the background, or the score to be learnt.
        weights: float64 (rows,).
        squares: whether windows have the squared loss instead of the logistic one.
        stride: words from one window of a row to the next.
        tables: of :func:`fill_tables`; ``grad_tables`` of the same length, or empty where no gradient is wanted.
        head: where the second layer's biases begin in ``flat``; the readout and its bias follow.
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
            part, scores[0] = _squares(scores[0], counts[row, 0], weight)
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


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def add_scores(codes, places, units, tables, flat, head, out):
    """Add the scores of windows, uint16 (n, places), to ``out``, float64 (n,); arguments as for :func:`add_rows`."""
    number = len(tables) // (places * units)
    hidden = np.zeros(units, np.float64)
    scores = np.zeros(1, np.float64)
    for row in range(len(codes)):
        _forward(codes, row, 1, 1, places, number, units, tables, flat, head, hidden, scores)
        out[row] += scores[0]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def add_layers(flat, kmer, channels, places, units, words, grad_tables, gradient):
    """Take the gradient at the tables through both layers: add it to ``gradient``, and set ``grad_tables`` to 0."""
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


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def descend(
    flat, gradient, first, second, decays, begun, rates, kmer, channels, places, units, head, words, tables, grad_tables, losses,
    codes, counts, weights, squares, stride, order, size, scale,
    more_codes, more_counts, more_weights, more_stride, more_order, more_size, more_scale,
):  # fmt: skip
    """Take as many steps of the optimiser as there are learning rates, each with a batch of rows, or of two kinds of them.

    Args:
        first, second, decays: as for :func:`~counterbias_backends.adam.adam_step`; ``begun``: steps taken before.
        rates: float64 (steps,).
        losses: float64 (2,), the losses of either kind are added to it.
        order: int64 (steps · size,), the rows of each batch in turn; ``more_order`` for the second kind, whose ``more_size`` may be 0.
        codes, counts, weights, squares, stride, scale: as for :func:`add_rows`, and so are the others.
    """
    for step in range(len(rates)):
        fill_tables(flat, kmer, channels, places, units, words, tables)
        losses[0] += add_rows(
            codes, counts, weights, squares, stride, order, step * size, (step + 1) * size, scale, places, units, tables, flat, head,
            grad_tables, gradient,
        )  # fmt: skip
        if more_size > 0:
            losses[1] += add_rows(
                more_codes, more_counts, more_weights, False, more_stride, more_order, step * more_size, (step + 1) * more_size,
                more_scale, places, units, tables, flat, head, grad_tables, gradient,
            )  # fmt: skip
        add_layers(flat, kmer, channels, places, units, words, grad_tables, gradient)
        adam_step(flat, gradient, first, second, begun + step + 1, rates[step], decays)
