"""Compare one model per sample with one model pooled over samples, on blocks held out of all.

Real samples are the yeast set (two lanes of one library, and another strain); simulated ones are
small, with one priming bias or two. ``docs/explanation/pooling.md`` has the results and the
commands.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from shared import write_json

import counterbias
from counterbias import simulation

#: Set → its samples.
REAL = {"lanes": ("isowt5", "isowt6"), "yeast": ("isowt5", "isowt6", "rlp5")}
#: Simulated sets: one bias for all samples; one for each half of the samples; one bias, but half of
#: the samples have a tenth of the reads; the same, where these small samples have another bias.
SIMULATED = ("one", "two", "unequal", "minority")
HEADER = (
    "set",
    "reads",
    "pool",
    "model",
    "seeds",
    "own",
    "pooled",
    "pooled - own",
    "+-",
    "lowest",
    "highest",
    "pooled better",
    "own better",
)


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples that are trained on together.

    Args:
        name: a key of REAL, or one of SIMULATED.
        reads: reads per simulated sample, 0 for a real set.
        seed: of simulation and training.
        alignments: sample → BAM file.
        annotation, genome: GTF and FASTA files.
    """

    name: str
    reads: int
    seed: int
    alignments: dict[str, Path]
    annotation: Path
    genome: Path


@dataclass(frozen=True, slots=True)
class Row:
    """The gains of one sample in one run, bits per start."""

    set: str
    reads: int
    pool: str
    model: str
    seed: int
    sample: str
    own: float
    pooled: float
    difference: float
    error: float
    better: str | None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="pwm,vlmm,cnn", help="backends (default: pwm,vlmm,cnn)")
    parser.add_argument(
        "--sets",
        default="lanes,yeast,one,two,unequal",
        help="sets of samples (default: lanes,yeast,one,two,unequal)",
    )
    parser.add_argument(
        "--reads",
        default="1000,2000,5000",
        help="reads per simulated sample (default: 1000,2000,5000)",
    )
    parser.add_argument("--samples", type=int, default=8, help="simulated samples (default: 8)")
    parser.add_argument(
        "--seeds", default="1,2,3", help="seeds of simulation and training (default: 1,2,3)"
    )
    parser.add_argument(
        "--pools", default="samples", help="samples,reads: as in --bias-pool (default: samples)"
    )
    parser.add_argument("--options", default="", help="key=value,… for the models")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures of every sample to this file")
    arguments = parser.parse_args(argv)
    rows = list(measure(arguments))
    write_json(arguments.json, [asdict(row) for row in rows])
    print("\t".join(HEADER))
    for line in summarise(rows):
        print("\t".join(line))
    return 0


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Train on every set with every model and seed."""
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    for name in arguments.sets.split(","):
        sizes = [0] if name in REAL else [int(size) for size in arguments.reads.split(",")]
        for size in sizes:
            for seed in seeds:
                with tempfile.TemporaryDirectory() as folder:
                    samples = (
                        real_set(name, seed)
                        if name in REAL
                        else simulate(Path(folder), name, size, arguments.samples, seed)
                    )
                    for model in arguments.models.split(","):
                        for pool in arguments.pools.split(","):
                            yield from train(samples, model, pool, arguments)


def train(
    samples: SampleSet, model: str, pool: str, arguments: argparse.Namespace
) -> Iterator[Row]:
    """Train one model on a set of samples and one on each; yield the gains of every sample."""
    options = tuple(arguments.options.split(",")) if arguments.options else ()
    cohort = counterbias.train_cohort(
        samples.alignments,
        samples.annotation,
        counterbias.BiasOptions(
            model,
            str(samples.genome),
            model_options=options,
            seed=samples.seed,
            threads=arguments.threads,
        ),
        train=counterbias.TrainOptions(pool=pool),
    )
    run = f"{samples.name} {samples.reads} {model} seed {samples.seed}"
    for sample, reason in cohort.skipped.items():
        print(f"{run}: {sample} skipped: {reason}", file=sys.stderr)
    for gain in cohort.gains:
        label = samples.name
        if samples.name in SIMULATED[2:]:
            label = f"{samples.name}, {'small' if is_small(gain.sample) else 'large'}"
        yield Row(
            label,
            samples.reads,
            pool,
            model,
            samples.seed,
            gain.sample,
            gain.own,
            gain.pooled,
            gain.difference,
            gain.difference_error,
            gain.better,
        )


def real_set(name: str, seed: int) -> SampleSet:
    """Return a set of real samples."""
    root = os.environ.get("COUNTERBIAS_DATA")
    if not root:
        sys.exit("pooling.py: set COUNTERBIAS_DATA to the folder that contains yeast/")
    folder = Path(root) / "yeast"
    alignments = {sample: folder / f"{sample}.bam" for sample in REAL[name]}
    return SampleSet(name, 0, seed, alignments, folder / "genes.gtf", folder / "genome.fa")


def is_small(sample: str) -> bool:
    """Whether a sample of the sets ``unequal`` and ``minority`` is small: every other one is."""
    return int(sample[1:]) % 2 == 1


def simulate(folder: Path, name: str, size: int, samples: int, seed: int) -> SampleSet:
    """Simulate single-end samples of one genome that differ in abundances and reads."""
    rng = np.random.default_rng([seed, size, SIMULATED.index(name)])
    genome = simulation.simulate_genome(rng, {"chr1": 600_000, "chr2": 600_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 100, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    biases = [
        simulation.simulate_priming_bias(rng, strength=1.0)
        for _ in range(2 if name in ("two", "minority") else 1)
    ]
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    paths = {}
    for number in range(samples):
        sample = f"s{number}"
        fragments = size // 10 if name in SIMULATED[2:] and is_small(sample) else size
        library = simulation.Library(fragments, paired=False)
        abundance = simulation.simulate_abundance(rng, genes)
        reads = simulation.simulate_reads(
            rng, genome, genes, abundance, library, biases[number % len(biases)]
        )
        paths[sample] = folder / f"{sample}.bam"
        simulation.write_bam(paths[sample], reads, order="pos")
    return SampleSet(name, size, seed, paths, folder / "genes.gtf", folder / "genome.fa")


def summarise(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Yield one line per set, size, pooling scheme and model.

    The error is over samples and seeds; for a real sample it is the mean error over blocks.
    """
    groups: dict[tuple[str, int, str, str], list[Row]] = {}
    for row in rows:
        label = f"{row.set}: {row.sample}" if row.set in REAL else row.set
        groups.setdefault((label, row.reads, row.pool, row.model), []).append(row)
    for (label, size, pool, model), group in groups.items():
        differences = np.array([row.difference for row in group])
        error = (
            differences.std(ddof=1) / math.sqrt(len(differences))
            if len(differences) > 1
            else math.nan
        )
        if group[0].set in REAL:
            error = float(np.mean([row.error for row in group]))
        means = [
            float(np.mean([row.own for row in group])),
            float(np.mean([row.pooled for row in group])),
            float(differences.mean()),
        ]
        numbers = [*means, float(error), float(differences.min()), float(differences.max())]
        better = [sum(row.better == which for row in group) for which in ("pooled", "own")]
        yield (
            label,
            str(size or "all"),
            pool,
            model,
            str(len({row.seed for row in group})),
            *(f"{number:.3f}" for number in numbers),
            *(f"{count}/{len(group)}" for count in better),
        )


if __name__ == "__main__":
    sys.exit(main())
