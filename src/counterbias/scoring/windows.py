"""Score windows, positions and stretches with a bias model, in batches, on several threads.

A batch never depends on the number of threads, so neither do the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias.records import Positions, Stretches

#: Windows passed to a model at a time.
BATCH = 65_536
#: Positions whose windows are in memory at a time, per thread.
CHUNK = 262_144
#: Positions scored along a sequence at a time: few enough to stay in a fast cache.
STRETCH = 131_072

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Cuts the windows at positions: contexts, uint8 (n, width), and validity, bool (n,), False with an
#: N or off the contig.
Extract = Callable[[Positions], tuple[NDArray[np.uint8], NDArray[np.bool_]]]

#: Cuts stretches: their sequence with flanks, and whether all of it is known, as
#: :func:`counterbias.genome.extract_stretches` does.
ExtractStretches = Callable[[Stretches], tuple[NDArray[np.uint8], bool]]


class Scorer(Protocol):
    """What scoring needs of a model: ``BiasModel.log_bias``."""

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,)."""
        ...


class AlongScorer(Protocol):
    """What scoring of stretches needs of a model: ``BiasModel.along``."""

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score consecutive windows: uint8 (n + width - 1,) → float64 (n,)."""
        ...


def in_order(
    work: Callable[[Item], Result], items: Iterator[Item], threads: int
) -> Iterator[Result]:
    """Apply ``work`` to items on several threads; yield the results in the order of the items.

    Only a few items are in work at a time.
    """
    if threads <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(work, item) for item in islice(items, 2 * threads)]
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(work, item) for item in islice(items, 1))


def score(
    model: Scorer, contexts: NDArray[np.uint8], *, threads: int = 1, batch: int = BATCH
) -> NDArray[np.float64]:
    """Score windows, uint8 (n, width) → float64 (n,), nats, uncalibrated."""
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

    Windows are cut chunk by chunk, so that memory does not grow with the number of positions.
    """
    out = np.full(len(positions), np.nan)

    def one(first: int) -> None:
        rows = slice(first, min(first + chunk, len(positions)))
        part = Positions(
            positions.contig[rows],
            positions.position[rows],
            positions.strand[rows],
            positions.weight[rows],
        )
        contexts, valid = extract(part)
        out[rows][valid] = score(model, contexts if valid.all() else contexts[valid])

    for _ in in_order(one, iter(range(0, len(positions), chunk)), threads):
        pass
    return out


def score_stretches(
    model: AlongScorer,
    width: int,
    extract: ExtractStretches,
    stretches: Stretches,
    *,
    threads: int = 1,
    chunk: int = STRETCH,
) -> NDArray[np.float64]:
    """Score all positions of stretches, row after row in genome order, float64 (positions,), nats.

    NaN where the window (of ``width`` bases) holds an N or leaves the contig. The scores are those
    of :func:`score_positions`, but no windows are cut: the model scores the sequence as a whole.
    About ``chunk`` positions are scored at a time, always whole stretches.
    """
    upto = np.concatenate(([0], np.cumsum(stretches.sizes)))
    out = np.empty(int(upto[-1]))
    # Parts of about equal size, each of whole stretches.
    parts = max(1, round(len(out) / chunk))
    begins = np.searchsorted(upto[:-1], np.arange(parts) * (len(out) / parts))
    edges = sorted({*begins.tolist(), len(stretches)})

    def one(number: int) -> None:
        rows = slice(edges[number], edges[number + 1])
        part = stretches.take(rows)
        sequence, whole = extract(part)
        known = sequence if whole else np.minimum(sequence, 3)
        windows = max(len(sequence) - width + 1, 0)
        scores = np.asarray(model.along(known) if windows else np.empty(0))
        if scores.shape != (windows,):
            # The compiled code below does not check bounds.
            raise ValueError(
                f"{type(model).__name__}.along gave scores of shape {scores.shape}, "
                f"not ({windows},)"
            )
        offsets = upto[rows.start : rows.stop + 1]
        _put_in_order(scores, sequence, whole, width, offsets, part.strand, out)

    for _ in in_order(one, iter(range(len(edges) - 1)), threads):
        pass
    return out


@loop("f8[::1], u1[::1], b1, i8, i8[::1], u1[::1], f8[::1]")
def _put_in_order(scores, sequence, whole, width, offsets, strand, out):  # type: ignore[no-untyped-def]
    """Copy the scores of stretches in genome order, NaN where the window has an unknown base.

    Windows that reach from one stretch into the next are dropped; stretches of the minus strand are
    reversed.
    """
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
