"""Score windows with two fitted character networks, without torch.

In: the parameters of the foreground and the background network, and windows. Out: ln p_f − ln p_b per window.
Three things make it fast: 32 windows go side by side (:mod:`.lanes`), the states after each of the 4^7 possible beginnings of a
window are calculated once per model and looked up, and logarithms are taken of products of several steps. States are float32;
the sum agrees with torch in double precision to better than 1e-5 (tests/test_rnn_scoring.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias_backends.rnn.lanes import LANES, load, power2, splat, store
from counterbias_backends.rnn.parameters import Parameters, gate_count

#: Bases whose states are kept in a table: 4^7 rows; an eighth would cost four times the memory to save one step of 14.
PREFIX = 7

# Exponents of 2 beyond which a gate, or the odds of a letter, change no more. GATE: the product of two factors (1 + 2^38) fits
# float32 and leaves room.
# ODDS and FLUSH: the product of 6 steps of both networks, at most 2^(6 × 162), fits float64.
_GATE, _ODDS, _FLUSH = np.float32(38.0), np.float32(80.0), 6
_ONE = np.float32(1.0)


@dataclass(frozen=True)
class Packed:
    """Both networks as the kernel reads them: index 0 foreground, 1 background; all float32, C order.

    Gates are scaled so that a logistic gate is 1 / (1 + 2^a) and a tanh gate (1 − 2^a) / (1 + 2^a).

    Args:
        gates: (2, hidden · gates · (4 + hidden)), per unit and gate the weights of letters (biases included) and of units.
        bias: (2, hidden), the bias that the reset gate of a GRU multiplies; zeros for an LSTM.
        readout: (2, 3 · hidden), log2 odds of A, C, G against T per unit.
        offset: (2, 3), log2 odds at a state of 0.
        start: (2, 1, state), the state after the start symbol: hidden values, then, for an LSTM, its cell.
    """

    gates: NDArray[np.float32]
    bias: NDArray[np.float32]
    readout: NDArray[np.float32]
    offset: NDArray[np.float32]
    start: NDArray[np.float32]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _gru_step(hidden, gates, bias, now, after):
    """Write the next states of 32 windows; ``now``: rows of letters (4), then of states."""
    size = 4 + hidden
    for unit in range(hidden):
        at_r = 3 * unit * size
        at_z = at_r + size
        at_n = at_z + size
        x = load(now, 0)
        r = gates[at_r] * x
        z = gates[at_z] * x
        n = gates[at_n] * x
        for k in range(1, 4):
            x = load(now, k * LANES)
            r = r + gates[at_r + k] * x
            z = z + gates[at_z + k] * x
            n = n + gates[at_n + k] * x
        s = splat(bias[unit])
        for k in range(4, size):
            x = load(now, k * LANES)
            r = r + gates[at_r + k] * x
            z = z + gates[at_z + k] * x
            s = s + gates[at_n + k] * x
        # (1 − z) n + z h, brought to one fraction: one division instead of two.
        power_n = power2(n + s / (_ONE + power2(r, _GATE)), _GATE)
        power_z = power2(z, _GATE)
        below = _ONE + power_n
        row = (4 + unit) * LANES
        store(
            after,
            row,
            (power_z * (_ONE - power_n) + below * load(now, row)) / ((_ONE + power_z) * below),
        )


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _lstm_step(hidden, gates, now, after):
    """Write the next states of 32 windows; ``now``: rows of letters (4), of states, of cells."""
    size = 4 + hidden
    for unit in range(hidden):
        at_i = 4 * unit * size
        at_f = at_i + size
        at_g = at_f + size
        at_o = at_g + size
        x = load(now, 0)
        i = gates[at_i] * x
        f = gates[at_f] * x
        g = gates[at_g] * x
        o = gates[at_o] * x
        for k in range(1, size):
            x = load(now, k * LANES)
            i = i + gates[at_i + k] * x
            f = f + gates[at_f + k] * x
            g = g + gates[at_g + k] * x
            o = o + gates[at_o + k] * x
        power_g = power2(g, _GATE)
        below_f = _ONE + power2(f, _GATE)
        below_ig = (_ONE + power2(i, _GATE)) * (_ONE + power_g)
        row = (4 + hidden + unit) * LANES
        # Two fractions, since a cell may be large: their common denominator could overflow.
        cell = load(now, row) / below_f + (_ONE - power_g) / below_ig
        store(after, row, cell)
        power_c = power2(_TANH * cell, _GATE)
        store(
            after,
            (4 + unit) * LANES,
            (_ONE - power_c) / ((_ONE + power2(o, _GATE)) * (_ONE + power_c)),
        )


_TANH = np.float32(-2.0 / math.log(2.0))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _readout(hidden, readout, offset, now, ratio):
    """Write the odds of the observed letter against T (row 0) and the sum of all letters' odds (row 1)."""
    a = splat(offset[0])
    c = splat(offset[1])
    g = splat(offset[2])
    for k in range(hidden):
        x = load(now, (4 + k) * LANES)
        a = a + readout[k] * x
        c = c + readout[hidden + k] * x
        g = g + readout[2 * hidden + k] * x
    a = power2(a, _ODDS)
    c = power2(c, _ODDS)
    g = power2(g, _ODDS)
    observed = (
        load(now, 0) * a + load(now, LANES) * c + load(now, 2 * LANES) * g + load(now, 3 * LANES)
    )
    store(ratio, 0, observed)
    store(ratio, LANES, _ONE + a + c + g)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _advance(
    contexts,
    first,
    last,
    states,
    logs,
    hidden,
    gates,
    bias,
    readout,
    offset,
    cell,
    out_logs,
    out_states,
):
    """Read columns ``first:last`` of all windows, from the states and log ratios after the columns before ``first``.

    Args:
        contexts: uint8 (n, width).
        states, logs: float32 (2, 4^first, state), float64 (4^first,): after each code of the columns before ``first``.
        cell: None for a GRU, 0 for an LSTM; the type decides which of them is compiled.
        out_logs: float64 (n,), written: ln p_f − ln p_b of columns ``0:last``.
        out_states: float32 (2, n, state), written; with (2, 0, state) not wanted.
    """
    windows = contexts.shape[0]
    size = states.shape[2]
    wanted = out_states.shape[1] > 0
    now = np.zeros((2, (4 + size) * LANES), np.float32)
    after = np.zeros((2, (4 + size) * LANES), np.float32)
    ratio = np.zeros((2, 2 * LANES), np.float32)
    above = np.ones(LANES, np.float64)
    below = np.ones(LANES, np.float64)
    for start in range(0, windows, LANES):
        lanes = min(LANES, windows - start)
        for w in range(lanes):
            code = 0
            for t in range(first):
                code = 4 * code + contexts[start + w, t]
            out_logs[start + w] = logs[code]
            for q in range(2):
                for k in range(size):
                    now[q, (4 + k) * LANES + w] = states[q, code, k]
        for t in range(first, last):
            now[:, : 4 * LANES] = 0
            for w in range(lanes):
                at = contexts[start + w, t] * LANES + w
                now[0, at] = 1
                now[1, at] = 1
            for q in range(2):
                _readout(hidden, readout[q], offset[q], now[q], ratio[q])
            for w in range(LANES):
                above[w] *= np.float64(ratio[0, w]) * np.float64(ratio[1, LANES + w])
                below[w] *= np.float64(ratio[1, w]) * np.float64(ratio[0, LANES + w])
            if (t - first) % _FLUSH == _FLUSH - 1 or t == last - 1:
                for w in range(lanes):
                    out_logs[start + w] += math.log(above[w] / below[w])
                above[:] = 1
                below[:] = 1
            if wanted or t < last - 1:
                for q in range(2):
                    if cell is None:
                        _gru_step(hidden, gates[q], bias[q], now[q], after[q])
                    else:
                        _lstm_step(hidden, gates[q], now[q], after[q])
                now, after = after, now
        if wanted:
            for w in range(lanes):
                for q in range(2):
                    for k in range(size):
                        out_states[q, start + w, k] = now[q, (4 + k) * LANES + w]


def pack(networks: tuple[Parameters, Parameters]) -> Packed:
    """Bring two networks of one kind and size into the layout of the kernel."""
    parts = [_pack_one(network) for network in networks]
    return Packed(
        *(
            np.ascontiguousarray(np.stack(part), dtype=np.float32)
            for part in zip(*parts, strict=True)
        )
    )


def _pack_one(network: Parameters) -> tuple[NDArray[Any], ...]:
    named = network.arrays()
    weight, bias = (
        np.asarray(named[name], dtype=np.float64) for name in ("readout_weight", "readout_bias")
    )
    gates, inner, start = pack_gates(network)
    return (
        gates,
        inner,
        ((weight[:3] - weight[3]) / math.log(2.0)).ravel(),
        (bias[:3] - bias[3]) / math.log(2.0),
        start,
    )


def pack_gates(network: Parameters) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Give ``gates``, ``bias`` and ``start`` of one network, as :class:`Packed` has them."""
    hidden, gates = network.hidden, gate_count(network.cell)
    double = {
        name: np.asarray(values, dtype=np.float64) for name, values in network.arrays().items()
    }
    tanh_gate = 2
    scale = np.full(gates, -1.0 / math.log(2.0))
    scale[tanh_gate] *= 2
    outer = np.zeros((gates, hidden))
    inner = double["bias_hh"].reshape(gates, hidden)
    if network.cell == "gru":
        outer[tanh_gate] = inner[tanh_gate]
    bias = double["bias_ih"].reshape(gates, hidden) + inner - outer
    letters = double["weight_ih"].reshape(gates, hidden, 4) + bias[..., None]
    both = (
        np.concatenate([letters, double["weight_hh"].reshape(gates, hidden, hidden)], axis=2)
        * scale[:, None, None]
    )
    return (
        both.transpose(1, 0, 2).ravel(),  # (hidden, gates, 4 + hidden)
        outer[tanh_gate] * scale[tanh_gate],
        _first_state(network.cell, double)[None],
    )


def _first_state(cell: str, double: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Give the state after the start symbol: input and state before it are zero."""
    gates = gate_count(cell)
    outer, inner = double["bias_ih"].reshape(gates, -1), double["bias_hh"].reshape(gates, -1)
    if cell == "gru":
        reset, update = (_logistic(outer[gate] + inner[gate]) for gate in (0, 1))
        return np.asarray((1 - update) * np.tanh(outer[2] + reset * inner[2]))
    into, _, new, out = outer + inner
    held = _logistic(into) * np.tanh(new)
    return np.concatenate([_logistic(out) * np.tanh(held), held])


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values))


class Scorer:
    """Score windows with a foreground and a background network; unchanging, so safe in several threads.

    Args:
        networks: the foreground and the background network, of one kind and size.
        width: bases per window.
    """

    def __init__(self, networks: tuple[Parameters, Parameters], width: int) -> None:
        self.width = width
        self._hidden = networks[0].hidden
        self._cell = None if networks[0].cell == "gru" else 0
        self._packed = pack(networks)
        self._prefix = min(PREFIX, width)
        words = np.arange(4**self._prefix)[:, None] >> 2 * np.arange(self._prefix)[::-1]
        state = self._packed.start.shape[2]
        self._logs = np.empty(len(words))
        self._states = np.empty((2, len(words), state), dtype=np.float32)
        self._run(
            (words & 3).astype(np.uint8),
            0,
            self._prefix,
            self._packed.start,
            np.zeros(1),
            self._logs,
            self._states,
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows, ln p_f − ln p_b in nats: uint8 (n, width) → float64 (n,). Raises ValueError for what is no window."""
        contexts = np.ascontiguousarray(contexts, dtype=np.uint8)
        if contexts.ndim != 2 or contexts.shape[1] != self.width:
            raise ValueError(f"contexts of shape {contexts.shape} instead of (n, {self.width})")
        # The kernel uses letters as addresses.
        if contexts.size and contexts.max() > 3:
            raise ValueError("contexts hold values other than 0, 1, 2 and 3")
        scores = np.empty(len(contexts))
        none = np.empty((2, 0, self._states.shape[2]), dtype=np.float32)
        self._run(contexts, self._prefix, self.width, self._states, self._logs, scores, none)
        return scores

    def _run(
        self,
        contexts: Any,
        first: int,
        last: int,
        states: Any,
        logs: Any,
        out_logs: Any,
        out_states: Any,
    ) -> None:
        packed = self._packed
        _advance(
            contexts, first, last, states, logs, self._hidden, packed.gates, packed.bias, packed.readout, packed.offset,
            self._cell, out_logs, out_states,
        )  # fmt: skip
