"""Score windows with fitted convolutional networks, without torch.

In: the parameters of the networks, and windows. Out: the mean of the networks' scores. The first layer sees a few bases at a time, so
what a word of bases adds to the second layer's sums at a place can be looked up. Neighbouring places are joined to longer
words, so that a window of 21 bases takes a few look-ups of one row each. Sums are float32; they agree with torch in double
precision to better than 1e-5 (tests/test_cnn_scoring.py). Neighbouring windows share nothing more: each has other sums.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.lanes import vector_kind

#: Units that are calculated side by side.
LANES = 16
#: Bases per looked-up word. With 5 the tables of the default model take 2.7 MB; longer words need fewer look-ups, but miss the cache.
WORD = 5
#: Windows whose words are found before any is looked up.
BLOCK = 64

_KIND = vector_kind(types.float32, LANES)
_load, _rectified, _splat, _total = _KIND.load, _KIND.rectified, _KIND.splat, _KIND.total


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def _score(contexts, ends, word, tables, bias, readout, offset, rows, out):
    """Fill ``out``; False where some base was above 3 (masked before use, so that no memory outside the tables is read).

    Args:
        contexts: uint8 (n, width).
        ends: int64 (look-ups,), ascending: the column of the last base of each word.
        word: bases per word.
        tables: float32 (look-ups · 4^word · units,).
        bias, readout: float32 (units,) of all networks.
        offset: float64.
        rows: int64 (BLOCK · look-ups,), of work.
    """
    width = contexts.shape[1]
    units = len(bias)
    lookups = len(ends)
    mask = (1 << (2 * word)) - 1
    seen = np.uint8(0)
    for start in range(0, len(contexts), BLOCK):
        count = min(BLOCK, len(contexts) - start)
        for w in range(count):
            code = 0
            found = 0
            for column in range(width):
                base = contexts[start + w, column]
                seen |= base
                code = ((code << 2) | np.int64(base & 3)) & mask
                if column == ends[found]:
                    rows[w * lookups + found] = ((found << (2 * word)) + code) * units
                    found += 1
                    if found == lookups:
                        break
        for w in range(count):
            score = np.float32(0.0)
            for g in range(0, units, LANES):
                sums = _load(bias, g)
                for found in range(lookups):
                    sums = sums + _load(tables, rows[w * lookups + found] + g)
                score += _total(_rectified(sums) * _load(readout, g))
            out[start + w] = offset + score
    return seen <= 3


class Scorer:
    """Score windows with one or several networks; unchanging, so safe in several threads.

    Args:
        flat: float32 (networks, size).
        shape: of each network.
    """

    def __init__(self, flat: NDArray[np.float32], shape: Shape) -> None:
        named = {name: array.astype(np.float64) for name, array in shape.split(flat).items()}
        networks = len(flat)
        self.width = shape.width
        self._word = max(shape.kmer, min(WORD, shape.width))
        self._bias = np.ascontiguousarray(named["second_bias"].ravel(), np.float32)
        self._readout = np.ascontiguousarray(named["readout_weight"].ravel() / networks, np.float32)
        self._offset = float(named["readout_bias"].mean())
        joined = self._word - shape.kmer + 1
        firsts = list(range(0, shape.places, joined))
        # The last word may have to begin earlier; it then adds only places that no word before it has.
        begins = [min(first, shape.width - self._word) for first in firsts]
        self._ends = np.array([begin + self._word - 1 for begin in begins], np.int64)
        tables = np.zeros((len(firsts), 4**self._word, networks * shape.units))
        words = np.arange(4**self._word)
        letters = (words[:, None] >> 2 * np.arange(self._word)[::-1]) & 3
        for row, (first, begin) in enumerate(zip(firsts, begins, strict=True)):
            for place in range(first, min(first + joined, shape.places)):
                at = place - begin
                tables[row] += _place_table(named, shape, place)[_codes(letters[:, at : at + shape.kmer])]
        self._tables = np.ascontiguousarray(tables.ravel(), np.float32)

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows, in nats: uint8 (n, width) → float64 (n,). Raises ValueError for what is no window."""
        contexts = np.ascontiguousarray(contexts, dtype=np.uint8)
        if contexts.ndim != 2 or contexts.shape[1] != self.width:
            raise ValueError(f"contexts of shape {contexts.shape} instead of (n, {self.width})")
        out = np.empty(len(contexts))
        rows = np.empty(BLOCK * len(self._ends), np.int64)
        valid = _score(
            contexts, self._ends, self._word, self._tables, self._bias, self._readout, self._offset, rows, out
        )  # fmt: skip
        if not valid:
            raise ValueError("contexts hold values other than 0, 1, 2 and 3")
        return out


def _codes(letters: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(letters @ 4 ** np.arange(letters.shape[1])[::-1], dtype=np.int64)


def _place_table(named: dict[str, NDArray[np.float64]], shape: Shape, place: int) -> NDArray[np.float64]:
    """Give what each word of ``kmer`` bases adds to the sums of all networks at a place: float64 (4^kmer, networks · units)."""
    letters = (np.arange(4**shape.kmer)[:, None] >> 2 * np.arange(shape.kmer)[::-1]) & 3
    parts = []
    for first, bias, second in zip(named["first_weight"], named["first_bias"], named["second_weight"], strict=True):
        hidden = np.maximum(bias + first[np.arange(shape.kmer), letters].sum(axis=1), 0)  # (4^kmer, channels)
        parts.append(hidden @ second[place])
    return np.concatenate(parts, axis=1)
