"""Loading an annotation: the scanner, the exact parser and the steps, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.annotation import scanner
from counterbias.annotation.lines import Line, LineParser, Wanted, parse_query
from counterbias.annotation.reading import is_gtf, read_pieces
from counterbias.annotation.steps import Intervals, make_steps, merge_blocks
from counterbias.annotation.transcripts import chain_exons, name_transcripts, naming_attributes
from counterbias.errors import InputError
from counterbias.options import AnnotationOptions
from counterbias.records import Annotation, Features, FeatureTranscripts

#: Lines between two reports of progress, as in htseq-count.
_PROGRESS = 100_000

_STRANDS = {"+": 0, "-": 1, ".": 2}


def load_annotation(
    options: AnnotationOptions,
    *,
    stranded: bool,
    on_lines: Callable[[str], None] | None = None,
    transcripts: bool = False,
) -> Annotation:
    """Read a GTF or GFF3 file, plain or gzipped, as htseq-count does.

    Attributes are read as in GTF if the file's name ends with .gtf, .gtf.gz or .gtf.gzip, otherwise
    as in GFF3.

    Args:
        options: the file, and which of its lines are features.
        stranded: whether the strands are kept apart; then every counted line needs one.
        on_lines: takes the progress lines, without line breaks.
        transcripts: whether to keep the transcripts of the features, too. GTF names those of a line
            by ``transcript_id``, GFF3 by ``Parent``, which may list several, or failing that by
            ``transcript_id``.

    Raises:
        InputError: the file cannot be read, a line is malformed, or there is no feature to count.
    """
    name = options.path
    query = None if options.query is None else parse_query(options.query)
    gtf = is_gtf(name)
    wanted = Wanted(
        options.feature_types,
        options.id_attributes,
        options.additional_attributes,
        query,
        stranded,
        gtf,
        naming_attributes(gtf) if transcripts else (),
    )
    content = _scan_file(name, wanted)
    rows, lines = content.rows, content.lines
    if query is not None:
        column = scanner.VALUES + wanted.keys.index(query[0])
        value = content.strings.index(query[1]) if query[1] in content.strings else -2
        kept = rows[:, column] == value
        lines -= int(len(rows) - np.count_nonzero(kept))
        rows = rows[kept]
    if on_lines is not None:
        for done in (*range(_PROGRESS, lines + 1, _PROGRESS), lines):
            on_lines(f"{done} GFF lines processed.")
    if not len(rows):
        raise _nothing_to_count(name, wanted, options.query, content.types)
    features, chains = _make_features(rows, content.strings, wanted, options.chromosome)
    return Annotation(name, features, make_steps(features, stranded=stranded), lines, chains)


@dataclass(frozen=True, slots=True)
class _Content:
    """What a scan found.

    Args:
        rows: the lines of the counted types, see :mod:`counterbias.annotation.scanner`.
        strings: the strings by number.
        types: feature type → lines of it.
        lines: feature lines in all.
    """

    rows: NDArray[np.int64]
    strings: list[str]
    types: Counter[str]
    lines: int


def _scan_file(path: str, wanted: Wanted) -> _Content:
    """Run the scanner over the file, and the exact parser on the lines at which it stops."""
    keys = wanted.keys
    words = [word.encode("utf-8", "surrogateescape") for word in (*wanted.types, *keys)]
    text = np.frombuffer(b"".join(words) + b"\0", dtype=np.uint8).copy()
    bounds = np.concatenate(([0], np.cumsum([len(word) for word in words]))).astype(np.int64)
    state = np.zeros(scanner.STATE_SIZE, dtype=np.int64)
    tables: list[NDArray[Any]] = [
        np.empty((1 << 16, scanner.VALUES + len(keys)), dtype=np.int64),
        np.empty((1 << 14, 4), dtype=np.int64),
        np.empty(1 << 18, dtype=np.uint8),
        np.full(1 << 16, -1, dtype=np.int64),
    ]
    scratch = (
        np.empty(8, np.int64),
        np.empty(2 * len(keys), np.int64),
        np.full(len(keys) + 2, -1, np.int64),
    )
    options = (wanted.gtf, wanted.stranded, text, bounds, len(wanted.types), len(set(wanted.ids)))
    parser = LineParser(path, wanted)
    odd = _OddLines(keys)
    for data, size in read_pieces(path):
        state[scanner.POSITION] = 0
        while (
            outcome := scanner.scan(data, size, state, *options, *tables, *scratch)
        ) != scanner.DONE:
            if outcome == scanner.FULL:
                tables = _larger(tables, state, size)
                continue
            raw = data[state[scanner.LINE_START] : state[scanner.LINE_END]].tobytes()
            line = parser.parse(raw, int(state[scanner.LINE]))
            if line is not None:
                odd.add(line, tables[0], state)
    if not state[scanner.LINE]:
        raise InputError("the annotation is empty", file=path)
    rows, strings, arena, _ = tables
    rows = rows[: state[scanner.ROWS]]
    letters = arena[: state[scanner.ARENA]].tobytes().decode("ascii")
    table = strings[: state[scanner.STRINGS]]
    starts, ends = (
        table[:, scanner.OFFSET].tolist(),
        (table[:, scanner.OFFSET] + table[:, scanner.LENGTH]).tolist(),
    )
    names = [letters[start:end] for start, end in zip(starts, ends, strict=True)]
    types = odd.types
    for number in np.flatnonzero(table[:, scanner.AS_TYPE]):
        types[names[number]] += int(table[number, scanner.AS_TYPE])
    return _Content(odd.unite(rows, names), names, types, int(state[scanner.FEATURES]))


def _larger(tables: list[NDArray[Any]], state: NDArray[np.int64], size: int) -> list[NDArray[Any]]:
    """Double whichever of the scanner's tables may be full.

    The arena gets room for a line of ``size`` bytes, as long as a whole piece.
    """
    rows, strings, arena, table = tables
    if state[scanner.ROWS] == len(rows):
        return [_extended(rows, len(rows)), strings, arena, table]
    width = rows.shape[1]
    used = int(state[scanner.STRINGS])
    if used + width > len(strings):
        strings = _extended(strings, len(strings))
        table = np.full(4 * len(strings), -1, dtype=np.int64)
        scanner.index_strings(strings, used, table)
        return [rows, strings, arena, table]
    return [rows, strings, _extended(arena, max(len(arena), size)), table]


def _extended(array: NDArray[Any], more: int) -> NDArray[Any]:
    """Return the array with room for ``more`` rows behind its own, which no page is taken for."""
    longer = np.empty((len(array) + more, *array.shape[1:]), dtype=array.dtype)
    longer[: len(array)] = array
    return longer


class _OddLines:
    """The lines that the scanner left to the exact parser.

    Their strings are numbered separately, from -2 downwards, until :meth:`unite`.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.types: Counter[str] = Counter()
        self._numbers: dict[str, int] = {}

    def add(self, line: Line, rows: NDArray[np.int64], state: NDArray[np.int64]) -> None:
        """Count a line and, where it is one of a counted feature, append its row."""
        self.types[line.type] += 1
        if line.dropped:
            return
        state[scanner.FEATURES] += 1
        if not line.taken:
            return
        row = rows[state[scanner.ROWS]]
        row[: scanner.VALUES] = (
            self._number(line.contig),
            line.start,
            line.end,
            _STRANDS[line.strand],
        )
        for column, key in enumerate(self.keys, start=scanner.VALUES):
            row[column] = self._number(line.attributes[key]) if key in line.attributes else -1
        state[scanner.ROWS] += 1

    def unite(self, rows: NDArray[np.int64], names: list[str]) -> NDArray[np.int64]:
        """Renumber the strings like the scanner's, appending new ones to ``names``."""
        if not self._numbers:
            return rows
        known = {name: number for number, name in enumerate(names)}
        translated = np.empty(len(self._numbers), dtype=np.int64)
        for text, number in self._numbers.items():
            if text not in known:
                known[text] = len(names)
                names.append(text)
            translated[-2 - number] = known[text]
        columns = [scanner.CONTIG, *range(scanner.VALUES, rows.shape[1])]
        part = rows[:, columns]
        own = part <= -2
        part[own] = translated[-2 - part[own]]
        rows[:, columns] = part
        return rows

    def _number(self, text: str) -> int:
        return self._numbers.setdefault(text, -2 - len(self._numbers))


def _make_features(
    rows: NDArray[np.int64], strings: list[str], wanted: Wanted, chromosome: bool
) -> tuple[Features, FeatureTranscripts | None]:
    """Name and sort the features, collect their attributes and merge their intervals.

    Returns the features and, where they are wanted, their transcripts.
    """
    numbers, ids = _identify(rows, strings, [wanted.keys.index(key) for key in wanted.ids])
    last_row = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(last_row, numbers, np.arange(len(rows)))
    attributes = {
        name: _texts(rows[last_row, scanner.VALUES + wanted.keys.index(name)], strings)
        for name in wanted.others
    }
    if chromosome:
        attributes["Chromosome"] = _texts(rows[last_row, scanner.CONTIG], strings)
    contig_strings, first, contig = np.unique(
        rows[:, scanner.CONTIG], return_index=True, return_inverse=True
    )
    appearance = np.argsort(first, kind="stable")
    rank = np.empty(len(first), dtype=np.int64)
    rank[appearance] = np.arange(len(first))
    contigs = _texts(contig_strings[appearance], strings)
    strand, start, end = (rows[:, c] for c in (scanner.STRAND, scanner.START, scanner.END))
    intervals = Intervals(numbers, rank[contig], strand, start, end)
    order, blocks = merge_blocks(intervals, len(ids), len(contigs))
    features = Features(tuple(ids), attributes, contigs, *blocks)
    if not wanted.naming:
        return features, None
    naming = [scanner.VALUES + wanted.keys.index(key) for key in wanted.naming]
    named = name_transcripts(rows[:, naming], strings, gtf=wanted.gtf)
    return features, chain_exons(features, intervals, order, named)


def _identify(
    rows: NDArray[np.int64], strings: list[str], columns: list[int]
) -> tuple[NDArray[np.int64], list[str]]:
    """Return each row's index among the sorted identifiers, and these."""
    first, *others = columns
    values, codes = _distinct(rows[:, scanner.VALUES + first], len(strings))
    joined = [strings[value] for value in values.tolist()]
    for column in others:
        values, inverse = _distinct(rows[:, scanner.VALUES + column], len(strings))
        count = len(values)
        pairs, codes = np.unique(codes * count + inverse, return_inverse=True)
        joined = [
            f"{joined[pair // count]}:{strings[values[pair % count]]}" for pair in pairs.tolist()
        ]
    # Different combinations may join to the same text; then they are one feature.
    ids = sorted(set(joined))
    place = {name: index for index, name in enumerate(ids)}
    return np.array([place[name] for name in joined], dtype=np.int64)[codes], ids


def _distinct(
    numbers: NDArray[np.int64], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct numbers, all below ``limit``, ascending, and each one's place in them.

    It does what ``np.unique`` does, without sorting.
    """
    held = np.zeros(limit, dtype=np.bool_)
    held[numbers] = True
    return np.flatnonzero(held), (np.cumsum(held) - 1)[numbers]


def _texts(numbers: NDArray[np.int64], strings: list[str]) -> tuple[str, ...]:
    """Look up strings by number; -1 (none) becomes ''."""
    return tuple("" if number < 0 else strings[number] for number in numbers.tolist())


def _nothing_to_count(
    path: str, wanted: Wanted, query: str | None, types: Counter[str]
) -> InputError:
    """Return the error for an annotation without any counted feature."""
    asked = " or ".join(f"'{name}'" for name in wanted.types)
    found = sum(types[name] for name in wanted.types)
    if found:
        return InputError(
            f"none of the {found} {asked} lines meets --feature-query {query}",
            file=path,
            remedy="check the attribute and its value",
        )
    if not types:
        return InputError("the annotation holds no feature lines", file=path)
    ordered = sorted(types.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{name} ({count})" for name, count in ordered[:12]) + (
        ", …" if len(ordered) > 12 else ""
    )
    return InputError(
        f"no feature of type {asked}",
        file=path,
        remedy=f"choose one with -t (--type); the file has: {listed}",
    )
