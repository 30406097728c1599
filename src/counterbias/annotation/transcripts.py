"""The transcripts that counted lines name, and their exons along the blocks of their feature."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.annotation.steps import Intervals
from counterbias.loops import loop
from counterbias.records import (
    MOST_TRANSCRIPTS,
    SCATTERED,
    TOO_MANY,
    UNNAMED,
    Features,
    FeatureTranscripts,
)

_PARENT, _TRANSCRIPT_ID = "Parent", "transcript_id"


@dataclass(frozen=True, slots=True)
class NamedTranscripts:
    """The transcripts that each counted line names.

    Args:
        lists: int64 (lines,), number of the line's list of transcripts, -1 where it names none.
        offsets: int64 (lists + 1,), list ``i`` holds ``members[offsets[i]:offsets[i + 1]]``.
        members: int64 (sum of the lists' lengths,), index into ``names``.
        names: the transcripts' names, each once, and strings that no list holds.
    """

    lists: NDArray[np.int64]
    offsets: NDArray[np.int64]
    members: NDArray[np.int64]
    names: list[str]


def naming_attributes(gtf: bool) -> tuple[str, ...]:
    """Return the attributes that may name a line's transcripts, the first that does counts.

    A file without GTF's name, as a pipe, is read as GFF3, but may hold the attributes of GTF.
    """
    return (_TRANSCRIPT_ID,) if gtf else (_PARENT, _TRANSCRIPT_ID)


def name_transcripts(
    values: NDArray[np.int64], strings: list[str], *, gtf: bool
) -> NamedTranscripts:
    """Read the transcripts' names from the attributes of the counted lines.

    Args:
        values: int64 (lines, attributes), the values of :func:`naming_attributes` as indices into
            ``strings``, -1 where the line has no such attribute.
        strings: all strings, each once.
        gtf: whether attributes were read as in GTF, otherwise as in GFF3.
    """
    # Strings serve as names and, nearly always, as lists of one: making others takes time.
    numbers = np.arange(len(strings) + 1)
    if gtf:
        lists = values[:, 0].copy()
        if "" in strings:
            lists[lists == strings.index("")] = -1
        return NamedTranscripts(lists, numbers, numbers[:-1], strings)
    lists = np.full(len(values), -1, dtype=np.int64)
    sizes: list[int] = []
    further: list[str] = []
    for column, attribute in zip(values.T, naming_attributes(gtf), strict=True):
        column = np.where(lists < 0, column, -1)
        # The last entry is that of -1, no such attribute.
        list_of = np.append(numbers[:-1], -1)
        for number in _used(column).tolist():
            text = strings[number]
            if text and "," not in text and text[0] != '"':
                continue
            names = _split(text) if attribute == _PARENT else _unquoted(text)
            list_of[number] = len(strings) + len(sizes) if names else -1
            sizes.append(len(names))
            further += names
        lists = np.where(lists < 0, list_of[column], lists)
    if not further:
        return NamedTranscripts(lists, numbers, numbers[:-1], strings)
    number_of = {name: number for number, name in enumerate(strings)}
    members = [number_of.setdefault(name, len(number_of)) for name in further]
    return NamedTranscripts(
        lists,
        np.concatenate((numbers, numbers[-1] + np.cumsum(sizes))),
        np.concatenate((numbers[:-1], members)),
        list(number_of),
    )


def chain_exons(
    features: Features, intervals: Intervals, order: NDArray[np.int64], named: NamedTranscripts
) -> FeatureTranscripts:
    """Lay the exons of each feature's transcripts along its blocks.

    Args:
        features: the features, whose blocks are the merged ``intervals``.
        intervals: those of the counted lines.
        order: int64 (lines,), sorts the intervals by feature, contig, strand and start.
        named: the transcripts of each line.
    """
    missing = _missing(features, intervals.feature[named.lists < 0])
    sizes = np.diff(named.offsets)
    entries = int(sizes[named.lists[named.lists >= 0]].sum())
    line_offsets = np.zeros(len(features) + 1, dtype=np.int64)
    np.cumsum(np.bincount(intervals.feature, minlength=len(features)), out=line_offsets[1:])
    offsets = np.empty(len(features) + 1, dtype=np.int64)
    exon_offsets, start, end, name = np.empty((4, entries + 1), dtype=np.int64)
    exons = _chain(
        intervals.feature, intervals.start, intervals.end, order, line_offsets, named.lists,
        named.offsets, named.members, len(named.names), MOST_TRANSCRIPTS, features.block_offsets,
        features.block_start, features.block_end, missing, offsets, name, exon_offsets, start, end,
    )  # fmt: skip
    found = int(offsets[-1])
    return FeatureTranscripts(
        tuple([named.names[number] for number in name[:found].tolist()]),
        offsets,
        exon_offsets[: found + 1].copy(),
        start[:exons].copy(),
        end[:exons].copy(),
        missing,
    )


def _used(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the strings that a column holds, ascending."""
    held = np.zeros(int(values.max(initial=-1)) + 2, dtype=np.bool_)
    held[values] = True
    return np.flatnonzero(held[:-1])


def _split(text: str) -> list[str]:
    """List the names in a value of GFF3."""
    return [name for name in text.split(",") if name]


def _unquoted(text: str) -> list[str]:
    """List the name without the quotes that it keeps where GTF's syntax is read as GFF3's."""
    name = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    return [name] if name else []


def _missing(features: Features, unnamed: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Mark the features that have lines without transcripts, or no line to lay exons along."""
    missing = np.zeros(len(features), dtype=np.uint8)
    first, last = features.block_offsets[:-1], features.block_offsets[1:] - 1
    # Blocks are sorted by contig, then strand.
    for column in (features.block_contig, features.block_strand):
        missing[column[first] != column[last]] = SCATTERED
    missing[unnamed] = UNNAMED
    return missing


@loop(
    "i8[::1], i8[:], i8[:], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8, i8, i8[::1], "
    "i8[::1], i8[::1], u1[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1]",
)
def _chain(
    feature, start, end, order, line_offsets, lists, list_offsets, members, names, most,
    block_offsets, block_start, block_end, missing, offsets, name_of, exon_offsets, exon_start,
    exon_end,
):  # fmt: skip
    """Find each feature's transcripts and merge their exons; return the number of these.

    Fills ``offsets``, ``name_of`` (index of the name of each transcript), ``exon_offsets``,
    ``exon_start`` and ``exon_end``, and marks in ``missing`` the features with more than ``most``
    transcripts. ``line_offsets`` are those of features in ``order``.
    """
    appearance = np.empty(len(feature), np.int64)
    free = line_offsets.copy()
    for line in range(len(feature)):
        appearance[free[feature[line]]] = line
        free[feature[line]] += 1
    # Of the latest feature with a transcript of that name, so it needs checking.
    transcript_of = np.zeros(names, np.int64)
    room = np.empty(len(name_of), np.int64)
    exons = 0
    found = 0
    for this in range(len(missing)):
        offsets[this] = found
        if missing[this]:
            continue
        first = found
        for row in range(line_offsets[this], line_offsets[this + 1]):
            listed = lists[appearance[row]]
            for member in range(list_offsets[listed], list_offsets[listed + 1]):
                name = members[member]
                transcript = transcript_of[name]
                known = first <= transcript < found and name_of[transcript] == name
                if not known:
                    transcript = found
                    transcript_of[name] = transcript
                    name_of[transcript] = name
                    room[transcript] = 0
                    found += 1
                room[transcript] += 1
        if found - first > most:
            missing[this] = TOO_MANY
            found = first
            continue
        # Each transcript gets room for as many exons as it has lines; `room` becomes its end.
        slot = exons
        for transcript in range(first, found):
            exon_offsets[transcript] = slot
            slot += room[transcript]
            room[transcript] = exon_offsets[transcript]
        block = block_offsets[this]
        before = np.int64(0)
        for row in range(line_offsets[this], line_offsets[this + 1]):
            line = order[row]
            while start[line] >= block_end[block]:
                before += block_end[block] - block_start[block]
                block += 1
            low = before + start[line] - block_start[block]
            high = low + end[line] - start[line]
            for member in range(list_offsets[lists[line]], list_offsets[lists[line] + 1]):
                transcript = transcript_of[members[member]]
                slot = room[transcript]
                if slot > exon_offsets[transcript] and low <= exon_end[slot - 1]:
                    exon_end[slot - 1] = max(exon_end[slot - 1], high)
                else:
                    exon_start[slot] = low
                    exon_end[slot] = high
                    room[transcript] = slot + 1
        # Close the gaps that merged exons left.
        for transcript in range(first, found):
            begin = exon_offsets[transcript]
            exon_offsets[transcript] = exons
            for slot in range(begin, room[transcript]):
                exon_start[exons] = exon_start[slot]
                exon_end[exons] = exon_end[slot]
                exons += 1
    offsets[len(missing)] = found
    exon_offsets[found] = exons
    return exons
