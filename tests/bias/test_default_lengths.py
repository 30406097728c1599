"""The lengths that a count has where ``--bias-lengths`` is not given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias import BiasOptions, CountingOptions, count_reads, simulation
from counterbias.cli import main
from counterbias.pipeline.bias.sample import SampleBias
from tests.helpers.messages import lines_of

#: Bases of every fragment.
FRAGMENT = 200
ISOFORMS = "isoforms.results"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate unbiased pairs of genes with one or two transcripts, some shorter than fragments."""
    rng = np.random.default_rng(31)
    folder = tmp_path_factory.mktemp("default")
    genome = simulation.simulate_genome(rng, {"chr1": 300_000})
    design = simulation.AnnotationDesign(last_exon_length=150, mean_exons=3, overlapping=0.0)
    genes = simulation.simulate_annotation(rng, genome.lengths, 60, design=design)
    library = simulation.Library(10_000, fragment_mean=FRAGMENT, fragment_sd=0.01)
    abundance = simulation.simulate_abundance(rng, genes, spread=0.5)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    for name in ("one", "two"):
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library)
        simulation.write_bam(folder / f"{name}.bam", reads, order="pos")
    return folder


def count(study: Path, bias: BiasOptions) -> SampleBias:
    options = CountingOptions(order="pos", stranded="no")
    run = count_reads(study / "one.bam", study / "genes.gtf", options=options, bias=bias)
    return run.bias[0]


@pytest.mark.parametrize("model", ["none", "pwm"])
def test_without_bias_an_effective_length_is_the_number_of_places(study: Path, model: str) -> None:
    genome = "" if model == "none" else str(study / "genome.fa")
    found = count(study, BiasOptions(model, genome))
    assert not any(end["calibration"]["applied"] for end in found.report["ends"])
    assert found.report["lengths"]["method"] == "transcripts"
    assert found.report["lengths"]["fragment_mean"] == FRAGMENT
    isoforms, columns = found.isoforms, found.columns
    assert isoforms is not None
    # A fragment of 200 bases has n - 199 places, and hardly any in a transcript as short as itself.
    places = np.maximum(isoforms.length - (FRAGMENT - 1), 0.1 * isoforms.length)
    assert isoforms.effective_length == pytest.approx(places)
    assert (isoforms.length < FRAGMENT).any()

    transcripts = np.bincount(isoforms.feature)
    length, raw = np.asarray(columns["effective_length"]), np.asarray(columns["raw"])
    alone = transcripts[isoforms.feature] == 1
    assert length[isoforms.feature[alone]] == pytest.approx(places[alone])
    # Otherwise it is the mean over the molecules that are there.
    mean = np.bincount(isoforms.feature, isoforms.iso_pct / 100 * places)
    several = (transcripts > 1) & (raw > 0)
    assert several.sum() > 10
    assert length[several] == pytest.approx(mean[several])

    assert np.array_equal(columns["weighted"], raw)
    per_million = 1e6 * raw / length / (raw / length).sum()
    assert np.asarray(columns["tpm_corrected"]) == pytest.approx(per_million)


def counted(
    study: Path, out: Path, *options: str, annotation: str = "genes.gtf", quiet: bool = True
) -> dict[str, bytes]:
    """Count both samples; return what was written, except what holds the command line."""
    words = ["count", *(["-q"] if quiet else []), "-s", "no", "-r", "pos", "--bias-model", "pwm"]
    words += ["--bias-genome", str(study / "genome.fa"), "--bias-output", f"{out}/"]
    files = [str(study / name) for name in ("one.bam", "two.bam", annotation)]
    assert main([*words, *options, "-c", f"{out}.tsv", *files]) == 0
    return {
        path.name: path.read_bytes()
        for path in out.iterdir()
        if path.suffix not in (".json", ".log")
    }


def method(out: Path) -> tuple[str, str]:
    """Return the method by which lengths were measured, and the option as recorded."""
    found: dict[str, Any] = json.loads((out / "one.counterbias.json").read_text(encoding="utf-8"))
    return found["lengths"]["method"], found["options"]["bias_lengths"]


def test_lengths_of_transcripts_are_the_default_of_whole_genes(study: Path, tmp_path: Path) -> None:
    found = counted(study, tmp_path / "default")
    assert found == counted(study, tmp_path / "named", "--bias-lengths", "transcripts")
    assert {name for name in found if name.endswith(ISOFORMS)} == {
        f"one.{ISOFORMS}",
        f"two.{ISOFORMS}",
    }
    assert method(tmp_path / "default") == ("transcripts", "transcripts")


def test_exons_without_transcripts_have_lengths_of_unions_and_one_line_says_so(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (study / "genes.gtf").read_text()
    (study / "nameless.gtf").write_text(text.replace("transcript_id ", "transcript "))
    named = ("--bias-lengths", "union")
    union = counted(study, tmp_path / "union", *named, annotation="nameless.gtf")
    without = lines_of(capfd.readouterr().err)
    found = counted(study, tmp_path / "default", annotation="nameless.gtf")
    assert lines_of(capfd.readouterr().err) == without, "it is no warning"
    assert found == union
    assert not any(name.endswith(ISOFORMS) for name in found)
    assert method(tmp_path / "default") == ("union", "union")

    counted(study, tmp_path / "aloud", annotation="nameless.gtf", quiet=False)
    line = (
        f"{study / 'nameless.gtf'}: no feature has transcript_id (GTF) or Parent (GFF3) on all its "
        "lines of type exon: lengths are those of the union of exons (--bias-lengths union)"
    )
    assert lines_of(capfd.readouterr().err).count(line) == 1, "one line for all samples"


@pytest.mark.parametrize(
    "features",
    [
        ("-t", "CDS"),
        ("-t", "exon", "-t", "CDS"),
        ("-i", "exon_id"),
        ("-i", "gene_id", "-i", "exon_number"),
    ],
    ids=" ".join,
)
def test_features_that_are_no_whole_transcripts_have_lengths_of_unions_without_a_warning(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], features: tuple[str, ...]
) -> None:
    """All lines name transcripts; of these, each exon is a part."""
    lines = []
    for number, line in enumerate((study / "genes.gtf").read_text().splitlines()):
        lines.append(f'{line} exon_id "e{number}";')
        if "\texon\t" in line:
            lines.append(lines[-1].replace("\texon\t", "\tCDS\t"))
    (study / "exons.gtf").write_text("".join(f"{line}\n" for line in lines))
    named = (*features, "--bias-lengths", "union")
    union = counted(study, tmp_path / "union", *named, annotation="exons.gtf")
    without = lines_of(capfd.readouterr().err)
    found = counted(study, tmp_path / "default", *features, annotation="exons.gtf")
    assert lines_of(capfd.readouterr().err) == without
    assert found == union
    assert not any(name.endswith(ISOFORMS) for name in found)
    assert method(tmp_path / "default") == ("union", "union")
