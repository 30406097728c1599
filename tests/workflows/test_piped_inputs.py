"""Pipes and standard input for every input but alignments: read once, or copied where needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pysam
import pytest

from tests.workflows.piped_inputs import Inputs, gtf

# A pipe that is opened once too often would block for ever.
pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("context", ["genome", "transcript"])
def test_count_with_named_pipes(inputs: Inputs, context: str, packed: bool) -> None:
    expected = inputs.count("g.fa", "genes.gtf", "--bias-context", context)
    genome, annotation = inputs.fifo("g.fa", packed=packed), inputs.fifo("genes.gtf", packed=packed)
    assert inputs.count(genome, annotation, "--bias-context", context) == expected
    assert not Path("pipe.g.fa.fai").exists()


def test_count_with_descriptors(inputs: Inputs) -> None:
    """An annotation from a nameless pipe is read as GFF3, as by htseq-count: quotes stay."""
    shutil.copy("genes.gtf", "genes.txt")
    expected = inputs.count("g.fa", "genes.txt", "--bias-context", "transcript")
    again = inputs.count(
        inputs.descriptor("g.fa"), inputs.descriptor("genes.gtf"), "--bias-context", "transcript"
    )
    assert again == expected
    assert b'"g1"\t' in again


def test_count_without_a_model(inputs: Inputs) -> None:
    assert inputs.run("count", "-q", "a.bam", inputs.fifo("genes.gtf")) == inputs.run(
        "count", "-q", "a.bam", "genes.gtf"
    )


def test_aliases_models_and_priors(inputs: Inputs) -> None:
    Path("aliases.tsv").write_text("chr1\t1\n")
    Path("1.fa").write_text(Path("g.fa").read_text().replace(">chr1", ">1"))
    Path("1.gtf").write_text(gtf("1"))
    inputs.count("g.fa", "genes.gtf")
    os.rename("x.model", "old.model")
    expected = inputs.count(
        "1.fa", "1.gtf", "--bias-contig-alias", "aliases.tsv", "--bias-model", "old.model"
    )
    given = (
        "--bias-contig-alias",
        inputs.fifo("aliases.tsv"),
        "--bias-model",
        inputs.descriptor("old.model"),
    )
    assert inputs.count(inputs.fifo("1.fa"), inputs.fifo("1.gtf"), *given) == expected
    expected = inputs.count("g.fa", "genes.gtf", "--bias-prior", "old.model")
    assert (
        inputs.count("g.fa", "genes.gtf", "--bias-prior", inputs.fifo("old.model", "prior"))
        == expected
    )


def test_a_model_in_a_pipe_without_slash_or_ending(inputs: Inputs) -> None:
    inputs.count("g.fa", "genes.gtf")
    os.rename("x.model", "old.model")
    expected = inputs.count("g.fa", "genes.gtf", "--bias-model", "old.model")
    assert (
        inputs.count("g.fa", "genes.gtf", "--bias-model", inputs.fifo("old.model", "mine"))
        == expected
    )


def test_the_genome_of_a_cram_file_comes_through_a_pipe(inputs: Inputs) -> None:
    pysam.faidx("g.fa")
    with (
        pysam.AlignmentFile("a.bam") as source,
        pysam.AlignmentFile("a.cram", "wc", template=source, reference_filename="g.fa") as out,
    ):
        for read in source:
            out.write(read)
    expected = inputs.count("g.fa", "genes.gtf", alignments="a.cram")
    os.rename("g.fa", "elsewhere.fa")
    genome = inputs.fifo("elsewhere.fa")
    assert inputs.count(genome, "genes.gtf", alignments="a.cram") == expected
    table = inputs.run(
        "count", "-q", "--bias-genome", inputs.fifo("elsewhere.fa", "again"), "a.cram", "genes.gtf"
    )
    assert expected.startswith(table.encode())


def test_train(inputs: Inputs) -> None:
    def train(genome: str, annotation: str) -> bytes:
        words = (
            "-q",
            "--bias-model",
            "pwm",
            "--bias-context",
            "transcript",
            "--bias-no-own",
            "-o",
            "t.model",
            "--bias-genome",
            genome,
        )
        return (
            inputs.run("train", *words, "a.bam", "b.bam", annotation).encode()
            + Path("t.model").read_bytes()
        )

    expected = train("g.fa", "genes.gtf")
    assert train(inputs.fifo("g.fa"), inputs.fifo("genes.gtf")) == expected


def test_compare(inputs: Inputs) -> None:
    inputs.count("g.fa", "genes.gtf")
    os.rename("x.model", "old.model")
    Path("aliases.tsv").write_text("chr1\tchr1\n")
    Path("groups.tsv").write_text("sample\tgroup\na\tone\nb\tone\n")
    Path("truth.tsv").write_text("id\tvalue\n" + "".join(f"g{i}\t{i + 1}\n" for i in range(50)))

    def compare(genome: str, annotation: str, model: str, *more: str) -> bytes:
        shutil.rmtree("out", ignore_errors=True)
        words = (
            "-q",
            "--folds",
            "0,",
            "--seeds",
            "1",
            "--no-figures",
            "--truth-column",
            "value",
            "-o",
            "out",
            "--bias-genome",
            genome,
        )
        inputs.run(
            "compare", *words, "--models", f"pwm,{model}", *more, "a.bam", "b.bam", annotation
        )
        return Path("out/per_gene.tsv").read_bytes()

    tables = (
        "--bias-contig-alias",
        "aliases.tsv",
        "--groups",
        "groups.tsv",
        "--truth",
        "truth.tsv",
    )
    expected = compare("g.fa", "genes.gtf", "old.model", *tables)
    pipes = [word if word.startswith("--") else inputs.fifo(word) for word in tables]
    assert (
        compare(
            inputs.fifo("g.fa"), inputs.fifo("genes.gtf"), inputs.fifo("old.model"), *pipes
        ).replace(b"pipe.", b"")
        == expected
    )


def test_simulate(inputs: Inputs) -> None:
    inputs.count("g.fa", "genes.gtf")

    def simulate(genome: str, annotation: str, model: str) -> dict[str, bytes]:
        shutil.rmtree("out", ignore_errors=True)
        words = (
            "--bias-model",
            model,
            "--strength",
            "1,2",
            "--samples",
            "2",
            "--groups",
            "2",
            "--pairs",
            "200",
        )
        inputs.run(
            "simulate", "-q", "-o", "out", *words, "--genome", genome, "--annotation", annotation
        )
        return {
            path.name: path.read_bytes() for path in Path("out").iterdir() if path.suffix != ".json"
        }

    expected = {
        name: content.replace(b"x.model", b"M")
        for name, content in simulate("g.fa", "genes.gtf", "x.model").items()
    }
    given = inputs.fifo("g.fa", packed=True), inputs.descriptor("genes.gtf"), inputs.fifo("x.model")
    assert {
        name: content.replace(b"pipe.x.model", b"M") for name, content in simulate(*given).items()
    } == expected


def test_copies_go_with_a_run_that_fails(inputs: Inputs) -> None:
    """Genome and annotation are copied, then a line is wrong; the fixture finds leftovers."""
    Path("bad.gtf").write_text(gtf() + "chr1\tonly three\tcolumns\n")
    genome, annotation = inputs.fifo("g.fa"), inputs.fifo("bad.gtf")
    words = (
        "count",
        "-q",
        "--bias-model",
        "pwm",
        "--bias-context",
        "transcript",
        "--bias-genome",
        genome,
        "--bias-output",
        "x",
    )
    line = inputs.fails(*words, "a.bam", annotation)
    assert line.startswith(f"counterbias: {annotation}, line 113: expected 9 tab-separated columns")


def test_no_room_for_a_copy(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        "count",
        "-q",
        "--bias-model",
        "pwm",
        "--bias-context",
        "transcript",
        "--bias-output",
        "x",
    )
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", "/nowhere")
        line = inputs.fails(*words, "--bias-genome", "g.fa", "a.bam", inputs.fifo("genes.gtf"))
        assert line.startswith(
            "counterbias: pipe.genes.gtf: this is needed more than once, "
            "and cannot be copied to /nowhere"
        )
        assert "TMPDIR" in line
        line = inputs.fails(*words, "--bias-genome", inputs.fifo("g.fa"), "a.bam", "genes.gtf")
        assert line.startswith(
            "counterbias: pipe.g.fa: this is needed more than once, "
            "and cannot be copied to /nowhere"
        )
