"""Annotations, genomes and models that users get wrong: one clear line, no half-written file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.workflows.small_run import GTF, Files, fitted

# -- annotation --------------------------------------------------------------------------------


def test_missing_annotation(files: Files) -> None:
    files.fails(files.bam, "nowhere.gtf", match=r"nowhere\.gtf")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('chr1\ttest\texon\t101\t400\t.\t+\t.\tgene_id "a\n', "quote"),
        ("chr1\ttest\texon\t101\t400\n", "column"),
        ('chr1\ttest\texon\tx\t400\t.\t+\t.\tgene_id "a";\n', "'x'"),
        ('chr1\ttest\texon\t500\t400\t.\t+\t.\tgene_id "a";\n', "500"),
        ('chr1\ttest\texon\t500\t600\t.\t+\t.\ttranscript_id "a";\n', "gene_id"),
        ('chr1\ttest\texon\t500\t600\t.\t.\t.\tgene_id "a";\n', "strand"),
    ],
)
def test_broken_line(files: Files, line: str, expected: str) -> None:
    files.gtf.write_text(GTF + line + GTF)
    message = files.fails("-q", files.bam, files.gtf, match=expected)
    assert "genes.gtf, line 4" in message


def test_no_feature_of_the_type(files: Files) -> None:
    files.fails(files.bam, files.gtf, "-t", "gene", match=r"genes\.gtf.*'gene'.*exon")


def test_missing_attribute(files: Files) -> None:
    files.fails(
        "-q",
        files.bam,
        files.gtf,
        "-i",
        "gene_name",
        match=r"genes\.gtf, line 1.*gene_name.*gene_id",
    )


# -- genome and model --------------------------------------------------------------------------


def test_bias_model_without_genome(files: Files) -> None:
    files.fails("--bias-model", "pwm", files.bam, files.gtf, match="--bias-genome")


def test_weighted_counts_without_genome_or_model(files: Files) -> None:
    files.fails(
        "--bias-counts",
        "weighted",
        files.bam,
        files.gtf,
        match="--bias-counts weighted needs the genome.*--bias-genome",
    )
    files.fails(
        "--bias-output",
        "out",
        files.bam,
        files.gtf,
        match="--bias-output out needs the genome.*--bias-genome",
    )
    files.fails(
        "--bias-prior",
        "x.model",
        files.bam,
        files.gtf,
        match="--bias-prior x.model needs the genome.*--bias-genome",
    )
    files.fails(
        "--bias-counts",
        "weighted",
        "--bias-model",
        "none",
        files.bam,
        files.gtf,
        match="--bias-model none",
    )


def test_windows_of_transcripts_that_the_annotation_lacks(files: Files) -> None:
    text = Path(files.gtf).read_text().replace("transcript_id", "other_id")
    Path(files.gtf).write_text(text)
    model = ("--bias-model", "pwm", "--bias-genome", files.genome, "--bias-context", "transcript")
    files.fails(
        *model, files.bam, files.gtf, match=r"genes\.gtf.*transcript_id.*--bias-context genome"
    )


def test_genome_missing(files: Files) -> None:
    files.fails(
        "--bias-model", "pwm", "--bias-genome", "none.fa", files.bam, files.gtf, match=r"none\.fa"
    )


def test_genome_without_the_contig(files: Files) -> None:
    files.genome.write_text(">chr2\n" + "ACGT" * 500 + "\n")
    files.fails(
        "--bias-model",
        "pwm",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        match=r"genome\.fa.*chr",
    )


def test_genome_shorter_than_a_position(files: Files) -> None:
    files.genome.write_text(">chr1\n" + "ACGT" * 40 + "\n")
    files.fails(
        "--bias-model",
        "pwm",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        match=r"genome\.fa.*160 bases",
    )


def test_unknown_backend(files: Files) -> None:
    files.fails(
        "--bias-model",
        "pmw",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        match=r"'pmw'.*pwm",
    )


def test_unknown_model_option(files: Files) -> None:
    files.fails(
        "--bias-model",
        "pwm",
        "--bias-option",
        "depth=3",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        match="pseudocount",
    )


def test_model_of_another_window(files: Files) -> None:
    model = fitted(files)
    files.fails(
        "--bias-model", model, "--bias-window", "5,5", "--bias-genome", files.genome,
        "--bias-output", "again", files.bam,
        files.gtf, match=r"fit\.model.*10,10.*5,5|fit\.model.*5,5.*10,10",
    )  # fmt: skip


def test_model_of_a_newer_schema(files: Files) -> None:
    model = fitted(files)
    with zipfile.ZipFile(model) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    description = json.loads(members["model.json"])
    description["schema"] = [2, 0]
    members["model.json"] = json.dumps(description).encode()
    newer = files.folder / "newer.model"
    with zipfile.ZipFile(newer, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    files.fails(
        "--bias-model",
        newer,
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        match=r"newer\.model.*(2\.0|schema)",
    )


def test_model_file_missing(files: Files) -> None:
    files.fails(
        "--bias-model",
        "old/fit.model",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        match=r"old/fit\.model",
    )
