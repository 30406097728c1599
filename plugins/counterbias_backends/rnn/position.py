"""Loss and gradient of networks with an output layer per position, compiled.

That is ``head=position`` and ``objective=ratio``. The cells are those of :mod:`.gradients`; the
output at step ``t`` is ``V[t] h + c[t] + B[t] x``, one number per letter, with ``h`` the state and
``x`` the previous letter. Modes of the loss: :data:`PROBABILITY`, −ln p(window) with a softmax over
the letters. Otherwise, a window's score is the sum of the outputs of its letters, and the loss is
:data:`LOGISTIC` (read start or not), or :data:`SOFTMAX` over 32 positions of one stretch of the
genome with their numbers of reads.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias_backends.rnn.gradients import (
    add_gates,
    add_products,
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    row_sum,
)
from counterbias_backends.rnn.lanes import LANES, load, power2, splat, store

PROBABILITY, LOGISTIC, SOFTMAX = 0, 1, 2

_ZERO, _LIMIT = np.float32(0.0), np.float32(60.0)
_EXP = np.float32(1.0 / math.log(2.0))
_TINY = np.float32(1e-30)


@helper(error_model="numpy")
def _outputs(
    hidden: int,
    width: int,
    flat: NDArray[np.float32],
    readout: int,
    values: NDArray[np.float32],
    errors: NDArray[np.float32],
) -> None:
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


@helper(error_model="numpy")
def _probability(
    width: int,
    values: NDArray[np.float32],
    errors: NDArray[np.float32],
    lane_weights: NDArray[np.float32],
    lanes: int,
) -> float:
    """Return Σ weight · −ln p; replace the outputs in ``errors`` by the gradient."""
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


@helper(error_model="numpy")
def _lane_errors(
    scores: NDArray[np.float32],
    lane_weights: NDArray[np.float32],
    targets: NDArray[np.float32],
    lanes: int,
    mode: int,
) -> float:
    """Return the loss; replace the scores by its derivative with respect to them."""
    loss = 0.0
    if mode == LOGISTIC:
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


@helper(error_model="numpy")
def _ratio(
    width: int,
    values: NDArray[np.float32],
    errors: NDArray[np.float32],
    lane_weights: NDArray[np.float32],
    targets: NDArray[np.float32],
    lanes: int,
    mode: int,
) -> float:
    """Return Σ weight · loss; replace the outputs in ``errors`` by the gradient."""
    row = (width + 1) * LANES
    sums = splat(_ZERO)
    for t in range(width):
        for letter in range(4):
            at = letter * row + t * LANES
            sums = sums + load(errors, at) * load(values, at + LANES)
    scores = np.zeros(LANES, np.float32)
    store(scores, 0, sums)
    loss: float = _lane_errors(scores, lane_weights, targets, lanes, mode)
    for w in range(lanes, LANES):
        scores[w] = 0
    for t in range(width):
        for letter in range(4):
            at = letter * row + t * LANES
            store(errors, at, load(scores, 0) * load(values, at + LANES))
    return loss


@loop(
    "u1[:, ::1], f4[::1], f4[::1], i8[::1], i8, i8, f4, f4[::1], i8, i8, i8, f4[::1]",
    "u1[:, ::1], f4[::1], f4[::1], i8[::1], i8, i8, f4, f4[::1], i8, none, i8, f4[::1]",
    error_model="numpy",
)
def position_loss_and_gradient(
    contexts: NDArray[np.uint8],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    order: NDArray[np.int64],
    first: int,
    last: int,
    scale: np.float32,
    flat: NDArray[np.float32],
    hidden: int,
    cell: int | None,
    mode: int,
    gradient: NDArray[np.float32],
) -> float:
    """Return Σ scale · weight · loss over the windows ``order[first:last]``, in nats.

    Args:
        contexts, weights, scale, flat, hidden, cell, gradient: as for
            :func:`~counterbias_backends.rnn.gradients.loss_and_gradient`.
        targets: (n,): for the logistic loss 1 or 0, for the softmax numbers of reads; not read for
            probabilities.
        order: rows of ``contexts``; for the softmax, each 32 of them from ``first`` on are one
            stretch.
        mode: PROBABILITY, LOGISTIC or SOFTMAX.
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
    # Variables, since numba would compile once more for literals.
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
            gru_forward(hidden, width, flat, values, gates)
        else:
            lstm_forward(hidden, width, flat, values, gates)
        _outputs(hidden, width, flat, readout, values, errors)
        if mode == PROBABILITY:
            loss += _probability(width, values, errors, lane_weights, lanes)
        else:
            loss += _ratio(width, values, errors, lane_weights, lane_targets, lanes, mode)
        if len(gradient) == 0:
            continue
        flow[:] = 0
        other[:] = 0
        if cell is None:
            gru_backward(hidden, width, flat, readout, stride, values, gates, errors, flow, other)
        else:
            lstm_backward(hidden, width, flat, readout, stride, values, gates, errors, flow, other)
        add_gates(hidden, width, cell, values, gates, gradient)
        for t in range(width):
            for letter in range(4):
                at = 4 * t + letter
                left = letter * row + t * LANES
                add_products(
                    errors, left, values, 4 * row + (t + 1) * LANES, hidden, row, one, gradient,
                    readout + at * hidden,
                )  # fmt: skip
                gradient[offset + at] += row_sum(errors, left, one)
                add_products(
                    errors, left, values, t * LANES, letters, row, one, gradient,
                    offset + 4 * width + 4 * at,
                )  # fmt: skip
    return loss
