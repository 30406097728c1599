"""Score windows and start sites with a bias model, in batches, on several threads.

A batch never depends on the number of threads, so results do not either. Start sites are scored once per distinct contig,
position and strand, however many reads begin there, and kept in 8 bytes each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from counterbias.records import CLIPPED, PRESENT, REVERSE, EndSites, Positions, StartSites

#: Windows that a model is given at a time.
BATCH = 65_536
#: Positions whose windows are held in memory at a time, per thread.
CHUNK = 262_144
#: Bases per group of contigs; 2 × this must fit into 32 bits.
GROUP = 1 << 28

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Turns positions into contexts, uint8 (n, width), and their validity, bool (n,): False with an N or off the contig.
Extract = Callable[[Positions], tuple[NDArray[np.uint8], NDArray[np.bool_]]]


class Scorer(Protocol):
    """What scoring asks of a model: ``BiasModel.log_bias``."""

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,)."""
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


@dataclass(frozen=True, slots=True)
class SiteScores:
    """Log bias of every distinct start site of some ends, by group of contigs.

    Group ``g`` holds contigs ``bounds[g]`` to ``bounds[g + 1] - 1``, laid end to end.

    Args:
        bounds: first contig of each group, and the number of contigs at the end.
        offsets: int64 (contigs,), where each contig begins within its group.
        keys: per group uint32 (sites,), ascending: 2 × place within the group + strand.
        log_bias: per group float32 (sites,), nats, NaN where the window holds an N or leaves the contig.
        skip_clipped: whether reads clipped at their 5' end have no log bias, even where another read starts there.
    """

    bounds: tuple[int, ...]
    offsets: NDArray[np.int64]
    keys: tuple[NDArray[np.uint32], ...]
    log_bias: tuple[NDArray[np.float32], ...]
    skip_clipped: bool = True

    def __len__(self) -> int:
        return sum(len(part) for part in self.keys)

    @property
    def unscored(self) -> int:
        """Number of distinct sites whose window holds an N or leaves the contig."""
        return sum(int(np.isnan(part).sum()) for part in self.log_bias)

    def of(self, end: EndSites, rows: slice) -> NDArray[np.float64]:
        """Look up the log bias of some reads, float64; NaN where the read is missing or its site was not scored."""
        contig, position, bits = end.contig[rows], end.position[rows], end.bits[rows]
        out = np.full(len(contig), np.nan)
        present = _wanted(bits, self.skip_clipped)
        for group, keys in enumerate(self.keys):
            chosen = np.flatnonzero(present & _within(contig, self.bounds, group))
            if not len(chosen) or not len(keys):
                continue
            wanted = _keys(self.offsets, contig[chosen], position[chosen], bits[chosen])
            # Looked up in ascending order, neighbours share the cache: ten times faster on name-sorted files.
            order = np.argsort(wanted)
            chosen, wanted = chosen[order], wanted[order]
            row = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            out[chosen] = np.where(keys[row] == wanted, self.log_bias[group][row], np.nan)
        return out


def score_sites(
    model: Scorer,
    extract: Extract,
    sites: StartSites,
    *,
    ends: tuple[int, ...] | None = None,
    threads: int = 1,
    skip_clipped: bool = True,
) -> SiteScores:
    """Score every distinct start of the given ends (all by default) once.

    Where the 5' end of a read is clipped, the fragment did not begin at its first aligned base: with ``skip_clipped`` such
    reads are not scored (their weight will be 1).
    """
    bounds, offsets = _groups(sites.contig_lengths)
    all_keys, all_scores = [], []
    for group in range(len(bounds) - 1):
        found = []
        for number in range(len(sites.ends)) if ends is None else ends:
            end = sites.ends[number]
            wanted = _wanted(end.bits, skip_clipped) & _within(end.contig, bounds, group)
            found.append(_keys(offsets, end.contig[wanted], end.position[wanted], end.bits[wanted]))
        keys = np.concatenate(found)
        del found
        keys.sort()
        keys = keys[np.concatenate((np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1]))]
        all_scores.append(_score_keys(model, extract, keys, (bounds[group], bounds[group + 1]), offsets, threads))
        all_keys.append(keys)
    return SiteScores(bounds, offsets, tuple(all_keys), tuple(all_scores), skip_clipped)


def _score_keys(
    model: Scorer,
    extract: Extract,
    keys: NDArray[np.uint32],
    contigs: tuple[int, int],
    offsets: NDArray[np.int64],
    threads: int,
) -> NDArray[np.float32]:
    """Score the sites of one group, positions and windows made chunk by chunk."""
    out = np.empty(len(keys), np.float32)

    def one(first: int) -> None:
        part = keys[first : first + CHUNK]
        out[first : first + len(part)] = score_positions(model, extract, _positions(part, *contigs, offsets))

    for _ in in_order(one, iter(range(0, len(keys), CHUNK)), threads):
        pass
    return out


def _groups(lengths: tuple[int, ...]) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """Group neighbouring contigs up to about :data:`GROUP` bases; bounds and each contig's offset within its group."""
    bounds, offsets, filled = [0], np.zeros(len(lengths), np.int64), 0
    for contig, length in enumerate(lengths):
        if filled and filled + length > GROUP:
            bounds.append(contig)
            filled = 0
        offsets[contig] = filled
        filled += length
    if lengths:
        bounds.append(len(lengths))
    return tuple(bounds), offsets


def _wanted(bits: NDArray[np.uint8], skip_clipped: bool) -> NDArray[np.bool_]:
    return np.asarray((bits & (PRESENT | CLIPPED if skip_clipped else PRESENT)) == PRESENT)


def _within(contig: NDArray[np.int32], bounds: tuple[int, ...], group: int) -> NDArray[np.bool_]:
    return np.asarray((contig >= bounds[group]) & (contig < bounds[group + 1]))


def _keys(
    offsets: NDArray[np.int64], contig: NDArray[np.int32], position: NDArray[np.int32], bits: NDArray[np.uint8]
) -> NDArray[np.uint32]:
    return np.asarray(2 * (offsets[contig] + position) + ((bits & REVERSE) != 0), dtype=np.uint32)


def _positions(keys: NDArray[np.uint32], first: int, last: int, offsets: NDArray[np.int64]) -> Positions:
    place = (keys // 2).astype(np.int64)
    # An empty contig shares its offset with the next one; the later of the two is the right one.
    contig = first + np.searchsorted(offsets[first:last], place, side="right") - 1
    weight = np.broadcast_to(np.float64(1.0), len(keys))
    return Positions(contig.astype(np.int32), place - offsets[contig], (keys % 2).astype(np.uint8), weight)
