"""Score windows with two fitted character networks, without torch.

In: the parameters of the foreground and the background network, and windows. Out: ln p_f − ln p_b
per window. Three things make it fast: 32 windows are calculated side by side (:mod:`.lanes`); the
states after each of the 4^7 possible beginnings of a window are calculated once per model and
looked up; and logarithms are taken of products of several steps. States are float32; tests hold the
scores to within 1e-5 of torch in double precision.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias_backends.rnn.lanes import LANES, load, power2, product, splat, store
from counterbias_backends.rnn.parameters import Parameters, gate_count

#: Bases whose states are kept in a table, of 4^7 rows; an eighth base would cost four times the
#: memory to save one step of 14.
PREFIX = 7

# Exponents of 2 beyond which a gate, or the odds of a letter, no longer change. GATE: the product
# of two factors (1 + 2^38) fits float32 and leaves room. ODDS and FLUSH: the product of 6 steps of
# both networks, at most 2^(6 × 162), fits float64.
_GATE, _ODDS, _FLUSH = np.float32(38.0), np.float32(80.0), 6
_ONE, _TANH = np.float32(1.0), np.float32(-2.0 / math.log(2.0))


@dataclass(frozen=True)
class Packed:
    """Both networks as the kernel reads them, index 0 foreground, 1 background; all in C order.

    Gates are scaled so that a logistic gate is 1 / (1 + 2^a) and a tanh gate (1 − 2^a) / (1 + 2^a).

    Args:
        gates: (2, hidden · gates · (4 + hidden)), per unit and gate the weights of letters (biases
            included) and of units.
        bias: (2, hidden), the bias that the reset gate of a GRU multiplies; zeros for an LSTM.
        readout: (2, 3 · hidden), log2 odds of A, C, G against T per unit.
        offset: (2, 3), log2 odds at a state of 0.
        start: (2, 1, state), the state after the start symbol: hidden values, then, for an LSTM,
            its cell.
    """

    gates: NDArray[np.float32]
    bias: NDArray[np.float32]
    readout: NDArray[np.float32]
    offset: NDArray[np.float32]
    start: NDArray[np.float32]


@helper(error_model="numpy")
def gru_step(
    hidden: int,
    gates: NDArray[np.float32],
    bias: NDArray[np.float32],
    now: NDArray[np.float32],
    after: NDArray[np.float32],
) -> None:
    """Write the next states of 32 windows to ``after``; rows are letters (4), then states."""
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
        # (1 − z) n + z h as a single fraction: one division instead of two.
        power_n = power2(n + s / (_ONE + power2(r, _GATE)), _GATE)
        power_z = power2(z, _GATE)
        below = _ONE + power_n
        row = (4 + unit) * LANES
        store(
            after,
            row,
            (power_z * (_ONE - power_n) + product(below, load(now, row)))
            / ((_ONE + power_z) * below),
        )


@helper(error_model="numpy")
def lstm_step(
    hidden: int, gates: NDArray[np.float32], now: NDArray[np.float32], after: NDArray[np.float32]
) -> None:
    """Write the next states of 32 windows; rows are letters (4), states, cells."""
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
        # Two fractions, since a cell may be large, so that their common denominator may overflow.
        cell = load(now, row) / below_f + (_ONE - power_g) / below_ig
        store(after, row, cell)
        power_c = power2(_TANH * cell, _GATE)
        store(
            after,
            (4 + unit) * LANES,
            (_ONE - power_c) / ((_ONE + power2(o, _GATE)) * (_ONE + power_c)),
        )


@helper(error_model="numpy")
def _readout(
    hidden: int,
    readout: NDArray[np.float32],
    offset: NDArray[np.float32],
    now: NDArray[np.float32],
    ratio: NDArray[np.float32],
) -> None:
    """Write the observed letter's odds against T (row 0) and the sum of all odds (row 1)."""
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


@loop(
    "u1[:, ::1], i8, i8, f4[:, :, ::1], f8[::1], i8, f4[:, ::1], f4[:, ::1], f4[:, ::1], "
    "f4[:, ::1], none, f8[::1], f4[:, :, ::1]",
    "u1[:, ::1], i8, i8, f4[:, :, ::1], f8[::1], i8, f4[:, ::1], f4[:, ::1], f4[:, ::1], "
    "f4[:, ::1], i8, f8[::1], f4[:, :, ::1]",
    error_model="numpy",
)
def _advance(
    contexts: NDArray[np.uint8],
    first: int,
    last: int,
    states: NDArray[np.float32],
    logs: NDArray[np.float64],
    hidden: int,
    gates: NDArray[np.float32],
    bias: NDArray[np.float32],
    readout: NDArray[np.float32],
    offset: NDArray[np.float32],
    cell: int | None,
    out_logs: NDArray[np.float64],
    out_states: NDArray[np.float32],
) -> None:
    """Read columns ``first:last`` of all windows, from the states after the columns before.

    Args:
        contexts: (n, width).
        states: (2, 4^first, state), after each code of the columns before ``first``.
        logs: (4^first,), ln p_f − ln p_b of these columns.
        hidden: number of hidden units.
        gates, bias, readout, offset: as in :class:`Packed`.
        cell: None for a GRU, 0 for an LSTM; the type decides which of them is compiled.
        out_logs: (n,), written: ln p_f − ln p_b of columns ``0:last``.
        out_states: (2, n, state), written; not wanted where it is (2, 0, state).
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
                        gru_step(hidden, gates[q], bias[q], now[q], after[q])
                    else:
                        lstm_step(hidden, gates[q], now[q], after[q])
                now, after = after, now
        if wanted:
            for w in range(lanes):
                for q in range(2):
                    for k in range(size):
                        out_states[q, start + w, k] = now[q, (4 + k) * LANES + w]


def pack(networks: tuple[Parameters, Parameters]) -> Packed:
    """Lay out two networks of one cell and size for the kernel."""
    parts = [_pack_one(network) for network in networks]
    stacked = (
        np.ascontiguousarray(np.stack(part), dtype=np.float32) for part in zip(*parts, strict=True)
    )
    return Packed(*stacked)


def _pack_one(network: Parameters) -> tuple[NDArray[np.float64], ...]:
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


def pack_gates(
    network: Parameters,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return ``gates``, ``bias`` and ``start`` of one network, as in :class:`Packed`."""
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
    units = double["weight_hh"].reshape(gates, hidden, hidden)
    both = np.concatenate([letters, units], axis=2) * scale[:, None, None]
    return (
        both.transpose(1, 0, 2).ravel(),  # (hidden, gates, 4 + hidden)
        outer[tanh_gate] * scale[tanh_gate],
        _first_state(network.cell, double)[None],
    )


def _first_state(cell: str, double: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the state after the start symbol; input and state before it are zero."""
    gates = gate_count(cell)
    outer, inner = double["bias_ih"].reshape(gates, -1), double["bias_hh"].reshape(gates, -1)
    if cell == "gru":
        reset, update = (_logistic(outer[gate] + inner[gate]) for gate in (0, 1))
        return np.asarray((1 - update) * np.tanh(outer[2] + reset * inner[2]))
    gate_in, _, new, gate_out = outer + inner
    state = _logistic(gate_in) * np.tanh(new)
    return np.concatenate([_logistic(gate_out) * np.tanh(state), state])


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values))


@dataclass(frozen=True)
class Progress:
    """How far windows were read.

    Args:
        scores: float64 (n,), of the columns that were read.
        states: float32 (networks, n, state), of the networks after these columns; (networks, 0,
            state) where they are not wanted.
    """

    scores: NDArray[np.float64]
    states: NDArray[np.float32]

    @classmethod
    def empty(cls, windows: int, states: tuple[int, int, int]) -> Progress:
        """Return arrays to be filled; ``states`` is the shape of the states."""
        return cls(np.empty(windows), np.empty(states, dtype=np.float32))


class PrefixScorer(ABC):
    """Score windows from a table of their first bases; immutable, so safe in several threads.

    Args:
        width: bases per window.
        start: float32 (networks, 1, state), the networks' states after the start symbol.
    """

    def __init__(self, width: int, start: NDArray[np.float32]) -> None:
        self.width = width
        self._networks, _, self._state = start.shape
        self._prefix = min(PREFIX, width)
        words = np.arange(4**self._prefix)[:, None] >> 2 * np.arange(self._prefix)[::-1]
        self._table = Progress.empty(len(words), (self._networks, len(words), self._state))
        begun = Progress(np.zeros(1), start)
        self._read((words & 3).astype(np.uint8), 0, self._prefix, begun, self._table)

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats.

        Raises ValueError for anything but windows of bases.
        """
        contexts = np.ascontiguousarray(contexts, dtype=np.uint8)
        if contexts.ndim != 2 or contexts.shape[1] != self.width:
            raise ValueError(f"contexts of shape {contexts.shape} instead of (n, {self.width})")
        # The kernel uses letters as addresses.
        if contexts.size and contexts.max() > 3:
            raise ValueError("contexts hold values other than 0, 1, 2 and 3")
        read = Progress.empty(len(contexts), (self._networks, 0, self._state))
        self._read(contexts, self._prefix, self.width, self._table, read)
        return read.scores

    @abstractmethod
    def _read(
        self, contexts: NDArray[np.uint8], first: int, last: int, before: Progress, after: Progress
    ) -> None:
        """Read columns ``first:last`` of windows, and write ``after``.

        ``before`` holds one row for each code of the columns before ``first``.
        """


class Scorer(PrefixScorer):
    """Score windows with a foreground and a background network.

    Args:
        networks: the foreground and the background network, of one cell and size.
        width: bases per window.
    """

    def __init__(self, networks: tuple[Parameters, Parameters], width: int) -> None:
        self._hidden = networks[0].hidden
        self._cell = None if networks[0].cell == "gru" else 0
        self._packed = pack(networks)
        super().__init__(width, self._packed.start)

    def _read(
        self, contexts: NDArray[np.uint8], first: int, last: int, before: Progress, after: Progress
    ) -> None:
        packed = self._packed
        _advance(
            contexts, first, last, before.states, before.scores, self._hidden, packed.gates,
            packed.bias, packed.readout, packed.offset, self._cell, after.scores, after.states,
        )  # fmt: skip
