"""Score windows with networks that have an output layer per position, without torch: ``head=position`` and ``objective=ratio``.

As :mod:`.scoring`, whose cells it uses. In: two networks, of which ln p_f − ln p_b is taken, or one, whose outputs of the window's letters
are summed. The outputs of all four letters are calculated, for 32 windows side by side, and the observed one is picked.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias_backends.rnn.lanes import LANES, load, power2, splat, store
from counterbias_backends.rnn.parameters import Parameters
from counterbias_backends.rnn.scoring import PREFIX, _gru_step, _lstm_step, pack_gates

_ZERO, _ODDS, _FLUSH = np.float32(0.0), np.float32(80.0), 6


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _observe(hidden, outputs, skips, now, before, language, found):
    """Write, of one step's outputs, the observed letter's (row 0) and, of probabilities' odds, the sum of all (row 1)."""
    observed = splat(_ZERO)
    whole = splat(_ZERO)
    for letter in range(4):
        at = letter * (hidden + 1)
        value = splat(outputs[at + hidden])
        for k in range(4):
            value = value + skips[4 * letter + k] * load(before, k * LANES)
        for k in range(hidden):
            value = value + outputs[at + k] * load(now, (4 + k) * LANES)
        if language:
            value = power2(value, _ODDS)
            whole = whole + value
        observed = observed + value * load(now, letter * LANES)
    store(found, 0, observed)
    store(found, LANES, whole)


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
    outputs,
    skips,
    cell,
    out_logs,
    out_states,
):
    """Read columns ``first:last`` of all windows, from the states and sums after the columns before ``first``.

    Args:
        contexts: uint8 (n, width).
        states, logs: float32 (networks, 4^first, state), float64 (4^first,): after each code of the columns before ``first``.
        outputs: float32 (networks, width, 4 · (hidden + 1)), per letter the weights of units and the bias; log2 for two networks.
        skips: float32 (networks, width, 16), per letter what each letter before adds.
        cell: None for a GRU, 0 for an LSTM; the type decides which of them is compiled.
        out_logs: float64 (n,), written.
        out_states: float32 (networks, n, state), written; with (networks, 0, state) not wanted.
    """
    windows = contexts.shape[0]
    networks, _, size = states.shape
    language = networks == 2
    wanted = out_states.shape[1] > 0
    now = np.zeros((networks, (4 + size) * LANES), np.float32)
    after = np.zeros((networks, (4 + size) * LANES), np.float32)
    before = np.zeros(4 * LANES, np.float32)
    found = np.zeros((2, 2 * LANES), np.float32)
    above = np.ones(LANES, np.float64)
    below = np.ones(LANES, np.float64)
    for start in range(0, windows, LANES):
        lanes = min(LANES, windows - start)
        for w in range(lanes):
            code = 0
            for t in range(first):
                code = 4 * code + contexts[start + w, t]
            out_logs[start + w] = logs[code]
            for q in range(networks):
                for k in range(size):
                    now[q, (4 + k) * LANES + w] = states[q, code, k]
        for t in range(first, last):
            before[:] = 0
            if t > 0:
                for w in range(lanes):
                    before[contexts[start + w, t - 1] * LANES + w] = 1
            now[:, : 4 * LANES] = 0
            for w in range(lanes):
                for q in range(networks):
                    now[q, contexts[start + w, t] * LANES + w] = 1
            for q in range(networks):
                _observe(hidden, outputs[q, t], skips[q, t], now[q], before, language, found[q])
            if language:
                for w in range(lanes):
                    above[w] *= np.float64(found[0, w]) * np.float64(found[1, LANES + w])
                    below[w] *= np.float64(found[0, LANES + w]) * np.float64(found[1, w])
                if (t - first) % _FLUSH == _FLUSH - 1 or t == last - 1:
                    for w in range(lanes):
                        out_logs[start + w] += math.log(above[w] / below[w])
                    above[:] = 1
                    below[:] = 1
            else:
                for w in range(lanes):
                    out_logs[start + w] += found[0, w]
            if wanted or t < last - 1:
                for q in range(networks):
                    if cell is None:
                        _gru_step(hidden, gates[q], bias[q], now[q], after[q])
                    else:
                        _lstm_step(hidden, gates[q], now[q], after[q])
                now, after = after, now
        if wanted:
            for w in range(lanes):
                for q in range(networks):
                    for k in range(size):
                        out_states[q, start + w, k] = now[q, (4 + k) * LANES + w]


class PositionScorer:
    """Score windows with one network (its sum of outputs) or two (ln p_f − ln p_b); unchanging, so safe in several threads.

    Args:
        networks: of one kind and size, with an output layer per position.
    """

    def __init__(self, networks: tuple[Parameters, ...]) -> None:
        self.width = networks[0].places
        self._hidden = networks[0].hidden
        self._cell = None if networks[0].cell == "gru" else 0
        scale = 1 / math.log(2.0) if len(networks) == 2 else 1.0
        parts = [pack_gates(network) for network in networks]
        gates, bias, start = (
            np.ascontiguousarray(np.stack(part), dtype=np.float32)
            for part in zip(*parts, strict=True)
        )
        self._gates, self._bias = gates, bias
        outputs, skips = [], []
        for network in networks:
            named = network.arrays()
            joined = np.concatenate(
                [named["readout_weight"], named["readout_bias"][:, :, None]], axis=2
            )
            outputs.append(joined.reshape(self.width, -1) * scale)
            skips.append(named["skip_weight"].reshape(self.width, 16) * scale)
        self._outputs = np.ascontiguousarray(np.stack(outputs), np.float32)
        self._skips = np.ascontiguousarray(np.stack(skips), np.float32)
        self._prefix = min(PREFIX, self.width)
        words = np.arange(4**self._prefix)[:, None] >> 2 * np.arange(self._prefix)[::-1]
        self._logs = np.empty(len(words))
        self._states = np.empty((len(networks), len(words), start.shape[2]), dtype=np.float32)
        self._run(
            (words & 3).astype(np.uint8),
            0,
            self._prefix,
            start,
            np.zeros(1),
            self._logs,
            self._states,
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows, in nats: uint8 (n, width) → float64 (n,). Raises ValueError for what is no window."""
        contexts = np.ascontiguousarray(contexts, dtype=np.uint8)
        if contexts.ndim != 2 or contexts.shape[1] != self.width:
            raise ValueError(f"contexts of shape {contexts.shape} instead of (n, {self.width})")
        # The kernel uses letters as addresses.
        if contexts.size and contexts.max() > 3:
            raise ValueError("contexts hold values other than 0, 1, 2 and 3")
        scores = np.empty(len(contexts))
        none = np.empty((len(self._states), 0, self._states.shape[2]), dtype=np.float32)
        self._run(contexts, self._prefix, self.width, self._states, self._logs, scores, none)
        return scores

    def _run(
        self, contexts: NDArray[np.uint8], first: int, last: int, states: NDArray[np.float32], logs: NDArray[np.float64],
        out_logs: NDArray[np.float64], out_states: NDArray[np.float32],
    ) -> None:  # fmt: skip
        _advance(
            contexts, first, last, states, logs, self._hidden, self._gates, self._bias, self._outputs, self._skips, self._cell,
            out_logs, out_states,
        )  # fmt: skip
