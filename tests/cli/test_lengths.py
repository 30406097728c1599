"""``--bias-lengths``: lengths with a bias model and without, and what must be asked for with it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from counterbias.cli import main
from counterbias.cli.count import build_count_parser, chosen_model
from counterbias.errors import InputError
from counterbias.pipeline import sample as pipeline_sample
from counterbias.pipeline.bias.sample import SampleBias
from counterbias.pipeline.inputs import RunInputs
from tests.writers.test_rsem import ISOFORMS


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a few thousand pairs from 20 genes, most of them with two transcripts."""
    folder = tmp_path_factory.mktemp("lengths") / "study"
    small = ["--genes", "20", "--contigs", "1", "--pairs", "3000", "--isoforms", "0.7"]
    assert main(["simulate", "-q", "-o", str(folder), *small]) == 0
    return folder


def inputs(study: Path) -> list[str]:
    return ["-s", "no", "-r", "pos", str(study / "sample1.bam"), str(study / "genes.gtf")]


def count(study: Path, *options: str, status: int = 0) -> None:
    assert main(["count", *options, *inputs(study)]) == status


def table(path: str) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", index_col=0)


def report(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


GENOME = "--bias-genome g.fa"


@pytest.mark.parametrize(
    ("options", "model"),
    [
        ("", None),
        ("--bias-model none", None),
        ("--bias-genome g.fa", None),
        ("--bias-lengths union", "none"),
        ("--bias-lengths transcripts", "none"),
        ("--bias-lengths transcripts --bias-genome g.fa", "none"),
        ("--bias-lengths transcripts --bias-fragment-length 200,20", "none"),
        ("--bias-lengths union --bias-model none", "none"),
        ("--bias-lengths union --bias-model none --bias-output x", "none"),
        ("--bias-lengths union --bias-model none --bias-counts corrected", "none"),
        (f"--bias-lengths union {GENOME} --bias-output x", "auto"),
        (f"--bias-lengths union {GENOME} --bias-counts corrected", "auto"),
        (f"--bias-lengths union {GENOME} --bias-prior p", "auto"),
        (f"--bias-lengths union {GENOME} --bias-model pwm", "pwm"),
    ],
)
def test_which_model_the_options_ask_for(options: str, model: str | None) -> None:
    arguments = build_count_parser().parse_args([*options.split(), "a.bam", "g.gtf"])
    assert chosen_model(arguments) == model


ALONE = ", or measure lengths alone with --bias-model none"
GIVE = "give it with --bias-genome FASTA"


@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        ("--bias-output x", "--bias-output x needs the genome", GIVE),
        (
            "--bias-lengths union --bias-output x",
            "--bias-output x needs the genome",
            GIVE + ALONE,
        ),
        (
            "--bias-lengths union --bias-counts corrected",
            "--bias-counts corrected needs the genome",
            GIVE + ALONE,
        ),
        (
            "--bias-lengths union --bias-output x --bias-counts weighted",
            "--bias-output x needs the genome",
            GIVE,
        ),
        (
            "--bias-lengths union --bias-output x --bias-prior p",
            "--bias-output x needs the genome",
            GIVE,
        ),
        (
            "--bias-lengths union --bias-model pwm",
            "--bias-model pwm needs the genome",
            GIVE,
        ),
        (
            "--bias-model none --bias-counts corrected",
            "--bias-counts corrected needs a bias model",
            "leave --bias-model none out",
        ),
        (
            "--bias-model none --bias-lengths union --bias-counts weighted",
            "--bias-counts weighted needs a bias model",
            "take --bias-counts corrected, or leave --bias-model none out",
        ),
        (
            "--bias-model none --bias-lengths union --bias-counts rounded",
            "--bias-counts rounded needs a bias model",
            "take --bias-counts corrected, or leave --bias-model none out",
        ),
        (
            "--bias-model none --bias-lengths union --bias-prior p",
            "--bias-prior needs a bias model",
            "leave --bias-model none out",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(options: str, problem: str, remedy: str) -> None:
    arguments = build_count_parser().parse_args([*options.split(), "a.bam", "g.gtf"])
    with pytest.raises(InputError) as refused:
        chosen_model(arguments)
    assert (refused.value.problem, refused.value.remedy) == (problem, remedy)


def test_lengths_alone_leave_the_main_table_as_it_is(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    count(study, "-q", "-c", "plain.tsv")
    capfd.readouterr()
    count(study, "--bias-lengths", "union", "-c", "main.tsv")
    assert capfd.readouterr().err.splitlines()[-1] == (
        "sample1: files: sample1.counts.tsv, next to it .genes.results, .counterbias.json, .log"
    )
    assert Path("main.tsv").read_bytes() == Path("plain.tsv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "main.tsv",
        "plain.tsv",
        "sample1.counterbias.json",
        "sample1.counts.tsv",
        "sample1.genes.results",
        "sample1.log",
    ]


def test_without_a_model_weights_are_1_and_a_union_is_as_long_as_it_is(
    study: Path, tmp_path: Path
) -> None:
    prefix = str(tmp_path / "x")
    count(study, "-q", "--bias-model", "none", "--bias-lengths", "union", "--bias-output", prefix,
          "-c", f"{prefix}.tsv")  # fmt: skip
    counts, document = table(f"{prefix}.counts.tsv"), report(f"{prefix}.counterbias.json")
    assert counts["raw"].sum() > 2000
    for column in ("weighted", "corrected"):
        assert counts[column].tolist() == counts["raw"].tolist()
    assert counts["effective_length"].tolist() == counts["length"].tolist()
    assert document["counterbias_schema"] == [1, 6]
    assert document["model"]["backend"] == "none"
    assert {value for key, value in document["model"].items() if key != "backend"} == {None}
    assert document["ends"] == []
    assert document["inputs"]["genome"] is None
    # Every read of the pairs counted weighs 1.
    reads = 2 * int(counts["raw"].sum())
    assert document["weights"]["reads"] == reads
    assert document["weights"]["factor"] == document["weights"]["effective_sample_size"] == 1
    assert document["lengths"]["method"] == "union"
    assert document["lengths"]["measured"] == 0
    assert document["lengths"]["transcripts"] is None
    assert set(document["lengths"]["fallback"].values()) == {None}
    assert document["options"] == {
        "type": ["exon"],
        "idattr": ["gene_id"],
        "feature_query": None,
        "order": "pos",
        "stranded": "no",
        "mode": "union",
        "nonunique": "none",
        "minaqual": 10,
        "secondary_alignments": "ignore",
        "supplementary_alignments": "ignore",
        "seed": 1,
        "assigned": None,
        "bias_model": "none",
        "bias_fragment_length": None,
        "bias_lengths": "union",
    }


def test_a_prefix_that_is_a_folder_and_several_samples(study: Path, tmp_path: Path) -> None:
    (tmp_path / "other.bam").symlink_to(study / "sample1.bam")
    words = ["-s", "no", "-r", "pos", "-n", "2", "-c", str(tmp_path / "main.tsv")]
    lengths = ["--bias-model", "none", "--bias-lengths", "union"]
    files = [str(study / "sample1.bam"), str(tmp_path / "other.bam"), str(study / "genes.gtf")]
    output = ["--bias-output", f"{tmp_path}/made/"]
    assert main(["count", "-q", *words, *lengths, *output, *files]) == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "other.counterbias.json",
        "other.counts.tsv",
        "other.genes.results",
        "other.log",
        "sample1.counterbias.json",
        "sample1.counts.tsv",
        "sample1.genes.results",
        "sample1.log",
    ]


def test_threads_do_not_change_a_byte(study: Path, tmp_path: Path) -> None:
    for threads in ("1", "3"):
        prefix = str(tmp_path / f"t{threads}")
        count(study, "-q", "--bias-model", "none", "--bias-lengths", "transcripts",
              "--bias-threads", threads, "--bias-output", prefix,
              "-c", f"{prefix}.tsv")  # fmt: skip
    one, three = (sorted(tmp_path.glob(f"t{number}.counts.tsv")) for number in (1, 3))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in three]
    documents = [report(str(tmp_path / f"t{number}.counterbias.json")) for number in (1, 3)]
    for document in documents:
        del document["run"], document["command_line"]
    assert documents[0] == documents[1]


def test_alignments_are_written_without_weights(study: Path, tmp_path: Path) -> None:
    count(study, "-q", "--bias-model", "none", "--bias-lengths", "union",
          "--bias-output", str(tmp_path / "x"), "-o", str(tmp_path / "plain.sam"),
          "-c", str(tmp_path / "main.tsv"))  # fmt: skip
    with pysam.AlignmentFile(str(tmp_path / "plain.sam")) as file:
        tags = [{tag for tag, _ in read.get_tags()} for read in file]
    assert all("XF" in found and "ZW" not in found for found in tags)
    assert len(tags) > 5000


def test_lengths_alone_load_no_backend_and_read_no_genome(study: Path, tmp_path: Path) -> None:
    """A genome that is no FASTA file is not even opened; backends and torch stay unloaded."""
    (tmp_path / "no.fa").write_text("this is no FASTA file")
    script = (
        "import sys\n"
        "from counterbias.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in"
        " ('torch', 'counterbias_backends')]\n"
        "print(status, loaded)\n"
    )
    words = ["count", "-q", "--bias-lengths", "union", "--bias-genome", "no.fa", "-c", "main.tsv"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, *inputs(study)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "0 []\n"
    assert done.stderr.splitlines() == [
        "Warning: --bias-genome changes nothing without a bias model (--bias-model) or CRAM files"
    ]


def test_the_method_is_recorded_with_a_model_too(study: Path, tmp_path: Path) -> None:
    prefix = str(tmp_path / "x")
    count(study, "-q", "--bias-model", "pwm", "--bias-genome", str(study / "genome.fa"),
          "--bias-output", prefix, "-c", f"{prefix}.tsv")  # fmt: skip
    document = report(f"{prefix}.counterbias.json")
    assert document["lengths"]["method"] == document["options"]["bias_lengths"] == "transcripts"
    assert Path(f"{prefix}.model").exists()
    assert Path(f"{prefix}.isoforms.results").exists()


WITHOUT = "without a bias model (--bias-model)"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("--bias-lengths transcripts --bias-fragment-length 200,20", []),
        (
            "--bias-lengths transcripts --bias-cap 3 --bias-window 5,5",
            [f"--bias-window and --bias-cap change nothing {WITHOUT}"],
        ),
        (
            "--bias-lengths union --bias-fragment-length 200,20",
            ["--bias-fragment-length changes nothing with --bias-lengths union and no bias model"],
        ),
    ],
)
def test_options_without_effect_are_named(
    study: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    options: str,
    lines: list[str],
) -> None:
    output = ["--bias-model", "none", "--bias-output", str(tmp_path / "x")]
    count(study, "-q", *options.split(), *output, "-c", str(tmp_path / "main.tsv"))
    warned = [line for line in capfd.readouterr().err.splitlines() if " nothing" in line]
    assert warned == [f"Warning: {line}" for line in lines]


def test_an_annotation_that_names_no_transcript_is_refused(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (study / "genes.gtf").read_text()
    annotation = tmp_path / "nameless.gtf"
    annotation.write_text(text.replace("transcript_id ", "transcript "))
    words = ["-s", "no", "-r", "pos", str(study / "sample1.bam"), str(annotation)]
    output = ["-c", str(tmp_path / "main.tsv"), "--bias-model", "none"]
    output += ["--bias-output", str(tmp_path / "x")]
    assert main(["count", "-q", "--bias-lengths", "transcripts", *output, *words]) == 1
    assert capfd.readouterr().err == (
        f"counterbias: {annotation}: no feature has transcript_id (GTF) or Parent (GFF3) on all "
        "its lines of type exon, as --bias-lengths transcripts needs. Give an annotation that "
        "names transcripts, or --bias-lengths union\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nameless.gtf"]
    assert main(["count", "-q", "--bias-lengths", "union", *output, *words]) == 0


def test_one_named_feature_is_enough(study: Path, tmp_path: Path) -> None:
    lines = (study / "genes.gtf").read_text().splitlines(keepends=True)
    first = next(line for line in lines if "\texon\t" in line)
    gene = first.split('gene_id "')[1].split('"')[0]
    annotation = tmp_path / "one.gtf"
    annotation.write_text(
        "".join(
            line if f'"{gene}"' in line else line.replace("transcript_id ", "transcript ")
            for line in lines
        )
    )
    words = ["-s", "no", "-r", "pos", str(study / "sample1.bam"), str(annotation)]
    output = ["-c", str(tmp_path / "main.tsv"), "--bias-model", "none"]
    output += ["--bias-output", str(tmp_path / "x")]
    assert main(["count", "-q", "--bias-lengths", "transcripts", *output, *words]) == 0


@pytest.mark.parametrize(("lengths", "status"), [("transcripts", 1), ("union", 0)])
def test_the_isoforms_file_is_checked_before_counting(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], lengths: str, status: int
) -> None:
    taken = tmp_path / "x.isoforms.results"
    taken.mkdir()
    output = ["--bias-model", "none", "--bias-output", str(tmp_path / "x")]
    count(study, "--bias-lengths", lengths, *output, "-c", str(tmp_path / "main.tsv"),
          status=status)  # fmt: skip
    message = capfd.readouterr().err
    assert (f"counterbias: {taken}: " in message) == bool(status)
    assert ("processed" in message) != bool(status)


def test_isoforms_are_written_next_to_the_table(
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    measure = pipeline_sample.measure_counts

    def with_isoforms(inputs: RunInputs, *rest: Any, **named: Any) -> SampleBias:
        return replace(measure(inputs, *rest, **named), isoforms=ISOFORMS)

    monkeypatch.setattr("counterbias.pipeline.count.measure_counts", with_isoforms)
    prefix = str(tmp_path / "x")
    count(study, "--bias-model", "none", "--bias-lengths", "transcripts", "--bias-output", prefix,
          "-c", f"{prefix}.tsv")  # fmt: skip
    assert (
        capfd.readouterr()
        .err.splitlines()[-1]
        .endswith(
            f": files: {prefix}.counts.tsv, next to it .genes.results, .isoforms.results, "
            ".counterbias.json, .log"
        )
    )
    genes = table(f"{prefix}.counts.tsv").index
    isoforms = pd.read_csv(f"{prefix}.isoforms.results", sep="\t")
    assert isoforms["gene_id"].tolist() == [genes[0], genes[0], genes[2]]


def test_corrected_counts_can_be_the_main_table(study: Path, tmp_path: Path) -> None:
    prefix = str(tmp_path / "x")
    count(study, "-q", "--bias-model", "none", "--bias-lengths", "transcripts",
          "--bias-counts", "corrected", "--bias-output", prefix, "-c", f"{prefix}.tsv")  # fmt: skip
    main_table = pd.read_csv(f"{prefix}.tsv", sep="\t", index_col=0, header=None)[1]
    corrected = table(f"{prefix}.counts.tsv")["corrected"]
    found = main_table[corrected.index].to_numpy(float)
    assert np.allclose(found, corrected, rtol=1e-6)
    assert corrected.sum() == pytest.approx(table(f"{prefix}.counts.tsv")["raw"].sum())


def test_help_stays_light() -> None:
    script = (
        "import sys\n"
        "from counterbias.cli.count import build_count_parser\n"
        "text = build_count_parser().format_help()\n"
        "print('--bias-lengths {union,transcripts}' in text, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True False\n"
