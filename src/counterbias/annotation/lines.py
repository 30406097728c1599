"""Reading one annotation line slowly and exactly, and the messages for malformed ones.

The rules are htseq-count's: what it accepts is accepted here with the same meaning, and what stops
it is an InputError.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from counterbias.errors import InputError
from counterbias.plaintext import MARK, refuse_wide

_ATTRIBUTE = re.compile(r"\s*(?P<key>[^\s=]+)[\s=]+(?P<value>.*)")
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read from a file.

    Args:
        types: feature types (third column) that are counted.
        ids: attributes that make up the identifier; a counted line must have them.
        others: further attributes, which a line may lack.
        query: (attribute, value) that a line must have to be counted, or None.
        stranded: whether a counted line needs a strand.
        gtf: whether attributes are written as in GTF, otherwise as in GFF3.
        naming: attributes that may name the transcripts of a line; none where these are not wanted.
    """

    types: tuple[str, ...]
    ids: tuple[str, ...]
    others: tuple[str, ...]
    query: tuple[str, str] | None
    stranded: bool
    gtf: bool
    naming: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All attributes to read, each once, those of the identifier first."""
        query = () if self.query is None else (self.query[0],)
        return tuple(dict.fromkeys((*self.ids, *self.others, *query, *self.naming)))


@dataclass(frozen=True, slots=True)
class Line:
    """One feature line.

    Args:
        contig, type, strand: columns 1, 3 and 7.
        start, end: 0-based, half open.
        attributes: column 9.
        taken: whether the line is one of a counted feature.
        dropped: whether it is of a counted type but does not meet the query.
    """

    contig: str
    type: str
    start: int
    end: int
    strand: str
    attributes: dict[str, str]
    taken: bool
    dropped: bool


class LineParser:
    """Reads single lines of one file.

    Args:
        path: the file, for messages.
        wanted: what to read.
    """

    def __init__(self, path: str, wanted: Wanted) -> None:
        self.path = path
        self.wanted = wanted

    def parse(self, raw: bytes, number: int) -> Line | None:
        """Read a line, given without its line break; return None for a comment.

        A byte order mark is not part of the line (htseq-count takes it for the beginning of the
        contig's name, and counts nothing there). Raises InputError, naming the line.
        """
        text = self._text(raw.removeprefix(MARK), number)
        if not text or text.startswith("#"):
            return None
        columns = text.split("\t", 8)
        if len(columns) != 9:
            raise self._error(number, *_too_few_columns(text, len(columns)))
        contig, _, feature_type, start_text, end_text, score, strand, frame, attribute_text = (
            columns
        )
        attributes = self._attributes(attribute_text, number)
        start = self._coordinate(start_text, "start", number) - 1
        end = self._coordinate(end_text, "end", number)
        if strand not in ("+", "-", "."):
            raise self._error(
                number, f"the strand (column 7) is '{_short(strand)}', expected '+', '-' or '.'"
            )
        if start > end:
            raise self._error(
                number,
                f"the start ({start + 1}) lies after the end ({end})",
                "start and end are columns 4 and 5",
            )
        self._number(score, float, "score (column 6)", "a number or '.'", number)
        self._number(frame, int, "frame (column 8)", "a whole number or '.'", number)
        taken, dropped = False, False
        if feature_type in self.wanted.types:
            self._check_counted(feature_type, strand, attributes, number)
            query = self.wanted.query
            dropped = query is not None and attributes.get(query[0]) != query[1]
            taken = not dropped
        if taken:
            self._check_interval(start, end, number)
        return Line(contig, feature_type, start, end, strand, attributes, taken, dropped)

    def _error(self, number: int, problem: str, remedy: str = "") -> InputError:
        return InputError(problem, file=self.path, place=f"line {number}", remedy=remedy)

    def _text(self, raw: bytes, number: int) -> str:
        if number == 1:
            refuse_wide(raw, self.path)
        if b"\0" in raw:
            raise self._error(
                number,
                "this is binary data, expected GTF or GFF3 text",
                "the alignments come first on the command line, then the annotation",
            )
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._error(
                number,
                f"byte {error.start + 1} of the line is not UTF-8 text",
                "convert the file, as with 'iconv -t UTF-8'",
            ) from None

    def _attributes(self, text: str, number: int) -> dict[str, str]:
        """Read the last column; the last of several attributes of the same name counts."""
        attributes = {}
        for part in _split_outside_quotes(text) if self.wanted.gtf else text.split(";"):
            if not part or part.isspace():
                continue
            if self.wanted.gtf and part.count('"') not in (0, 2):
                raise self._error(
                    number,
                    f"the quotes do not match in the attribute '{_short(part)}'",
                    'GTF attributes are written key "value"; and hold no further quote',
                )
            match = _ATTRIBUTE.match(part)
            if match is None:
                syntax = 'key "value";' if self.wanted.gtf else "key=value;"
                raise self._error(
                    number, f"'{_short(part)}' is not an attribute, expected {syntax}"
                )
            value = match["value"]
            if self.wanted.gtf and value.startswith('"') and value.endswith('"'):
                value = value[1:-1]
            attributes[match["key"]] = value
        return attributes

    def _coordinate(self, text: str, name: str, number: int) -> int:
        column = 4 if name == "start" else 5
        try:
            value = int(text)
        except ValueError:
            raise self._error(
                number, f"the {name} (column {column}) is '{_short(text)}', expected a whole number"
            ) from None
        if abs(value) > _LARGEST:
            raise self._error(number, f"the {name} (column {column}) is too large: {_short(text)}")
        return value

    def _number(
        self, text: str, convert: type[int] | type[float], name: str, expected: str, number: int
    ) -> None:
        if text == ".":
            return
        try:
            convert(text)
        except ValueError:
            raise self._error(
                number, f"the {name} is '{_short(text)}', expected {expected}"
            ) from None

    def _check_counted(
        self, feature_type: str, strand: str, attributes: dict[str, str], number: int
    ) -> None:
        """Check what only a line of a counted type needs."""
        for key in self.wanted.ids:
            if key not in attributes:
                present = ", ".join(attributes) or "none"
                raise self._error(
                    number,
                    f"this '{feature_type}' line has no attribute '{key}'",
                    f"it has: {present}; choose one with -i (--idattr)",
                )
        if self.wanted.stranded and strand == ".":
            raise self._error(
                number,
                f"this '{feature_type}' line has no strand, but counting is stranded",
                "use --stranded=no or correct the strand (column 7)",
            )

    def _check_interval(self, start: int, end: int, number: int) -> None:
        if start < 0:
            raise self._error(
                number, f"the start (column 4) is {start + 1}", "positions count from 1"
            )
        if start == end:
            raise self._error(
                number,
                f"the interval from {start + 1} to {end} is empty",
                "start and end are both included",
            )


def parse_query(text: str) -> tuple[str, str]:
    """Parse ``attribute == "value"``, the syntax of ``--feature-query``. Raises InputError."""
    before, quote, rest = text.partition('"')
    value, last_quote, _ = rest.rpartition('"')
    key, equals, _ = before.partition("==")
    if not quote or not last_quote or not equals or not key.strip():
        raise InputError(
            f"--feature-query {text}: not a query",
            remedy="write it as in --feature-query 'gene_name == \"ACTB\"'",
        )
    return key.strip(), value


def _split_outside_quotes(text: str) -> Sequence[str]:
    """Split at the semicolons that lie outside double quotes."""
    if '"' not in text:
        return text.split(";")
    parts = [""]
    for index, piece in enumerate(text.split('"')):
        # Pieces with an odd index lie within quotes.
        quote = '"' if index else ""
        if index % 2:
            parts[-1] += quote + piece
        else:
            first, *others = piece.split(";")
            parts[-1] += quote + first
            parts.extend(others)
    return parts


def _too_few_columns(text: str, found: int) -> tuple[str, str]:
    """Return problem and remedy for a line that has fewer than nine columns."""
    remedy = "columns are separated by tabs" if found == 1 else ""
    if text.startswith(">"):
        remedy = "the annotation must not hold sequences: remove them, as with sed '/^##FASTA/,$d'"
    column = "column" if found == 1 else "columns"
    return f"expected 9 tab-separated columns, found {found} {column}: '{_short(text)}'", remedy


def _short(text: str, width: int = 60) -> str:
    """Shorten a text for a message to one line of at most ``width`` characters."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text[: width + 1])
    return clean if len(clean) <= width else clean[: width - 1] + "…"
