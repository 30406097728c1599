"""``counterbias simulate``: same seed, same bytes; reads, truth and biases agree."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pysam
import pytest

from counterbias.cli import main
from counterbias.records import Window
from counterbias.simulation import ScoredBias, simulate_priming_bias
from tests.simulate.simulated_folders import (
    column,
    inside,
    records,
    run,
    save_model,
    start_of,
    table,
    windows,
    words,
)

#: Every sort of read at once, in little time.
FULL = words(
    "--pairs 3000 --genes 20 --contigs 2 --seed 4 --order both --fastq --errors 0.01"
    " --multimapped 0.1 --duplicates 0.2 --gc-bias 0.2 --unmapped 0.05 --unmapped-mates 0.05"
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("simulate") / "full", *FULL)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(
        tmp_path_factory.mktemp("simulate") / "plain",
        "--pairs",
        "60000",
        "--genes",
        "25",
        "--spread",
        "0.7",
    )


def test_same_seed_gives_the_same_bytes_whatever_the_threads(full: Path, tmp_path: Path) -> None:
    again = run(tmp_path / "again", *FULL, "--threads", "3")
    names = sorted(path.name for path in full.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert names == [
        "genes.gtf", "genome.fa", "genome.fa.fai", "sample1.bam", "sample1.genes.tsv",
        "sample1.name.bam", "sample1.starts.tsv.gz",
        "sample1.transcripts.tsv", "sample1_1.fastq.gz", "sample1_2.fastq.gz", "samples.tsv",
        "simulation.json", "transcripts.fa",
        "truth.tsv",
    ]  # fmt: skip
    for name in names:
        assert (full / name).read_bytes() == (again / name).read_bytes(), name
    other = run(tmp_path / "other", *FULL[:4], "--seed", "5")
    assert (other / "sample1.bam").read_bytes() != (full / "sample1.bam").read_bytes()


def test_files_are_valid_and_hold_the_same_records(full: Path, tmp_path: Path) -> None:
    both = {}
    for name in ("sample1.bam", "sample1.name.bam"):
        pysam.quickcheck(str(full / name))
        both[name] = sorted(record.to_string() for record in records(full / name))
    assert both["sample1.bam"] == both["sample1.name.bam"]
    pysam.index("-o", str(tmp_path / "index.bai"), str(full / "sample1.bam"))


@pytest.mark.parametrize(
    "options", [[], ["--library", "single", "--stranded", "yes", "--unmapped", "0.1"]]
)
def test_read_starts_are_those_of_the_bam(full: Path, options: list[str], tmp_path: Path) -> None:
    folder = (
        run(tmp_path / "single", "--pairs", "2000", "--genes", "20", *options) if options else full
    )
    expected: dict[tuple[str, int, str], int] = {}
    for record in records(folder / "sample1.bam"):
        if not record.is_unmapped and not record.is_secondary:
            expected[start_of(record)] = expected.get(start_of(record), 0) + 1
    rows = table(folder / "sample1.starts.tsv.gz")
    found = {
        (row["contig"], int(row["position"]), row["strand"]): int(row["reads"]) for row in rows
    }
    assert found == expected
    keys = [(row["contig"], int(row["position"]), row["strand"]) for row in rows]
    assert keys == sorted(keys)


def test_htseq_count_and_counterbias_find_the_true_counts(tmp_path: Path) -> None:
    """No gene overlaps and no read is multi-mapped: a fragment with a mapped read is its gene's."""
    options = words("--pairs 5000 --genes 25 --overlapping 0 --multimapped 0 --stranded reverse")
    plain = run(tmp_path / "plain", *options)
    truth = {
        row["gene_id"]: int(row["mapped_fragments"]) for row in table(plain / "sample1.genes.tsv")
    }
    arguments = [
        "-a",
        "0",
        "-s",
        "reverse",
        "-r",
        "pos",
        str(plain / "sample1.bam"),
        str(plain / "genes.gtf"),
    ]
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["count", "-q", *arguments]) == 0
    program = [sys.executable, "-m", "HTSeq.scripts.count", "-q"]
    theirs = subprocess.run(
        [*program, *arguments], check=True, capture_output=True, text=True
    ).stdout
    assert out.getvalue() == theirs
    counts = dict(line.split("\t") for line in theirs.splitlines())
    assert {gene: int(counts[gene]) for gene in truth} == truth
    assert counts["__ambiguous"] == counts["__no_feature"] == "0"


def test_tables_of_genes_and_transcripts_agree(full: Path) -> None:
    genes, transcripts = table(full / "sample1.genes.tsv"), table(full / "sample1.transcripts.tsv")
    for name in (
        "abundance",
        "fragments",
        "mapped_fragments",
        "expected_fragments",
        "unbiased_fragments",
    ):
        sums = {row["gene_id"]: 0.0 for row in genes}
        for row in transcripts:
            sums[row["gene_id"]] += float(row[name])
        assert np.allclose([sums[row["gene_id"]] for row in genes], column(genes, name), rtol=1e-4)
    assert column(genes, "fragments").sum() == 3000
    mapped = {
        record.query_name for record in records(full / "sample1.bam") if not record.is_unmapped
    }
    assert column(genes, "mapped_fragments").sum() == len(mapped)
    assert np.allclose(
        column(table(full / "truth.tsv"), "sample1"), column(genes, "fpkm"), rtol=1e-5
    )
    fpkm = 1e9 * column(genes, "unbiased_fragments") / column(genes, "length") / 3000
    assert np.allclose(column(genes, "fpkm"), fpkm, rtol=1e-4)


def test_true_log_bias_is_that_of_the_builtin_bias(plain: Path) -> None:
    bias = simulate_priming_bias(np.random.default_rng([1, 2]), strength=0.9)
    rows = table(plain / "sample1.starts.tsv.gz")
    rows = [row for row, kept in zip(rows, inside(plain, rows, 15), strict=True) if kept]
    assert len(rows) > 10_000
    difference = column(rows, "log_bias") - bias.log_bias(windows(plain, rows, bias.window))
    assert np.ptp(difference) < 3e-4  # up to the constant that makes the mean bias 1


def test_heptamers_at_read_starts_find_the_true_log_bias(plain: Path) -> None:
    rows = table(plain / "sample1.starts.tsv.gz")
    rows = [row for row, kept in zip(rows, inside(plain, rows, 45), strict=True) if kept]
    reads, log_bias = column(rows, "reads"), column(rows, "log_bias")
    powers = 4 ** np.arange(6)

    def frequencies(weights: np.ndarray, before: int) -> tuple[np.ndarray, np.ndarray]:
        keys = windows(plain, rows, Window(2, 3), before=before).astype(int) @ powers
        counts = np.bincount(keys, weights, minlength=4**6) + 1.0
        return keys, counts / counts.sum()

    keys, at_start = frequencies(np.minimum(reads, 5), 0)
    background = np.mean(
        [frequencies(np.ones(len(rows)), before)[1] for before in (-40, -30, -20, 20, 30, 40)],
        axis=0,
    )
    ratio = np.log(at_start / background)[keys]
    assert np.corrcoef(ratio, log_bias)[0, 1] > 0.6
    # The unit: reads per position rise e-fold where the log bias rises by 1, so that weighting by
    # 1/b flattens them.
    assert np.corrcoef(np.log(reads), log_bias)[0, 1] > 0.3


def test_trimmed_reads_have_the_bias_of_the_fragments_end(tmp_path: Path) -> None:
    options = words("--pairs 3000 --genes 20 --read-length 40 --trim 8 --stranded yes")
    folder = run(tmp_path / "trimmed", *options)
    reads = [record for record in records(folder / "sample1.bam") if not record.is_secondary]
    assert {record.query_length for record in reads} == {32}
    assert all(
        record.template_length >= 32
        for record in reads
        if record.is_proper_pair and not record.is_reverse
    )
    bias = simulate_priming_bias(np.random.default_rng([1, 2]), strength=0.9)
    rows = table(folder / "sample1.starts.tsv.gz")
    rows = [row for row, kept in zip(rows, inside(folder, rows, 25), strict=True) if kept]
    assert len(rows) > 1000
    assert (
        np.ptp(
            column(rows, "log_bias") - bias.log_bias(windows(folder, rows, bias.window, before=8))
        )
        < 3e-4
    )


def test_errors_multiple_alignments_and_duplicates(full: Path) -> None:
    primary = [record for record in records(full / "sample1.bam") if not record.is_secondary]
    mapped = [record for record in primary if not record.is_unmapped]
    assert sum(record.get_tag("NM") for record in mapped) / (50 * len(mapped)) == pytest.approx(
        0.01, rel=0.1
    )
    first = [record for record in primary if record.is_read1]
    assert len(first) == 3000
    many = [record for record in first if not record.is_unmapped and record.get_tag("NH") > 1]
    assert len(many) / 3000 == pytest.approx(0.1, abs=0.02)
    copies = [record for record in first if record.is_duplicate]
    assert len(copies) / 3000 == pytest.approx(0.2, abs=0.03)

    def ends(record: pysam.AlignedSegment) -> tuple[object, ...]:
        return (
            *start_of(record),
            record.next_reference_start,
            record.template_length,
            record.cigarstring,
        )

    originals = {
        ends(record) for record in first if record.is_proper_pair and not record.is_duplicate
    }
    paired = [ends(record) in originals for record in copies if record.is_proper_pair]
    assert np.mean(paired) > 0.8  # of the others, the original lost a read


def test_gc_bias_moves_the_composition(tmp_path: Path) -> None:
    content = {}
    for effect in ("-0.5", "0", "0.5"):
        options = ["--pairs", "2000", "--genes", "30", "--bias-model", "none", "--gc-bias", effect]
        folder = run(tmp_path / f"gc{effect}", *options)
        text = "".join(
            record.query_sequence
            for record in records(folder / "sample1.bam")
            if record.query_sequence
        )
        content[effect] = (text.count("G") + text.count("C")) / len(text)
        assert (column(table(folder / "sample1.starts.tsv.gz"), "log_bias") == 0).all()
    assert content["-0.5"] + 0.01 < content["0"] < content["0.5"] - 0.01


def test_fastq_holds_the_reads_of_the_bam(full: Path) -> None:
    reads = {}
    for record in records(full / "sample1.name.bam"):
        if not record.is_secondary:
            qualities = "".join(chr(33 + value) for value in record.get_forward_qualities())
            reads[record.query_name, record.is_read2] = record.get_forward_sequence(), qualities
    found = {}
    for number in (1, 2):
        with pysam.FastxFile(str(full / f"sample1_{number}.fastq.gz")) as stream:
            found |= {
                (entry.name, number == 2): (entry.sequence, entry.quality) for entry in stream
            }
    assert len(found) == 6000
    assert found == reads


def test_transcripts_are_spliced_and_on_their_strand(full: Path) -> None:
    exons: dict[str, list[tuple[str, int, int, str]]] = {}
    with (full / "genes.gtf").open() as stream:
        for fields in (line.rstrip().split("\t") for line in stream if "\texon\t" in line):
            name = fields[8].split('transcript_id "')[1].split('"')[0]
            exons.setdefault(name, []).append(
                (fields[0], int(fields[3]) - 1, int(fields[4]), fields[6])
            )
    with (
        pysam.FastaFile(str(full / "genome.fa")) as genome,
        pysam.FastxFile(str(full / "transcripts.fa")) as stream,
    ):
        for entry in stream:
            expected = "".join(
                genome.fetch(contig, start, end)
                for contig, start, end, _ in sorted(exons[entry.name])
            )
            if exons[entry.name][0][3] == "-":
                expected = expected[::-1].translate(str.maketrans("ACGT", "TGCA"))
            assert entry.sequence == expected


def test_bias_of_a_model_file(tmp_path: Path) -> None:
    models = save_model(tmp_path / "fitted.model")
    options = [
        "--pairs",
        "3000",
        "--genes",
        "20",
        "--bias-model",
        str(tmp_path / "fitted.model"),
        "--strength",
        "1.5",
    ]
    folder = run(tmp_path / "out", *options)
    rows = table(folder / "sample1.starts.tsv.gz")
    rows = [row for row, kept in zip(rows, inside(folder, rows, 10), strict=True) if kept]
    expected = 1.5 * models.end(0).log_bias(windows(folder, rows, models.window))
    assert np.ptp(expected) > 1
    assert np.ptp(column(rows, "log_bias") - expected) < 3e-4
    reads = column(rows, "reads")
    weighted = np.average(expected, weights=reads) - np.mean(expected)
    assert weighted > 0  # read starts are where the model favours them


def test_models_of_both_reads_need_a_stranded_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = save_model(tmp_path / "ends.model", ends=("read1", "read2"))
    options = [
        "-q",
        "--pairs",
        "3000",
        "--genes",
        "20",
        "--bias-model",
        str(tmp_path / "ends.model"),
    ]
    assert main(["simulate", "-o", str(tmp_path / "no"), *options]) == 1
    assert "stranded library" in capsys.readouterr().err
    folder = run(tmp_path / "yes", *options, "--stranded", "yes", "--multimapped", "0")
    rows = table(folder / "sample1.starts.tsv.gz")
    kept = inside(folder, rows, 10)
    value = {
        (row["contig"], int(row["position"]), row["strand"]): row
        for row, good in zip(rows, kept, strict=True)
        if good
    }
    for number, read in ((0, "is_read1"), (1, "is_read2")):
        starts = [
            start_of(record)
            for record in records(folder / "sample1.bam")
            if not record.is_unmapped and getattr(record, read)
        ]
        mine = [value[start] for start in starts if start in value and value[start]["reads"] == "1"]
        expected = models.end(number).log_bias(windows(folder, mine, models.window))
        assert len(mine) > 500
        assert np.ptp(column(mine, "log_bias") - expected) < 3e-4


def test_a_warning_names_a_model_without_bias(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "closed.model", slope=0.0)
    options = ["--pairs", "100", "--genes", "5", "--bias-model", str(tmp_path / "closed.model")]
    assert main(["simulate", "-o", str(tmp_path / "out"), *options]) == 0
    assert "reads are unbiased" in capsys.readouterr().err
    assert set(column(table(tmp_path / "out" / "sample1.starts.tsv.gz"), "log_bias")) <= {0.0}


def test_windows_with_unknown_bases_have_no_bias() -> None:
    bias = ScoredBias(Window(1, 1), lambda contexts: contexts[:, 1] + 0.0)
    forward, reverse = bias.along(np.array([0, 1, 2, 4, 2, 3, 3], dtype=np.uint8))
    assert np.allclose(np.log(forward), [0, 1, 0, 0, 0, 3, 0])
    assert np.allclose(np.log(reverse), [0, 2, 0, 0, 0, 0, 0])
