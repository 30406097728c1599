"""Loss and gradient of one character network over a batch of windows, compiled.

In: windows, weights, the flat parameters. Out: Σ weight · −ln p(window), and its gradient in the
order of the parameters. Back-propagation through time is written out, since torch would spend most
of its time on the overhead of a thousand small operations per batch of 64. Tests compare every
entry with torch's autograd.

Scratch arrays are flat rows of ``width + 1`` vectors of 32 windows. Rows of ``values``: letters
(4), states (hidden) and, for an LSTM, cells (hidden). Position ``t`` holds what step ``t`` takes
in: the letter, state and cell of step ``t − 1``, zeros at 0. Rows of ``gates`` (4 · hidden): for a
GRU reset, update, new, and the units' part of new; for an LSTM in, forget, new, out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias_backends.rnn.lanes import LANES, load, power2, product, splat, store, total

_ZERO, _ONE, _LIMIT = np.float32(0.0), np.float32(1.0), np.float32(60.0)
_LOGISTIC, _TANH = np.float32(-1.0 / math.log(2.0)), np.float32(-2.0 / math.log(2.0))
_EXP = np.float32(1.0 / math.log(2.0))
_TINY = np.float32(1e-30)


@helper(error_model="numpy")
def gru_forward(
    hidden: int,
    width: int,
    flat: NDArray[np.float32],
    values: NDArray[np.float32],
    gates: NDArray[np.float32],
) -> None:
    """Write states and gates."""
    row = (width + 1) * LANES
    hh = 12 * hidden
    outer = hh + 3 * hidden * hidden
    inner = outer + 3 * hidden
    for t in range(width):
        now = t * LANES
        for unit in range(hidden):
            z_unit, n_unit = hidden + unit, 2 * hidden + unit
            r = splat(flat[outer + unit] + flat[inner + unit])
            z = splat(flat[outer + z_unit] + flat[inner + z_unit])
            n = splat(flat[outer + n_unit])
            s = splat(flat[inner + n_unit])
            for k in range(4):
                x = load(values, k * row + now)
                r = r + flat[4 * unit + k] * x
                z = z + flat[4 * z_unit + k] * x
                n = n + flat[4 * n_unit + k] * x
            for k in range(hidden):
                x = load(values, (4 + k) * row + now)
                r = r + flat[hh + hidden * unit + k] * x
                z = z + flat[hh + hidden * z_unit + k] * x
                s = s + flat[hh + hidden * n_unit + k] * x
            r = _ONE / (_ONE + power2(_LOGISTIC * r, _LIMIT))
            z = _ONE / (_ONE + power2(_LOGISTIC * z, _LIMIT))
            power = power2(_TANH * (n + r * s), _LIMIT)
            n = (_ONE - power) / (_ONE + power)
            before = load(values, (4 + unit) * row + now)
            store(values, (4 + unit) * row + now + LANES, n + z * (before - n))
            store(gates, unit * row + now, r)
            store(gates, z_unit * row + now, z)
            store(gates, n_unit * row + now, n)
            store(gates, (3 * hidden + unit) * row + now, s)


@helper(error_model="numpy")
def gru_backward(
    hidden: int,
    width: int,
    flat: NDArray[np.float32],
    readout: int,
    stride: int,
    values: NDArray[np.float32],
    gates: NDArray[np.float32],
    errors: NDArray[np.float32],
    flow: NDArray[np.float32],
    direct: NDArray[np.float32],
) -> None:
    """Replace gates by the gradient with respect to their sums.

    Args:
        hidden, width, flat, values, gates: as for the forward pass.
        readout: index of the first readout in ``flat``.
        stride: between the readouts of two steps, 0 where all steps share one.
        errors: gradient with respect to the outputs.
        flow: gradient with respect to the states that a step returns; zeros at first.
        direct: scratch.
    """
    row = (width + 1) * LANES
    hh = 12 * hidden
    for t in range(width - 1, -1, -1):
        now = t * LANES
        for unit in range(hidden):
            at_r, at_z = unit * row + now, (hidden + unit) * row + now
            at_n, at_s = (2 * hidden + unit) * row + now, (3 * hidden + unit) * row + now
            up = load(flow, unit * LANES)
            for letter in range(4):
                up = up + flat[readout + t * stride + letter * hidden + unit] * load(
                    errors, letter * row + now
                )
            r, z, n, s = load(gates, at_r), load(gates, at_z), load(gates, at_n), load(gates, at_s)
            before = load(values, (4 + unit) * row + now)
            d_new = up * (_ONE - z) * (_ONE - n * n)
            store(gates, at_r, d_new * s * r * (_ONE - r))
            store(gates, at_z, up * (before - n) * z * (_ONE - z))
            store(gates, at_n, d_new)
            store(gates, at_s, d_new * r)
            store(direct, unit * LANES, up * z)
        for k in range(hidden):
            down = load(direct, k * LANES)
            for unit in range(hidden):
                down = down + flat[hh + unit * hidden + k] * load(gates, unit * row + now)
                down = down + flat[hh + (hidden + unit) * hidden + k] * load(
                    gates, (hidden + unit) * row + now
                )
                down = down + flat[hh + (2 * hidden + unit) * hidden + k] * load(
                    gates, (3 * hidden + unit) * row + now
                )
            store(flow, k * LANES, down)


@helper(error_model="numpy")
def lstm_forward(
    hidden: int,
    width: int,
    flat: NDArray[np.float32],
    values: NDArray[np.float32],
    gates: NDArray[np.float32],
) -> None:
    """Write states, cells and gates."""
    row = (width + 1) * LANES
    hh = 16 * hidden
    outer = hh + 4 * hidden * hidden
    inner = outer + 4 * hidden
    for t in range(width):
        now = t * LANES
        for unit in range(hidden):
            f_unit, g_unit, o_unit = hidden + unit, 2 * hidden + unit, 3 * hidden + unit
            i = splat(flat[outer + unit] + flat[inner + unit])
            f = splat(flat[outer + f_unit] + flat[inner + f_unit])
            g = splat(flat[outer + g_unit] + flat[inner + g_unit])
            o = splat(flat[outer + o_unit] + flat[inner + o_unit])
            for k in range(4):
                x = load(values, k * row + now)
                i = i + flat[4 * unit + k] * x
                f = f + flat[4 * f_unit + k] * x
                g = g + flat[4 * g_unit + k] * x
                o = o + flat[4 * o_unit + k] * x
            for k in range(hidden):
                x = load(values, (4 + k) * row + now)
                i = i + flat[hh + hidden * unit + k] * x
                f = f + flat[hh + hidden * f_unit + k] * x
                g = g + flat[hh + hidden * g_unit + k] * x
                o = o + flat[hh + hidden * o_unit + k] * x
            i = _ONE / (_ONE + power2(_LOGISTIC * i, _LIMIT))
            f = _ONE / (_ONE + power2(_LOGISTIC * f, _LIMIT))
            o = _ONE / (_ONE + power2(_LOGISTIC * o, _LIMIT))
            power = power2(_TANH * g, _LIMIT)
            g = (_ONE - power) / (_ONE + power)
            cell_row = (4 + hidden + unit) * row + now
            cell = f * load(values, cell_row) + product(i, g)
            store(values, cell_row + LANES, cell)
            power = power2(_TANH * cell, _LIMIT)
            store(values, (4 + unit) * row + now + LANES, o * (_ONE - power) / (_ONE + power))
            store(gates, unit * row + now, i)
            store(gates, f_unit * row + now, f)
            store(gates, g_unit * row + now, g)
            store(gates, o_unit * row + now, o)


@helper(error_model="numpy")
def lstm_backward(
    hidden: int,
    width: int,
    flat: NDArray[np.float32],
    readout: int,
    stride: int,
    values: NDArray[np.float32],
    gates: NDArray[np.float32],
    errors: NDArray[np.float32],
    flow: NDArray[np.float32],
    cells: NDArray[np.float32],
) -> None:
    """Replace gates by the gradient with respect to their sums.

    Arguments are those of :func:`gru_backward`; ``cells`` is the gradient with respect to the
    cells that a step returns, zeros at first.
    """
    row = (width + 1) * LANES
    hh = 16 * hidden
    for t in range(width - 1, -1, -1):
        now = t * LANES
        for unit in range(hidden):
            at_i, at_f = unit * row + now, (hidden + unit) * row + now
            at_g, at_o = (2 * hidden + unit) * row + now, (3 * hidden + unit) * row + now
            up = load(flow, unit * LANES)
            for letter in range(4):
                up = up + flat[readout + t * stride + letter * hidden + unit] * load(
                    errors, letter * row + now
                )
            i, f, g, o = load(gates, at_i), load(gates, at_f), load(gates, at_g), load(gates, at_o)
            cell_row = (4 + hidden + unit) * row + now
            power = power2(_TANH * load(values, cell_row + LANES), _LIMIT)
            bent = (_ONE - power) / (_ONE + power)
            cell = load(cells, unit * LANES) + up * o * (_ONE - bent * bent)
            store(gates, at_i, cell * g * i * (_ONE - i))
            store(gates, at_f, cell * load(values, cell_row) * f * (_ONE - f))
            store(gates, at_g, cell * i * (_ONE - g * g))
            store(gates, at_o, up * bent * o * (_ONE - o))
            store(cells, unit * LANES, cell * f)
        for k in range(hidden):
            down = splat(_ZERO)
            for unit in range(4 * hidden):
                down = down + flat[hh + unit * hidden + k] * load(gates, unit * row + now)
            store(flow, k * LANES, down)


@helper(error_model="numpy")
def _readout(
    hidden: int,
    width: int,
    flat: NDArray[np.float32],
    readout: int,
    values: NDArray[np.float32],
    weights: NDArray[np.float32],
    errors: NDArray[np.float32],
    observed: NDArray[np.float32],
) -> None:
    """Write the gradient with respect to the four sums before the softmax, the rows of ``errors``.

    ``observed`` is filled with the probabilities of the observed letters.
    """
    row = (width + 1) * LANES
    offset = readout + 4 * hidden
    for t in range(width):
        now = t * LANES
        whole = splat(_ZERO)
        for letter in range(4):
            logit = splat(flat[offset + letter])
            for k in range(hidden):
                logit = logit + flat[readout + letter * hidden + k] * load(
                    values, (4 + k) * row + now + LANES
                )
            odds = power2(_EXP * logit, _LIMIT)
            whole = whole + odds
            store(errors, letter * row + now, odds)
        known = splat(_ZERO)
        for letter in range(4):
            probability = load(errors, letter * row + now) / whole
            # The letter of step t is at position t + 1.
            here = load(values, letter * row + now + LANES)
            known = known + probability * here
            store(errors, letter * row + now, load(weights, 0) * (probability - here))
        store(observed, now, known)


@helper(error_model="numpy")
def add_products(
    left: NDArray[np.float32],
    at_left: int,
    right: NDArray[np.float32],
    at_right: int,
    rows: int,
    row: int,
    width: int,
    gradient: NDArray[np.float32],
    at: int,
) -> None:
    """Add products of a row of ``left`` and rows of ``right`` to ``gradient[at : at + rows]``.

    Each is summed over steps and windows.
    """
    for k in range(rows):
        start = at_right + k * row
        one = splat(_ZERO)
        for t in range(0, width * LANES, LANES):
            one = one + load(left, at_left + t) * load(right, start + t)
        gradient[at + k] += total(one)


@helper(error_model="numpy")
def row_sum(left: NDArray[np.float32], at_left: int, width: int) -> float:
    """Return the sum of a row over steps and windows."""
    one = splat(_ZERO)
    for t in range(0, width * LANES, LANES):
        one = one + load(left, at_left + t)
    summed: float = total(one)
    return summed


@helper(error_model="numpy")
def add_gates(
    hidden: int,
    width: int,
    cell: int | None,
    values: NDArray[np.float32],
    gates: NDArray[np.float32],
    gradient: NDArray[np.float32],
) -> None:
    """Add the gradient of the gates' weights and biases, from that of their sums."""
    row = (width + 1) * LANES
    number = 3 if cell is None else 4
    hh = 4 * number * hidden
    outer = hh + number * hidden * hidden
    inner = outer + number * hidden
    # Variables, since numba would compile once more for the literals 0 and 4.
    top, letters = 0 * row, 0 * row + 4
    for unit in range(number * hidden):
        at = unit * row
        # In a GRU, the reset gate acts between the new gate's two parts: their gradients differ.
        at_inner = at + hidden * row if cell is None and unit >= 2 * hidden else at
        add_products(gates, at, values, top, letters, row, width, gradient, 4 * unit)
        add_products(
            gates, at_inner, values, 4 * row, hidden, row, width, gradient, hh + unit * hidden
        )
        gradient[outer + unit] += row_sum(gates, at, width)
        gradient[inner + unit] += row_sum(gates, at_inner, width)


@loop(
    "u1[:, ::1], f4[::1], i8[::1], i8, i8, f4, f4[::1], i8, none, f4[::1]",
    "u1[:, ::1], f4[::1], i8[::1], i8, i8, f4, f4[::1], i8, i8, f4[::1]",
    error_model="numpy",
)
def loss_and_gradient(
    contexts: NDArray[np.uint8],
    weights: NDArray[np.float32],
    order: NDArray[np.int64],
    first: int,
    last: int,
    scale: np.float32,
    flat: NDArray[np.float32],
    hidden: int,
    cell: int | None,
    gradient: NDArray[np.float32],
) -> float:
    """Return Σ scale · weight · −ln p over the windows ``order[first:last]``, in nats.

    Args:
        contexts: (n, width), 0–3.
        weights: (n,).
        order: rows of ``contexts``.
        flat: all parameters (:mod:`.parameters`).
        hidden: number of hidden units.
        cell: None for a GRU, 0 for an LSTM; the type decides which of them is compiled.
        gradient: as long as ``flat``, added to; or empty where no gradient is wanted.
    """
    width = contexts.shape[1]
    row = (width + 1) * LANES
    number = 3 if cell is None else 4
    readout = number * hidden * (4 + hidden + 2)
    values = np.zeros((4 + 2 * hidden) * row, np.float32)
    gates = np.zeros(4 * hidden * row, np.float32)
    errors = np.zeros(4 * row, np.float32)
    observed = np.zeros(row, np.float32)
    flow = np.zeros(hidden * LANES, np.float32)
    other = np.zeros(hidden * LANES, np.float32)
    lane_weights = np.zeros(LANES, np.float32)
    loss = 0.0
    for start in range(first, last, LANES):
        lanes = min(LANES, last - start)
        values[: 4 * row] = 0
        lane_weights[:] = 0
        for w in range(lanes):
            window = order[start + w]
            lane_weights[w] = scale * weights[window]
            for t in range(width):
                values[contexts[window, t] * row + (t + 1) * LANES + w] = 1
        if cell is None:
            gru_forward(hidden, width, flat, values, gates)
        else:
            lstm_forward(hidden, width, flat, values, gates)
        _readout(hidden, width, flat, readout, values, lane_weights, errors, observed)
        for w in range(lanes):
            information = 0.0
            for t in range(width):
                information -= math.log(max(observed[t * LANES + w], _TINY))
            loss += lane_weights[w] * information
        if len(gradient) == 0:
            continue
        flow[:] = 0
        other[:] = 0
        if cell is None:
            gru_backward(hidden, width, flat, readout, 0 * row, values, gates, errors, flow, other)
        else:
            lstm_backward(hidden, width, flat, readout, 0 * row, values, gates, errors, flow, other)
        add_gates(hidden, width, cell, values, gates, gradient)
        for letter in range(4):
            add_products(
                errors, letter * row, values, 4 * row + LANES, hidden, row, width, gradient,
                readout + letter * hidden,
            )  # fmt: skip
            gradient[readout + 4 * hidden + letter] += row_sum(errors, letter * row, width)
    return loss
