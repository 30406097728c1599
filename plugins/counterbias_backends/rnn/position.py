"""Loss and gradient of networks with an output layer per position, compiled: ``head=position`` and ``objective=ratio``.

As :mod:`.gradients`, whose cells it uses; the output at step ``t`` is ``V[t] h + c[t] + B[t] x``, one number per letter, with ``h`` the
state and ``x`` the letter before. Modes: :data:`PROBABILITY`, −ln p(window) with a softmax over the letters; otherwise a window's score
is the sum of the outputs of its letters, and the loss is :data:`LOGISTIC` (read start or not) or :data:`SOFTMAX`, over 32 places of one
stretch of the genome with their numbers of reads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from counterbias_backends.rnn.gradients import (
    _add_gates,
    _gru_backward,
    _gru_forward,
    _lstm_backward,
    _lstm_forward,
    _products,
    _sum,
)  # fmt: skip
from counterbias_backends.rnn.lanes import LANES, load, power2, splat, store

PROBABILITY, LOGISTIC, SOFTMAX = 0, 1, 2

_ZERO, _LIMIT = np.float32(0.0), np.float32(60.0)
_EXP = np.float32(1.0 / math.log(2.0))
_TINY = np.float32(1e-30)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _outputs(hidden, width, flat, readout, values, errors):
    """Write the outputs of every step into the rows of ``errors``."""
    row = (width + 1) * LANES
    offset = readout + 4 * hidden * width
    skip = offset + 4 * width
    for t in range(width):
        now = t * LANES
        for letter in range(4):
            at = 4 * t + letter
            output = splat(flat[offset + at])
            for k in range(4):
                output = output + flat[skip + 4 * at + k] * load(values, k * row + now)
            for k in range(hidden):
                output = output + flat[readout + at * hidden + k] * load(
                    values, (4 + k) * row + now + LANES
                )
            store(errors, letter * row + now, output)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _probability(width, values, errors, lane_weights, lanes):
    """Turn outputs into the gradient at them; give Σ weight · −ln p."""
    row = (width + 1) * LANES
    known = np.zeros(LANES, np.float32)
    loss = 0.0
    for t in range(width):
        now = t * LANES
        whole = splat(_ZERO)
        for letter in range(4):
            odds = power2(_EXP * load(errors, letter * row + now), _LIMIT)
            whole = whole + odds
            store(errors, letter * row + now, odds)
        observed = splat(_ZERO)
        for letter in range(4):
            probability = load(errors, letter * row + now) / whole
            here = load(values, letter * row + now + LANES)
            observed = observed + probability * here
            store(errors, letter * row + now, load(lane_weights, 0) * (probability - here))
        store(known, 0, observed)
        for w in range(lanes):
            loss -= lane_weights[w] * math.log(max(known[w], _TINY))
    return loss


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _lane_errors(scores, lane_weights, targets, lanes, mode):
    """Replace scores by the derivative of the loss; give the loss."""
    loss = 0.0
    if mode == 1:
        for w in range(lanes):
            score, target = np.float64(scores[w]), np.float64(targets[w])
            power = math.exp(-abs(score))
            loss += lane_weights[w] * (max(score, 0.0) - target * score + math.log1p(power))
            probability = 1.0 / (1.0 + power) if score > 0 else power / (1.0 + power)
            scores[w] = lane_weights[w] * (probability - target)
        return loss
    top = np.float64(scores[0])
    for w in range(lanes):
        top = max(top, np.float64(scores[w]))
    whole = 0.0
    reads = 0.0
    for w in range(lanes):
        whole += math.exp(scores[w] - top)
        reads += targets[w]
    level = top + math.log(whole)
    for w in range(lanes):
        loss += lane_weights[w] * targets[w] * (level - scores[w])
        scores[w] = lane_weights[w] * (reads * math.exp(scores[w] - level) - targets[w])
    return loss


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _ratio(width, values, errors, lane_weights, targets, lanes, mode):
    """Turn outputs into the gradient at them; give Σ weight · loss."""
    row = (width + 1) * LANES
    sums = splat(_ZERO)
    for t in range(width):
        for letter in range(4):
            at = letter * row + t * LANES
            sums = sums + load(errors, at) * load(values, at + LANES)
    scores = np.zeros(LANES, np.float32)
    store(scores, 0, sums)
    loss = _lane_errors(scores, lane_weights, targets, lanes, mode)
    for w in range(lanes, LANES):
        scores[w] = 0
    for t in range(width):
        for letter in range(4):
            at = letter * row + t * LANES
            store(errors, at, load(scores, 0) * load(values, at + LANES))
    return loss


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def position_loss_and_gradient(
    contexts, targets, weights, order, first, last, scale, flat, hidden, cell, mode, gradient
):
    """Give Σ scale · weight · loss over the windows ``order[first:last]``, in nats; add its gradient to ``gradient``.

    Args:
        contexts: uint8 (n, width), 0–3.
        targets: float32 (n,): logistic 1 or 0; softmax numbers of reads; not read for probabilities.
        weights: float32 (n,).
        order: int64, rows of ``contexts``; for the softmax each 32 of them, from ``first`` on, are one stretch.
        scale: float32.
        flat: float32, all parameters (:mod:`.parameters`).
        cell: None for a GRU, 0 for an LSTM; the type decides which of them is compiled.
        mode: PROBABILITY, LOGISTIC or SOFTMAX.
        gradient: float32, as long as ``flat``, or empty where it is not wanted.
    """
    width = contexts.shape[1]
    row = (width + 1) * LANES
    number = 3 if cell is None else 4
    readout = number * hidden * (4 + hidden + 2)
    offset = readout + 4 * hidden * width
    values = np.zeros((4 + 2 * hidden) * row, np.float32)
    gates = np.zeros(4 * hidden * row, np.float32)
    errors = np.zeros(4 * row, np.float32)
    flow = np.zeros(hidden * LANES, np.float32)
    other = np.zeros(hidden * LANES, np.float32)
    lane_weights = np.zeros(LANES, np.float32)
    lane_targets = np.zeros(LANES, np.float32)
    # Variables, since numba compiles once more for numbers.
    letters, one, stride = 0 * row + 4, 0 * row + 1, 4 * hidden
    loss = 0.0
    for start in range(first, last, LANES):
        lanes = min(LANES, last - start)
        values[: 4 * row] = 0
        lane_weights[:] = 0
        for w in range(lanes):
            window = order[start + w]
            lane_weights[w] = scale * weights[window]
            lane_targets[w] = targets[window]
            for t in range(width):
                values[contexts[window, t] * row + (t + 1) * LANES + w] = 1
        if cell is None:
            _gru_forward(hidden, width, flat, values, gates)
        else:
            _lstm_forward(hidden, width, flat, values, gates)
        _outputs(hidden, width, flat, readout, values, errors)
        if mode == 0:
            loss += _probability(width, values, errors, lane_weights, lanes)
        else:
            loss += _ratio(width, values, errors, lane_weights, lane_targets, lanes, mode)
        if len(gradient) == 0:
            continue
        flow[:] = 0
        other[:] = 0
        if cell is None:
            _gru_backward(hidden, width, flat, readout, stride, values, gates, errors, flow, other)
        else:
            _lstm_backward(hidden, width, flat, readout, stride, values, gates, errors, flow, other)
        _add_gates(hidden, width, cell, values, gates, gradient)
        for t in range(width):
            for letter in range(4):
                at = 4 * t + letter
                left = letter * row + t * LANES
                _products(
                    errors,
                    left,
                    values,
                    4 * row + (t + 1) * LANES,
                    hidden,
                    row,
                    one,
                    gradient,
                    readout + at * hidden,
                )
                gradient[offset + at] += _sum(errors, left, one)
                _products(
                    errors,
                    left,
                    values,
                    t * LANES,
                    letters,
                    row,
                    one,
                    gradient,
                    offset + 4 * width + 4 * at,
                )
    return loss
