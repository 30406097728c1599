"""Whole BAM streams through ``count_alignments``, judged by htseq-count.

If htseq-count counts a stream, we must have the same counts, classes and warnings, and with ``-o``
the same records, or refuse the stream for a documented reason. If htseq-count fails, we may refuse
the stream, too. Every refusal is one line.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import struct
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pysam

from counterbias.errors import InputError
from counterbias.options import CountingOptions
from counterbias.pipeline.counting import Listeners, count_alignments
from counterbias.records import Annotation, SampleCounts
from counterbias.writers.tagged import TaggedWriter
from tests.fuzz import bam_changes, bam_records, memory_source, scratch
from tests.fuzz.case import Case
from tests.fuzz.judging import refusal_wording
from tests.helpers.alignment_builders import annotation, bgzf, counts_as_htseq, random_gtf


def random_counting(rng: random.Random, **known: str) -> dict[str, Any]:
    """Draw options of counting; some may be known."""
    return {
        "order": rng.choice(("name", "pos")),
        "mode": rng.choice(("union", "union", "intersection-strict", "intersection-nonempty")),
        "nonunique": rng.choice(("none", "none", "all", "fraction")),
        "stranded": rng.choice(("yes", "no", "reverse")),
        "secondary_alignments": rng.choice(("score", "ignore")),
        "supplementary_alignments": rng.choice(("score", "ignore")),
        "minaqual": rng.choice((10, 10, 0, 30)),
        **known,
    }


def mutate(rng: random.Random) -> Case:
    """Draw a stream and the options to count it with."""
    options = random_counting(rng)
    how = {
        "batch": rng.choice((0, 0, 0, 200, 700, 3000)),
        "headroom": rng.choice((64, 4096)),
        "blocks": rng.choice((0, 0, 0, 40, 500)),
        "tagged": rng.choice(("", "", "", "", "", "", "bam", "sam", "weighted")),
    }
    return Case(
        [bam_changes.random_header(rng), *bam_changes.random_stream(rng)],
        {"counting": options, **how},
    )


def _folder() -> Path:
    return scratch.folder("bam_counts")


@lru_cache(maxsize=2)
def _genes(stranded: bool) -> Annotation:
    return annotation(_folder(), random_gtf(random.Random(7), 14), stranded=stranded)


@lru_cache(maxsize=2)
def _features(stranded: bool) -> Any:
    import HTSeq

    _genes(stranded)
    scan = HTSeq.make_feature_genomicarrayofsets(
        HTSeq.GFF_Reader(str(_folder() / "genes.gtf")),
        ["gene_id"],
        feature_type=["exon"],
        stranded=stranded,
        verbose=False,
    )
    return scan["features"], sorted(scan["attributes"])


def _count(
    case: Case, content: bytes, sink: Any, on_header: Any = None
) -> tuple[SampleCounts, list[str]]:
    """Count; return the result and the warnings."""
    options = CountingOptions(**case.options["counting"])
    small = (
        {"batch": case.options["batch"], "headroom": case.options["headroom"]}
        if case.options["batch"]
        else {}
    )
    with memory_source.reading(content, **small) as name:
        warned: list[str] = []
        result = count_alignments(
            name,
            _genes(options.stranded != "no"),
            options,
            want_sites=True,
            listeners=Listeners(on_header, warn=warned.append, record_sink=sink),
        )
        return result, warned


def _counted(result: SampleCounts) -> tuple[Any, ...]:
    assert result.sites is not None
    assert (
        len(result.sites)
        == int(np.sum(result.touched if result.touched is not None else result.counts))
        or result.touched is not None
    )
    assert result.fragments >= 0
    return counts_as_htseq(result), result.classes


def _unknown_files() -> list[str]:
    return [
        name
        for name in os.listdir(_folder())
        if name not in ("genes.gtf", "reads.bam", "theirs.sam", "theirs.bam")
    ]


def _ours(case: Case, content: bytes) -> tuple[Any, ...]:
    """Return counts, classes, warnings, output of ``-o`` or None, and records left out of it."""
    output = case.options["tagged"]
    if not output:
        result, messages = _count(case, content, None)
        return (*_counted(result), messages, None, 0)
    path = _folder() / "ours"
    genes = _genes(case.options["counting"]["stranded"] != "no")
    writers: list[TaggedWriter] = []

    def start(header: Any) -> None:
        form = "SAM" if output == "sam" else "BAM"
        writers.append(
            TaggedWriter(
                str(path),
                format=form,
                header=header.as_bam(),
                names=genes.features.ids,
                weighted=output == "weighted",
            )
        )

    try:
        result, messages = _count(case, content, lambda batch: writers[0].write(batch), start)
        rows = len(result.sites) if result.sites is not None else 0
        writers[0].finish(
            np.linspace(0.5, 2, 2 * rows).astype("<f4").reshape(-1, 2)
            if output == "weighted"
            else None
        )
        written = path.read_bytes()
    finally:
        for writer in writers:
            writer.abort()
        path.unlink(missing_ok=True)
        left = _unknown_files()
        assert not left, f"left behind: {left}"
    if output != "sam":
        written = gzip.decompress(written)
    return (*_counted(result), messages, written, writers[0].left_out)


def _theirs(case: Case, content: bytes) -> tuple[Any, ...] | None:
    """Count with HTSeq. Return None if it fails, otherwise the same as :func:`_ours`."""
    from HTSeq.scripts.count_features.count_features_per_file import count_reads_single_file

    options = CountingOptions(**case.options["counting"])
    features, ids = _features(options.stranded != "no")
    output = case.options["tagged"]
    output = "bam" if output == "weighted" else output
    out = str(_folder() / f"theirs.{output}") if output else None
    path = _folder() / "reads.bam"
    messages: list[str] = []
    stderr = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: messages.append(str(message))
        with contextlib.redirect_stderr(stderr):
            try:
                result = count_reads_single_file(
                    0,
                    str(path),
                    features,
                    ids,
                    options.order,
                    10**9,
                    options.stranded,
                    options.mode,
                    options.nonunique,
                    options.secondary_alignments,
                    options.supplementary_alignments,
                    ["exon"],
                    ["gene_id"],
                    [],
                    True,
                    options.minaqual,
                    output.upper(),
                    out,
                )
            except Exception:
                return None
    classes = tuple(
        result[key] for key in ("empty", "ambiguous", "lowqual", "notaligned", "nonunique")
    )
    written = None
    if out:
        written = Path(out).read_bytes()
        written = gzip.decompress(written) if output == "bam" else written
    return [result["counts"][name] for name in ids], classes, messages, written


def _pysam_reads() -> bool:
    """Whether pysam reads the file to its end."""
    try:
        with pysam.AlignmentFile(str(_folder() / "reads.bam")) as stream:
            for _ in stream:
                pass
    except (OSError, ValueError, UnicodeDecodeError):
        return False
    return True


def _safe_for_pysam(parts: list[bytes]) -> bool:
    """Whether every part is a record that is safe to read with pysam.

    pysam reads beyond the end of malformed tags. The quality of a read of one base it writes into
    the object that Python shares among all texts of that character, which damages this process.
    """
    for item in parts:
        if len(item) < bam_records.NAME or struct.unpack_from("<i", item)[0] != len(item) - 4:
            return False
        bases = struct.unpack_from("<i", item, bam_records.BASES)[0]
        start = (
            bam_records.NAME
            + item[12]
            + 4 * struct.unpack_from("<H", item, 16)[0]
            + ((bases + 1) >> 1)
            + bases
        )
        if (
            bases < 0
            or bases == 1
            or start > len(item)
            or bam_records.tag_places(item, start) is None
        ):
            return False
    return True


def _first_is_read() -> bool:
    """Whether HTSeq can read the first record. If not, it takes the file as empty."""
    import HTSeq

    try:
        for _ in HTSeq.BAM_Reader(str(_folder() / "reads.bam")):
            break
    except Exception:
        return False
    return True


def _split(written: bytes) -> list[bytes]:
    """Cut an uncompressed BAM file into its header and its records."""
    at = 8 + struct.unpack_from("<i", written, 4)[0]
    at += 4
    for _ in range(struct.unpack_from("<i", written, at - 4)[0]):
        at += 8 + struct.unpack_from("<i", written, at)[0]
    out = [written[:at]]
    while at < len(written):
        end = at + 4 + struct.unpack_from("<i", written, at)[0]
        out.append(written[at:end])
        at = end
    return out


def _unsound(parts: list[bytes]) -> str:
    """Return what htseq-count writes wrongly, so that we differ on purpose; empty if nothing."""
    for item in parts:
        if item[bam_records.NAME] == 0:
            return "an empty name"
        bases = struct.unpack_from("<i", item, bam_records.BASES)[0]
        start = (
            bam_records.NAME
            + item[12]
            + 4 * struct.unpack_from("<H", item, 16)[0]
            + ((bases + 1) >> 1)
            + bases
        )
        for place in bam_records.tag_places(item, start) or ():
            if b"\0" in item[place : place + 2]:
                return "a tag whose name has a NUL"
            if item[place + 2 : place + 4] == b"A\0":
                return "a NUL character written as an empty text"
            if item[place + 2 : place + 3] == b"I" and item[place + 6] > 127:
                return "an unsigned integer that htseq-count writes as a negative one"
    return ""


def _fields(item: bytes, output: str) -> list[tuple[str, Any]]:
    """Split a record of the output into named fields, tags last."""
    if output == "sam":
        columns = item.split(b"\t")
        return [
            *((f"column {number + 1}", column) for number, column in enumerate(columns[:11])),
            ("tag types", [column[:4] for column in columns[11:]]),
            ("tags", columns[11:]),
        ]
    name, operations = item[12], struct.unpack_from("<H", item, 16)[0]
    bases = max(struct.unpack_from("<i", item, bam_records.BASES)[0], 0)
    start = bam_records.NAME + name + 4 * operations
    tags = start + (bases + 1) // 2 + bases
    places = bam_records.tag_places(item, tags)
    return [
        ("name", item[36 : 36 + name]),
        ("CIGAR", item[36 + name : start]),
        ("fixed part", item[4:12] + item[13:36]),
        ("bases", item[start:tags]),
        ("tag types", None if places is None else [item[place : place + 3] for place in places]),
        ("tags", item[tags:]),
    ]


def _difference(theirs: bytes, ours: bytes, output: str) -> str:
    """Describe the first record that differs."""
    one, two = (
        written.splitlines() if output == "sam" else _split(written) for written in (theirs, ours)
    )
    for number, (first, second) in enumerate(zip(one, two, strict=False)):
        if first != second:
            differing = "header"
            if number and not first.startswith(b"@"):
                pairs = zip(_fields(first, output), _fields(second, output), strict=True)
                differing = next(
                    (name for (name, mine), (_, other) in pairs if mine != other), "length"
                )
            return (
                f"records differ in their {differing}: at {number}\n"
                f"  htseq-count {first!r}\n  counterbias {second!r}"
            )
    return f"records differ in number: htseq-count writes {len(one)}, counterbias {len(two)}"


def check(case: Case) -> str:
    """Count the stream and compare."""
    pysam.set_verbosity(0)
    content = b"".join(case.parts)
    (_folder() / "reads.bam").write_bytes(content)
    for name in _unknown_files():
        # Left behind by a process that was killed because it hung.
        (_folder() / name).unlink()
    given = bgzf(content, sizes=(case.options["blocks"],)) if case.options["blocks"] else content
    refusal = ""
    ours: tuple[Any, ...] = ()
    try:
        ours = _ours(case, given)
    except InputError as error:
        refusal = refusal_wording(error, (memory_source.NAME, "ours"))
    # HTSeq would take anything that is not BAM for SAM.
    safe = content.startswith(b"BAM\1") and _safe_for_pysam(case.parts[1:])
    theirs = _theirs(case, content) if safe else None
    if theirs is not None and not any((*theirs[0], *theirs[1])) and not _first_is_read():
        theirs = None
    readable = theirs is not None or _pysam_reads()
    sound = safe and readable
    by_pysam = "pysam reads" if readable else "pysam refuses"
    if refusal:
        return f"refused, {'htseq-count counts' if theirs is not None else by_pysam}: {refusal}"
    if theirs is None:
        return f"counted, {'htseq-count stops' if sound else by_pysam}"
    if any("disagree about the template length" in line for line in ours[2]):
        return "counted, mates disagree about the template length"
    assert ours[:2] == theirs[:2], (
        f"counts differ: htseq-count {theirs[:2]}, counterbias {ours[:2]}"
    )
    assert ours[2] == theirs[2], f"warnings differ: htseq-count {theirs[2]}, counterbias {ours[2]}"
    if case.options["tagged"] in ("bam", "sam"):
        if ours[4]:
            return "counted alike, tags with control characters left out of SAM"
        if ours[3] != theirs[3] and (unsound := _unsound(case.parts[1:])):
            return f"counted alike, {unsound}"
        assert ours[3] == theirs[3], _difference(theirs[3], ours[3], case.options["tagged"])
    return "counted alike"
