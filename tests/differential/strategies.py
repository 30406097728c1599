"""Hypothesis strategies for annotations, alignments and command lines that htseq-count accepts."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

#: Contigs of the alignments; the last one is never annotated.
CONTIGS = {"chr1": 3000, "2": 2000, "unannotated": 1000}
#: Positions are drawn from so few bases that reads and features overlap in all ways.
SPAN = 160


@dataclass
class Read:
    """One line of SAM."""

    name: str
    flag: int
    contig: str = "*"
    position: int = 0
    mapq: int = 0
    cigar: str = "*"
    mate_contig: str = "*"
    mate_position: int = 0
    length: int = 0
    bases: int = 10
    tags: tuple[str, ...] = ()

    def line(self) -> str:
        sequence = ("ACGTTGCAAN" * (self.bases // 10 + 1))[: self.bases] or "*"
        quality = ("ABCDEFGHIJ" * (self.bases // 10 + 1))[: self.bases] or "*"
        mate = "=" if self.mate_contig == self.contig != "*" else self.mate_contig
        fields = (
            self.name,
            self.flag,
            self.contig,
            self.position,
            self.mapq,
            self.cigar,
            mate,
            self.mate_position,
            self.length,
        )
        return "\t".join([*(str(value) for value in fields), sequence, quality, *self.tags])


@dataclass(frozen=True)
class Case:
    """Two input files and the options; with ``text`` alignments stay SAM, else become BAM."""

    gtf: str
    sam: str
    options: tuple[str, ...]
    outputs: tuple[str, ...] = field(default=())
    text: bool = False


def _sizes(text: str) -> tuple[int, int]:
    """Return the bases that a CIGAR covers in the read and on the reference."""
    number, query, reference = "", 0, 0
    for letter in text:
        if letter.isdigit():
            number += letter
            continue
        query += int(number) * (letter in "MIS=X")
        reference += int(number) * (letter in "MDN=X")
        number = ""
    return query, reference


# Under htseq-count, a read of a single base makes pysam change Python's own one-byte strings: no
# oracle for those.
CIGARS = st.one_of(
    st.sampled_from(["10M", "10M", "30M", "1M", "80M"]),
    st.builds(
        lambda parts, ends: ends[0] + "".join(parts) + ends[1],
        st.lists(
            st.builds(
                lambda size, letter: f"{size}{letter}",
                st.integers(1, 40),
                st.sampled_from(["M", "M", "M", "N", "N", "I", "D", "P", "=", "X", "S"]),
            ),
            min_size=1,
            max_size=6,
        ),
        st.sampled_from([("", ""), ("3S", ""), ("2H1S", "4H"), ("", "5S"), ("0M", "")]),
    ),
).filter(lambda text: _sizes(text)[0] > 1)

TAGS = st.lists(
    st.sampled_from(
        [
            "XS:A:+",
            "MD:Z:10",
            "NM:i:3",
            "AS:i:-300",
            "XN:f:0.25",
            "XB:B:s,1,-2",
            "YT:Z:x",
            "RG:Z:",
            "XI:i:70000",
        ]
    ),
    max_size=2,
    unique_by=lambda text: text[:2],
)
NH = st.sampled_from([(), *[("NH:i:1",)] * 7, ("NH:i:2",), ("NH:i:7",)])
MAPQ = st.sampled_from([0, 9, 10, 11, *[60] * 12, 255])
EXTRA_FLAGS = st.sampled_from([0, 0, 0, 0, 0, 0x100, 0x800, 0x400, 0x200, 0x900])
PLACES = st.tuples(st.sampled_from(["chr1"] * 6 + ["2", "unannotated"]), st.integers(1, SPAN))
NAMES = st.sampled_from(["a", "b", "c", "read:1", "read:2", "read:10"])


@st.composite
def single_reads(draw: st.DrawFn) -> list[Read]:
    """Draw one single-end read."""
    name, tags = draw(NAMES), (*draw(NH), *draw(TAGS))
    flag = draw(EXTRA_FLAGS) | draw(st.sampled_from([0, 16]))
    if draw(st.integers(0, 9)) == 9:
        contig, position = draw(st.sampled_from([("*", 0), ("chr1", 77)]))
        return [Read(name, flag | 4, contig, position, draw(MAPQ), tags=tags)]
    contig, position = draw(PLACES)
    cigar = draw(CIGARS)
    return [
        Read(name, flag, contig, position, draw(MAPQ), cigar, bases=_sizes(cigar)[0], tags=tags)
    ]


@st.composite
def read_pairs(draw: st.DrawFn) -> list[Read]:
    """Draw a pair, whole or with a missing or unmapped mate, whose fields on it agree."""
    name, extra = draw(NAMES), draw(EXTRA_FLAGS)
    kind = draw(
        st.sampled_from(
            ["whole"] * 6 + ["far", "lost", "lost", "half", "half", "unmapped", "own flags"]
        )
    )
    pair = []
    for number in (0x40, 0x80):
        cigar = draw(CIGARS)
        contig, position = draw(PLACES)
        strand = draw(st.sampled_from([0, 16]))
        mate = Read(
            name, 1 | number | strand, contig, position, draw(MAPQ), cigar, bases=_sizes(cigar)[0]
        )
        mate.flag |= draw(EXTRA_FLAGS) if kind == "own flags" else extra
        mate.tags = (*draw(NH), *draw(TAGS))
        pair.append(mate)
    if kind != "far":
        pair[1].contig = pair[0].contig
    unmapped = {"half": [draw(st.integers(0, 1))], "unmapped": [0, 1]}.get(kind, [])
    for index in unmapped:
        read, mate = pair[index], pair[1 - index]
        read.flag |= 4
        mate.flag |= 8
        read.cigar = "*"
        read.contig, read.position = (
            ("*", 0) if kind == "unmapped" else (mate.contig, mate.position)
        )
    _link(pair, draw(st.sampled_from([0, 0, 150, -75])))
    if kind == "lost":
        del pair[draw(st.integers(0, 1))]
    return pair


def _link(pair: list[Read], length: int) -> None:
    """Set each mate's fields on the other."""
    for index, read in enumerate(pair):
        mate = pair[1 - index]
        read.flag |= (mate.flag & 16) << 1
        read.mate_contig, read.mate_position = mate.contig, mate.position
        read.length = length if index == 0 else -length


def by_name(fragments: list[list[Read]]) -> list[Read]:
    """Bring the lines of one name together, names in the order of their first read."""
    groups: dict[str, list[Read]] = {}
    for fragment in fragments:
        for read in fragment:
            groups.setdefault(read.name, []).append(read)
    return [read for group in groups.values() for read in group]


def by_position(fragments: list[list[Read]]) -> list[Read]:
    """Sort as ``samtools sort`` does, reads without a place last."""
    order = {contig: number for number, contig in enumerate([*CONTIGS, "*"])}
    return sorted(
        (read for fragment in fragments for read in fragment),
        key=lambda read: (order[read.contig], read.position),
    )


@st.composite
def annotations(draw: st.DrawFn, *, stranded: bool) -> str:
    """Draw a GTF file with overlapping genes, each with a few exons, on both strands."""
    strands = ["+", "+", "-", "-"] if stranded else ["+", "-", "."]
    lines = [
        'chr1\tsrc\texon\t50\t90\t.\t+\t.\tgene_id "always"; gene_name "Always"; exon_number "1";'
    ]
    for _ in range(draw(st.integers(2, 9))):
        gene = draw(st.sampled_from(["g1", "g2", "g3", "g10", "G a", "é1"]))
        contig = draw(st.sampled_from(["chr1"] * 6 + ["2", "annotated only"]))
        strand = draw(st.sampled_from(strands))
        for number in range(draw(st.integers(1, 3))):
            start, size = (
                draw(st.integers(1, SPAN)),
                draw(st.sampled_from([1, 2, 10, 30, 100, 150])),
            )
            kind = draw(st.sampled_from(["exon", "exon", "exon", "exon", "CDS", "gene"]))
            attributes = [f'gene_id "{gene}"', f'exon_number "{number}"']
            if draw(st.booleans()):
                attributes.append(f'gene_name "{draw(st.sampled_from(["N1", "N;2", ""]))}"')
            place = f"{contig}\tsrc\t{kind}\t{start}\t{start + size - 1}\t.\t{strand}\t.\t"
            lines.append(place + "; ".join(attributes) + draw(st.sampled_from([";", "", "; "])))
    return "\n".join(lines) + "\n"


@st.composite
def options(draw: st.DrawFn, *, paired: bool, order: str, stranded: str) -> list[str]:
    """Draw htseq-count's options, without those of output."""
    chosen = ["-r", order, "-s", stranded]
    chosen += [
        "-m",
        draw(st.sampled_from(["union", "intersection-strict", "intersection-nonempty"])),
    ]
    chosen += ["--nonunique", draw(st.sampled_from(["none", "all", "fraction"]))]
    if draw(st.integers(0, 2)) == 2:
        chosen += ["-a", draw(st.sampled_from(["0", "11", "60"]))]
    for name in ("--secondary-alignments", "--supplementary-alignments"):
        if draw(st.booleans()):
            chosen += [name, draw(st.sampled_from(["score", "ignore"]))]
    if draw(st.integers(0, 3)) == 3:
        chosen += draw(
            st.sampled_from(
                [["-t", "exon", "-t", "CDS"], ["-t", "exon", "-t", "gene", "-t", "exon"]]
            )
        )
    if draw(st.integers(0, 3)) == 3:
        chosen += ["-i", "gene_id", "-i", "exon_number"]
    if draw(st.integers(0, 2)) == 2:
        chosen += ["--additional-attr", "gene_name"]
    if draw(st.integers(0, 3)) == 3:
        chosen += ["--add-chromosome-info"]
    if draw(st.integers(0, 9)) == 9:
        chosen += [
            "--feature-query",
            draw(st.sampled_from(['gene_id == "always"', 'exon_number=="1"'])),
        ]
    if draw(st.integers(0, 4)) == 4:
        chosen += ["-q"]
    return chosen


OUTPUTS = st.sampled_from(
    [
        (),
        (),
        ("-o", "{out}/x.sam"),
        ("-o", "{out}/x.bam", "-p", "bam"),
        ("-c", "{out}/x.tsv", "--with-header"),
        ("-c", "{out}/x.csv", "-d", ","),
        ("-c", "{out}/x.mtx"),
        ("-c", "{out}/x.mtx", "--counts-output-sparse", "-o", "{out}/x.sam"),
        ("--with-header", "-d", " | "),
    ]
)


@st.composite
def cases(draw: st.DrawFn, *, paired: bool, order: str) -> Case:
    """Draw a whole case."""
    stranded = draw(st.sampled_from(["yes", "no", "reverse"]))
    fragments = draw(st.lists(read_pairs() if paired else single_reads(), min_size=1, max_size=12))
    reads = by_position(fragments) if order == "pos" else by_name(fragments)
    header = ["@HD\tVN:1.6", *(f"@SQ\tSN:{name}\tLN:{length}" for name, length in CONTIGS.items())]
    return Case(
        gtf=draw(annotations(stranded=stranded != "no")),
        sam="\n".join([*header, *(read.line() for read in reads)]) + "\n",
        options=tuple(draw(options(paired=paired, order=order, stranded=stranded))),
        outputs=draw(OUTPUTS),
        text=draw(st.integers(0, 19)) == 19,
    )
