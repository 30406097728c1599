"""The distinct start sites of a sample's reads, each scored once, however many reads begin there.

Nearly all reads begin within features, every position of which is scored in any case, for effective
lengths. So sites are first listed, which needs no model; then they take over the scores of the
positions where they lie; only the rest is scored separately.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.records import CLIPPED, PRESENT, REVERSE, Positions, StartSites, Stretches
from counterbias.scoring.windows import Extract, Scorer, score_positions

#: Reads, about, whose sites are listed at a time.
GROUP = 1 << 23
#: Bases, log2, of the bins in which reads are counted; most bins whose sites are listed at a time.
BIN_BITS, MOST_BINS = 16, 1 << 10
#: Sites scored separately at a time.
REST = 1 << 21


class SiteScores:
    """Log biases, uncalibrated, of the distinct places and strands where reads start.

    Where the 5' end of a read is clipped, the fragment did not begin at its first aligned base:
    such reads have no site. Takes 4 bytes per row and end of ``sites`` and 8 per distinct site.

    Args:
        sites: where reads start.
        ends: the numbers of the ends whose reads count; None for all.
        group: reads, about, listed at a time.
    """

    def __init__(
        self,
        sites: StartSites,
        *,
        ends: tuple[int, ...] | None = None,
        group: int = GROUP,
    ) -> None:
        numbers = tuple(range(len(sites.ends))) if ends is None else ends
        mask = PRESENT | CLIPPED
        line = sites.line
        histogram = np.zeros(int(line[-1] >> BIN_BITS) + 1, np.int64)
        chosen = [sites.ends[number] for number in numbers]
        self._site_of = {number: np.full(len(sites), -1, np.int32) for number in numbers}
        for end in chosen:
            _count_bins(end.contig, end.position, end.bits, mask, line, histogram)
        keys, per_contig, before = (
            [np.empty(0, np.uint32)],
            np.zeros(len(sites.contigs), np.int64),
            0,
        )
        ranges = list(_ranges(histogram, group))
        words = max((2 * (high - low) >> 6 for low, high in ranges), default=0)
        every_mark, ranks = np.empty(words, np.uint64), np.empty(words, np.int32)
        for low, high in ranges:
            marks = every_mark[: 2 * (high - low) >> 6]
            marks[:] = 0
            for end in chosen:
                _mark(end.contig, end.position, end.bits, mask, line, low, high, marks)
            total = int(_rank(marks, ranks))
            for number, end in zip(numbers, chosen, strict=True):
                _assign(
                    end.contig, end.position, end.bits, mask, line, low, high, marks, ranks, before,
                    self._site_of[number],
                )  # fmt: skip
            keys.append(_list(marks, total, low, line, per_contig))
            before += total
        #: uint32 (sites,), 2 · position + strand, ascending within each contig; those of contig c
        #: begin at self._offsets[c].
        self._keys = np.concatenate(keys)
        self._offsets = np.concatenate(([0], np.cumsum(per_contig)))
        #: float32 (sites,), nats; infinite where not scored yet, NaN where there is no score.
        self._log_bias = np.full(len(self._keys), np.inf, np.float32)
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._log_bias)

    def take(self, stretches: Stretches, log_bias: NDArray[np.float64]) -> None:
        """Take over the log biases of all positions of stretches.

        Several threads may call this at once. Where stretches overlap, the lower score stays,
        whichever came first: along another stretch, a model may score a place differently in its
        last digit.

        Args:
            stretches: the stretches.
            log_bias: float64 (positions,), nats, row after row in genome order.
        """
        with self._lock:
            _take(
                stretches.contig, stretches.start, stretches.end, stretches.strand, log_bias,
                self._offsets, self._keys, self._log_bias,
            )  # fmt: skip

    def score_rest(self, model: Scorer, extract: Extract, *, threads: int = 1) -> int:
        """Score the sites that are not scored yet, and forget where they lie; return how many."""
        every = np.flatnonzero(self._log_bias == np.inf)
        for first in range(0, len(every), REST):
            rest = every[first : first + REST]
            keys = self._keys[rest]
            contig = np.searchsorted(self._offsets, rest, side="right") - 1
            weight = np.broadcast_to(np.float64(1.0), len(rest))
            places = Positions(
                contig.astype(np.int32),
                (keys >> 1).astype(np.int64),
                (keys & 1).astype(np.uint8),
                weight,
            )
            self._log_bias[rest] = score_positions(model, extract, places, threads=threads)
        # Needed for this alone, and weighting comes next, which takes the most memory.
        self._keys = self._keys[:0].copy()
        return len(every)

    def of_reads(self, number: int, rows: slice) -> NDArray[np.float64]:
        """Return the log bias of some rows' reads of one end, float64 (rows,), nats.

        NaN without a site or a score, infinite if not scored yet.
        """
        site_of = self._site_of[number][rows]
        out = np.empty(len(site_of))
        _gather(site_of, self._log_bias, out)
        return out


def _ranges(histogram: NDArray[np.int64], group: int) -> Iterator[tuple[int, int]]:
    """Join neighbouring bins up to about ``group`` reads and :data:`MOST_BINS` bins.

    Yields the first place of each range, and the one after its last.
    """
    used = np.flatnonzero(histogram)
    first, last, size = -1, -1, 0
    for number, reads in zip(used.tolist(), histogram[used].tolist(), strict=True):
        if first >= 0 and (size + reads > group or number - first >= MOST_BINS):
            yield first << BIN_BITS, last + 1 << BIN_BITS
            first, size = -1, 0
        first, last, size = number if first < 0 else first, number, size + reads
    if first >= 0:
        yield first << BIN_BITS, last + 1 << BIN_BITS


@loop("i4[::1], i4[::1], u1[::1], i8, i8[::1], i8[::1]")
def _count_bins(contig, position, bits, mask, line, histogram):  # type: ignore[no-untyped-def]
    """Count the wanted reads per bin of the line that joins all contigs.

    ``line`` holds where each contig begins. Wanted are reads whose bits, masked, are ``PRESENT``.
    """
    for i in range(len(bits)):
        if bits[i] & mask == PRESENT:
            place = line[contig[i]] + position[i]
            if place < line[contig[i] + 1]:  # a read off its contig has no site
                histogram[place >> BIN_BITS] += 1


@loop("i4[::1], i4[::1], u1[::1], i8, i8[::1], i8, i8, u8[::1]")
def _mark(contig, position, bits, mask, line, low, high, marks):  # type: ignore[no-untyped-def]
    """Mark the wanted sites between two places of the line: bit 2 · place + strand of ``marks``."""
    for i in range(len(bits)):
        if bits[i] & mask == PRESENT:
            place = line[contig[i]] + position[i]
            if low <= place < min(high, line[contig[i] + 1]):
                bit = 2 * (place - low) + (1 if bits[i] & REVERSE else 0)
                marks[bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)


@helper(inline=True)
def _ones(word):  # type: ignore[no-untyped-def]
    """Count the bits of a word that are set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@loop("u8[::1], i4[::1]")
def _rank(marks, ranks):  # type: ignore[no-untyped-def]
    """Write, per word, the number of marks before it; return the number of marks."""
    total = 0
    for i in range(len(marks)):
        ranks[i] = total
        total += _ones(marks[i])
    return total


@loop("i4[::1], i4[::1], u1[::1], i8, i8[::1], i8, i8, u8[::1], i4[::1], i8, i4[::1]")
def _assign(  # type: ignore[no-untyped-def]
    contig, position, bits, mask, line, low, high, marks, ranks, before, site_of
):
    """Assign reads between two places their site's number: the marks before it, plus ``before``."""
    for i in range(len(bits)):
        if bits[i] & mask == PRESENT:
            place = line[contig[i]] + position[i]
            if low <= place < min(high, line[contig[i] + 1]):
                bit = 2 * (place - low) + (1 if bits[i] & REVERSE else 0)
                below = (np.uint64(1) << np.uint64(bit & 63)) - np.uint64(1)
                site_of[i] = before + ranks[bit >> 6] + _ones(marks[bit >> 6] & below)


@loop("u8[::1], i8, i8, i8[::1], i8[::1]")
def _list(marks, total, low, line, per_contig):  # type: ignore[no-untyped-def]
    """List marked sites as 2 · position + strand, in order, and count them per contig."""
    keys = np.empty(total, np.uint32)
    contig, used = 0, 0
    for i in range(len(marks)):
        word = marks[i]
        while word != 0:
            bit = 64 * i + _ones((word & (~word + np.uint64(1))) - np.uint64(1))
            word &= word - np.uint64(1)
            place = low + (bit >> 1)
            while place >= line[contig + 1]:
                contig += 1
            keys[used] = 2 * (place - line[contig]) + (bit & 1)
            per_contig[contig] += 1
            used += 1
    return keys


@loop("i4[::1], i8[::1], i8[::1], u1[::1], f8[::1], i8[::1], u4[::1], f4[::1]")
def _take(contig, start, end, strand, values, offsets, keys, log_bias):  # type: ignore[no-untyped-def]
    """Copy the values of stretches to the sites within them."""
    before = 0
    for row in range(len(start)):
        if contig[row] >= 0:
            at, last = offsets[contig[row]], offsets[contig[row] + 1]
            beyond = last
            while at < beyond:
                middle = (at + beyond) // 2
                if np.int64(keys[middle]) < 2 * start[row]:
                    at = middle + 1
                else:
                    beyond = middle
            while at < last and np.int64(keys[at]) < 2 * end[row]:
                if (keys[at] & 1) == strand[row]:
                    value = np.float32(values[before + np.int64(keys[at] >> 1) - start[row]])
                    if value < log_bias[at] or np.isnan(value):
                        log_bias[at] = value
                at += 1
        before += end[row] - start[row]


@loop("i4[::1], f4[::1], f8[::1]")
def _gather(site_of, log_bias, out):  # type: ignore[no-untyped-def]
    """Copy each site's log bias to its reads; NaN for reads without a site."""
    for i in range(len(site_of)):
        out[i] = log_bias[site_of[i]] if site_of[i] >= 0 else np.nan
