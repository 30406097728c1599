"""Counts and bias tables by the tags of featureCounts and htseq-count, against those programs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest

import counterbias
from counterbias.cli import main
from counterbias.cli.compare import build_compare_parser
from counterbias.cli.count import build_count_parser
from counterbias.cli.naming import sample_name
from counterbias.cli.run_arguments import run_options
from counterbias.cli.train import build_train_parser
from counterbias.records import CLASSES
from tests.differential.harness import require_oracle

STRANDEDNESS = {"0": "no", "1": "yes", "2": "reverse"}
#: Rows of featureCounts' summary → those of the table; the others are in none.
ROWS = {
    "Unassigned_NoFeatures": "__no_feature",
    "Unassigned_Overlapping_Length": "__no_feature",
    "Unassigned_Ambiguity": "__ambiguous",
    "Unassigned_MappingQuality": "__too_low_aQual",
    "Unassigned_Unmapped": "__not_aligned",
    "Unassigned_MultiMapping": "__alignment_not_unique",
}
BIAS = ("--bias-model", "pwm", "--bias-genome")


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate stranded pairs of overlapping genes, in both orders; return the folder."""
    return simulate(tmp_path_factory, "--order", "both", "--overlapping", "0.4")


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory, "--library", "single", "--overlapping", "0.4")


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate pairs of which every counter says the same."""
    alike = ("--overlapping", "0", "--multimapped", "0", "--unmapped-mates", "0", "--order", "name")
    return simulate(tmp_path_factory, *alike)


def simulate(factory: pytest.TempPathFactory, *more: str) -> Path:
    folder = factory.mktemp("simulated") / "study"
    small = ("--genes", "30", "--contigs", "2", "--pairs", "6000", "--multimapped", "0.1")
    assert main(["simulate", "-q", "-o", str(folder), *small, "--stranded", "reverse", *more]) == 0
    return folder


def feature_counts(out: Path, alignments: Path, *options: str) -> tuple[Path, dict[str, float]]:
    """Run featureCounts; return the alignments with its tags, and its table with the summary."""
    if shutil.which("featureCounts") is None:
        pytest.skip("featureCounts is not installed (Debian package subread)")
    genes = alignments.parent / "genes.gtf"
    command = [
        "featureCounts",
        *options,
        "-R",
        "BAM",
        "-a",
        genes,
        "-o",
        out / "fc.txt",
        alignments,
    ]
    subprocess.run(command, check=True, capture_output=True)
    lines = (out / "fc.txt").read_text().splitlines()[2:]
    counts = {line.split("\t")[0]: float(line.split("\t")[6]) for line in lines}
    counts |= dict.fromkeys(CLASSES, 0.0)
    for line in (out / "fc.txt.summary").read_text().splitlines()[1:]:
        status, number = line.split("\t")
        if status in ROWS:
            counts[ROWS[status]] += float(number)
    return out / f"{alignments.name}.featureCounts.bam", counts


def count(out: Path, *words: object) -> dict[str, float]:
    """Run ``counterbias count``; return its table."""
    table = out / "table.tsv"
    assert main(["count", "-q", "-c", str(table), *map(str, words)]) == 0
    return {name: float(n) for name, n in (line.split("\t") for line in lines_of(table))}


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


# -- featureCounts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stranded", STRANDEDNESS)
@pytest.mark.parametrize(
    "options", ["", "-M", "-O", "-M -O --fraction", "-B -C -Q 30 --fracOverlap 0.9"]
)
def test_pairs(paired: Path, tmp_path: Path, stranded: str, options: str) -> None:
    words = ["-p", "--countReadPairs", "-s", stranded, *options.split()]
    tagged, expected = feature_counts(tmp_path, paired / "sample1.name.bam", *words)
    given = ["-s", STRANDEDNESS[stranded], "--bias-assigned", "XT"]
    given += ["--nonunique", "fraction"] if "--fraction" in options else []
    counted = count(tmp_path, *given, tagged, paired / "genes.gtf")
    # featureCounts prints two decimals.
    assert counted == pytest.approx(expected, abs=0.0051, rel=0)
    assert sum(counted.values()) > 5000
    if stranded == "0":
        pysam.sort("-o", str(tmp_path / "sorted.bam"), str(tagged))
        again = count(tmp_path, *given, "-r", "pos", tmp_path / "sorted.bam", paired / "genes.gtf")
        assert again == pytest.approx(counted)


def test_pairs_sorted_by_position(paired: Path, tmp_path: Path) -> None:
    """featureCounts writes most mates side by side, but not those of alignments given twice."""
    words = ("-p", "--countReadPairs", "-s", "2")
    tagged, expected = feature_counts(tmp_path, paired / "sample1.bam", *words)
    given = ("-s", "reverse", "-r", "pos", "--bias-assigned", "XT", tagged, paired / "genes.gtf")
    assert count(tmp_path, *given) == expected


@pytest.mark.parametrize("stranded", STRANDEDNESS)
@pytest.mark.parametrize("options", ["", "-M -O"])
def test_single_reads(single: Path, tmp_path: Path, stranded: str, options: str) -> None:
    (bam,) = single.glob("*.bam")
    tagged, expected = feature_counts(tmp_path, bam, "-s", stranded, *options.split())
    given = ("-s", STRANDEDNESS[stranded], "--bias-assigned", "XT", tagged, single / "genes.gtf")
    assert count(tmp_path, *given) == expected


@pytest.mark.parametrize(
    ("sample", "stranded"), [("fly_pasilla_chr4/reads", "0"), ("human_maqc_chr22/UHR_Rep1", "2")]
)
def test_real_pairs(data_dir: Path, tmp_path: Path, sample: str, stranded: str) -> None:
    bam = data_dir / f"{sample}.bam"
    tagged, expected = feature_counts(tmp_path, bam, "-p", "--countReadPairs", "-s", stranded)
    given = ("-s", STRANDEDNESS[stranded], "-r", "pos", "--bias-assigned", "XT", tagged)
    counted = count(tmp_path, *given, bam.parent / "genes.gtf")
    # featureCounts takes two alignments of a lone mate at the same position for one.
    twice = counted.pop("__alignment_not_unique") - expected.pop("__alignment_not_unique")
    assert twice == (17 if sample.startswith("fly") else 0)
    assert counted == expected


def test_reads_of_pairs_counted_one_by_one(
    paired: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tagged, _ = feature_counts(tmp_path, paired / "sample1.name.bam", "-p", "-s", "2")
    assert main(["count", "--bias-assigned", "XT", str(tagged), str(paired / "genes.gtf")]) == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "differently" in line]
    assert line.endswith("Count pairs, not reads: featureCounts -p --countReadPairs")


def test_bias_tables_where_assignments_are_equal(apart: Path, tmp_path: Path) -> None:
    (bam,) = apart.glob("*.bam")
    genes, genome = apart / "genes.gtf", apart / "genome.fa"
    tagged, _ = feature_counts(tmp_path, bam, "-p", "--countReadPairs", "-s", "2")
    own = count(tmp_path, "-s", "reverse", *BIAS, genome, "--bias-output", tmp_path / "own",
                bam, genes)  # fmt: skip
    theirs = count(tmp_path, "-s", "reverse", "--bias-assigned", "XT", *BIAS, genome,
                   "--bias-output", tmp_path / "theirs", tagged, genes)  # fmt: skip
    assert own == theirs
    same_bias_files(tmp_path / "own", tmp_path / "theirs")


def test_the_commands_on_the_how_to_page(
    root: Path, apart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with featureCounts, on simulated reads."""
    if shutil.which("featureCounts") is None:
        pytest.skip("featureCounts is not installed (Debian package subread)")
    for name, source in (("reads.bam", "sample1.name.bam"), ("genes.gtf",) * 2, ("genome.fa",) * 2):
        shutil.copy(apart / source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    page = (root / "docs/how-to/other-counters.md").read_text(encoding="utf-8")
    section = page[page.index("\n## featureCounts") : page.index("\n## htseq-count")]
    first, second = re.findall(r"\$ (.*?)\n *```", section.replace("\\\n", ""), re.DOTALL)
    subprocess.run(shlex.split(first), check=True, capture_output=True)
    assert main([*shlex.split(second)[1:-2], "-q", "-c", "counts.tsv"]) == 0
    theirs = {
        line.split("\t")[0]: line.split("\t")[6] for line in lines_of(Path("featurecounts.txt"))[2:]
    }
    ours = dict(line.split("\t") for line in lines_of(Path("counts.tsv")))
    assert {name: ours[name] for name in theirs} == theirs
    header, *rows = lines_of(Path("corrected.counts.tsv"))
    assert "corrected" in header.split("\t")
    assert len(rows) == len(theirs)


# -- htseq-count -----------------------------------------------------------------------------------


def same_bias_files(one: Path, other: Path) -> None:
    """Check that two runs have written the same tables."""
    for ending in (".counts.tsv", ".isoforms.results"):
        assert Path(f"{one}{ending}").read_bytes() == Path(f"{other}{ending}").read_bytes()


@pytest.mark.parametrize(
    ("order", "options"),
    [
        ("name", ()),
        ("pos", ("--nonunique", "all")),
        ("name", ("--nonunique", "fraction", "--secondary-alignments", "score")),
    ],
)
def test_our_own_output_again(
    paired: Path, tmp_path: Path, order: str, options: tuple[str, ...]
) -> None:
    """The same bytes in all tables, and the same weights, as where overlaps are counted."""
    bam = paired / ("sample1.name.bam" if order == "name" else "sample1.bam")
    genes, genome = paired / "genes.gtf", paired / "genome.fa"
    given = ("-s", "reverse", *options, "-p", "BAM", *BIAS, genome, "--bias-output")
    direct, again = tmp_path / "direct", tmp_path / "again"
    own = count(tmp_path, "-r", order, *given, direct, "-o", f"{direct}.bam", bam, genes)
    tags = ("--bias-assigned", "XF", "-o", f"{again}.bam", f"{direct}.bam", genes)
    assert count(tmp_path, *given, again, *tags) == own
    same_bias_files(direct, again)
    weights = [
        [read.get_tag("ZW") if read.has_tag("ZW") else None for read in pysam.AlignmentFile(path)]
        for path in (f"{direct}.bam", f"{again}.bam")
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("nonunique", ["none", "all"])
def test_what_htseq_count_has_written(
    paired: Path, tmp_path: Path, nonunique: str, capfd: pytest.CaptureFixture[str]
) -> None:
    require_oracle()
    from HTSeq.scripts.count import main as htseq_count

    tagged, genes = tmp_path / "tagged.sam", str(paired / "genes.gtf")
    words = ["-s", "reverse", "-r", "pos", "--nonunique", nonunique, "-o", str(tagged), "-q"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["htseq-count", *words, str(paired / "sample1.bam"), genes])
        htseq_count()
    expected = dict(line.split("\t") for line in capfd.readouterr().out.splitlines())
    given = ("-s", "reverse", "--nonunique", nonunique, "--bias-assigned", "XF", tagged, genes)
    assert count(tmp_path, *given) == {name: float(n) for name, n in expected.items()}


# -- all commands ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def assigned(paired: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pairs with their assignments, under the same name."""
    folder = tmp_path_factory.mktemp("assigned")
    path = folder / "sample1.name.bam"
    count(folder, "-s", "reverse", "-p", "BAM", "-o", path, paired / path.name,
          paired / "genes.gtf")  # fmt: skip
    return path


def test_training(
    paired: Path, assigned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for path, more in ((paired / assigned.name, ()), (assigned, ("--bias-assigned", "XF"))):
        words = ["train", "-q", "-s", "reverse", "-o", tmp_path / "m.model", *BIAS]
        words += [paired / "genome.fa", *more, path, paired / "genes.gtf"]
        assert main([str(word) for word in words]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert len(found[0].splitlines()) > 1


def test_every_command_that_counts_has_the_option() -> None:
    given = ["--bias-assigned", "GX", "--bias-genome", "g.fa", "a.bam", "genes.gtf"]
    for build, more in (
        (build_count_parser, []),
        (build_train_parser, ["-o", "m.model"]),
        (build_compare_parser, ["-o", "folder"]),
    ):
        arguments = build().parse_args([*more, *given])
        options = run_options(arguments, [], samples=["a"], model="pwm")
        assert options.counting.assigned == "GX"


def test_from_python(paired: Path, assigned: Path) -> None:
    genes = paired / "genes.gtf"
    options = counterbias.CountingOptions(stranded="reverse", assigned="XF")
    bias = counterbias.BiasOptions("none")
    by_tags = counterbias.count_reads(assigned, genes, options=options, bias=bias)
    options = counterbias.CountingOptions(stranded="reverse")
    direct = counterbias.count_reads(paired / assigned.name, genes, options=options, bias=bias)
    assert np.array_equal(by_tags.results[0].counts, direct.results[0].counts)
    for name, column in direct.bias[0].columns.items():
        assert np.array_equal(by_tags.bias[0].columns[name], column)
    assert by_tags.bias[0].report["options"]["assigned"] == "XF"
    assert direct.bias[0].report["options"]["assigned"] is None


@pytest.mark.parametrize(
    ("stranded", "hint"),
    [
        ("reverse", ""),
        ("no", "--stranded no looks wrong"),
        ("yes", "--stranded yes looks wrong"),
    ],
)
def test_strandedness_shows_in_the_assigned_reads(
    paired: Path, assigned: Path, tmp_path: Path, stranded: str, hint: str,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """``-s`` does not change the assignments: they were made with -s reverse."""
    given = (
        "-s",
        stranded,
        "--bias-assigned",
        "XF",
        "--bias-model",
        "none",
        "--bias-lengths",
        "union",
    )
    counted = count(tmp_path, *given, "--bias-output", tmp_path / "x", assigned,
                    paired / "genes.gtf")  # fmt: skip
    assert counted == count(tmp_path, "-s", "reverse", paired / assigned.name, paired / "genes.gtf")
    messages = capfd.readouterr().err
    if hint:
        assert hint in messages
        assert "as with --stranded reverse" in messages
    else:
        assert "--stranded" not in messages


def test_strandedness_that_the_program_was_told_wrongly(
    paired: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The few reads that were assigned agree with -s; that they are few does not."""
    genes, tagged = paired / "genes.gtf", tmp_path / "tagged.bam"
    count(tmp_path, "-s", "yes", "-p", "BAM", "-o", tagged, paired / "sample1.name.bam", genes)
    lengths = ("--bias-model", "none", "--bias-lengths", "union", "--bias-output", tmp_path / "x")
    count(tmp_path, "-s", "yes", "--bias-assigned", "XF", *lengths, tagged, genes)
    messages = capfd.readouterr().err
    assert "--stranded yes may be wrong" in messages
    assert "in the program that has assigned the reads, too" in messages


def test_options_that_a_verdict_makes_idle(
    paired: Path, assigned: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    strict = ("-m", "intersection-strict", "-a", "0", "--secondary-alignments", "score")
    given = (*strict, assigned, paired / "genes.gtf")
    count(tmp_path, "--bias-assigned", "XF", *given)
    assert capfd.readouterr().err.splitlines() == [
        "Warning: --mode, --minaqual and --secondary-alignments change nothing with "
        "--bias-assigned XF"
    ]
    count(tmp_path, "--bias-assigned", "GX", *given)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("folder/reads.bam.featureCounts.bam", "reads"),
        ("reads.sam.featureCounts.sam", "reads"),
        ("reads.featureCounts.bam", "reads"),
        (".featureCounts.bam", ".featureCounts"),
    ],
)
def test_samples_are_named_as_before_featurecounts(path: str, name: str) -> None:
    assert sample_name(path) == name
