"""From molecules to counts: UMIs are corrected, then each is counted once, for one feature.

The rules are those of htseq-count-barcodes. Correction goes through the UMIs of a cell from the one
with most reads to the one with fewest, in the order of their first read where these are equal; a
UMI that is left takes the reads of all later ones within the distance, which then are gone, even if
others lie within the distance of those. A UMI is counted for the feature or class with most of its
reads, and for none where two have equally many.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.native import load_u8
from counterbias.pipeline.counting.barcode_numbers import slots_for
from counterbias.pipeline.counting.molecules import (
    CELL,
    FEATURE,
    UMI,
    MoleculeCounter,
    hash_key,
)
from counterbias.records.cells import CellCounts


@loop("i4[:, ::1], i8, i8[::1], i8[::1]")
def _sort_by_cell(keys: Any, used: Any, firsts: Any, order: Any) -> Any:
    """List the molecules of each cell in ``order[firsts[cell]:firsts[cell + 1]]``, in their order.

    ``firsts`` must be all zero.
    """
    cells = len(firsts) - 1
    for number in range(used):
        firsts[keys[number, CELL] + 1] += 1
    for cell in range(cells):
        firsts[cell + 1] += firsts[cell]
    place = firsts.copy()
    for number in range(used):
        cell = keys[number, CELL]
        order[place[cell]] = number
        place[cell] += 1


@helper
def _piece_slot(text: Any, size: Any, piece: Any, pieces: Any, mask: Any) -> Any:
    """Hash one of the pieces of the text at an address, for a table of ``mask + 1`` slots."""
    value = np.uint64(size * pieces + piece)
    for i in range(size * piece // pieces, size * (piece + 1) // pieces):
        value = (value ^ np.uint64(load_u8(text + i))) * np.uint64(0x100000001B3)
        value ^= value >> np.uint64(29)
    return np.int64(value ^ (value >> np.uint64(31))) & mask


@helper
def _are_close(one: Any, two: Any, size: Any, distance: Any) -> Any:
    """Whether the texts at two addresses differ in at most ``distance`` characters."""
    different = 0
    for i in range(size):
        different += load_u8(one + i) != load_u8(two + i)
        if different > distance:
            return False
    return True


@helper
def _merge(
    count: Any, number: Any, total: Any, texts: Any, starts: Any, distance: Any, into: Any
) -> Any:
    """Find for each of a cell's UMIs the one that takes its reads, which may be itself.

    Two texts within the distance agree in one of ``distance + 1`` pieces at least. So a UMI is only
    compared with those that are left and share a piece with it: they are chained by the hashes of
    their pieces.
    """
    pieces = distance + 1
    # From most to fewest reads; UMIs are numbered in the order of their first reads.
    order = np.argsort(-total[:count], kind="mergesort")
    slots = 2
    while slots < 2 * count:
        slots *= 2
    heads = np.full(pieces * slots, -1, dtype=np.int64)
    following = np.empty(pieces * count, dtype=np.int64)
    for rank in range(count):
        umi = order[rank]
        text = texts + starts[number[umi]]
        size = starts[number[umi] + 1] - starts[number[umi]]
        nearest = np.int64(count)
        for piece in range(pieces):
            other = heads[piece * slots + _piece_slot(text, size, piece, pieces, slots - 1)]
            while other >= 0:
                left = number[order[other]]
                if (
                    other < nearest
                    and starts[left + 1] - starts[left] == size
                    and _are_close(text, texts + starts[left], size, distance)
                ):
                    nearest = other
                other = following[pieces * other + piece]
        if nearest < count:
            into[umi] = order[nearest]
            continue
        into[umi] = umi
        for piece in range(pieces):
            slot = piece * slots + _piece_slot(text, size, piece, pieces, slots - 1)
            following[pieces * rank + piece] = heads[slot]
            heads[slot] = rank


@helper
def _empty_slots(table: Any, size: Any) -> Any:
    """Empty as much of a hash table as ``size`` entries need; return the mask of its slots."""
    slots = 2
    while slots < 2 * size:
        slots *= 2
    table[:slots] = -1
    return slots - 1


@helper
def _list_umis(
    molecules: Any, keys: Any, reads: Any, table: Any, umi_of: Any, number: Any, total: Any
) -> Any:
    """List the UMIs of a cell's molecules in the order in which they appear.

    Fills the place in the list of each molecule's UMI, and the number and the reads of each UMI.
    Returns how many there are.
    """
    mask = _empty_slots(table, len(molecules))
    count = 0
    for k in range(len(molecules)):
        umi = np.int64(keys[molecules[k], UMI])
        slot = hash_key(umi, 0, 0) & mask
        while table[slot] >= 0 and number[table[slot]] != umi:
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = count
            number[count] = umi
            total[count] = 0
            count += 1
        umi_of[k] = table[slot]
        total[umi_of[k]] += reads[molecules[k]]
    return count


@helper
def _join(
    molecules: Any, keys: Any, reads: Any, weights: Any, table: Any, umi_of: Any, into: Any,
    owner: Any, feature: Any, support: Any, weight: Any,
) -> Any:  # fmt: skip
    """Join the molecules of a cell that are one after correction; return how many are left.

    Fills the UMI, the feature, the reads and the sum of weights of each.
    """
    mask = _empty_slots(table, len(molecules))
    joined = 0
    for k in range(len(molecules)):
        molecule = molecules[k]
        umi = into[umi_of[k]]
        column = np.int64(keys[molecule, FEATURE])
        slot = hash_key(umi, column, 0) & mask
        while table[slot] >= 0 and (owner[table[slot]] != umi or feature[table[slot]] != column):
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = joined
            owner[joined], feature[joined], support[joined] = umi, column, 0
            weight[joined] = 0.0
            joined += 1
        support[table[slot]] += reads[molecule]
        if weights.size > 0:
            weight[table[slot]] += weights[molecule]
    return joined


@helper
def _find_winners(
    count: Any, joined: Any, owner: Any, feature: Any, support: Any, best: Any, winners: Any
) -> Any:
    """Find the molecule with most reads of each of ``count`` UMIs, in the order of features.

    Fills ``winners`` with feature << 32 | molecule. Returns (their number, UMIs with ties).
    """
    # Per UMI: the molecule with most reads, -2 - it where another has as many, -1 if none.
    best[:count] = -1
    for j in range(joined):
        umi = owner[j]
        leader = best[umi] if best[umi] >= -1 else -2 - best[umi]
        if leader < 0 or support[j] > support[leader]:
            best[umi] = j
        elif support[j] == support[leader]:
            best[umi] = -2 - leader
    won = tied = 0
    for umi in range(count):
        if best[umi] >= 0:
            winners[won] = feature[best[umi]] << 32 | best[umi]
            won += 1
        tied += best[umi] < -1
    winners[:won].sort()
    return won, tied


@loop(
    "i4[:, ::1], i8[::1], f8[::1], i8[::1], i8[::1], i8[::1], u1[::1], i8[::1], i8, i8[::1], "
    "i8[::1], i4[::1], i8[::1], i8[::1], f8[::1], i8"
)
def _choose(
    keys: Any, reads: Any, weights: Any, order: Any, firsts: Any, cells: Any,
    umi_texts: Any, umi_starts: Any, distance: Any, table: Any,
    offsets: Any, columns: Any, umis: Any, entry_of: Any, means: Any, features: Any,
) -> Any:  # fmt: skip
    """Correct and count the UMIs of ``cells``, in this order; fill the entries of their counts.

    ``weights`` are sums over the reads of molecules; without any, ``entry_of`` and ``means`` stay
    as they are. They get, for each UMI that is counted for one of the ``features``, its entry and
    the mean weight of its reads for that feature. ``table`` is scratch: a hash table for the
    largest cell. Returns (entries, UMIs merged, UMIs with ties, UMIs counted for features, their
    reads for these).
    """
    largest = 0
    for cell in cells:
        largest = max(largest, firsts[cell + 1] - firsts[cell])
    umi_of = np.empty(largest, dtype=np.int64)
    number = np.empty(largest, dtype=np.int64)
    total = np.empty(largest, dtype=np.int64)
    into = np.empty(largest, dtype=np.int64)
    best = np.empty(largest, dtype=np.int64)
    owner = np.empty(largest, dtype=np.int64)
    feature = np.empty(largest, dtype=np.int64)
    support = np.empty(largest, dtype=np.int64)
    weight = np.zeros(largest, dtype=np.float64)
    winners = np.empty(largest, dtype=np.int64)
    entries: Any = 0
    merged = tied = 0
    found: Any = 0
    reads_found: Any = 0
    for c in range(len(cells)):
        molecules = order[firsts[cells[c]] : firsts[cells[c] + 1]]
        count = _list_umis(molecules, keys, reads, table, umi_of, number, total)
        for place in range(count):
            into[place] = place
        if distance > 0 and count > 1:
            _merge(count, number, total, umi_texts.ctypes.data, umi_starts, distance, into)
        for place in range(count):
            merged += into[place] != place
        joined = _join(
            molecules, keys, reads, weights, table, umi_of, into, owner, feature, support, weight
        )
        won, ties = _find_winners(count, joined, owner, feature, support, best, winners)
        tied += ties
        for k in range(won):
            column = winners[k] >> 32
            j = winners[k] & 0xFFFFFFFF
            if k == 0 or columns[entries - 1] != column:
                columns[entries] = column
                umis[entries] = 0
                entries += 1
            umis[entries - 1] += 1
            if column < features:
                if weights.size > 0:
                    entry_of[found] = entries - 1
                    means[found] = weight[j] / support[j]
                found += 1
                reads_found += support[j]
        offsets[c + 1] = entries
    return entries, merged, tied, found, reads_found


def weights_of_umis(means: NDArray[np.float64], reads_per_umi: float) -> NDArray[np.float64]:
    """Weight UMIs by the mean weights of their reads, given how deeply they were sequenced.

    A read is seen in proportion to the bias of its place, 1/weight; so the mean weight W of a
    molecule's reads estimates one over the mean bias of its places. Where molecules have λ reads
    on average, seen or not, this one has λ/W and is seen with the probability 1 - exp(-λ/W),
    one without bias with 1 - exp(-λ). The ratio of the two is its weight: W where hardly any
    molecule has two reads, and 1 where all are seen, whatever their bias.

    Args:
        means: the mean weight of the reads of each UMI.
        reads_per_umi: mean number of the reads of UMIs, which have at least one: λ/(1 - exp(-λ)).
    """
    low, high = 0.0, reads_per_umi
    for _ in range(60):
        rate = (low + high) / 2
        fewer = rate == 0 or rate / -math.expm1(-rate) < reads_per_umi
        low, high = (rate, high) if fewer else (low, rate)
    if low < 1e-9:  # one read each
        return means
    return np.asarray(np.expm1(-low) / np.expm1(-low / means))


def count_umis(
    molecules: MoleculeCounter, weights: NDArray[np.float64] | None = None
) -> CellCounts:
    """Correct the UMIs of each cell, and count each for the feature of most of its reads.

    Args:
        molecules: the molecules of a file.
        weights: sums of the weights of their reads, float64 (molecules,), or None.

    Returns:
        the counts; with weights, their layer ``weighted`` has UMIs weighted by
        :func:`weights_of_umis`, and classes as they were counted.
    """
    used, cells = molecules.used, int(molecules.texts_used[0])
    texts = molecules.cells.as_bytes(cells)
    firsts = np.zeros(cells + 1, dtype=np.int64)
    order = np.empty(used, dtype=np.int64)
    _sort_by_cell(molecules.keys, used, firsts, order)
    sequence = np.array(sorted(range(cells), key=texts.__getitem__), dtype=np.int64)
    offsets = np.zeros(cells + 1, dtype=np.int64)
    columns, umis = np.empty(used, dtype=np.int32), np.empty(used, dtype=np.int64)
    room = 0 if weights is None else used
    entry_of, means = np.empty(room, dtype=np.int64), np.empty(room)
    largest = int(np.diff(firsts).max(initial=0))
    entries, merged, tied, found, reads_found = _choose(
        molecules.keys, molecules.reads, np.empty(0) if weights is None else weights,
        order, firsts, sequence,
        molecules.umis.arena, molecules.umis.starts, molecules.options.umi_distance,
        np.empty(slots_for(largest), dtype=np.int64),
        offsets, columns, umis, entry_of, means, molecules.features,
    )  # fmt: skip
    columns, umis = columns[:entries].copy(), umis[:entries].copy()
    reads_per_umi = reads_found / found if found else 0.0
    layers = {}
    if weights is not None:
        weight = weights_of_umis(means[:found], reads_per_umi)
        weighted = np.bincount(entry_of[:found], weights=weight, minlength=entries)
        layers["weighted"] = np.where(columns >= molecules.features, umis, weighted)
    return CellCounts(
        barcodes=tuple(texts[cell].decode("utf-8", "surrogateescape") for cell in sequence),
        offsets=offsets,
        columns=columns,
        umis=umis,
        fragments=molecules.fragments,
        missing=molecules.missing,
        merged=int(merged),
        tied=int(tied),
        reads_per_umi=reads_per_umi,
        layers=layers,
    )
