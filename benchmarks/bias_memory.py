"""Measure how much memory a bias run needs per assigned fragment.

    python benchmarks/bias_memory.py --pairs 500000,2000000

Simulates samples of two sizes from one genome, runs ``counterbias count`` on each with and without
a bias model, and prints peak memory and its growth per assigned fragment between the two sizes
(which excludes memory that does not depend on the sample).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from counting import LAUNCHER

from counterbias import simulation


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--pairs", default="500000,2000000", help="two sample sizes (default: 500000,2000000)"
    )
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--model", default="pwm")
    parser.add_argument("--workdir", type=Path)
    return parser.parse_args(argv)


def simulate(folder: Path, sizes: list[int], genes: int) -> None:
    rng = np.random.default_rng(1)
    genome = simulation.simulate_genome(rng, {f"chr{i}": 20_000_000 for i in range(1, 5)})
    models = simulation.simulate_annotation(rng, genome.lengths, genes)
    abundance = simulation.simulate_abundance(rng, models)
    bias = simulation.simulate_priming_bias(rng)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", models)
    for size in sizes:
        reads = simulation.simulate_reads(
            rng, genome, models, abundance, simulation.Library(size), bias
        )
        simulation.write_bam(folder / f"{size}.bam", reads, order="pos", level=1)


def peak(folder: Path, size: int, model: str | None) -> int:
    """Run ``counterbias count`` and return its peak memory in bytes."""
    import json

    command = [sys.executable, "-m", "counterbias", "count", "-q", "-s", "no", "-r", "pos"]
    if model:
        command += [
            "--bias-model",
            model,
            "--bias-genome",
            str(folder / "genome.fa"),
            "--bias-output",
            str(folder / str(size)),
        ]
    command += [str(folder / f"{size}.bam"), str(folder / "genes.gtf")]
    figures = folder / "figures.json"
    subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(figures), str(folder / "counts.txt"), *command],
        check=True,
    )
    found = json.loads(figures.read_text())
    if found["status"]:
        sys.exit(f"counterbias failed with status {found['status']}")
    return int(found["peak"])


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    arguments = parse_arguments(argv)
    sizes = sorted(int(size) for size in arguments.pairs.split(","))
    with tempfile.TemporaryDirectory(dir=arguments.workdir) as name:
        folder = Path(name)
        simulate(folder, sizes, arguments.genes)
        assigned, peaks = {}, {}
        for size in sizes:
            for model in (None, arguments.model):
                peaks[size, model] = peak(folder, size, model)
                megabytes = peaks[size, model] / 1e6
                print(
                    f"{size:>10,} pairs, {model or 'no model':<9} peak {megabytes:7.0f} MB",
                    flush=True,
                )
            assigned[size] = int(pd.read_csv(folder / f"{size}.counts.tsv", sep="\t").raw.sum())
    small, large = sizes[0], sizes[-1]
    growth = {
        model or "no model": (peaks[large, model] - peaks[small, model])
        / (assigned[large] - assigned[small])
        for model in (None, arguments.model)
    }
    for label, value in growth.items():
        print(f"growth with {label}: {value:.1f} bytes per assigned fragment")
    return growth


if __name__ == "__main__":
    main()
