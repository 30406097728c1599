"""Score windows with fitted convolutional networks, without torch.

In: the parameters of the networks, and windows. Out: the mean of the networks' scores. The first
layer sees a few bases at a time, so what a word of bases adds to the second layer's sums at a place
can be looked up. Neighbouring places are joined to longer words, so that a window of 21 bases takes
a few look-ups of one row each. Sums are float32; tests hold them to within 1e-5 of torch in double
precision. The windows of a stretch of sequence share its words, but each has its own sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias_backends.cnn.parameters import LANES, Shape
from counterbias_backends.lanes import aligned, vector_functions
from counterbias_backends.packing import MOST, pack

#: Bases per looked-up word. With 5, the tables of a network of 16 units take 0.5 MB; longer words
#: need fewer look-ups, but may miss the cache.
WORD = 5
#: Windows that are packed before any of their words is looked up.
BLOCK = 64

_VECTORS = vector_functions("float32", LANES)
_load, _rectified, _total = _VECTORS.load, _VECTORS.rectified, _VECTORS.total


@loop(
    "u1[::1], i8, i8[::1], i8[::1], i8, f4[::1], f4[::1], f4[::1], f8, f8[::1]",
    error_model="numpy",
)
def _score(
    contexts: NDArray[np.uint8],
    width: int,
    begins: NDArray[np.int64],
    groups: NDArray[np.int64],
    word: int,
    tables: NDArray[np.float32],
    bias: NDArray[np.float32],
    readout: NDArray[np.float32],
    offset: float,
    out: NDArray[np.float64],
) -> bool:
    """Write the scores of windows to ``out``; return False where a base was above 3.

    Bases are masked before use, so that no memory outside the tables is read.

    Args:
        contexts: (n · width,).
        width: bases per window.
        begins: (look-ups,), ascending: the column of the first base of each word.
        groups: (groups + 1,): look-ups ``groups[i]`` to ``groups[i + 1]`` have their words within
            32 bases, which are packed.
        word: bases per word.
        tables: (look-ups · 4^word · units,), the first base of a word counting least.
        bias, readout: (units,) of all networks.
        offset: added to every score.
        out: (n,).
    """
    units = len(bias)
    size = 1 << (2 * word)
    seen = np.uint64(0)
    number = len(groups) - 1
    lookups = len(begins)
    codes = np.zeros(BLOCK, np.uint64)
    rows = np.empty(BLOCK * lookups, np.int64)
    for start in range(0, len(out), BLOCK):
        count = min(BLOCK, len(out) - start)
        for i in range(number):
            begin = begins[groups[i]]
            wide = begins[groups[i + 1] - 1] + word - begin
            seen |= pack(contexts, start * width + begin, width, wide, codes[:count])
            for found in range(groups[i], groups[i + 1]):
                shift = np.uint64(2 * (begins[found] - begin))
                own = rows[found * BLOCK : (found + 1) * BLOCK]
                for w in range(BLOCK):
                    own[w] = (found * size + (np.int64(codes[w] >> shift) & (size - 1))) * units
        for w in range(count):
            score = np.float32(0.0)
            for g in range(0, units, LANES):
                sums = _load(bias, g)
                at = np.uint64(w)  # unsigned: no check for being below 0
                for _ in range(lookups):
                    sums = sums + _load(tables, rows[at] + g)
                    at += np.uint64(BLOCK)
                score += _total(_rectified(sums) * _load(readout, g))
            out[start + w] = offset + score
    return bool(seen == 0)


@loop("u1[::1], i8[::1], i8, f4[::1], f4[::1], f4[::1], f8, u4[::1], f8[::1]", error_model="numpy")
def _score_along(
    sequence: NDArray[np.uint8],
    begins: NDArray[np.int64],
    word: int,
    tables: NDArray[np.float32],
    bias: NDArray[np.float32],
    readout: NDArray[np.float32],
    offset: float,
    codes: NDArray[np.uint32],
    out: NDArray[np.float64],
) -> bool:
    """Write the scores of all windows of a sequence to ``out``, as :func:`_score` does.

    Args:
        sequence: (n + width − 1,).
        begins, word, tables, bias, readout, offset, out: as for :func:`_score`.
        codes: (n + width − 1,), scratch: where in its table the row of the word lies that begins at
            each base.
    """
    units = len(bias)
    lookups = len(begins)
    size = 1 << (2 * word)
    seen = np.uint8(0)
    code = np.int64(0)
    for i in range(len(sequence) - 1, -1, -1):
        base = sequence[i]
        seen |= base
        code = ((code << 2) | np.int64(base & 3)) & (size - 1)
        codes[i] = code * units
    # Unsigned addresses are not checked for being below 0; four windows at a time share theirs.
    table = np.uint64(size * units)
    whole = len(out) // 4 * 4
    for j in range(0, whole, 4):
        a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for g in range(0, units, LANES):
            sums_a, sums_b, sums_c, sums_d = (
                _load(bias, g),
                _load(bias, g),
                _load(bias, g),
                _load(bias, g),
            )
            row = np.uint64(g)
            for found in range(lookups):
                at = np.uint64(j) + np.uint64(begins[found])
                sums_a = sums_a + _load(tables, row + np.uint64(codes[at]))
                sums_b = sums_b + _load(tables, row + np.uint64(codes[at + np.uint64(1)]))
                sums_c = sums_c + _load(tables, row + np.uint64(codes[at + np.uint64(2)]))
                sums_d = sums_d + _load(tables, row + np.uint64(codes[at + np.uint64(3)]))
                row += table
            weights = _load(readout, g)
            a += _total(_rectified(sums_a) * weights)
            b += _total(_rectified(sums_b) * weights)
            c += _total(_rectified(sums_c) * weights)
            d += _total(_rectified(sums_d) * weights)
        out[j], out[j + 1], out[j + 2], out[j + 3] = offset + a, offset + b, offset + c, offset + d
    for j in range(whole, len(out)):
        score = np.float32(0.0)
        for g in range(0, units, LANES):
            sums = _load(bias, g)
            for found in range(lookups):
                sums = sums + _load(
                    tables, found * (size * units) + np.int64(codes[j + begins[found]]) + g
                )
            score += _total(_rectified(sums) * _load(readout, g))
        out[j] = offset + score
    return bool(seen <= 3)


class Scorer:
    """Score windows with one or several networks; immutable, so safe in several threads.

    Args:
        flat: float32 (networks, size).
        shape: of each network.
    """

    def __init__(self, flat: NDArray[np.float32], shape: Shape) -> None:
        named = {name: array.astype(np.float64) for name, array in shape.split(flat).items()}
        networks = len(flat)
        self.width = shape.width
        self._word = max(shape.kmer, min(WORD, shape.width))
        self._bias = aligned(named["second_bias"].astype(np.float32))
        self._readout = aligned((named["readout_weight"] / networks).astype(np.float32))
        self._offset = float(named["readout_bias"].mean())
        joined = self._word - shape.kmer + 1
        firsts = list(range(0, shape.places, joined))
        # The last word may have to begin earlier; it then adds only places that no word has yet.
        begins = [min(first, shape.width - self._word) for first in firsts]
        self._begins = np.array(begins, np.int64)
        self._groups = np.array(_grouped(begins, self._word), np.int64)
        tables = np.zeros((len(firsts), 4**self._word, networks * shape.units))
        words = np.arange(4**self._word)
        letters = (words[:, None] >> 2 * np.arange(self._word)) & 3
        for row, (first, begin) in enumerate(zip(firsts, begins, strict=True)):
            for place in range(first, min(first + joined, shape.places)):
                at = place - begin
                tables[row] += _place_table(named, shape, place)[
                    _codes(letters[:, at : at + shape.kmer])
                ]
        self._tables = aligned(tables.astype(np.float32))

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats.

        Raises ValueError for anything but windows of bases.
        """
        contexts = np.ascontiguousarray(contexts, dtype=np.uint8)
        if contexts.ndim != 2 or contexts.shape[1] != self.width:
            raise ValueError(f"contexts of shape {contexts.shape} instead of (n, {self.width})")
        out = np.empty(len(contexts))
        valid = _score(
            contexts.reshape(-1), self.width, self._begins, self._groups, self._word, self._tables,
            self._bias, self._readout, self._offset, out,
        )  # fmt: skip
        if not valid:
            raise ValueError("contexts hold values other than 0, 1, 2 and 3")
        return out

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score every window of a sequence: uint8 (n + width − 1,) → float64 (n,), nats.

        The scores are those of :meth:`log_bias`, bit for bit. Raises ValueError for anything but a
        sequence of bases, no shorter than a window.
        """
        sequence = np.ascontiguousarray(sequence, dtype=np.uint8)
        if sequence.ndim != 1 or len(sequence) < self.width:
            raise ValueError(
                f"a sequence of shape {sequence.shape} has no window of {self.width} bases"
            )
        out = np.empty(len(sequence) - self.width + 1)
        codes = np.empty(len(sequence), np.uint32)
        valid = _score_along(
            sequence, self._begins, self._word, self._tables, self._bias, self._readout,
            self._offset, codes, out,
        )  # fmt: skip
        if not valid:
            raise ValueError("the sequence holds values other than 0, 1, 2 and 3")
        return out


def _grouped(begins: list[int], word: int) -> list[int]:
    """Group words, by their first columns, so that the bases of a group can be packed together."""
    groups = [0]
    for found, begin in enumerate(begins):
        if begin + word - begins[groups[-1]] > MOST:
            groups.append(found)
    return [*groups, len(begins)]


def _codes(letters: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(letters @ 4 ** np.arange(letters.shape[1])[::-1], dtype=np.int64)


def _place_table(
    named: dict[str, NDArray[np.float64]], shape: Shape, place: int
) -> NDArray[np.float64]:
    """Return what each word of ``kmer`` bases adds to the sums of all networks at a place.

    float64 (4^kmer, networks · units).
    """
    letters = (np.arange(4**shape.kmer)[:, None] >> 2 * np.arange(shape.kmer)[::-1]) & 3
    parts = []
    for first, bias, second in zip(
        named["first_weight"], named["first_bias"], named["second_weight"], strict=True
    ):
        hidden = np.maximum(
            bias + first[np.arange(shape.kmer), letters].sum(axis=1), 0
        )  # (4^kmer, channels)
        parts.append(hidden @ second[place])
    return np.concatenate(parts, axis=1)
