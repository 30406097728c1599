"""The installed programs as users start them: several files, stdin, other formats, failures."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pysam
import pytest

from tests.differential.harness import (
    Outcome,
    counterbias_count,
    differences,
    htseq_count,
    require_oracle,
    run_ours,
    run_program,
    run_theirs,
)

GTF = """\
chr1\tsrc\texon\t101\t200\t.\t+\t.\tgene_id "a"; gene_name "A";
chr1\tsrc\texon\t151\t300\t.\t-\t.\tgene_id "b"; gene_name "B";
chr1\tsrc\texon\t180\t260\t.\t+\t.\tgene_id "c";
2\tsrc\texon\t1\t1000\t.\t+\t.\tgene_id "d"; gene_name "D";
"""

GFF3 = """\
##gff-version 3
chr1\tsrc\tgene\t101\t300\t.\t+\t.\tID=gene:a;Name=A "quoted"
chr1\tsrc\texon\t101\t200\t.\t+\t.\tID=exon:1;Parent=gene:a
chr1\tsrc\texon\t151\t300\t.\t-\t.\tID=exon:2;Parent=gene:b
2\tsrc\texon\t1\t1000\t.\t+\t.\tID=exon:3;Parent=gene:d
"""

HEADER = (
    "@HD\tVN:1.6\tSO:queryname\n@SQ\tSN:chr1\tLN:5000\n@SQ\tSN:2\tLN:5000\n@SQ\tSN:3\tLN:5000\n"
)


def sam_text(number: int) -> str:
    """Make pairs on all contigs, some of them lacking a mate."""
    lines = []
    for row in range(number):
        contig, start, other = (
            ("chr1", "chr1", "2", "3")[row % 4],
            60 + 7 * row % 250,
            90 + 11 * row % 250,
        )
        tags = f"NH:i:{1 + (row % 5 == 0)}"
        first = f"{65 + 16 * (row % 2)}\t{contig}\t{start}\t{row % 40}\t20M5N30M\t=\t{other}"
        second = f"129\t{contig}\t{other}\t30\t25M1D25M\t=\t{start}"
        bases = f"0\t{'ACGTA' * 10}\t{'ABCDE' * 10}\t{tags}"
        pair = [f"r{row}\t{first}\t{bases}", f"r{row}\t{second}\t{bases}\tXA:A:c"]
        lines += pair[:1] if row % 7 == 3 else pair
    return HEADER + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make alignment and annotation files in all formats."""
    require_oracle()
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "g.gtf").write_text(GTF)
    (folder / "g.gff3").write_text(GFF3)
    for name in ("g.gtf", "g.gff3"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    for name, number in (("a", 60), ("b", 90)):
        path = folder / f"{name}.sam"
        path.write_text(sam_text(number))
        with (
            pysam.AlignmentFile(str(path)) as source,
            pysam.AlignmentFile(str(folder / f"{name}.bam"), "wb", template=source) as out,
        ):
            for record in source:
                out.write(record)
    return folder


def both(
    files: Path, line: str, tmp_path: Path, stdin: Path | None = None
) -> tuple[Outcome, Outcome]:
    """Run both programs, each in its own process."""
    argv = line.replace("{in}", str(files)).split()
    folders = [tmp_path / "theirs", tmp_path / "ours"]
    for folder in folders:
        folder.mkdir()
    return run_program(htseq_count(), argv, folders[0], stdin), run_program(
        counterbias_count(), argv, folders[1], stdin
    )


@pytest.mark.parametrize(
    "line",
    [
        "{in}/a.bam {in}/g.gtf",
        "-s no -c {out}/x.tsv -o {out}/a.sam -o {out}/b.sam {in}/a.bam {in}/b.sam {in}/g.gtf",
        "--idattr Parent --type exon --nonunique all -a 0 {in}/a.sam {in}/g.gff3",
        "--idattr ID -t gene -s no --additional-attr Name {in}/b.bam {in}/g.gff3.gz",
    ],
)
def test_processes(files: Path, line: str, tmp_path: Path) -> None:
    theirs, ours = both(files, line, tmp_path)
    assert theirs.status == 0
    assert not differences(theirs, ours)


def test_files_side_by_side(files: Path, tmp_path: Path) -> None:
    """The table is the same; the order of stderr depends on which file ends first, in both."""
    theirs, ours = both(
        files, "-n 2 --with-header {in}/a.bam {in}/b.bam {in}/a.sam {in}/g.gtf.gz", tmp_path
    )
    assert theirs.status == ours.status == 0
    assert ours.stdout == theirs.stdout
    assert set(ours.stderr) == set(theirs.stderr)


@pytest.mark.parametrize("name", ["a.bam", "a.sam"])
def test_standard_input(files: Path, name: str, tmp_path: Path) -> None:
    theirs, ours = both(files, "-s no -o {out}/x.sam - {in}/g.gtf", tmp_path, files / name)
    assert theirs.status == 0
    assert not differences(theirs, ours)
    assert ours.files["x.sam"].count(b"XF:Z:") == sam_text(60).count("\n") - 4


def test_running_in_process_is_the_same(files: Path, tmp_path: Path) -> None:
    argv = f"-s no --nonunique all -o {{out}}/x.sam {files}/a.bam {files}/g.gtf".split()
    for command, inside in ((htseq_count(), run_theirs), (counterbias_count(), run_ours)):
        outside_folder, inside_folder = (
            tmp_path / f"{inside.__name__}.1",
            tmp_path / f"{inside.__name__}.2",
        )
        outside_folder.mkdir()
        inside_folder.mkdir()
        assert not differences(
            run_program(command, argv, outside_folder), inside(argv, inside_folder)
        )


def test_appending_twice(files: Path, tmp_path: Path) -> None:
    argv = (
        f"-s no --append-output --with-header -c {{out}}/x.tsv "
        f"{files}/a.bam {files}/b.bam {files}/g.gtf"
    ).split()
    outcomes = []
    for run in (run_theirs, run_ours):
        folder = tmp_path / run.__name__
        folder.mkdir()
        (folder / "x.tsv").write_text("first line\n")
        run(argv, folder)
        outcomes.append(run(argv, folder))
    assert not differences(*outcomes)
    assert outcomes[1].files["x.tsv"].count(b"__no_feature") == 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sparse", [False, True])
def test_annotated_data(files: Path, sparse: bool, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    options = ["--counts-output-sparse"] if sparse else []
    tables = []
    for run in (run_theirs, run_ours):
        folder = tmp_path / run.__name__
        folder.mkdir()
        argv = [*options, "--additional-attr", "gene_name", "-c", "{out}/x.h5ad"]
        outcome = run([*argv, f"{files}/a.bam", f"{files}/b.bam", f"{files}/g.gtf"], folder)
        assert outcome.status == 0, outcome
        tables.append(anndata.read_h5ad(folder / "x.h5ad"))
    theirs, ours = (table.to_df() for table in tables)
    assert ours.equals(theirs)
    assert tables[1].obs.equals(tables[0].obs)
    assert tables[1].var.equals(tables[0].var)


#: Command lines with which both fail; ours with one line.
BROKEN = {
    "no such alignment file": "{in}/absent.bam {in}/g.gtf",
    "no such annotation": "{in}/a.bam {in}/absent.gtf",
    "one -o for two files": "-o {out}/x.sam {in}/a.bam {in}/b.bam {in}/g.gtf",
    "unknown table format": "-c {out}/x.txt {in}/a.bam {in}/g.gtf",
    "absent folder": "-c {out}/absent/x.tsv {in}/a.bam {in}/g.gtf",
    "attribute that no feature has": "-i transcript_id {in}/a.bam {in}/g.gtf",
}


@pytest.mark.parametrize("case", BROKEN)
def test_failures_are_one_line(files: Path, case: str, tmp_path: Path) -> None:
    argv = BROKEN[case].replace("{in}", str(files)).split()
    outcomes = []
    for run in (run_theirs, run_ours):
        folder = tmp_path / run.__name__
        folder.mkdir()
        outcomes.append(run(argv, folder))
    theirs, ours = outcomes
    assert theirs.status != 0
    assert ours.status == 1
    assert len(ours.own) == 1
    assert not ours.stdout
    assert not ours.files


def test_decided_deviations(files: Path, tmp_path: Path) -> None:
    """Where htseq-count goes on with a table of zeros, or with lost mates, we stop and say why."""
    (tmp_path / "other.gtf").write_text(GTF.replace("chr1\t", "1\t").replace("2\tsrc", "chr2\tsrc"))
    shuffled = tmp_path / "shuffled.sam"
    lines = sam_text(60)[len(HEADER) :].splitlines()
    shuffled.write_text(HEADER + "\n".join(lines[::2] + lines[1::2]) + "\n")
    for line, words in (
        (f"{files}/a.bam {tmp_path}/other.gtf", "contig"),
        (f"-t CDS {files}/a.bam {files}/g.gtf", "CDS"),
        (f"-s no {shuffled} {files}/g.gtf", "-r pos"),
    ):
        folder = tmp_path / "out"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        outcome = run_ours(line.split(), folder)
        assert outcome.status == 1, line
        assert not outcome.stdout
        assert len(outcome.own) == 1
        assert words in outcome.own[0]
