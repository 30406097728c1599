"""Score windows and start sites with a bias model, in batches, on several threads.

A batch never depends on the number of threads, so results do not either. Start sites are scored once per distinct contig,
position and strand, however many reads begin there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import CLIPPED, PRESENT, Positions, StartSites, Stretches

#: Windows that a model is given at a time.
BATCH = 65_536
#: Positions whose windows are held in memory at a time, per thread.
CHUNK = 262_144
#: Positions that are scored along a sequence at a time: small enough for their numbers to stay in a fast cache.
STRETCH = 65_536
#: Reads whose starts are sorted at a time, and bases (log2) per bin when the genome is cut into stretches of so many.
GROUP, BIN_BITS = 1 << 19, 16
#: Of the 63 bits of a number to be sorted, those for the row of a read within its group; and what then fits.
ROW_BITS = 22
MOST_ROWS, MOST_PLACES = 1 << ROW_BITS, 1 << (62 - ROW_BITS)

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Turns positions into contexts, uint8 (n, width), and their validity, bool (n,): False with an N or off the contig.
Extract = Callable[[Positions], tuple[NDArray[np.uint8], NDArray[np.bool_]]]

#: Turns stretches into their sequence with flanks and whether all of it is known: ``contexts.extract_stretches``.
ExtractStretches = Callable[[Stretches], tuple[NDArray[np.uint8], bool]]


class Scorer(Protocol):
    """What scoring asks of a model: ``BiasModel.log_bias``."""

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,)."""
        ...


class AlongScorer(Protocol):
    """What scoring of stretches asks of a model: ``BiasModel.along``."""

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score consecutive windows: uint8 (n + width - 1,) → float64 (n,)."""
        ...


def in_order(work: Callable[[Item], Result], items: Iterator[Item], threads: int) -> Iterator[Result]:
    """Apply ``work`` to items on several threads and give the results in the order of the items, few of them at a time."""
    if threads <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(work, item) for item in islice(items, 2 * threads)]
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(work, item) for item in islice(items, 1))


def score(model: Scorer, contexts: NDArray[np.uint8], *, threads: int = 1, batch: int = BATCH) -> NDArray[np.float64]:
    """Score windows, uint8 (n, width) → float64 (n,), nats, as the model gives them."""
    out = np.empty(len(contexts))

    def one(first: int) -> None:
        part = np.ascontiguousarray(contexts[first : first + batch])
        out[first : first + len(part)] = model.log_bias(part)

    for _ in in_order(one, iter(range(0, len(contexts), batch)), threads):
        pass
    return out


def score_positions(
    model: Scorer, extract: Extract, positions: Positions, *, threads: int = 1, chunk: int = CHUNK
) -> NDArray[np.float64]:
    """Score positions, float64 (n,), nats; NaN where the window holds an N or leaves the contig.

    Windows are made chunk by chunk, so that memory does not grow with the number of positions.
    """
    out = np.full(len(positions), np.nan)

    def one(first: int) -> None:
        rows = slice(first, min(first + chunk, len(positions)))
        part = Positions(positions.contig[rows], positions.position[rows], positions.strand[rows], positions.weight[rows])
        contexts, valid = extract(part)
        out[rows][valid] = score(model, contexts if valid.all() else contexts[valid])

    for _ in in_order(one, iter(range(0, len(positions), chunk)), threads):
        pass
    return out


def score_stretches(
    model: AlongScorer, width: int, extract: ExtractStretches, stretches: Stretches, *, threads: int = 1, chunk: int = STRETCH
) -> NDArray[np.float64]:
    """Score all positions of stretches, float64 (positions,), nats, row after row, each row in genome order.

    NaN where the window (of ``width`` bases) holds an N or leaves the contig. The same numbers as :func:`score_positions` gives, but no
    windows are cut: the model goes along the sequence. About ``chunk`` positions are scored at a time, always whole stretches.
    """
    upto = np.concatenate(([0], np.cumsum(stretches.sizes)))
    out = np.empty(int(upto[-1]))
    part_of = upto[:-1] // chunk
    edges = np.flatnonzero(np.diff(part_of, prepend=-1, append=-1)).tolist()

    def one(number: int) -> None:
        rows = slice(edges[number], edges[number + 1])
        part = stretches.take(rows)
        sequence, whole = extract(part)
        known = sequence if whole else np.minimum(sequence, 3)
        windows = max(len(sequence) - width + 1, 0)
        scores = np.asarray(model.along(known) if windows else np.empty(0))
        if scores.shape != (windows,):
            # Compiled code reads them next, unchecked.
            raise ValueError(f"{type(model).__name__}.along gave scores of shape {scores.shape}, not ({windows},)")
        offsets = upto[rows.start : rows.stop + 1]
        _put_in_order(scores, sequence, whole, width, offsets, part.strand, out)

    for _ in in_order(one, iter(range(len(edges) - 1)), threads):
        pass
    return out


@njit(cache=True, nogil=True)
def _put_in_order(scores, sequence, whole, width, offsets, strand, out):  # type: ignore[no-untyped-def]
    """Leave out what reaches from one stretch into the next, turn stretches of the minus strand round, put NaN where bases are unknown."""
    flanks = width - 1
    for row in range(len(strand)):
        size = offsets[row + 1] - offsets[row]
        source = offsets[row] - offsets[0] + row * flanks
        target = offsets[row]
        if strand[row] == 0:
            for i in range(size):
                out[target + i] = scores[source + i]
        else:
            for i in range(size):
                out[target + size - 1 - i] = scores[source + i]
        if not whole:
            unknown = -width
            for i in range(size + flanks):
                if sequence[source + i] > 3:
                    unknown = i
                first = i - flanks
                if first >= 0 and unknown >= first:
                    out[target + (first if strand[row] == 0 else size - 1 - first)] = np.nan


@dataclass(frozen=True, slots=True)
class ReadScores:
    """Log bias of every read of some ends.

    Args:
        log_bias: per end number float32 (rows,), nats; NaN where the read is missing or could not be scored.
        sites: number of distinct start sites that were scored.
        invalid: of these, sites whose window holds an N or leaves the contig.
    """

    log_bias: dict[int, NDArray[np.float32]]
    sites: int
    invalid: int


def score_reads(
    model: Scorer,
    extract: Extract,
    sites: StartSites,
    *,
    ends: tuple[int, ...] | None = None,
    threads: int = 1,
    skip_clipped: bool = True,
    group: int = GROUP,
) -> ReadScores:
    """Score the start of every read of the given ends (all by default), each distinct site once.

    Where the 5' end of a read is clipped, the fragment did not begin at its first aligned base: with ``skip_clipped`` such
    reads are not scored (their weight will be 1). Reads are handled in stretches of the genome with about ``group`` reads each, so
    that the memory needed beside the result (4 bytes per read) does not grow with the sample.
    """
    numbers = tuple(range(len(sites.ends))) if ends is None else ends
    mask = PRESENT | (CLIPPED if skip_clipped else 0)
    out = {number: np.full(len(sites), np.nan, np.float32) for number in numbers}
    line = np.concatenate(([0], np.cumsum(np.asarray(sites.contig_lengths, dtype=np.int64))))
    histogram = np.zeros(int(line[-1] >> BIN_BITS) + 1, np.int64)
    for number in numbers:
        end = sites.ends[number]
        _count_bins(end.contig, end.position, end.bits, mask, PRESENT, line, BIN_BITS, histogram)
    stretches = list(_stretches(histogram, group))

    def one(stretch: tuple[int, int, int]) -> tuple[int, int]:
        low, high, size = stretch
        keys, rows, used = np.empty(size, np.int64), np.empty(size, np.int64), 0
        parts = []
        for number in numbers:
            end = sites.ends[number]
            before = used
            used = int(_select(end.contig, end.position, end.bits, mask, PRESENT, line, low, high, keys, rows, used))
            parts.append((number, before, used))
        # Sorting numbers that hold key and row is several times as fast as sorting rows by key.
        keys -= 2 * low
        if high - low < MOST_PLACES and size <= MOST_ROWS:
            keys <<= ROW_BITS
            keys |= np.arange(size)
            keys.sort()
            order = keys & ((1 << ROW_BITS) - 1)
            ordered = keys >> ROW_BITS
        else:
            order = np.argsort(keys)
            ordered = keys[order]
        ordered += 2 * low
        fresh = np.concatenate((np.ones(min(size, 1), bool), ordered[1:] != ordered[:-1]))
        # Stretches are worked on side by side; where there is but one, its windows are.
        found = score_positions(model, extract, _positions(ordered[fresh], line), threads=threads if len(stretches) == 1 else 1)
        values = np.empty(size, np.float32)
        values[order] = found[np.cumsum(fresh) - 1]
        for number, first, last in parts:
            out[number][rows[first:last]] = values[first:last]
        return len(found), int(np.isnan(found).sum())

    scored = invalid = 0
    for sites_scored, sites_invalid in in_order(one, iter(stretches), threads):
        scored, invalid = scored + sites_scored, invalid + sites_invalid
    return ReadScores(out, scored, invalid)


def _stretches(histogram: NDArray[np.int64], group: int) -> Iterator[tuple[int, int, int]]:
    """Join neighbouring bins up to about ``group`` reads: first place, place after the last, reads."""
    first, size = 0, 0
    for number, reads in enumerate(histogram.tolist()):
        if size and size + reads > group:
            yield first << BIN_BITS, number << BIN_BITS, size
            first, size = number, 0
        size += reads
    if size:
        yield first << BIN_BITS, len(histogram) << BIN_BITS, size


def _positions(keys: NDArray[np.int64], line: NDArray[np.int64]) -> Positions:
    """Turn ascending keys, 2 × place on the line that joins all contigs + strand, into positions."""
    place = keys // 2
    contig = np.searchsorted(line, place, side="right") - 1
    weight = np.broadcast_to(np.float64(1.0), len(keys))
    return Positions(contig.astype(np.int32), place - line[contig], (keys % 2).astype(np.uint8), weight)


@njit(cache=True, nogil=True)
def _count_bins(contig, position, bits, mask, wanted, line, shift, histogram):  # type: ignore[no-untyped-def]
    """Count the wanted reads per bin of the joined line."""
    for i in range(len(bits)):
        if bits[i] & mask == wanted:
            histogram[(line[contig[i]] + position[i]) >> shift] += 1


@njit(cache=True, nogil=True)
def _select(contig, position, bits, mask, wanted, line, low, high, keys, rows, used):  # type: ignore[no-untyped-def]
    """List keys and rows of the wanted reads between two places of the joined line."""
    for i in range(len(bits)):
        if bits[i] & mask == wanted:
            place = line[contig[i]] + position[i]
            if low <= place < high:
                keys[used] = 2 * place + (1 if bits[i] & 2 else 0)
                rows[used] = i
                used += 1
    return used
