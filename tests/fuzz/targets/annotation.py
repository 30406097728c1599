"""GTF and GFF3 files: the compiled scanner, the exact line parser and HTSeq must agree.

HTSeq is the oracle only if it accepts the file.
"""

from __future__ import annotations

import io
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from counterbias.annotation import load_annotation, loading, scanner
from counterbias.annotation.reading import _whole_lines
from counterbias.errors import InputError
from counterbias.options import AnnotationOptions
from counterbias.pipeline.counting.step_index import index_steps
from counterbias.records import Annotation
from tests.fuzz import scratch
from tests.fuzz.case import Case
from tests.fuzz.judging import refusal_wording, wording

CONTIGS = (
    "chr1",
    "chr1",
    "chr2",
    "X",
    "contig with spaces",
    "é",
    "",
    "#1",
    ">",
    "a;b",
    '"q"',
    "\x0b",
    "\u2028",
)
TYPES = ("exon", "exon", "exon", "exon", "CDS", "gene", "", "Exon", "exon ", "é")
NAMES = (
    "A",
    "B",
    "C",
    "gene one",
    "é",
    "x;y",
    "=",
    "",
    " ",
    'a"b',
    "\t",
    "#",
    "A" * 300,
    "\xa0",
    "\U0001f9ec",
)
NUMBERS = (
    "1", "2", "10", "100", "101", "200", "999999", "0", "-1", "+5", " 7", "7 ", "1_0", "1.0", "1e3",
    "", ".", "x", "٣", "00012", "999999999999999999", "9999999999999999999", "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "2147483648", "1" * 5000,
)  # fmt: skip
SCORES = (
    ".",
    ".",
    ".",
    "0",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "-1",
    "nan",
    "inf",
    "1.2.3",
    "",
    "..",
    "x",
    " 1",
    "1_0",
    "0x10",
    "٣",
)
FRAMES = (".", ".", "0", "1", "2", "", "x", "-1", "3.0", "..", "+1", "1_0", " 0")
STRANDS = ("+", "+", "-", "-", ".", "", "?", "+-", " +", "1")
BREAKS = ("\n", "\n", "\n", "\n", "\r\n", "\r", "\n\n", "\r\r\n")


#: The last column of a line, with placeholders for names.
GTF_FORMS = (
    'gene_id "{a}"; transcript_id "{b}";', 'gene_id "{a}";', 'gene_id "{a}"; gene_name "{b}"',
    "gene_id {a}; x {b}", 'gene_id="{a}"; t={b};', 'gene_id "{b}"; gene_id "{a}";',
    '  gene_id   "{a}" ;;; note "x; gene_id y";', 'gene_id "{a}"x; note "{b}";',
    'note "{b}"; gene_id\t"{a}"', 'gene_id\x1f"{a}"', 'gene_id "{a}" "{b}";',
    'transcript_id "{b}";', 'gene_id "{a}', "gene_id", "", ";", " ", 'gene_id "{a}"; tag',
    '"gene_id" "{a}"', 'gene_id ""; x "{b}"',
)  # fmt: skip
GFF3_FORMS = (
    "gene_id={a};transcript_id={b}", "ID=1;gene_id={a}", "gene_id={a}", " gene_id {a} ; x={b}",
    "gene_id= = {a};", "gene_id={a};gene_id={b}", 'gene_id="{a}";x', "gene_id", "", ";;", "=x",
    "x={b}", "gene_id={a}\t;x", "gene_id;={a}",
)  # fmt: skip


def _attributes(rng: random.Random, gtf: bool) -> str:
    name, other = rng.choice(NAMES[:5]), rng.choice(NAMES)
    form = rng.choice(GTF_FORMS if gtf or rng.random() < 0.1 else GFF3_FORMS)
    return form.replace("{a}", name).replace("{b}", other)


def _line(rng: random.Random, gtf: bool, sound: float) -> str:
    """Draw a line, in which each column is ordinary with the probability ``sound``."""

    def pick(choices: tuple[str, ...], ordinary: int) -> str:
        return rng.choice(choices[:ordinary] if rng.random() < sound else choices)

    start = rng.randint(1, 400)
    ends = [str(start), str(start + rng.choice((0, 1, 5, 100)))]
    for column in (0, 1):
        if rng.random() > sound:
            ends[column] = rng.choice(NUMBERS)
    feature_type = "exon" if rng.random() < 0.7 else pick(TYPES, 6)
    attributes = f'gene_id "{rng.choice("ABCD")}";' if gtf else f"gene_id={rng.choice('ABCD')}"
    if rng.random() > sound:
        attributes = _attributes(rng, gtf)
    columns = [
        pick(CONTIGS, 4),
        "src",
        feature_type,
        *ends,
        pick(SCORES, 3),
        pick(STRANDS, 4),
        pick(FRAMES, 4),
        attributes,
    ]
    return "\t".join(columns)


def _change(rng: random.Random, line: bytes) -> bytes:
    item = bytearray(line)
    chance = rng.random()
    at = rng.randrange(len(item) + 1)
    if chance < 0.5 and item:
        item[min(at, len(item) - 1)] = rng.choice(b'\t\t\n\r\0\x1f\x7f\x80\xff""\'=;; #.+-09aZ')
    elif chance < 0.75:
        item[at:at] = rng.choice(
            (
                b"\t",
                b'"',
                b";",
                b"=",
                b"\r",
                b"\xef\xbb\xbf",
                b"\xc3",
                b"\xe2\x80\xa8",
                b"\x0c",
                b"\x1c",
                b"\x85",
                b" ",
            )
        )
    else:
        del item[at : at + rng.choice((1, 1, 3, 20))]
    return bytes(item)


def mutate(rng: random.Random) -> Case:
    """Draw a file, with a part for each line, and the options to read it with."""
    gtf = rng.random() < 0.65
    sound = rng.choice((0.9, 0.98, 0.997))
    parts = []
    for _ in range(rng.choice((1, 2, 3, 6, 12))):
        chance = rng.random()
        if chance < 0.08:
            line = rng.choice(
                (
                    "#",
                    "##gff-version 3",
                    "# é",
                    "#\t",
                    "",
                    " ",
                    "\t",
                    "##FASTA",
                    ">x",
                    "track name=x",
                )
            )
        else:
            line = _line(rng, gtf, sound)
        raw = line.encode("utf-8", "surrogatepass")
        if rng.random() < 0.06:
            raw = _change(rng, raw)
        parts.append(raw + (rng.choice(BREAKS) if rng.random() < 0.2 else "\n").encode())
    if rng.random() < 0.2:
        parts[-1] = parts[-1].rstrip(b"\r\n")
    options = {
        "name": "genes.gtf" if gtf else "genes.gff3",
        "piece": rng.choice((1 << 16, 1 << 16, 16, 64, 200)),
        "stranded": rng.random() < 0.5,
        "query": rng.choice((None, None, None, None, 'gene_name == "é"', 'transcript_id == "A"')),
        "others": rng.choice(((), (), ("gene_name",), ("transcript_id", "x"))),
        "chromosome": rng.random() < 0.1,
        "ids": rng.choice((("gene_id",), ("gene_id",), ("gene_id",), ("gene_id", "transcript_id"))),
    }
    return Case(parts, options)


def _folder() -> Path:
    return scratch.folder("annotation")


def _slow_scan(data: Any, size: int, state: Any, *rest: Any) -> int:
    """Replace the scanner: leave every line to the exact parser, with the scanner's line ends."""
    rows = rest[6]
    position = int(state[scanner.POSITION])
    if position >= size:
        return scanner.DONE
    if state[scanner.ROWS] == len(rows):
        return scanner.FULL
    text = data[position:size].tobytes()
    ends = [place for place in (text.find(b"\n"), text.find(b"\r")) if place >= 0]
    end = position + min(ends)
    after = end + 1
    if data[end] == 13 and after < size and data[after] == 10:
        after += 1
    state[scanner.LINE] += 1
    state[scanner.POSITION] = after
    if text[: min(ends)] == b"":
        # The exact parser never gets an empty line, since the scanner skips it.
        return _slow_scan(data, size, state, *rest)
    state[scanner.LINE_START], state[scanner.LINE_END] = position, end
    return scanner.ODD


def _load(case: Case, path: str, content: bytes) -> Annotation | str:
    """Read the file from memory. Return the message if it is refused."""
    piece = case.options["piece"]
    with mock.patch.object(
        loading, "read_pieces", return_value=_whole_lines(io.BytesIO(content), piece)
    ):
        try:
            return load_annotation(_options(case, path), stranded=case.options["stranded"])
        except InputError as error:
            refusal_wording(error, (path, ""))
            return error.line()


def _options(case: Case, path: str) -> AnnotationOptions:
    options = case.options
    return AnnotationOptions(
        path,
        id_attributes=tuple(options["ids"]),
        additional_attributes=tuple(options["others"]),
        chromosome=options["chromosome"],
        query=options["query"],
    )


def _arrays(annotation: Annotation) -> list[Any]:
    parts: list[Any] = [annotation.lines]
    for owner in (annotation.features, annotation.steps):
        for name in owner.__dataclass_fields__:
            value = getattr(owner, name)
            parts.append((name, value.tolist() if isinstance(value, np.ndarray) else value))
    return parts


def _theirs(case: Case, path: str) -> tuple[Any, Any] | None:
    """Read with HTSeq as htseq-count does. Return None if it fails."""
    import HTSeq

    options = case.options
    try:
        scan = HTSeq.make_feature_genomicarrayofsets(
            HTSeq.GFF_Reader(path),
            list(options["ids"]),
            feature_type=["exon"],
            feature_query=options["query"],
            additional_attributes=list(options["others"]),
            stranded=options["stranded"],
            verbose=False,
            add_chromosome_info=options["chromosome"],
        )
    except Exception:
        return None
    return scan["features"], scan["attributes"]


def _our_steps(
    annotation: Annotation, contig: int, strand: int
) -> list[tuple[int, frozenset[str]]]:
    steps = annotation.steps
    vector = steps.vector(contig, strand)
    rows = slice(int(steps.offsets[vector]), int(steps.offsets[vector + 1]))
    sets = [
        frozenset(
            annotation.features.ids[m]
            for m in steps.members[steps.member_offsets[s] : steps.member_offsets[s + 1]]
        )
        for s in steps.sets[rows]
    ]
    return list(zip(steps.starts[rows].tolist(), sets, strict=True))


def _their_steps(array: Any, contig: str, strand: str) -> list[tuple[int, frozenset[str]]]:
    merged: list[tuple[int, frozenset[str]]] = []
    for interval, value in array.chrom_vectors[contig][strand].steps():
        if not merged or merged[-1][1] != frozenset(value):
            merged.append((interval.start, frozenset(value)))
    return merged


def _compare(case: Case, ours: Annotation, array: Any, attributes: Any) -> None:
    assert list(ours.features.ids) == sorted(attributes), (
        f"identifiers: {ours.features.ids} instead of {sorted(attributes)}"
    )
    names = [*case.options["others"], *(["Chromosome"] if case.options["chromosome"] else [])]
    for row, name in enumerate(ours.features.ids):
        found = [ours.features.attributes[key][row] for key in names]
        assert found == attributes[name], f"attributes: {found} instead of {attributes[name]}"
    assert ours.features.contigs == tuple(array.chrom_vectors), "contigs"
    for index, contig in enumerate(ours.steps.contigs):
        for number, strand in enumerate("+-" if case.options["stranded"] else "."):
            mine, theirs = _our_steps(ours, index, number), _their_steps(array, contig, strand)
            # HTSeq has no step beyond its largest integer.
            mine = [step for step in mine if step[0] < 2**63 - 1]
            assert mine == theirs, f"steps of {contig!r} {strand}: {mine} instead of {theirs}"
            assert all(one[0] < two[0] for one, two in pairwise(mine))


def _check_index(annotation: Annotation) -> None:
    """Check that the index, which counting searches, has the same steps in the same order."""
    index = index_steps(annotation.steps, len(annotation.features), annotation.steps.contigs)
    starts = index.steps >> 32
    assert (starts == np.minimum(annotation.steps.starts, 2**31 - 1)).all(), (
        "the index has other steps"
    )


def check(case: Case) -> str:
    """Read the file in three ways and compare."""
    content = b"".join(case.parts)
    path = str(_folder() / case.options["name"])
    fast = _load(case, path, content)
    with mock.patch.object(scanner, "scan", _slow_scan):
        slow = _load(case, path, content)
    if isinstance(fast, str) or isinstance(slow, str):
        scanned, parsed = (
            result if isinstance(result, str) else "reads" for result in (fast, slow)
        )
        assert fast == slow, f"scanner: {scanned}; exact parser: {parsed}"
    else:
        assert _arrays(fast) == _arrays(slow), "the scanner and the exact parser read differently"
    # HTSeq takes a byte order mark as part of a contig's name, we do not.
    Path(path).write_bytes(re.sub(rb"(\A|[\n\r])(?:\xef\xbb\xbf)+", rb"\1", content))
    theirs = _theirs(case, path)
    if isinstance(fast, str):
        outcome = "refused, HTSeq reads" if theirs is not None else "refused, HTSeq stops"
        return f"{outcome}: {wording(fast.partition(': ')[2])}"
    assert theirs is not None, "read, though HTSeq stops"
    _compare(case, fast, *theirs)
    _check_index(fast)
    return "read alike"
