"""The simulator: same seed, same bytes; reads lie where they say, with the bias asked for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import HTSeq
import numpy as np
import pysam
import pytest

from counterbias.errors import InputError
from counterbias.records import Window
from counterbias.simulation import (
    AnnotationDesign,
    GeneModels,
    Genome,
    Library,
    PrimingBias,
    Reads,
    simulate_abundance,
    simulate_annotation,
    simulate_genome,
    simulate_priming_bias,
    simulate_reads,
    write_bam,
    write_fasta,
    write_gtf,
    write_truth,
)

FULL = Library(
    4000,
    36,
    stranded="yes",
    multi_mapped=0.1,
    unmapped_mate=0.05,
    unmapped=0.05,
    error_rate=0.01,
    fragment_mean=150,
    fragment_sd=30,
)


def make(
    library: Library,
    *,
    seed: int = 1,
    bias: PrimingBias | None = None,
    genes: int = 40,
    spread: float = 1.5,
) -> Reads:
    rng = np.random.default_rng(seed)
    genome = simulate_genome(rng, {"chr1": 300_000, "chr2": 200_000})
    models = simulate_annotation(
        rng, genome.lengths, genes, design=AnnotationDesign(overlapping=0.2)
    )
    return simulate_reads(
        rng, genome, models, simulate_abundance(rng, models, spread=spread), library, bias
    )


@pytest.fixture(scope="module")
def full() -> Reads:
    return make(FULL)


@pytest.fixture(scope="module")
def records(
    full: Reads, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[pysam.AlignedSegment]]:
    folder = tmp_path_factory.mktemp("bam")
    result = {}
    for order in ("name", "pos"):
        path = folder / f"{order}.bam"
        count = write_bam(path, full, order=order)
        with pysam.AlignmentFile(path) as stream:
            result[order] = list(stream)
        assert len(result[order]) == count
    return result


@pytest.mark.parametrize("further", [0.0, 6.0])
def test_genes_have_as_many_transcripts_as_the_design_says(further: float) -> None:
    design = AnnotationDesign(second_isoform=0.75, further_isoforms=further)
    rng = np.random.default_rng(3)
    models = simulate_annotation(rng, {"chr1": 40_000_000}, 2000, design=design)
    number = np.bincount(models.transcript_gene, minlength=2000)
    several = number > 1
    assert several.mean() == pytest.approx(0.75, abs=0.03)
    assert number[several].mean() == pytest.approx(2 + further, abs=0.25)
    if further == 0:
        assert number.max() == 2
    assert (models.exon_lengths > 0).all()


def test_same_seed_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    digests = []
    for number, (seed, threads) in enumerate([(1, 1), (1, 2), (2, 1)]):
        path = tmp_path / f"{number}.bam"
        write_bam(path, make(FULL, seed=seed), order="pos", threads=threads)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.bam", "1.bam", "2.bam"]


def test_files_are_whole_and_sorted_as_they_say(
    full: Reads, records: dict[str, list[pysam.AlignedSegment]], tmp_path: Path
) -> None:
    assert sorted(record.to_string() for record in records["name"]) == sorted(
        record.to_string() for record in records["pos"]
    )
    path = tmp_path / "pos.bam"
    write_bam(path, full, order="pos")
    pysam.quickcheck(str(path))
    pysam.index(str(path))  # refuses what is not sorted
    with pysam.AlignmentFile(path) as stream:
        assert stream.header["HD"] == {"VN": "1.6", "SO": "coordinate"}
        assert dict(zip(stream.references, stream.lengths, strict=True)) == {
            "chr1": 300_000,
            "chr2": 200_000,
        }
        assert stream.mapped == sum(not record.is_unmapped for record in records["pos"])
        nowhere = sum(record.is_unmapped and record.mate_is_unmapped for record in records["pos"])
        assert stream.nocoordinate == nowhere > 300
    names = [record.query_name for record in records["name"]]
    fields = [
        tuple(int(part) for part in name.split(":")[4:]) for name in names if name is not None
    ]
    assert fields == sorted(fields)
    assert len(set(fields)) == FULL.fragments


def test_mates_agree(records: dict[str, list[pysam.AlignedSegment]]) -> None:
    pairs = list(zip(records["name"][::2], records["name"][1::2], strict=True))
    spliced = 0
    for first, second in pairs:
        assert first.query_name == second.query_name
        assert (first.is_read1, second.is_read2) == (True, True)
        assert first.is_secondary == second.is_secondary
        for own, mate in ((first, second), (second, first)):
            assert own.next_reference_id == mate.reference_id
            assert own.next_reference_start == mate.reference_start
            assert own.mate_is_unmapped == mate.is_unmapped
            assert own.mate_is_reverse == mate.is_reverse
        if first.is_unmapped or second.is_unmapped:
            assert first.template_length == second.template_length == 0
            assert not first.is_proper_pair
            continue
        assert first.is_proper_pair
        left, right = (second, first) if first.is_reverse else (first, second)
        assert (left.is_reverse, right.is_reverse) == (False, True)
        assert (
            left.template_length
            == right.reference_end - left.reference_start
            == -right.template_length
        )
        spliced += "N" in left.cigarstring
    assert spliced > 100
    both = sum(first.is_unmapped and second.is_unmapped for first, second in pairs)
    one = sum(first.is_unmapped != second.is_unmapped for first, second in pairs)
    assert both == pytest.approx(200, abs=60)
    assert one == pytest.approx(200, abs=60)


def test_multiple_hits_have_that_many_alignments(
    records: dict[str, list[pysam.AlignedSegment]],
) -> None:
    hits: dict[tuple[str, bool], list[pysam.AlignedSegment]] = {}
    for record in records["name"]:
        if not record.is_unmapped:
            hits.setdefault((record.query_name or "", record.is_read1), []).append(record)
    several = 0
    for group in hits.values():
        assert {record.get_tag("NH") for record in group} == {len(group)}
        assert [record.is_secondary for record in group] == [False] + [True] * (len(group) - 1)
        assert all((record.mapping_quality < 10) == (len(group) > 1) for record in group)
        several += len(group) > 1
    assert several / 2 == pytest.approx(400, abs=80)


def test_reads_match_the_genome_and_lie_within_exons(
    full: Reads, records: dict[str, list[pysam.AlignedSegment]]
) -> None:
    exons = {}
    for transcript in range(len(full.genes.transcript_ids)):
        contig = full.genes.contigs[full.genes.gene_contig[full.genes.transcript_gene[transcript]]]
        rows = slice(full.genes.exon_offsets[transcript], full.genes.exon_offsets[transcript + 1])
        for exon in zip(
            full.genes.exon_start[rows].tolist(), full.genes.exon_end[rows].tolist(), strict=True
        ):
            exons.setdefault(contig, set()).add(exon)
    sequences = {
        name: "".join("ACGT"[base] for base in full.genome.contig(number))
        for number, name in enumerate(full.genome.names)
    }
    different = total = 0
    for record in records["name"]:
        if record.is_unmapped:
            assert record.cigarstring is None
            continue
        assert all(
            any(start <= left and right <= end for start, end in exons[record.reference_name])
            for left, right in record.get_blocks()
        )
        inner = [block for block in pairwise(record.get_blocks()) if "N" in record.cigarstring]
        assert all((before[1] < after[0]) for before, after in inner)
        if record.is_secondary:
            assert record.query_sequence is None
            continue
        expected = "".join(
            sequences[record.reference_name][left:right] for left, right in record.get_blocks()
        )
        mismatches = sum(a != b for a, b in zip(record.query_sequence, expected, strict=True))
        assert mismatches == record.get_tag("NM")
        different, total = different + mismatches, total + len(expected)
    assert different / total == pytest.approx(FULL.error_rate, rel=0.15)


@pytest.mark.parametrize("stranded", ["yes", "reverse", "no"])
@pytest.mark.parametrize("paired", [True, False])
def test_strandedness_and_layout(stranded: str, paired: bool, tmp_path: Path) -> None:
    reads = make(replace(FULL, fragments=1000, stranded=stranded, paired=paired))
    write_bam(tmp_path / "reads.bam", reads)
    strand = {}
    for row, number in enumerate(reads.fragment.tolist()):
        if not reads.bits[row] & 2:
            strand[number] = reads.genes.gene_strand[
                reads.genes.transcript_gene[reads.transcript[row]]
            ]
    same, number, previous = [], -1, None
    with pysam.AlignmentFile(tmp_path / "reads.bam") as stream:
        for record in stream:
            assert record.is_paired == paired
            number += record.query_name != previous
            previous = record.query_name
            if record.is_unmapped or record.is_secondary or record.is_read2:
                continue
            same.append(record.is_reverse == (strand[number] == 1))
    expected = {"yes": 1.0, "reverse": 0.0, "no": 0.5}[stranded]
    assert np.mean(same) == pytest.approx(expected, abs=0.0 if stranded != "no" else 0.07)


def test_truth_adds_up(tmp_path: Path) -> None:
    bias = simulate_priming_bias(np.random.default_rng(5))
    reads = make(Library(20_000, 36, fragment_mean=150, fragment_sd=20), bias=bias)
    truth = reads.truth
    assert truth.fragments.sum() == 20_000
    assert truth.expected_fragments.sum() == pytest.approx(20_000)
    assert truth.unbiased_fragments.sum() == pytest.approx(20_000)
    assert truth.abundance.sum() == pytest.approx(1e6)
    assert np.average(truth.mean_bias, weights=truth.unbiased_fragments) == pytest.approx(1.0)
    gene = reads.genes.transcript_gene[
        reads.transcript[np.unique(reads.fragment, return_index=True)[1]]
    ]
    assert np.array_equal(np.bincount(gene, minlength=40), truth.fragments)
    # Drawn numbers follow the biased expectation (chi-square over genes) and not the other one.
    keep = truth.expected_fragments > 20
    chi = np.sum(
        (truth.fragments - truth.expected_fragments)[keep] ** 2 / truth.expected_fragments[keep]
    )
    other = np.sum(
        (truth.fragments - truth.unbiased_fragments)[keep] ** 2 / truth.unbiased_fragments[keep]
    )
    assert chi < 2 * keep.sum() < other
    write_truth(tmp_path / "truth.tsv", truth)
    lines = (tmp_path / "truth.tsv").read_text().splitlines()
    assert lines[0].split("\t") == [
        "gene_id", "length", "abundance", "expected_fragments", "unbiased_fragments", "mean_bias",
        "fragments",
        "mapped_fragments", "fpkm",
    ]  # fmt: skip
    assert len(lines) == 41


def start_composition(reads: Reads, column: int) -> np.ndarray:
    """Count the bases at one offset from the left read's start, on its strand."""
    genes = reads.genes
    lengths = genes.exon_end - genes.exon_start
    before = np.cumsum(lengths) - lengths
    rows = np.flatnonzero(reads.bits & 2 == 0)
    offset = np.minimum(
        reads.start[rows] + column, genes.transcript_lengths[reads.transcript[rows]] - 1
    )
    exon = (
        np.searchsorted(
            before, before[genes.exon_offsets[reads.transcript[rows]]] + offset, side="right"
        )
        - 1
    )
    inside = before[genes.exon_offsets[reads.transcript[rows]]] + offset - before[exon]
    contig = genes.gene_contig[genes.transcript_gene[reads.transcript[rows]]]
    return np.bincount(
        reads.genome.bases[reads.genome.offsets[contig] + genes.exon_start[exon] + inside],
        minlength=4,
    )


@pytest.mark.parametrize("biased_ends", ["both", "read1"])
def test_bias_shows_at_read_starts_only_when_on(biased_ends: str) -> None:
    bias = simulate_priming_bias(np.random.default_rng(5))
    library = Library(
        20_000, 36, stranded="yes", fragment_mean=150, fragment_sd=20, biased_ends=biased_ends
    )

    def divergence(reads: Reads) -> float:
        at_start, inside = (
            start_composition(reads, column) / len(reads.fragment) for column in (1, 25)
        )
        return float(np.sum((at_start - inside) * np.log(at_start / inside)))

    without, with_bias = (
        divergence(make(library, spread=0.5)),
        divergence(make(library, bias=bias, spread=0.5)),
    )
    assert without < 0.003
    assert with_bias > 10 * without


def test_bias_of_one_position_is_known(tmp_path: Path) -> None:
    """A single weight: reads start at A three times as often as elsewhere, at either end."""
    weights = np.zeros((1, 4))
    weights[0, 0] = np.log(3.0)
    bias = PrimingBias(Window(0, 0), weights, np.zeros((0, 2), np.int64), np.zeros((0, 4, 4)))
    genome = Genome(("chr1",), np.array([0, 3000]), np.tile(np.arange(4, dtype=np.uint8), 750))
    one = np.array([0, 1], dtype=np.int64)
    genes = GeneModels(
        ("chr1",), ("g",), ("g",), np.zeros(1, np.int32), np.zeros(1, np.int8), ("t",),
        np.zeros(1, np.int32), one,
        np.array([500]), np.array([2500]),
    )  # fmt: skip
    library = Library(40_000, 30, fragment_mean=101, fragment_sd=10)
    reads = simulate_reads(np.random.default_rng(3), genome, genes, np.ones(1), library, bias)
    counts = np.bincount(genome.bases[500 + reads.start], minlength=4)
    assert counts[0] / counts[1:].mean() == pytest.approx(3.0, rel=0.05)
    right = np.bincount(3 - genome.bases[500 + reads.start + reads.length - 1], minlength=4)
    assert right[0] / right[1:].mean() == pytest.approx(3.0, rel=0.05)


def test_log_bias_of_windows_and_along_a_sequence_agree() -> None:
    rng = np.random.default_rng(8)
    bias = simulate_priming_bias(rng)
    width, upstream = bias.window.width, bias.window.upstream
    sequence = rng.integers(0, 4, size=200).astype(np.uint8)
    forward, reverse = bias.along(sequence)
    windows = np.lib.stride_tricks.sliding_window_view(sequence, width)
    inside = slice(upstream, 200 - bias.window.downstream)
    assert np.allclose(np.log(forward[inside]), bias.log_bias(windows), atol=1e-12)
    opposite = np.lib.stride_tricks.sliding_window_view(3 - sequence[::-1], width)
    assert np.allclose(np.log(reverse[::-1][inside]), bias.log_bias(opposite), atol=1e-12)
    random_windows = rng.integers(0, 4, size=(50_000, width)).astype(np.uint8)
    assert np.std(bias.log_bias(random_windows)) == pytest.approx(0.9, rel=0.03)


def test_annotation_reads_back(tmp_path: Path) -> None:
    models = make(FULL).genes
    exon_lines = write_gtf(tmp_path / "genes.gtf", models)
    exons: dict[str, list[HTSeq.GenomicFeature]] = {}
    for feature in HTSeq.GFF_Reader(str(tmp_path / "genes.gtf")):
        if feature.type == "exon":
            exons.setdefault(feature.attr["transcript_id"], []).append(feature)
    assert sum(len(group) for group in exons.values()) == exon_lines == len(models.exon_start)
    assert list(exons) == list(models.transcript_ids)
    for transcript, group in enumerate(exons.values()):
        gene = models.transcript_gene[transcript]
        rows = slice(models.exon_offsets[transcript], models.exon_offsets[transcript + 1])
        ascending = sorted((feature.iv.start, feature.iv.end) for feature in group)
        assert ascending == list(
            zip(models.exon_start[rows].tolist(), models.exon_end[rows].tolist(), strict=True)
        )
        assert {feature.attr["gene_id"] for feature in group} == {models.gene_ids[gene]}
        assert {feature.attr["gene_name"] for feature in group} == {models.gene_names[gene]}
        assert {feature.iv.strand for feature in group} == {"+-"[models.gene_strand[gene]]}
        starts = [
            feature.iv.start
            for feature in sorted(group, key=lambda feature: int(feature.attr["exon_number"]))
        ]
        assert starts == sorted(starts, reverse=bool(models.gene_strand[gene]))
    assert set(models.gene_strand.tolist()) == {0, 1}
    assert len(models.transcript_ids) > len(models.gene_ids)
    covered: dict[str, set[int]] = {}
    for feature in (feature for group in exons.values() for feature in group):
        covered.setdefault(feature.attr["gene_id"], set()).update(
            range(feature.iv.start, feature.iv.end)
        )
    assert [len(covered[gene]) for gene in models.gene_ids] == models.gene_lengths.tolist()


def test_some_genes_overlap() -> None:
    models = make(FULL, genes=60).genes
    spans = {}
    for transcript, gene in enumerate(models.transcript_gene.tolist()):
        rows = slice(models.exon_offsets[transcript], models.exon_offsets[transcript + 1])
        start, end = int(models.exon_start[rows].min()), int(models.exon_end[rows].max())
        known = spans.get(gene, (start, end))
        spans[gene] = min(start, known[0]), max(end, known[1])
    overlaps = sum(
        spans[gene][1] > spans[gene + 1][0]
        and models.gene_contig[gene] == models.gene_contig[gene + 1]
        for gene in range(59)
    )
    assert 3 <= overlaps <= 30


def test_fasta_and_its_index(tmp_path: Path) -> None:
    genome = simulate_genome(np.random.default_rng(1), {"a": 1000, "b": 120})
    write_fasta(tmp_path / "genome.fa", genome)
    with pysam.FastaFile(str(tmp_path / "genome.fa")) as fasta:
        for number, name in enumerate(("a", "b")):
            assert fasta.fetch(name) == "".join("ACGT"[base] for base in genome.contig(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genome.fa", "genome.fa.fai"]


def test_genome_has_isochores_and_rare_cg() -> None:
    bases = simulate_genome(np.random.default_rng(1), {"a": 2_000_000}).bases
    content = np.isin(bases, (1, 2)).reshape(-1, 5000).mean(axis=1)
    assert content.std() > 0.03
    pairs = np.bincount(4 * bases[:-1].astype(int) + bases[1:], minlength=16) / len(bases)
    single = np.bincount(bases, minlength=4) / len(bases)
    assert pairs[6] / (single[1] * single[2]) < 0.7


def test_no_fragments_is_a_bam_without_records(tmp_path: Path) -> None:
    write_bam(tmp_path / "empty.bam", make(Library(0)), order="pos")
    with pysam.AlignmentFile(tmp_path / "empty.bam") as stream:
        assert list(stream) == []


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda: Library(10, stranded="maybe"), "stranded"),
        (lambda: Library(10, biased_ends="read1"), "stranded library"),
        (lambda: simulate_genome(np.random.default_rng(1), {"a": 5}), "contig a"),
        (lambda: simulate_annotation(np.random.default_rng(1), {"a": 5000}, 50), "do not fit on a"),
        (lambda: make(Library(10, fragment_mean=90_000, fragment_sd=1.0)), "as long as a fragment"),
        (lambda: write_bam("x.bam", make(Library(10)), order="random"), "sorted by 'random'"),
    ],
)
def test_what_cannot_be_simulated_is_refused(what: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        what()  # type: ignore[operator]
