"""Counts judged by cross-fitting: the gate, samples that cannot be judged, model files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest

import counterbias
from counterbias import (
    FitReport,
    TrainingSet,
    Window,
    count_reads,
    simulation,
)
from counterbias.cli import main
from counterbias.options import BiasOptions, CountingOptions
from counterbias.pipeline.count import CountRun
from tests.bias.cross_fitted import ABLE, QUICK

# -- what judges learn -------------------------------------------------------------------------


def test_through_a_count_no_judge_scores_what_it_has_seen(
    half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No judge has learnt any 21 bases of the windows and stretches that it scores.

    Windows are of 41 random bases; the stretches are those of exon bins.
    """
    kind = counterbias.load_plugins().backends["pwm"].backend.load()
    fit, log_bias, along = kind.fit, kind.log_bias, kind.along
    models: list[Any] = []
    scored = {"windows": 0, "places": 0}

    def remembered(self: Any, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        sets = [sample, *([] if sample.validation is None else [sample.validation])]
        self.seen = {piece for one in sets for piece in pieces(one.foreground, one.background)}
        models.append(self)
        return fit(self, sample, rng)

    def windows(self: Any, contexts: np.ndarray) -> np.ndarray:
        if self is not models[0]:
            assert not self.seen & pieces(contexts)
            scored["windows"] += len(contexts)
        return np.asarray(log_bias(self, contexts))

    def stretches(self: Any, sequence: np.ndarray) -> np.ndarray:
        if self is not models[0]:
            assert not self.seen & pieces(np.lib.stride_tricks.sliding_window_view(sequence, 41))
            scored["places"] += len(sequence) - 40
        return np.asarray(along(self, sequence))

    for name, method in (("fit", remembered), ("log_bias", windows), ("along", stretches)):
        monkeypatch.setattr(kind, name, method)
    count(half, "plain", "pwm", window=Window(20, 20))
    assert len(models) == 6
    assert all(len(model.seen) > 5000 for model in models)
    assert scored["windows"] > 5_000
    assert scored["places"] > 20_000


def pieces(*contexts: np.ndarray) -> set[bytes]:
    """Return all stretches of 21 bases, of both strands alike."""
    forward = np.concatenate(
        [one[:, first : first + 21] for one in contexts for first in range(one.shape[1] - 20)]
    )
    return {row.tobytes() for row in forward} | {row.tobytes() for row in 3 - forward[:, ::-1]}


# -- through a count ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a library half of whose reads lie within 10 kb, biased (``half``) and ``unbiased``.

    ``plain`` and ``other`` are two biased samples of usual abundances; in ``tiny`` all reads lie
    within 800 bases.
    """
    rng = np.random.default_rng(12)
    folder = tmp_path_factory.mktemp("half")
    genome = simulation.simulate_genome(rng, {"chr1": 300_000, "chr2": 300_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 60, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.2)
    usual = simulation.simulate_abundance(rng, genes, spread=0.5)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    # Genes of chr1 whose first exon begins from 100 to 110 kb.
    first, gene = genes.exon_start[genes.exon_offsets[:-1]], genes.transcript_gene
    inside = (
        (genes.gene_contig[gene] == 0)
        & (first >= 100_000)
        & (genes.exon_end[genes.exon_offsets[1:] - 1] < 110_000)
    )
    mass = usual * genes.transcript_lengths
    crowded = np.where(inside, usual * mass[~inside].sum() / mass[inside].sum(), usual)
    assert inside.any()
    for name, abundance, effect, fragments in (
        ("half", crowded, bias, 6000),
        ("unbiased", crowded, None, 6000),
        ("plain", usual, bias, 6000),
        ("other", usual, bias, 5000),
    ):
        library = simulation.Library(fragments, paired=False)
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library, effect)
        simulation.write_bam(folder / f"{name}.bam", reads, order="pos")
    return folder


def count(
    folder: Path, sample: str, model: str, *options: str, window: Window | None = None, **more: Any
) -> CountRun:
    bias = BiasOptions(
        model, str(folder / "genome.fa"), window=window, model_options=options, **more
    )
    return count_reads(
        folder / f"{sample}.bam",
        folder / "genes.gtf",
        options=CountingOptions(order="pos", stranded="no"),
        bias=bias,
    )


def calibration(run: CountRun) -> dict[str, Any]:
    found: dict[str, Any] = run.bias[0].report["ends"][0]["calibration"]
    return found


@pytest.mark.parametrize(("model", "options"), [("pwm", ()), ("vlmm", ()), ("cnn", ABLE)])
def test_half_of_the_reads_in_one_stretch_does_not_close_the_gate(
    half: Path, model: str, options: tuple[str, ...]
) -> None:
    """Fold 0 once held so few 1 kb blocks that yeast xrn1 (gain: 10 SE) was not corrected."""
    run = count(half, "half", model, *options)
    end = run.bias[0].report["ends"][0]
    assert end["block"] >= 10_000, "so one or two of the blocks hold half of the reads"
    with pysam.AlignmentFile(str(half / "half.bam"), check_sq=False) as file:
        inside = [
            read.reference_name == "chr1" and 100_000 <= read.reference_start < 110_000
            for read in file
        ]
    assert np.mean(inside) == pytest.approx(0.5, abs=0.05)
    assert end["calibration"]["applied"]
    assert end["calibration"]["gain"] > 5 * end["calibration"]["gain_error"] > 0
    # Every start that has background is judged.
    assert end["held_out_starts"] > 0.98 * (end["training_starts"] + end["validation_starts"])
    weighted, raw = (np.asarray(run.bias[0].columns[name], float) for name in ("weighted", "raw"))
    assert np.abs(weighted / np.maximum(raw, 1) - 1).max() > 0.05


@pytest.mark.parametrize(
    ("model", "options"), [("pwm", ()), ("vlmm", ()), ("heptamer", ()), ("cnn", ABLE)]
)
def test_without_bias_all_weights_are_exactly_one(
    half: Path, model: str, options: tuple[str, ...]
) -> None:
    run = count(half, "unbiased", model, *options, lengths="union")
    found = calibration(run)
    assert not found["applied"]
    assert "is not above zero" in found["reason"]
    columns = run.bias[0].columns
    assert np.array_equal(columns["weighted"], np.asarray(columns["raw"], float))
    np.testing.assert_allclose(columns["corrected"], columns["raw"], rtol=1e-12)
    assert np.array_equal(
        columns["effective_length"], np.asarray(run.annotation.features.lengths, float)
    )


def reads_at(folder: Path, sample: str, places: np.ndarray, *, span: int = 800) -> None:
    """Write single reads of 50 bases that start at these places of chr1, and a gene around them.

    Args:
        folder: where ``SAMPLE.sam`` and ``SAMPLE.gtf`` are written.
        sample: SAMPLE.
        places: places of read starts, on either strand.
    """
    rng = np.random.default_rng(2)
    lines = ["@HD\tVN:1.6\tSO:coordinate", "@SQ\tSN:chr1\tLN:300000", "@SQ\tSN:chr2\tLN:300000"]
    for number, place in enumerate(np.sort(places).tolist()):
        reverse = rng.random() < 0.5
        left = place - 49 if reverse else place
        lines.append(
            f"r{number}\t{16 if reverse else 0}\tchr1\t{left + 1}\t60\t50M\t*\t0\t0\t"
            f"{'A' * 50}\t{'I' * 50}"
        )
    lines[3:] = sorted(lines[3:], key=lambda line: int(line.split("\t")[3]))
    (folder / f"{sample}.sam").write_text("\n".join(lines) + "\n")
    low, high = int(places.min()) - 60, int(places.min()) + span + 60
    (folder / f"{sample}.gtf").write_text(f'chr1\tt\texon\t{low}\t{high}\t.\t+\t.\tgene_id "g";\n')


UNJUDGED = [
    (model, reads, scheme)
    for scheme in ("local", "paper")
    for model in ("pwm", "vlmm", "cnn")
    for reads in (2, 300, 3000)
]


UNJUDGED += [
    (model, reads, "local") for model in ("auto", "heptamer", "bayesnet") for reads in (2, 3000)
]


@pytest.mark.parametrize(("model", "reads", "scheme"), UNJUDGED)
def test_a_sample_that_cannot_be_judged_keeps_weights_of_one_and_says_why(
    half: Path, tmp_path: Path, model: str, reads: int, scheme: str
) -> None:
    """All reads lie within one 1 kb block, so in one fold: no judge, and that is no error."""
    reads_at(tmp_path, "tiny", np.random.default_rng(1).integers(50_100, 50_900, reads))
    bias = BiasOptions(
        model,
        str(half / "genome.fa"),
        model_options=QUICK if model == "cnn" else (),
        sampling=scheme,
    )
    options = CountingOptions(order="pos", stranded="no")
    run = count_reads(tmp_path / "tiny.sam", tmp_path / "tiny.gtf", options=options, bias=bias)
    assert run.results[0].counts.tolist() == [reads]
    found = run.bias[0].report["ends"][0]
    assert found["blocks"] == 1
    assert not found["calibration"]["applied"]
    assert found["calibration"]["reason"] == "only 0 held-out starts in 0 blocks of 1000 bases"
    assert (
        run.bias[0].columns["weighted"].tolist()
        == run.bias[0].columns["corrected"].tolist()
        == [reads]
    )
    assert any(
        "is not used, all its weights are 1: only 0 held-out starts" in line
        for line in run.bias[0].warnings
    )


# -- models of files ---------------------------------------------------------------------------


def command(folder: Path, sample: str, out: Path, model: object, *more: object) -> None:
    words = [
        "count",
        "-q",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-model",
        model,
        "--bias-genome",
        folder / "genome.fa",
        "--bias-output",
        out,
    ]
    words += ["-c", f"{out}.tsv", *more, folder / f"{sample}.bam", folder / "genes.gtf"]
    assert main([str(word) for word in words]) == 0


def end_report(prefix: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{prefix}.counterbias.json").read_text())["ends"][0]
    return found


def test_a_model_file_gives_its_own_sample_the_same_bytes_again(half: Path, tmp_path: Path) -> None:
    """A model's own sample keeps its calibration: judged on itself it would look better."""
    command(half, "plain", tmp_path / "first", "vlmm")
    command(half, "plain", tmp_path / "again", tmp_path / "first.model")
    for ending in (".tsv", ".counts.tsv"):
        assert (tmp_path / f"first{ending}").read_bytes() == (
            tmp_path / f"again{ending}"
        ).read_bytes()
    first, again = (
        end_report(tmp_path / "first")["calibration"],
        end_report(tmp_path / "again")["calibration"],
    )
    assert first["applied"]
    for name in ("applied", "slope", "length_slope", "gain"):
        assert first[name] == again[name]


def test_a_model_file_is_judged_on_all_of_another_sample(half: Path, tmp_path: Path) -> None:
    command(half, "plain", tmp_path / "first", "vlmm")
    command(half, "other", tmp_path / "other", tmp_path / "first.model")
    first, other = end_report(tmp_path / "first"), end_report(tmp_path / "other")
    assert other["unique_starts"] != first["unique_starts"]
    assert other["held_out_starts"] > 0.98 * (other["training_starts"] + other["validation_starts"])
    assert other["held_out_starts"] + sum(other["skipped"].values()) > 0.97 * other["unique_starts"]
    assert other["calibration"]["applied"]
    assert other["calibration"]["slope"] != first["calibration"]["slope"]
    # A slope is that of the library, not of noise: features share that of the reads.
    assert other["calibration"]["length_slope"] == other["calibration"]["slope"]
    assert first["calibration"]["length_slope"] == max(1.0, first["calibration"]["slope"])


@pytest.mark.parametrize("members", [5, 2])
def test_threads_change_no_byte_of_networks(half: Path, tmp_path: Path, members: int) -> None:
    options = [
        word for setting in (*QUICK, f"members={members}") for word in ("--bias-option", setting)
    ]
    for threads in (1, 3):
        command(half, "half", tmp_path / str(threads), "cnn", *options, "--bias-threads", threads)
    for ending in (".tsv", ".counts.tsv", ".model"):
        assert (tmp_path / f"1{ending}").read_bytes() == (tmp_path / f"3{ending}").read_bytes(), (
            ending
        )
    one, three = end_report(tmp_path / "1"), end_report(tmp_path / "3")
    assert one == three
