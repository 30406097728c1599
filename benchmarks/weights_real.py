"""Real reads of `weights.py`: trained on some blocks, measured on the held-out ones."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from shared import data_folder, log

from counterbias.annotation import load_annotation
from counterbias.evaluation import folds, measures
from counterbias.evaluation.units import Units
from counterbias.genome import Genome, Splices, extract, extract_tiles, make_splices
from counterbias.model import Resources
from counterbias.options import FOLDS, AnnotationOptions, CountingOptions
from counterbias.pipeline.bias.choice import choose_model
from counterbias.pipeline.bias.cross_fitting import cross_fit
from counterbias.pipeline.bias.held_out import calibrate_scores
from counterbias.pipeline.bias.transcripts import load_transcripts, sample_splices
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, fold_sample, fold_trial
from counterbias.pipeline.counting import count_alignments
from counterbias.plugins import Manager
from counterbias.records import CLIPPED, PRESENT, TRAINABLE, Positions, StartSites, Window
from counterbias.scoring import score_positions
from counterbias.weights import Scale

#: Real data sets: folder, alignments.
DATASETS = {"fly": ("fly_pasilla_chr4", "reads.bam"), "yeast": ("yeast", "isowt5.bam")}
WINDOW = Window()
CAPS = (5.0, 10.0, 20.0, None)
SLOPES = (0.5, 0.75, 1.0, 1.25, 1.5)
#: The choice of real reads in which duplicates count as separate reads.
PAPER = "sampling paper"


def run_real(arguments: argparse.Namespace, manager: Manager) -> Iterator[dict[str, Any]]:
    """Yield the shares of each data set, then a row per choice of reads, fold and seed."""
    for name in arguments.data:
        real = load_real(name, data_folder())
        yield {"data": name, "shares": real.shares}
        for learnt in (*real.samples, PAPER):
            for fold in arguments.folds:
                for seed in arguments.seeds[:2]:
                    log(f"{name}, fold {fold}, seed {seed}: {learnt}")
                    trial = Trial(fold, seed, sampling="paper" if learnt == PAPER else "local")
                    found = measure_fold(real, learnt, trial, arguments, manager)
                    yield {"data": name, "learnt": learnt, "fold": fold, "seed": seed, **found}


@dataclass(frozen=True)
class SplicedSample(FoldSample):
    """A sample whose windows continue in the transcript's next exon."""

    splices: Splices | None = None

    def cut(self, positions: Positions, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Cut windows, or tiles, which extend further downstream."""
        if window.upstream == WINDOW.upstream and window.downstream > WINDOW.downstream:
            return extract_tiles(
                self.genome, self.sites.contigs, positions, window, WINDOW, self.splices
            )
        return extract(self.genome, self.sites.contigs, positions, window, splices=self.splices)


@dataclass(frozen=True)
class Real:
    """A real data set.

    Args:
        samples: choice of reads → sample that is trained on them.
        reads: class of starts → reads of that class at each position of the units.
        shares: class of starts → its share of all reads.
    """

    samples: dict[str, FoldSample]
    reads: dict[str, np.ndarray]
    shares: dict[str, float]


def load_real(name: str, folder: Path) -> Real:
    """Read a real data set: all reads that overlap a gene, with multi-mapped ones set apart."""
    root = folder / DATASETS[name][0]
    gtf = str(root / "genes.gtf")
    genes = load_annotation(AnnotationOptions(gtf), stranded=False)
    by_transcript = AnnotationOptions(gtf, id_attributes=("gene_id", "transcript_id"))
    edges = load_annotation(by_transcript, stranded=False).features
    genome = Genome(root / "genome.fa")
    options = CountingOptions(
        order="pos", stranded="no", nonunique="all", minaqual=0, secondary_alignments="ignore"
    )
    bam = str(root / DATASETS[name][1])
    sites = count_alignments(bam, genes, options, want_sites=True).sites
    assert sites is not None
    plain = fold_sample(sites, genes.features, edges, genome)

    def other(choice: StartSites, end: Any = "both") -> FoldSample:
        made = fold_sample(choice, genes.features, edges, genome, end=end, block=plain.block)
        return replace(made, units=plain.units)

    def chosen(choose: Callable[[np.ndarray], np.ndarray]) -> FoldSample:
        return other(trainable(sites, choose))

    samples = {
        "defaults": plain,
        **spliced_samples(plain, sites, gtf),
        "clipped as well": chosen(
            lambda bits: ((bits & TRAINABLE) != 0) | (present(bits) & ((bits & CLIPPED) != 0))
        ),
        "multi-mapped as well": chosen(lambda bits: present(bits) & ((bits & CLIPPED) == 0)),
    }
    starts = {
        "all": plain.starts,
        "clipped": chosen(lambda bits: present(bits) & ((bits & CLIPPED) != 0)).starts,
        "multi-mapped": chosen(
            lambda bits: present(bits) & ((bits & (CLIPPED | TRAINABLE)) == 0)
        ).starts,
    }
    if len(sites.ends) > 1:
        for end, read in enumerate(("read 1", "read 2")):
            samples[f"{read} alone"] = other(sites, end)
            starts[read] = samples[f"{read} alone"].starts
    total = sum(int(present(end.bits).sum()) for end in sites.ends)
    return count_classes(samples, starts, total)


def spliced_samples(plain: FoldSample, sites: StartSites, gtf: str) -> dict[str, FoldSample]:
    """Return the sample with windows along transcripts, by two rules for choosing the isoform."""
    transcripts = load_transcripts(gtf)
    contigs = np.array([contig_of(sites, name) for name in transcripts.contigs])
    # Without read counts for the comparison of isoforms, the longest one is chosen.
    no_reads = np.zeros(0, np.int32), np.zeros(0, np.int64)
    fields = {name: getattr(plain, name) for name in FoldSample.__slots__}
    return {
        "context transcript": SplicedSample(**fields, splices=sample_splices(transcripts, sites)),
        "context transcript, longest isoform": SplicedSample(
            **fields, splices=make_splices(transcripts, contigs, *no_reads)
        ),
    }


def count_classes(samples: dict[str, FoldSample], starts: dict[str, Positions], total: int) -> Real:
    """Count the reads of each class of starts in the units, and each class's share of all reads.

    Args:
        samples: the choices of reads; the first three differ only in their windows.
        starts: class → its starts.
        total: number of all reads.
    """
    plain, *_ = samples.values()
    reads = {label: count_at(plain.units, found) for label, found in starts.items()}
    positions = plain.units.positions()
    windows, spliced, longest = (
        sample.cut(positions, WINDOW)[0] for sample in list(samples.values())[:3]
    )
    differ = np.where((windows != spliced).any(axis=1), reads["all"], 0.0)
    reads["all, where the two windows differ"] = differ
    disagree = float(reads["all"][(spliced != longest).any(axis=1)].sum())
    shares = {label: float(found.weight.sum()) / total for label, found in starts.items()}
    in_units = max(1.0, float(reads["all"].sum()))
    shares["windows differ"] = float(differ.sum()) / in_units
    shares["the choice of isoform matters"] = disagree / in_units
    valid = plain.cut(plain.starts, WINDOW)[1]
    shares["with N or off the contig"] = float(
        plain.starts.weight[~valid].sum() / plain.starts.weight.sum()
    )
    return Real(samples, reads, shares)


def present(bits: np.ndarray) -> np.ndarray:
    """Return which reads are present, by their bits."""
    return (bits & PRESENT) != 0


def trainable(sites: StartSites, choose: Callable[[np.ndarray], np.ndarray]) -> StartSites:
    """Return sites in which only the reads that ``choose`` selects by their bits are trainable."""
    ends = []
    for end in sites.ends:
        bits = np.where(
            choose(end.bits), end.bits | np.uint8(TRAINABLE), end.bits & ~np.uint8(TRAINABLE)
        )
        ends.append(replace(end, bits=bits.astype(np.uint8)))
    return replace(sites, ends=tuple(ends))


def contig_of(sites: StartSites, name: str) -> int:
    """Return a contig's index among those of the alignments, or -1."""
    return sites.contigs.index(name) if name in sites.contigs else -1


def count_at(units: Units, starts: Positions) -> np.ndarray:
    """Count the reads of some starts at each position of the units."""

    def keys(positions: Positions) -> np.ndarray:
        return (positions.contig.astype(np.int64) << 40) + 2 * positions.position + positions.strand

    wanted, have = keys(units.positions()), keys(starts)
    if not len(have):
        return np.zeros(len(wanted))
    order = np.argsort(have)
    at = np.minimum(np.searchsorted(have[order], wanted), len(have) - 1)
    return np.where(have[order][at] == wanted, starts.weight[order][at], 0.0)


def measure_fold(
    real: Real, learnt: str, trial: Trial, arguments: argparse.Namespace, manager: Manager
) -> dict[str, float]:
    """Train on one choice of reads and evaluate on the held-out units, for each class of starts."""
    sample = real.samples["defaults" if learnt == PAPER else learnt]
    choice = choose_model(
        arguments.model if arguments.model != "auto" else "cnn", manager, window=WINDOW
    )
    folded = fold_trial(choice, sample, trial)
    fitted = cross_fit(
        choice,
        folded.sample,
        0,
        np.random.default_rng([trial.seed, 2]),
        Resources(arguments.threads),
    )
    first = folds.rotation(sample.starts, block=sample.block)[sample.units.contig]
    held = (first + sample.units.start // sample.block) % FOLDS == trial.fold
    units = sample.units.take(held)
    rows = held[sample.units.of_position]
    calibration = calibrate_scores(
        *fitted.score(folded.windows, threads=arguments.threads), folded.windows, own=True
    )
    scores = score_positions(
        fitted.model,
        lambda part: sample.cut(part, WINDOW),
        units.positions(),
        threads=arguments.threads,
    )
    log_bias = calibration(scores)
    found = {
        f"gain, {label}": measures.gain(scores, replace(units, reads=y[rows])).value
        for label, y in real.reads.items()
    }
    raw = found["halves, raw"] = measures.half_consistency(log_bias, units, by="raw")
    found["halves, effective length − raw"] = (
        measures.half_consistency(calibration.of_positions(scores), units) - raw
    )
    for slope in SLOPES:
        found[f"halves, log bias × {slope} − raw"] = (
            measures.half_consistency(slope * scores, units) - raw
        )
    for cap in CAPS:
        name = "none" if cap is None else f"{cap:.0f}"
        found[f"halves, weighted, cap {name} − raw"] = (
            measures.half_consistency(log_bias, units, by="weighted", cap=cap) - raw
        )
        found[f"ESS, cap {name}"], found[f"largest weight, cap {name}"] = (
            measures.effective_sample_size(read_weights(log_bias, units, cap))
        )
    return found


def read_weights(log_bias: np.ndarray, units: Units, cap: float | None) -> np.ndarray:
    """Return the weight of every read of the units, as a counting run computes it."""
    known = np.isfinite(log_bias)
    one = np.repeat(log_bias[known], units.reads[known].astype(np.int64))
    limit = math.inf if cap is None or not len(one) else cap * float(np.median(np.exp(-one)))
    return Scale(limit, 1.0).weight(one)
