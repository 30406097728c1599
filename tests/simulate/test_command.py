"""``counterbias simulate`` as users call it: a user's own genome, wrong options, interruptions."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysam
import pytest

from counterbias.cli import main
from counterbias.cli.simulate import build_simulate_parser
from counterbias.pipeline.simulate import SimulationOptions
from counterbias.simulation import Library
from tests.simulate.simulated_folders import records, run, table, words

GTF = """#a comment
chr1\tx\texon\t201\t600\t.\t+\t.\tgene_id "g1"; transcript_id "t1"; gene_name "One";
chr1\tx\tCDS\t201\t600\t.\t+\t0\tgene_id "g1"; transcript_id "t1";
chr1\tx\texon\t801\t1200\t.\t+\t.\tgene_id "g1"; transcript_id "t1";
chr1\tx\texon\t1201\t1300\t.\t+\t.\tgene_id "g1"; transcript_id "t1";
chr1\tx\texon\t250\t289\t.\t+\t.\tgene_id "g1"; transcript_id "short";
chr2\tx\texon\t101\t900\t.\t-\t.\tgene_id "g2"; transcript_id "t2";
chr1\tx\texon\t101\t900\t.\t-\t.\tgene_id "g2"; transcript_id "t2b";
chrUn\tx\texon\t1\t900\t.\t-\t.\tgene_id "g3"; transcript_id "t3";
chr2\tx\texon\t101\t900\t.\t.\t.\tgene_id "g4"; transcript_id "t4";
"""


def write_inputs(folder: Path, gtf: str = GTF) -> list[str]:
    rng = np.random.default_rng(9)
    with (folder / "my.fa").open("w") as stream:
        for name in ("chr1", "chr2"):
            bases = "".join(rng.choice(list("ACGTacgt"), 2000))
            stream.write(f">{name} words\n{bases[:300]}{'N' * 40}{bases[340:]}\n")
    (folder / "my.gtf").write_text(gtf)
    return ["--genome", str(folder / "my.fa"), "--annotation", str(folder / "my.gtf")]


def test_genome_and_annotation_of_a_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = write_inputs(tmp_path)
    assert (
        main(
            [
                "simulate",
                "-o",
                str(tmp_path / "out"),
                *inputs,
                "--pairs",
                "1000",
                "--fastq",
                "--errors",
                "0",
            ]
        )
        == 0
    )
    stderr = capsys.readouterr().err
    for reason in (
        "contig not in the genome",
        "no strand",
        "contig or strand unlike",
        "shorter than a fragment",
    ):
        assert f"no reads come from 1 transcripts: {reason}" in stderr
    folder = tmp_path / "out"
    assert not (folder / "genome.fa").exists()
    rows = table(folder / "sample1.transcripts.tsv")
    assert [(row["transcript_id"], row["gene_id"], row["length"]) for row in rows] == [
        ("t1", "g1", "900"), ("short", "g1", "40"), ("t2", "g2", "800"),
    ]  # fmt: skip
    assert [row["fragments"] == "0" for row in rows] == [False, True, False]
    with pysam.FastaFile(str(tmp_path / "my.fa")) as fasta:
        genome = {name: fasta.fetch(name).upper() for name in fasta.references}
    unknown = 0
    for record in records(folder / "sample1.bam"):
        if not record.is_unmapped and not record.is_secondary:
            expected = "".join(
                genome[record.reference_name][start:end] for start, end in record.get_blocks()
            )
            assert record.query_sequence == expected
            assert record.get_tag("NM") == expected.count("N")
            assert "0N" not in {f"{length}{'MIDN'[kind]}" for kind, length in record.cigartuples}
            assert all(before[1] < after[0] for before, after in pairwise(record.get_blocks()))
            unknown += "N" in expected
    assert unknown > 10
    assert 'gene_name "One"' in (folder / "genes.gtf").read_text()


def lines(*replacements: tuple[str, str]) -> str:
    text = GTF
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("gtf", "message"),
    [
        (lines(("chr1\t", "1\t"), ("chr2\t", "2\t")), "no gene is left to simulate reads from"),
        ("# nothing\n", "no gene is left"),
        (
            lines(("\t1300\t", "\t2300\t")),
            "line 5: the exon ends at 2300, but the contig 'chr1' has 2000 bases",
        ),
        (
            lines(('; transcript_id "t1"; gene_name', "; gene_name")),
            "line 2: this exon line has no transcript_id",
        ),
        (lines(("\t201\t600\t", "\tx\t600\t")), "line 2: the start (column 4) is 'x'"),
        ("no tabs\n", "line 1: expected 9 tab-separated columns"),
        (
            lines(
                ("chr1\tx\texon\t801", "chr9\tx\texon\t801"),
                ("\t900\t", "\t140\t"),
                ("\t600\t", "\t240\t"),
                ("\t1300\t", "\t1205\t"),
            ),
            "no expressed transcript is as long as a fragment",
        ),
    ],
)  # fmt: skip
def test_annotations_that_cannot_be_used(
    gtf: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = write_inputs(tmp_path, gtf)
    assert main(["simulate", "-q", "-o", str(tmp_path / "out"), *inputs, "--pairs", "10"]) == 1
    stderr = capsys.readouterr().err
    assert message in stderr
    assert stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"my.fa", "my.fa.fai", "my.gtf"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--errors 1.5", "the rate of errors is 1.5"),
        ("--errors nan", "the rate of errors is nan"),
        ("--duplicates 1", "the rate of duplicates is 1. Give a number from 0 to 0.9"),
        ("--duplicates 0.95", "the rate of duplicates is 0.95"),
        ("--duplicates nan", "the rate of duplicates is nan"),
        ("--duplicates -0.1", "the rate of duplicates is -0.1"),
        ("--multimapped -0.1", "the rate of multi-mapped"),
        ("--multimapped 0.9 --unmapped 0.2", "add up to more than 1"),
        ("--isoforms 2", "--isoforms is 2"),
        ("--trim 45", "45 bases cannot be cut off reads of 50"),
        ("--read-length 5", "reads of 20 to 1000"),
        ("--pairs -1", "0 to 2,147,483,647 fragments can be simulated"),
        ("--fragment-sd 0", "fragments of 220 ± 0"),
        ("--fragment-mean 30 --fragment-sd 1", "are shorter than reads of 50"),
        ("--fragment-mean 90000 --fragment-sd 1", "as long as a fragment"),
        ("--gc-bias nan", "a GC bias of nan"),
        ("--strength -1", "--strength is -1"),
        ("--genes 0", "at least 1"),
        ("--genes 500 --bases 50000", "do not fit on"),
        ("--threads 0", "at least 1"),
        ("--samples 1 --groups 2", "cannot be divided into 2 groups"),
        ("--samples 3 --groups 0", "cannot be divided into 0 groups"),
        ("--bias-model builtin,none", "2 biases for 1 group."),
        ("--samples 4 --groups 2 --bias-model builtin,none,none", "3 biases for 2 groups"),
        ("--samples 4 --groups 2 --bias-model builtin,", "a bias without a name"),
        (
            "--samples 4 --groups 2 --bias-model none,nothing.model",
            "nothing.model: there is no such model file",
        ),
        ("--samples 4 --groups 2 --strength 1,2,3", "3 biases for 2 groups"),
        ("--samples 4 --groups 2 --strength 1,nan", "--strength is nan"),
        (
            "--samples 4 --groups 2 --strength 1,2,3 --bias-model builtin,none",
            "--bias-model holds 2 biases, but --strength holds 3 values",
        ),
        ("--changed 7", "share of changed genes is 7"),
        ("--switched 7", "share of switched genes is 7"),
        ("--switched nan", "share of switched genes is nan"),
        ("--spread -1", "the spread is -1"),
        ("--biased-ends read1", "only a stranded library"),
        ("--library single --unmapped-mates 0.1", "needs a library of pairs"),
        ("--bias-model nothing.model", "there is no such model file"),
        ("--bias-model GTF", "not a model file"),
        ("--genome GTF", "given together"),
        ("--genome GTF --annotation GTF --genes 9", "--genes is for simulated genomes"),
        ("--genome nothing.fa --annotation GTF", "nothing.fa"),
    ],
)
def test_options_that_cannot_be_used(
    options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g.gtf").write_text(GTF)
    words = [word.replace("GTF", str(tmp_path / "g.gtf")) for word in options.split()]
    size = [] if {"--genes", "--genome"} & set(words) else ["--genes", "5"]
    size += [] if "--pairs" in words else ["--pairs", "100"]
    assert main(["simulate", "-q", "-o", str(tmp_path / "out"), *size, *words]) == 1
    stderr = capsys.readouterr().err
    assert any(part in stderr for part in message.split("|")), stderr
    assert stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["g.gtf"]


def test_window_larger_than_every_transcript(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = write_inputs(
        tmp_path, 'chr1\tx\texon\t1\t7\t.\t+\t.\tgene_id "g"; transcript_id "t";\n'
    )
    assert main(["simulate", "-q", "-o", str(tmp_path / "out"), *inputs, "--pairs", "10"]) == 1
    assert "a window of 13 bases, but the longest transcript has 7" in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_left_alone_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "genes.gtf").write_text("old")
    options = ["simulate", "-q", "-o", str(tmp_path), "--pairs", "10", "--genes", "5"]
    assert main(options) == 1
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "genes.gtf").read_text() == "old"
    assert main([*options, "--force"]) == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert "SIMG00000001" in (tmp_path / "genes.gtf").read_text()
    assert main(["simulate", "-o", str(tmp_path / "notes.txt")]) == 1
    assert "a file, not a folder" in capsys.readouterr().err


def test_defaults_are_those_of_the_classes_but_for_the_imperfections_of_real_libraries(
    tmp_path: Path,
) -> None:
    folder = run(tmp_path / "out", "--pairs", "10")
    reported = json.loads((folder / "simulation.json").read_text())["options"]
    library = Library(10, multi_mapped=0.03, unmapped_mate=0.02, unmapped=0.02, error_rate=0.002)
    defaults = SimulationOptions(folder, library)
    reported["study"]["switched"] = 0.0  # reported only where genes switch
    for design in ("library", "study", "design"):
        assert reported[design] == dataclasses.asdict(getattr(defaults, design))
    for option in ("genes", "contigs", "bases", "genome", "annotation", "order", "fastq", "seed"):
        assert reported[option] == getattr(defaults, option)
    assert (reported["bias_model"], reported["strength"]) == ("builtin", 1.0)


def test_single_reads_have_no_unmapped_mates(tmp_path: Path) -> None:
    folder = run(tmp_path / "out", *words("--pairs 10 --genes 5 --library single"))
    library = json.loads((folder / "simulation.json").read_text())["options"]["library"]
    assert (library["paired"], library["unmapped_mate"]) == (False, 0.0)


def test_help_needs_no_numpy() -> None:
    script = (
        "import sys; import counterbias.cli.simulate as command;"
        "command.build_simulate_parser().format_help(); print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from counterbias import simulation

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulation, "write_truth", interrupt)
    assert main(["simulate", "-o", str(tmp_path / "out"), "--pairs", "10", "--genes", "5"]) == 130
    assert list(tmp_path.iterdir()) == []


def test_the_reference_page_names_every_option(root: Path) -> None:
    text = (root / "docs" / "reference" / "simulate.md").read_text()
    for action in build_simulate_parser().actions:
        for option in action.option_strings:
            assert f"`{option}`" in text or f"`{option} " in text, option
    for name in (
        "expected_fragments",
        "unbiased_fragments",
        "mean_bias",
        "mapped_fragments",
        "log_bias",
        "log2_fold_change_group2",
    ):
        assert f"`{name}`" in text


def test_benchmark_prints_time_and_memory(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    simulating = importlib.import_module("simulating")
    monkeypatch.setattr(simulating, "FILES", {"BAM": []})
    rows = simulating.main(
        [
            "--pairs",
            "500",
            "--genes",
            "8",
            "--repeats",
            "1",
            "--threads",
            "2",
            "--workdir",
            str(tmp_path),
            "--json",
            str(tmp_path / "x.json"),
        ]
    )
    assert [(row["files"], row["threads"]) for row in rows] == [("BAM", 2)]
    assert all(row["cpu"] > 0 and 10e6 < row["peak"] < 2e9 for row in rows)
    assert (tmp_path / "x.json").is_file()
