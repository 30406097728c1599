"""Hypothesis strategies for alignments with barcodes, and htseq-count-barcodes as their oracle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from counterbias.options import MODES
from tests.differential.harness import Outcome, differences, run_ours, run_theirs
from tests.differential.strategies import (
    CONTIGS,
    Case,
    Read,
    annotations,
    by_name,
    by_position,
    read_pairs,
    single_reads,
)

CELLS = st.sampled_from(["AAC-1", "TTT-1", "G", ""])
#: All of one length, as htseq-count-barcodes needs them, and many of them close to each other.
UMIS = st.text("AC", min_size=4, max_size=4)
#: Which of a pair's mates have which barcodes; the first that has one counts.
ON_MATES = st.sampled_from(
    [("CU", "CU"), ("CU", "CU"), ("CU", ""), ("", "CU"), ("CU", "U"), ("C", "U"), ("U", "C"),
     ("C", "C"), ("", "U"), ("", "")]
)  # fmt: skip


@st.composite
def barcoded(draw: st.DrawFn, *, paired: bool) -> list[Read]:
    """Draw a read or pair with barcodes, or without one of them."""
    fragment = draw(read_pairs() if paired else single_reads())
    cells, umis = (draw(st.lists(part, min_size=2, max_size=2)) for part in (CELLS, UMIS))
    on = draw(ON_MATES) if paired else (draw(st.sampled_from(["CU"] * 9 + ["C", "U", ""])), "")
    for read, has, cell, umi in zip(fragment, on, cells, umis, strict=False):
        tags = [f"CB:Z:{cell}"] * ("C" in has) + [f"UB:Z:{umi}"] * ("U" in has)
        read.tags = (*read.tags, *(reversed(tags) if draw(st.booleans()) else tags))
    return fragment


@st.composite
def barcode_options(draw: st.DrawFn, *, order: str, stranded: str) -> list[str]:
    """Draw htseq-count-barcodes' options, without those of output."""
    chosen = ["-r", order, "-s", stranded]
    chosen += [
        "-m",
        draw(st.sampled_from(MODES)),
        "--nonunique",
        draw(st.sampled_from(("none", "all"))),
    ]
    chosen += ["--correct-UMI-distance", draw(st.sampled_from("012"))]
    for name in ("--secondary-alignments", "--supplementary-alignments"):
        chosen += draw(st.sampled_from([(), (name, "score"), (name, "ignore")]))
    chosen += draw(st.sampled_from([(), (), ("-a", "0"), ("-a", "11")]))
    chosen += draw(st.sampled_from([(), (), ("-t", "exon", "-t", "CDS"), ("-i", "gene_id")]))
    chosen += draw(st.sampled_from([(), (), ("--additional-attr", "gene_name")]))
    chosen += draw(st.sampled_from([(), (), (), ("--add-chromosome-info",), ("-q",)]))
    return chosen


OUTPUTS = st.sampled_from(
    [
        (),
        (),
        ("-o", "{out}/x.sam"),
        ("-o", "{out}/x.bam", "-p", "bam"),
        ("-c", "{out}/x.tsv"),
        ("-c", "{out}/x.csv", "-d", ","),
        ("-c", "{out}/x.mtx"),
        ("-c", "{out}/x.mtx", "--counts_output_sparse", "-o", "{out}/x.sam"),
        ("-d", " | "),
    ]
)


@st.composite
def barcoded_cases(draw: st.DrawFn, *, paired: bool, order: str) -> Case:
    """Draw a whole case, in which at least one read has both barcodes."""
    stranded = draw(st.sampled_from(["yes", "no", "reverse"]))
    fragments = draw(st.lists(barcoded(paired=paired), min_size=1, max_size=20))
    counted = Read("z", 0, "chr1", 55, 60, "10M", tags=("CB:Z:AAC-1", "UB:Z:AAAA"))
    if paired:
        counted = replace(counted, flag=1 | 8 | 0x40)
    fragments.append([counted])
    reads = by_position(fragments) if order == "pos" else by_name(fragments)
    header = ["@HD\tVN:1.6", *(f"@SQ\tSN:{name}\tLN:{length}" for name, length in CONTIGS.items())]
    return Case(
        gtf=draw(annotations(stranded=stranded != "no")),
        sam="\n".join([*header, *(read.line() for read in reads)]) + "\n",
        options=tuple(draw(barcode_options(order=order, stranded=stranded))),
        outputs=draw(OUTPUTS),
    )


def compare_barcodes(argv: Sequence[str], folder: Path) -> Outcome:
    """Run both on one command line, fail if they differ, and return htseq-count-barcodes' outcome.

    Its members of ``__ambiguous[…]`` come in the order of a set: both are sorted. Messages are
    compared without its double spaces, and without our line that sums up.
    """
    folders = folder / "theirs", folder / "ours"
    for name in folders:
        name.mkdir(exist_ok=True)
    theirs = run_theirs(argv, folders[0], "count_with_barcodes")
    ours = run_ours(argv, folders[1], "count-barcodes")
    found = differences(_alike(theirs), _alike(ours))
    assert not found, f"{' '.join(argv)}\n{found}"
    return theirs


def _alike(outcome: Outcome) -> Outcome:
    lines = (" ".join(line.split()) for line in outcome.stderr)
    return replace(
        outcome,
        stderr=tuple(line for line in lines if not re.match(r"[\d,]+ cells? with ", line)),
        files={name: _members_sorted(data) for name, data in outcome.files.items()},
    )


def _members_sorted(data: bytes) -> bytes:
    return re.sub(
        rb"(?<=__ambiguous\[)[^\]]*(?=\])",
        lambda found: b"+".join(sorted(found[0].split(b"+"))),
        data,
    )
