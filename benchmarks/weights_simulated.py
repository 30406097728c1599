"""Simulated libraries of `weights.py`, counted with each setting and compared with the truth."""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from shared import log

from counterbias import simulation
from counterbias.annotation import load_annotation
from counterbias.genome import Genome, Splices, extract
from counterbias.lengths import FragmentLayout, assumed_lengths, effective_lengths, fragment_lengths
from counterbias.options import AnnotationOptions, AssumedLengths, BiasOptions, CountingOptions
from counterbias.pipeline.bias.choice import choice_for_sample, choose_model
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.bias.context import SampleContext, contig_index
from counterbias.pipeline.bias.report import Provenance
from counterbias.pipeline.bias.sample import weigh_sample
from counterbias.pipeline.bias.transcripts import load_transcripts, sample_splices
from counterbias.pipeline.counting import count_alignments
from counterbias.plugins import Manager
from counterbias.records import REVERSE, Positions, Window
from counterbias.simulation import Library, PrimingBias
from counterbias.weights import fragment_weights, weighted_counts

#: Genes with fewer fragments than this (expected without bias) are excluded.
FEWEST = 50.0
#: The row in which effective lengths and weights are computed from the simulated bias itself.
TRUTH = "with the true bias"
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
        choose_model(arguments.model, manager, window=Window()),
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
