"""The unsequenced end: effective lengths of single-end reads from the start alone or both ends.

    COUNTERBIAS_DATA=DIR python benchmarks/validation/unseen_end.py --json unseen_end.json

What is compared is a gene's log2(effective length / length). In simulated single-end libraries, the
truth is its mean bias; in real pairs, it is the effective length computed from both reads, which is
compared with that from read 1 alone. Stranded pairs show what to assume for an end for which there
is no model. docs/explanation/weights.md has the results.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import pysam
import reporting as rep
import simulated as sim
from numpy.typing import NDArray

from counterbias import ModelFile, Window, count_reads, simulation, train_cohort
from counterbias.annotation import load_annotation
from counterbias.genome import Genome, extract
from counterbias.lengths import FragmentLayout, assumed_lengths, effective_lengths
from counterbias.options import (
    AnnotationOptions,
    AssumedLengths,
    BiasOptions,
    CountingOptions,
    TrainOptions,
)
from counterbias.pipeline.bias.context import contig_index
from counterbias.records import Features, Stretches

SCRIPT = "unseen_end.py"
FLY, MAQC = "fly_pasilla_chr4", "human_maqc_chr22"
#: Length in bases below which simulated genes can hardly hold a fragment.
SHORT = 600
#: Number of bootstrap samples of genes for a standard error.
RESAMPLES = 500

#: Windows, uint8 (n, width), and end (0: read 1, 1: the other end) → log bias, float64 (n,), nats.
WindowScores = Callable[[NDArray[np.uint8], int], NDArray[np.float64]]


@dataclass(frozen=True)
class Way:
    """A way to compute effective lengths: assumed fragment lengths, and which ends are biased."""

    label: str
    assumed: AssumedLengths | None
    ends: str = "both"


def ways_of(assumed: Sequence[AssumedLengths]) -> list[Way]:
    """Return the ways to compare: the start alone (anywhere, or where fragments fit), both ends."""
    return [
        Way("start alone", None),
        Way("start alone, where fragments fit", assumed[0], "first"),
        *(Way(f"both ends, {one.mean:g} ± {one.sd:g}", one) for one in assumed),
    ]


@dataclass(frozen=True)
class Library:
    """Genes and genome of a library, scored by a function of windows."""

    features: Features
    genome: Genome
    stranded: str = "no"

    def factors(self, way: Way, window: Window, score: WindowScores) -> NDArray[np.float64]:
        """Return log2(effective length / length) of all genes, computed as for single-end reads."""
        contigs = tuple(self.genome.names)

        def bias_of(stretches: Stretches, end: int) -> NDArray[np.float64]:
            positions = stretches.positions()
            found = np.full(len(positions), np.nan)
            known = np.flatnonzero(positions.contig >= 0)
            contexts, valid = extract(self.genome, contigs, positions.take(known), window)
            found[known[valid]] = score(contexts[valid], end)
            return found

        fragments = None if way.assumed is None else assumed_lengths(way.assumed)
        contig_of = contig_index(self.features, contigs)
        lengths = effective_lengths(
            self.features,
            contig_of,
            bias_of,
            FragmentLayout(self.stranded, fragments, way.ends),
        )
        return np.asarray(np.log2(lengths / self.features.lengths))


def compare(found: NDArray[np.float64], truth: NDArray[np.float64], seed: int) -> dict[str, float]:
    """Compare log2 factors up to a constant.

    Returns the correlation, the slope on the truth with its error over genes, and the root mean
    square difference.
    """

    def slope(rows: NDArray[np.int64]) -> float:
        x, y = truth[rows] - truth[rows].sum() / max(len(rows), 1), found[rows]
        return float(x @ y / (x @ x)) if x.any() else float("nan")

    rng, every = np.random.default_rng([seed, 5]), np.arange(len(truth))
    drawn = (
        [slope(rng.choice(every, len(every))) for _ in range(RESAMPLES)] if len(every) > 2 else []
    )
    known = [one for one in drawn if np.isfinite(one)]
    left = found - truth
    return {
        "genes": len(truth),
        "pearson": float(np.corrcoef(found, truth)[0, 1])
        if len(every) > 2 and found.std() > 0
        else float("nan"),
        "slope": slope(every),
        "slope_error": float(np.std(known)) if known else float("nan"),
        "rmse": float(left.std()) if len(every) else float("nan"),
        "spread": float(truth.std()) if len(every) else float("nan"),
    }


# -- simulated single-end libraries ----------------------------------------------------------------


def run_simulation(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row per seed, true fragment lengths, model, way and class of gene lengths."""
    for seed in arguments.seeds:
        world = sim.make_world(seed, arguments.genes, arguments.strength)
        for lengths in arguments.simulated:
            with tempfile.TemporaryDirectory(prefix="counterbias-unseen-") as folder:
                sample, truth = draw(world, lengths, Path(folder), arguments.fragments)
                features = load_annotation(
                    AnnotationOptions(str(sample.annotation)), stranded=False
                ).features
                kept = truth.unbiased_fragments >= arguments.fewest
                order = np.argsort(np.argsort(truth.gene_ids))  # features are sorted by name
                wanted = np.log2(truth.mean_bias)
                assumed = [
                    *arguments.assumed,
                    *(one for one in [lengths] if one not in arguments.assumed),
                ]
                for model in arguments.models:
                    rep.log(f"simulated {lengths.mean:g} ± {lengths.sd:g}, seed {seed}: {model}")
                    window, score = scores_of(model, sample, world, seed, arguments.threads)
                    with Genome(str(sample.genome)) as genome:
                        for way in ways_of(assumed):
                            found = Library(features, genome).factors(way, window, score)[order]
                            for genes, chosen in {
                                "all": kept,
                                f"below {SHORT}": kept & (truth.length < SHORT),
                            }.items():
                                compared = compare(found[chosen], wanted[chosen], seed)
                                about = {
                                    "simulated": [lengths.mean, lengths.sd],
                                    "seed": seed,
                                    "model": model,
                                    "way": way.label,
                                }
                                yield {**about, "class": genes, **compared}


def draw(
    world: sim.World, lengths: AssumedLengths, folder: Path, fragments: int
) -> tuple[est.Sample, simulation.Truth]:
    """Draw an unstranded single-end library in which both ends of fragments are biased."""
    sim.write_world(world, folder)
    library = simulation.Library(
        fragments,
        paired=False,
        fragment_mean=lengths.mean,
        fragment_sd=lengths.sd,
        error_rate=0.002,
    )
    rng = np.random.default_rng([world.seed, 6, int(lengths.mean)])
    reads = simulation.simulate_reads(
        rng, world.genome, world.genes, world.abundance, library, world.bias
    )
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    return est.Sample(folder / "reads.bam", folder / "genes.gtf", folder / "genome.fa"), reads.truth


def scores_of(
    model: str, sample: est.Sample, world: sim.World, seed: int, threads: int
) -> tuple[Window, WindowScores]:
    """Return the true bias, or the one a model learns from the sample.

    The latter is calibrated, and 0 if the model does not pass the gate.
    """
    if model == est.TRUE:
        return world.bias.window, lambda contexts, end: world.log_bias(contexts)
    fitted = fit(model, sample, seed, threads)[0]
    return fitted.window, lambda contexts, end: fitted.end(end).log_bias(contexts)


def fit(model: str, sample: est.Sample, seed: int, threads: int) -> tuple[ModelFile, est.Counted]:
    """Fit a model and count; return both."""
    bias = est.Training(seed=seed, threads=threads).options(sample.genome, model)
    run = count_reads(
        sample.alignments, sample.annotation, options=sample.options, bias=bias, threads=threads
    )
    return run.bias[0].model, est.counted(run, 0, 0.0)


# -- read 1 of real pairs --------------------------------------------------------------------------


def single_reads(pairs: Path, target: Path) -> None:
    """Write read 1 of each pair as a single-end read, in the order of the file."""
    paired = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x80
    with (
        pysam.AlignmentFile(str(pairs)) as source,
        pysam.AlignmentFile(str(target), "wb", template=source) as sink,
    ):
        for read in source:
            if read.is_read1 and not read.is_unmapped:
                read.flag &= ~paired
                read.next_reference_id, read.next_reference_start, read.template_length = -1, -1, 0
                sink.write(read)


def run_fly(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row per model, seed, training reads and way: read 1 alone against the pairs."""
    root = rep.data_folder() / FLY
    pairs = est.Sample(root / "reads.bam", root / "genes.gtf", root / "genome.fa")
    features = load_annotation(AnnotationOptions(str(pairs.annotation)), stranded=False).features
    with (
        tempfile.TemporaryDirectory(prefix="counterbias-unseen-") as folder,
        Genome(str(pairs.genome)) as genome,
    ):
        single = est.Sample(Path(folder) / "read1.bam", pairs.annotation, pairs.genome)
        single_reads(pairs.alignments, single.alignments)
        for model in (one for one in arguments.models if one != est.TRUE):
            for seed in arguments.seeds:
                rep.log(f"fly, seed {seed}: {model}")
                of_pairs, counted = fit(model, pairs, seed, arguments.threads)
                kept = counted.columns["raw"] >= arguments.fewest
                wanted = np.log2(counted.columns["effective_length"] / counted.columns["length"])
                of_single = fit(model, single, seed, arguments.threads)[0]
                for learnt, fitted in {"pairs": of_pairs, "read 1 alone": of_single}.items():
                    for way in ways_of(arguments.assumed):
                        found = Library(features, genome).factors(
                            way, fitted.window, lambda x, end, f=fitted: f.end(end).log_bias(x)
                        )
                        yield {
                            "seed": seed,
                            "model": model,
                            "learnt": learnt,
                            "way": way.label,
                            **compare(found[kept], wanted[kept], seed),
                        }


# -- a stranded library without a model of the other end -------------------------------------------


def run_stranded(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row per seed, model and assumption about the other end.

    The models are trained on six small samples of dUTP pairs together, and used without the gate.
    """
    root = rep.data_folder() / MAQC
    alignments = {path.stem: path for path in sorted(root.glob("*.bam"))}
    features = load_annotation(AnnotationOptions(str(root / "genes.gtf")), stranded=True).features
    options, assumed = CountingOptions(stranded="reverse", order="pos"), arguments.assumed[0]
    genes = np.ones(len(features), bool)
    with Genome(str(root / "genome.fa")) as genome:
        library = Library(features, genome, "reverse")
        for model in arguments.stranded_models:
            for seed in arguments.seeds:
                rep.log(f"MAQC, seed {seed}: {model}")
                cohort = train_cohort(
                    alignments,
                    root / "genes.gtf",
                    BiasOptions(
                        model, str(root / "genome.fa"), seed=seed, threads=arguments.threads
                    ),
                    options=options,
                    train=TrainOptions(own=False),
                )
                first, second = (end.model for end in cohort.model.ends)
                guesses: dict[str, tuple[str, WindowScores]] = {
                    "unbiased": ("first", lambda x, end, own=first: own.log_bias(x)),
                    "read 1's model": ("both", lambda x, end, own=first: own.log_bias(x)),
                }
                pair = (first, second)
                both: WindowScores = lambda x, end, models=pair: models[end].log_bias(x)  # noqa: E731
                wanted = library.factors(Way("", assumed), cohort.model.window, both)
                for label, (ends, score) in guesses.items():
                    found = library.factors(Way(label, assumed, ends), cohort.model.window, score)
                    yield {
                        "seed": seed,
                        "model": model,
                        "guess": label,
                        **compare(found[genes], wanted[genes], seed),
                    }


# -- tables ----------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, Any]], keys: Sequence[str], *, over_genes: bool = False) -> str:
    """Format rows by some of their keys, mean ± SE over seeds.

    ``over_genes``: the error of slopes is that by resampling of genes.
    """
    laid = [[*keys, "genes", "r", "slope", "RMSE"]]
    for case in dict.fromkeys(tuple(str(row[key]) for key in keys) for row in rows):
        own = [row for row in rows if tuple(str(row[key]) for key in keys) == case]
        cells = {
            name: rep.mean(row[name] for row in own)
            for name in ("genes", "pearson", "slope", "rmse", "slope_error")
        }
        slope = cells["slope"].text()
        if over_genes:
            slope = rep.minus(f"{cells['slope'].value:.3f} ± {cells['slope_error'].value:.3f}")
        laid.append(
            [
                *case,
                f"{cells['genes'].value:.0f}",
                cells["pearson"].text(),
                slope,
                cells["rmse"].text(),
            ]
        )
    return rep.markdown(laid)


def report(found: dict[str, list[dict[str, Any]]]) -> str:
    """Format all tables."""
    parts = []
    for genes in dict.fromkeys(row["class"] for row in found["simulated"]):
        for lengths in dict.fromkeys(tuple(row["simulated"]) for row in found["simulated"]):
            own = [
                row
                for row in found["simulated"]
                if row["class"] == genes and tuple(row["simulated"]) == lengths
            ]
            first = [
                row["spread"]
                for row in own
                if (row["model"], row["way"]) == (own[0]["model"], own[0]["way"])
            ]
            parts.append(
                f"### Simulated, fragments of {lengths[0]:g} ± {lengths[1]:g}, genes: {genes}\n\n"
                f"{table(own, ('model', 'way'))}"
            )
            parts.append(f"The truth's standard deviation over genes is {rep.mean(first).text()}.")
    if found["fly"]:
        parts.append(
            "### Fly, read 1 alone against pairs\n\n"
            + table(found["fly"], ("model", "learnt", "way"), over_genes=True)
        )
    if found["stranded"]:
        parts.append(
            "### MAQC, the other end taken as\n\n"
            + table(found["stranded"], ("model", "guess"), over_genes=True)
        )
    return "\n\n".join(parts)


# -- command line ----------------------------------------------------------------------------------


def mean_and_sd(text: str) -> AssumedLengths:
    """Parse ``MEAN,SD`` (for argparse)."""
    try:
        return AssumedLengths(*(float(part) for part in text.split(",")))
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"'{text}' is not two numbers, as in 200,80") from None


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for(
        "Compare effective lengths of single-end reads from the start alone and from both ends."
    )
    listed = {"nargs": "+", "type": mean_and_sd, "metavar": "MEAN,SD"}
    every = [AssumedLengths(*pair) for pair in ((200, 80), (250, 50), (300, 60), (150, 30))]
    simulated = [AssumedLengths(*pair) for pair in ((220, 40), (150, 30), (320, 90))]
    parser.add_argument(
        "--models",
        type=rep.names,
        default=f"{est.TRUE},cnn",
        help="bias models, or the true bias [%(default)s]",
    )
    parser.add_argument(
        "--stranded-models",
        type=rep.names,
        default="pwm,heptamer,vlmm",
        help="models of the stranded pairs [%(default)s]",
    )
    parser.add_argument(
        "--assumed",
        **listed,
        default=every,
        help="fragment lengths to assume [200,80 250,50 300,60 150,30]",
    )
    parser.add_argument(
        "--simulated",
        **listed,
        default=simulated,
        help="fragment lengths to simulate [220,40 150,30 320,90]",
    )
    parser.add_argument(
        "--seeds",
        type=rep.whole_numbers,
        default="1,2,3",
        help="seeds of simulation and fitting [%(default)s]",
    )
    parser.add_argument("--genes", type=int, default=400, help="simulated genes [%(default)s]")
    parser.add_argument(
        "--fragments", type=int, default=200_000, help="simulated fragments [%(default)s]"
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=0.9,
        help="standard deviation of the simulated log bias, nats [%(default)s]",
    )
    parser.add_argument(
        "--fewest", type=float, default=50, help="minimum fragments of a gene [%(default)s]"
    )
    arguments = parser.parse_args(argv)
    if arguments.figures is not None:
        parser.error("--figures: this script draws no figures")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    found: dict[str, list[dict[str, Any]]] = {
        "simulated": list(run_simulation(arguments)),
        "fly": [],
        "stranded": [],
    }
    if (rep.data_folder() / FLY).is_dir():
        found["fly"], found["stranded"] = list(run_fly(arguments)), list(run_stranded(arguments))
    else:
        rep.log(f"no real data at {rep.data_folder()} (set COUNTERBIAS_DATA): simulation only")
    rep.write_json(arguments.json, SCRIPT, argv, found)
    print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
