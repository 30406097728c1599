"""Score windows with networks that have an output layer per position, without torch.

That is ``head=position`` and ``objective=ratio``. In: two networks, whose ln p_f − ln p_b is taken,
or one, whose outputs of the window's letters are summed. The cells are those of :mod:`.scoring`.
The outputs of all four letters are calculated, for 32 windows side by side, and that of the
observed letter is picked.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias_backends.rnn.lanes import LANES, load, power2, splat, store
from counterbias_backends.rnn.parameters import Parameters
from counterbias_backends.rnn.scoring import (
    PrefixScorer,
    Progress,
    gru_step,
    lstm_step,
    pack_gates,
)

_ZERO, _ODDS, _FLUSH = np.float32(0.0), np.float32(80.0), 6


@helper(error_model="numpy")
def _observe(
    hidden: int,
    outputs: NDArray[np.float32],
    skips: NDArray[np.float32],
    now: NDArray[np.float32],
    before: NDArray[np.float32],
    language: bool,
    found: NDArray[np.float32],
) -> None:
    """Write the observed letter's output at one step (row 0).

    For probabilities, it is the letter's odds, and the sum of all letters' odds is written as well
    (row 1).
    """
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


@loop(
    "u1[:, ::1], i8, i8, f4[:, :, ::1], f8[::1], i8, f4[:, ::1], f4[:, ::1], f4[:, :, ::1], "
    "f4[:, :, ::1], i8, f8[::1], f4[:, :, ::1]",
    "u1[:, ::1], i8, i8, f4[:, :, ::1], f8[::1], i8, f4[:, ::1], f4[:, ::1], f4[:, :, ::1], "
    "f4[:, :, ::1], none, f8[::1], f4[:, :, ::1]",
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
    outputs: NDArray[np.float32],
    skips: NDArray[np.float32],
    cell: int | None,
    out_logs: NDArray[np.float64],
    out_states: NDArray[np.float32],
) -> None:
    """Read columns ``first:last`` of all windows, from the states after the columns before.

    Args:
        contexts: (n, width).
        states: (networks, 4^first, state), after each code of the columns before ``first``.
        logs: (4^first,), the scores of these columns.
        hidden: number of hidden units.
        gates, bias: as in :class:`~counterbias_backends.rnn.scoring.Packed`.
        outputs: (networks, width, 4 · (hidden + 1)), per letter the weights of units and the bias;
            as log2 where there are two networks.
        skips: (networks, width, 16), per letter what each previous letter adds.
        cell: None for a GRU, 0 for an LSTM; the type decides which of them is compiled.
        out_logs: (n,), written.
        out_states: (networks, n, state), written; not wanted where it is (networks, 0, state).
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
                        gru_step(hidden, gates[q], bias[q], now[q], after[q])
                    else:
                        lstm_step(hidden, gates[q], now[q], after[q])
                now, after = after, now
        if wanted:
            for w in range(lanes):
                for q in range(networks):
                    for k in range(size):
                        out_states[q, start + w, k] = now[q, (4 + k) * LANES + w]


class PositionScorer(PrefixScorer):
    """Score windows with one network (its sum of outputs) or two (ln p_f − ln p_b).

    Args:
        networks: of one cell and size, with an output layer per position.
    """

    def __init__(self, networks: tuple[Parameters, ...]) -> None:
        width = networks[0].places
        self._hidden = networks[0].hidden
        self._cell = None if networks[0].cell == "gru" else 0
        scale = 1 / math.log(2.0) if len(networks) == 2 else 1.0
        parts = [pack_gates(network) for network in networks]
        self._gates, self._bias, start = (
            np.ascontiguousarray(np.stack(part), dtype=np.float32)
            for part in zip(*parts, strict=True)
        )
        outputs, skips = [], []
        for network in networks:
            named = network.arrays()
            joined = np.concatenate(
                [named["readout_weight"], named["readout_bias"][:, :, None]], axis=2
            )
            outputs.append(joined.reshape(width, -1) * scale)
            skips.append(named["skip_weight"].reshape(width, 16) * scale)
        self._outputs = np.ascontiguousarray(np.stack(outputs), np.float32)
        self._skips = np.ascontiguousarray(np.stack(skips), np.float32)
        super().__init__(width, start)

    def _read(
        self, contexts: NDArray[np.uint8], first: int, last: int, before: Progress, after: Progress
    ) -> None:
        _advance(
            contexts, first, last, before.states, before.scores, self._hidden, self._gates,
            self._bias, self._outputs, self._skips, self._cell, after.scores, after.states,
        )  # fmt: skip
