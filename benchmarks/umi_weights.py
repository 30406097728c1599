"""How well weights of UMIs remove bias from molecules, by how deeply these are sequenced.

    python benchmarks/umi_weights.py

A simulation of molecules, places and reads, without genome or alignments, so that the truth about
bias is known and only the counting of UMIs is at work. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.counting.umis import weights_of_umis

#: Standard deviation of the log bias of places, nats: about that of a random-hexamer library.
LOG_BIAS = 0.9
#: A gene's molecules can begin to be read at so many places.
PLACES = (10, 60)


@dataclass(frozen=True)
class Seen:
    """The reads of one gene's molecules that have any.

    Args:
        sums: sum of 1/bias over the reads of each molecule.
        reads: their numbers.
    """

    sums: NDArray[np.float64]
    reads: NDArray[np.int64]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Simulate weights of UMIs.")
    parser.add_argument("--genes", type=int, default=300, help="genes [%(default)s]")
    parser.add_argument("--molecules", type=int, default=3000, help="of each gene [%(default)s]")
    parser.add_argument(
        "--rates", default="0.1,0.5,1,2,4,10", help="mean reads per molecule [%(default)s]"
    )
    parser.add_argument(
        "--shapes",
        default="inf,2,0.7",
        help="how evenly molecules are amplified: shapes of a gamma distribution [%(default)s]",
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


def sequence(
    rng: np.random.Generator, bias: NDArray[np.float64], molecules: int, rate: float, shape: float
) -> Seen:
    """Draw the reads of one gene's molecules: their numbers, and the places where they begin."""
    even = math.isinf(shape)
    copies = np.ones(molecules) if even else rng.gamma(shape, 1 / shape, molecules)
    reads = rng.poisson(rate * bias.mean() * copies)
    reads = reads[reads > 0]
    place = rng.choice(len(bias), size=reads.sum(), p=bias / bias.sum())
    first = np.concatenate(([0], np.cumsum(reads)[:-1]))
    return Seen(np.add.reduceat(1 / bias[place], first), reads)


def scatter(estimates: Sequence[float]) -> float:
    """Return the standard deviation of log2 of estimates of the same number."""
    return float(np.log2(estimates).std())


def simulate(arguments: argparse.Namespace, rate: float, shape: float) -> list[float]:
    """Return reads per UMI, and the scatter of raw, mean-weighted and weighted UMIs of genes."""
    rng = np.random.default_rng(arguments.seed)
    numbers = rng.integers(*PLACES, arguments.genes)
    biases = [np.exp(rng.normal(0, LOG_BIAS, number)) for number in numbers]
    mean = np.mean([bias.mean() for bias in biases])
    genes = [sequence(rng, bias / mean, arguments.molecules, rate, shape) for bias in biases]
    reads = sum(int(gene.reads.sum()) for gene in genes)
    reads_per_umi = reads / sum(len(gene.reads) for gene in genes)
    scale = reads / sum(gene.sums.sum() for gene in genes)  # so that reads weigh 1 on average
    means = [scale * gene.sums / gene.reads for gene in genes]
    weighted = [weights_of_umis(gene, reads_per_umi).sum() for gene in means]
    return [
        reads_per_umi,
        scatter([len(gene.reads) for gene in genes]),
        scatter([gene.sum() for gene in means]),
        scatter(weighted),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    print("| amplification | reads per molecule | reads per UMI | raw | mean weight | weighted |")
    print("|---|---|---|---|---|---|")
    for shape in map(float, arguments.shapes.split(",")):
        for rate in map(float, arguments.rates.split(",")):
            reads_per_umi, *scatters = simulate(arguments, rate, shape)
            name = "even" if math.isinf(shape) else f"uneven, {shape:g}"
            cells = " | ".join(f"{value:.3f}" for value in scatters)
            print(f"| {name} | {rate:g} | {reads_per_umi:.2f} | {cells} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
