"""Measure the effect of each option for weights and effective lengths.

In simulation, every estimate is compared with the abundance from which the reads were drawn; on
real reads, measures are taken on genomic blocks that the model was not trained on.
docs/explanation/weights.md has the tables and their interpretation.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from counterbias import simulation
from counterbias.annotation import load_annotation
from counterbias.evaluation import folds, measures
from counterbias.evaluation.units import Units
from counterbias.genome import Genome, Splices, extract, extract_tiles, make_splices
from counterbias.model import Resources
from counterbias.options import (
    FOLDS,
    AnnotationOptions,
    AssumedLengths,
    BiasOptions,
    CountingOptions,
)
from counterbias.pipeline.bias.choice import choice_for_sample, choose_model
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.bias.context import SampleContext, contig_index
from counterbias.pipeline.bias.cross_fitting import cross_fit
from counterbias.pipeline.bias.held_out import calibrate_scores
from counterbias.pipeline.bias.report import Provenance
from counterbias.pipeline.bias.sample import weigh_sample
from counterbias.pipeline.bias.transcripts import load_transcripts, sample_splices
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, fold_sample, fold_trial
from counterbias.pipeline.counting import count_alignments
from counterbias.plugins import Manager, load_plugins
from counterbias.records import CLIPPED, PRESENT, REVERSE, TRAINABLE, Positions, StartSites, Window
from counterbias.scoring import score_positions
from counterbias.simulation import Library, PrimingBias
from counterbias.weights import (
    FragmentLayout,
    Scale,
    assumed_lengths,
    effective_lengths,
    fragment_lengths,
    fragment_weights,
    weighted_counts,
)

#: Real data sets: folder, alignments.
DATASETS = {"fly": ("fly_pasilla_chr4", "reads.bam"), "yeast": ("yeast", "isowt5.bam")}
WINDOW = Window()
CAPS = (5.0, 10.0, 20.0, None)
SLOPES = (0.5, 0.75, 1.0, 1.25, 1.5)
#: Genes with fewer fragments than this (expected without bias) are excluded.
FEWEST = 50.0

#: The row in which effective lengths and weights are computed from the simulated bias itself.
TRUTH = "with the true bias"

#: The choice of real reads in which duplicates count as separate reads.
PAPER = "sampling paper"

#: Simulated libraries.
LIBRARIES = {
    "single-end": {"paired": False},
    "single-end, bias of its start only": {
        "paired": False,
        "stranded": "yes",
        "biased_ends": "read1",
    },
    "paired-end": {},
    "paired-end, bias of read 1 only": {"stranded": "yes", "biased_ends": "read1"},
    "paired-end, bias of the genome": {"spliced_context": False},
}


@dataclass(frozen=True)
class Setting:
    """One row of the first table: the options of a counting run."""

    label: str
    cap: float | None = 10.0
    ends: str = "both"
    context: str = "genome"
    sampling: str = "local"


SETTINGS = (
    Setting("defaults"),
    Setting("cap 5", cap=5.0),
    Setting("cap 20", cap=20.0),
    Setting("cap none", cap=None),
    Setting("ends first", ends="first"),
    Setting("context transcript", context="transcript"),
    Setting("ends first, context transcript", ends="first", context="transcript"),
    Setting("sampling paper", sampling="paper"),
    Setting(TRUTH),
)


# -- simulation ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Simulated:
    """A simulated library, its counts, and what it was simulated from."""

    counted: Any
    features: Any
    genome: Genome
    splices: Splices
    library: Library
    bias: PrimingBias
    truth: Any


def simulate(folder: Path, name: str, seed: int, arguments: argparse.Namespace) -> Simulated:
    """Simulate and count one library; genome, genes and bias depend only on the seed."""
    rng = np.random.default_rng([seed, 1])
    genome = simulation.simulate_genome(
        rng, {"chr1": arguments.genes * 6_000, "chr2": arguments.genes * 4_000}
    )
    design = simulation.AnnotationDesign(overlapping=0.0)
    genes = simulation.simulate_annotation(rng, genome.lengths, arguments.genes, design=design)
    bias = simulation.simulate_priming_bias(rng, strength=arguments.strength)
    abundance = simulation.simulate_abundance(rng, genes)
    library = Library(arguments.fragments, **LIBRARIES[name])
    reads = simulation.simulate_reads(rng, genome, genes, abundance, library, bias)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    simulation.write_bam(folder / "reads.bam", reads, order="pos", level=1)
    annotation = load_annotation(
        AnnotationOptions(str(folder / "genes.gtf")), stranded=library.stranded != "no"
    )
    options = CountingOptions(order="pos", stranded=library.stranded)
    counted = count_alignments(str(folder / "reads.bam"), annotation, options, want_sites=True)
    splices = sample_splices(load_transcripts(str(folder / "genes.gtf")), counted.sites)
    return Simulated(
        counted,
        annotation.features,
        Genome(folder / "genome.fa"),
        splices,
        library,
        bias,
        reads.truth,
    )


def counts_of_setting(
    sample: Simulated, setting: Setting, arguments: argparse.Namespace, seed: int, manager: Manager
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute counts of a simulated library as ``counterbias count`` does.

    Returns the columns of the counts table, and gain and effective sample size.
    """
    stranded = sample.library.stranded
    choice = choice_for_sample(
        choose_model(arguments.model, manager, window=WINDOW),
        sample.counted.sites,
        stranded,
        manager,
    )
    options = BiasOptions(
        arguments.model,
        sample.genome.path,
        sampling=setting.sampling,
        cap=setting.cap,
        ends=setting.ends,
        context=setting.context,
        seed=seed,
        threads=arguments.threads,
        device="cpu",
    )
    context = SampleContext(
        sample="s",
        counts=sample.counted,
        features=sample.features,
        contig_of=contig_index(sample.features, sample.counted.sites.contigs),
        genome=sample.genome,
        choice=choice,
        options=options,
        stranded=stranded,
        manager=manager,
        splices=sample.splices if setting.context == "transcript" else None,
    )
    weighed = weigh_sample(context, Provenance("", {}, {}, "union", 0.0))
    gain = weighed.report["ends"][0]["gain"]["cap5"]["value"]
    return weighed.columns, {
        "gain": math.nan if gain is None else gain,
        "ess": weighed.report["weights"]["effective_sample_size"],
    }


def counts_by_truth(sample: Simulated) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute counts with the simulated bias itself, neither learnt nor calibrated.

    Returns the same as :func:`counts_of_setting`.
    """
    sites, library, bias = sample.counted.sites, sample.library, sample.bias
    splices = sample.splices if library.spliced_context else None
    contigs = contig_index(sample.features, sites.contigs)

    def bias_of(positions: Positions, end: int) -> np.ndarray:
        if end and library.biased_ends == "read1":
            return np.zeros(len(positions))
        contexts, valid = extract(
            sample.genome, sites.contigs, positions, bias.window, splices=splices
        )
        return np.where(valid, bias.log_bias(contexts), np.nan)

    def of_reads(end: int, rows: slice) -> np.ndarray:
        one = sites.ends[end]
        strand = ((one.bits[rows] & REVERSE) != 0).astype(np.uint8)
        return bias_of(
            Positions(
                one.contig[rows], one.position[rows].astype(np.int64), strand, np.ones(len(strand))
            ),
            end,
        )

    weights = fragment_weights(sites, of_reads, cap=Setting(TRUTH).cap)
    fragments = fragment_lengths(sites, sample.features, contigs) or assumed_lengths(
        AssumedLengths()
    )
    lengths = effective_lengths(
        sample.features,
        contigs,
        lambda part, end: bias_of(part.positions(), end),
        FragmentLayout(library.stranded, fragments),
    )
    weighted = weighted_counts(sites, weights, len(sample.features))
    columns = bias_columns(sample.features.lengths, sample.counted.counts, weighted, lengths)
    return columns, {"gain": math.nan, "ess": weights.effective}


def compare(
    sample: Simulated, counts: dict[str, np.ndarray], about: dict[str, float]
) -> dict[str, float]:
    """Compare the columns of a counts table with the truth; ``about`` is added to the result."""
    row = {name: i for i, name in enumerate(sample.features.ids)}
    order = [row[name] for name in sample.truth.gene_ids]
    columns = {name: np.asarray(values, float)[order] for name, values in counts.items()}
    wanted, length = sample.truth.unbiased_fragments, sample.truth.length
    kept = (wanted >= FEWEST) & (columns["raw"] > 0)
    long = length[kept] >= np.median(length[kept])
    found: dict[str, float] = {**about, "genes": float(kept.sum())}
    for name in ("raw", "weighted", "corrected"):
        error = np.log2(columns[name][kept] / wanted[kept])
        error -= error.mean()
        found[name] = float(np.sqrt(np.mean(error**2)))
        found[f"{name}_length"] = float(error[long].mean() - error[~long].mean())
    # Free of counting noise: effective length / length against the mean bias of the fragments.
    bias = np.log2(columns["effective_length"] / length)[kept] - np.log2(
        sample.truth.mean_bias[kept]
    )
    bias -= bias.mean()
    found["effective"] = float(np.sqrt(np.mean(bias**2)))
    found["effective_length"] = float(bias[long].mean() - bias[~long].mean())
    found["effective_raw"] = float(np.log2(sample.truth.mean_bias[kept]).std())
    return found


def run_simulation(arguments: argparse.Namespace, manager: Manager) -> Iterator[dict[str, Any]]:
    """Yield one row of figures per library, seed and setting."""
    for name in arguments.libraries:
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory(prefix="counterbias-weights-") as folder:
                sample = simulate(Path(folder), name, seed, arguments)
                for setting in SETTINGS:
                    if setting.ends == "first" and not sample.library.paired:
                        continue
                    log(f"{name}, seed {seed}: {setting.label}")
                    known = setting.label == TRUTH
                    weighed = (
                        counts_by_truth(sample)
                        if known
                        else counts_of_setting(sample, setting, arguments, seed, manager)
                    )
                    found = compare(sample, *weighed)
                    yield {"library": name, "seed": seed, "setting": setting.label, **found}
                sample.genome.close()


# -- real reads ------------------------------------------------------------------------------------


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


def data_folder() -> Path:
    """Return the folder of the real data sets."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("COUNTERBIAS_DATA", default))


def trainable(sites: StartSites, choose: Callable[[np.ndarray], np.ndarray]) -> StartSites:
    """Return sites in which only the reads that ``choose`` selects by their bits are trainable."""
    ends = []
    for end in sites.ends:
        bits = np.where(
            choose(end.bits), end.bits | np.uint8(TRAINABLE), end.bits & ~np.uint8(TRAINABLE)
        )
        ends.append(replace(end, bits=bits.astype(np.uint8)))
    return replace(sites, ends=tuple(ends))


def load_real(name: str, folder: Path) -> Real:
    """Read a real data set: all reads that overlap a gene, with multi-mapped ones set apart."""
    gtf = str(folder / DATASETS[name][0] / "genes.gtf")
    bam = str(folder / DATASETS[name][0] / DATASETS[name][1])
    genes = load_annotation(AnnotationOptions(gtf), stranded=False)
    by_transcript = AnnotationOptions(gtf, id_attributes=("gene_id", "transcript_id"))
    edges = load_annotation(by_transcript, stranded=False).features
    genome = Genome(folder / DATASETS[name][0] / "genome.fa")
    options = CountingOptions(
        order="pos", stranded="no", nonunique="all", minaqual=0, secondary_alignments="ignore"
    )
    sites = count_alignments(bam, genes, options, want_sites=True).sites
    assert sites is not None
    plain = fold_sample(sites, genes.features, edges, genome)

    def other(choice: StartSites, end: Any = "both") -> FoldSample:
        made = fold_sample(choice, genes.features, edges, genome, end=end, block=plain.block)
        return replace(made, units=plain.units)

    def present(bits: np.ndarray) -> np.ndarray:
        return (bits & PRESENT) != 0

    transcripts = load_transcripts(gtf)
    splices = sample_splices(transcripts, sites)
    # Without read counts for the comparison of isoforms, the longest one is chosen.
    nothing = np.zeros(0, np.int32), np.zeros(0, np.int64)
    longest = make_splices(
        transcripts, np.array([contig_of(sites, name) for name in transcripts.contigs]), *nothing
    )
    fields = {name: getattr(plain, name) for name in FoldSample.__slots__}
    clipped = trainable(sites, lambda bits: present(bits) & ((bits & CLIPPED) != 0))
    multi = trainable(sites, lambda bits: present(bits) & ((bits & (CLIPPED | TRAINABLE)) == 0))
    samples = {
        "defaults": plain,
        "context transcript": SplicedSample(**fields, splices=splices),
        "context transcript, longest isoform": SplicedSample(**fields, splices=longest),
        "clipped as well": other(
            trainable(
                sites,
                lambda bits: ((bits & TRAINABLE) != 0) | (present(bits) & ((bits & CLIPPED) != 0)),
            )
        ),
        "multi-mapped as well": other(
            trainable(sites, lambda bits: present(bits) & ((bits & CLIPPED) == 0))
        ),
    }
    starts = {
        "all": plain.starts,
        "clipped": other(clipped).starts,
        "multi-mapped": other(multi).starts,
    }
    if len(sites.ends) > 1:
        samples["read 1 alone"], samples["read 2 alone"] = other(sites, 0), other(sites, 1)
        starts["read 1"], starts["read 2"] = (
            samples["read 1 alone"].starts,
            samples["read 2 alone"].starts,
        )
    reads = {label: count_at(plain.units, found) for label, found in starts.items()}
    positions = plain.units.positions()
    plain_windows, spliced, other_rule = (
        sample.cut(positions, WINDOW)[0] for sample in list(samples.values())[:3]
    )
    reads["all, where the two windows differ"] = np.where(
        (plain_windows != spliced).any(axis=1), reads["all"], 0.0
    )
    disagree = float(reads["all"][(spliced != other_rule).any(axis=1)].sum())
    total = sum(int(present(end.bits).sum()) for end in sites.ends)
    shares = {label: float(found.weight.sum()) / total for label, found in starts.items()}
    in_units = max(1.0, float(reads["all"].sum()))
    shares["windows differ"] = float(reads["all, where the two windows differ"].sum()) / in_units
    shares["the choice of isoform matters"] = disagree / in_units
    valid = plain.cut(plain.starts, WINDOW)[1]
    shares["with N or off the contig"] = float(
        plain.starts.weight[~valid].sum() / plain.starts.weight.sum()
    )
    return Real(samples, reads, shares)


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
    kind = choose_model(
        arguments.model if arguments.model != "auto" else "cnn", manager, window=WINDOW
    )
    folded = fold_trial(kind, sample, trial)
    fitted = cross_fit(
        kind, folded.sample, 0, np.random.default_rng([trial.seed, 2]), Resources(arguments.threads)
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


# -- tables ----------------------------------------------------------------------------------------


def estimate(values: Sequence[float], digits: int = 3) -> str:
    """Format mean ± standard error."""
    known = np.array([value for value in values if math.isfinite(value)])
    if not len(known):
        return "–"
    error = f" ± {known.std(ddof=1) / math.sqrt(len(known)):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{error}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table, the first row being its heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def simulation_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format one table per simulated library, mean ± SE over seeds."""
    parts = []
    for name in dict.fromkeys(row["library"] for row in rows):
        own = [row for row in rows if row["library"] == name]
        lines = [
            [
                "setting",
                "held-out gain",
                "ESS",
                "weighted",
                "corrected",
                "its long − short",
                "effective length",
                "its long − short",
            ]
        ]
        for label in dict.fromkeys(row["setting"] for row in own):
            cells = [row for row in own if row["setting"] == label]
            keys = (
                "gain",
                "ess",
                "weighted",
                "corrected",
                "corrected_length",
                "effective",
                "effective_length",
            )
            lines.append([label, *(estimate([row[key] for row in cells]) for key in keys)])
        first = [row for row in own if row["setting"] == own[0]["setting"]]
        raw = [
            "raw counts",
            "",
            "",
            *[
                estimate([row[key] for row in first])
                for key in ("raw", "raw", "raw_length", "effective_raw")
            ],
            "",
        ]
        genes = np.mean([row["genes"] for row in first])
        parts.append(
            f"### {name}\n\n{markdown([lines[0], raw, *lines[1:]])}\n\n"
            f"{genes:.0f} genes with at least {FEWEST:.0f} fragments."
        )
    return "\n\n".join(parts)


def real_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format one table of held-out measures per data set, mean ± SE over folds."""
    parts = []
    for name in dict.fromkeys(row["data"] for row in rows):
        shares = next(row["shares"] for row in rows if row["data"] == name and "shares" in row)
        own = [row for row in rows if row["data"] == name and "learnt" in row]
        keys = (
            [key for key in own[0] if key not in ("data", "learnt", "fold", "seed")] if own else []
        )
        choices = list(dict.fromkeys(row["learnt"] for row in own))
        lines = [
            [
                "held-out measure",
                *(
                    f"trained on: {choice}" if "context" not in choice else choice
                    for choice in choices
                ),
            ]
        ]
        for key in keys:
            lines.append(
                [
                    key,
                    *(
                        estimate(over_folds([row for row in own if row["learnt"] == choice], key))
                        for choice in choices
                    ),
                ]
            )
        listed = "; ".join(f"{label} {share:.2%}" for label, share in shares.items())
        parts.append(f"### {name}\n\n{markdown(lines)}\n\nShares of all reads: {listed}.")
    return "\n\n".join(parts)


def over_folds(rows: Sequence[dict[str, Any]], key: str) -> list[float]:
    """Return the mean over seeds of each fold."""
    return [
        float(np.mean([row[key] for row in rows if row["fold"] == fold]))
        for fold in dict.fromkeys(row["fold"] for row in rows)
    ]


# -- command line ----------------------------------------------------------------------------------


def numbers(text: str) -> list[int]:
    """Parse whole numbers, separated by commas."""
    return [int(part) for part in text.split(",") if part]


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="Measure the effect of each option for weights and effective lengths."
    )
    parser.add_argument("--model", default="vlmm", help="backend, as in --bias-model [%(default)s]")
    parser.add_argument(
        "--seeds",
        type=numbers,
        default=[1, 2, 3],
        help="seeds; real data sets use the first two [1,2,3]",
    )
    every = list(range(1, len(LIBRARIES) + 1))
    parser.add_argument(
        "--libraries",
        default=every,
        type=numbers,
        help="simulated libraries by number; empty for none [all]",
    )
    parser.add_argument("--genes", type=int, default=300, help="simulated genes [%(default)s]")
    parser.add_argument(
        "--fragments", type=int, default=200_000, help="simulated fragments [%(default)s]"
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=1.2,
        help="SD of the simulated log bias, nats [%(default)s]",
    )
    parser.add_argument(
        "--data",
        default="fly,yeast",
        help=f"real data sets: {', '.join(DATASETS)}; empty for none [%(default)s]",
    )
    parser.add_argument(
        "--folds",
        type=numbers,
        default=[1, 2, 3, 4],
        help="folds of real data sets to hold out [1,2,3,4]",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for scoring [%(default)s]")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    arguments = parser.parse_args(argv)
    arguments.data = [name for name in arguments.data.split(",") if name]
    for name in arguments.data:
        if name not in DATASETS:
            parser.error(f"there is no set '{name}'; choose from {', '.join(DATASETS)}")
    if not set(arguments.libraries) <= set(every):
        parser.error(f"--libraries: must be from 1 to {len(LIBRARIES)}")
    arguments.libraries = [list(LIBRARIES)[number - 1] for number in arguments.libraries]
    return arguments


def log(text: str) -> None:
    """Print progress on stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    arguments = parse_arguments(argv)
    manager = load_plugins()
    found = {
        "simulation": list(run_simulation(arguments, manager)),
        "real": list(run_real(arguments, manager)),
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"Model {arguments.model}, seeds {arguments.seeds}, folds {arguments.folds}.")
    tables = ((found["simulation"], simulation_table), (found["real"], real_table))
    for rows, format_table in tables:
        if rows:
            print(f"\n{format_table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
