"""Measure how much memory a bias run needs per assigned fragment.

    python benchmarks/bias_memory.py --pairs 500000,2000000
    python benchmarks/bias_memory.py --model none,pwm --lengths union,transcripts --isoforms 10

Simulates samples of two sizes from one genome, runs ``counterbias count`` on each with and without
a bias model, and prints peak memory and its growth per assigned fragment between the two sizes
(which excludes memory that does not depend on the sample).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from processes import LAUNCHER
from shared import Variant, assigned_fragments, contig_lengths, variants, with_isoforms

from counterbias import simulation

PLAIN = "no model"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--pairs", default="500000,2000000", help="two sample sizes (default: 500000,2000000)"
    )
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument(
        "--model", default="pwm", help="comma-separated; none is lengths alone (default: pwm)"
    )
    parser.add_argument(
        "--lengths", default="union", help="comma-separated, as in --bias-lengths (default: union)"
    )
    parser.add_argument(
        "--isoforms", type=float, help="mean transcripts per gene, at least 2 (default: 1.3)"
    )
    parser.add_argument("--workdir", type=Path)
    arguments = parser.parse_args(argv)
    try:
        arguments.variants = variants(arguments.model, arguments.lengths)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def simulate(folder: Path, sizes: list[int], genes: int, isoforms: float | None) -> None:
    rng = np.random.default_rng(1)
    genome = simulation.simulate_genome(rng, contig_lengths(genes))
    design = with_isoforms(simulation.AnnotationDesign(), isoforms)
    models = simulation.simulate_annotation(rng, genome.lengths, genes, design=design)
    abundance = simulation.simulate_abundance(rng, models)
    bias = simulation.simulate_priming_bias(rng)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", models)
    for size in sizes:
        reads = simulation.simulate_reads(
            rng, genome, models, abundance, simulation.Library(size), bias
        )
        simulation.write_bam(folder / f"{size}.bam", reads, order="pos", level=1)


def peak(folder: Path, size: int, variant: Variant | None) -> int:
    """Run ``counterbias count`` and return its peak memory in bytes."""
    command = [sys.executable, "-m", "counterbias", "count", "-q", "-s", "no", "-r", "pos"]
    if variant is not None:
        command += variant.options(folder)
    command += ["-c", str(folder / f"{size}.tsv")]
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
    ways: dict[str, Variant | None] = {PLAIN: None}
    ways |= {variant.label: variant for variant in arguments.variants}
    with tempfile.TemporaryDirectory(dir=arguments.workdir) as name:
        folder = Path(name)
        simulate(folder, sizes, arguments.genes, arguments.isoforms)
        assigned, peaks = {}, {}
        for size in sizes:
            for label, variant in ways.items():
                peaks[size, label] = peak(folder, size, variant)
                megabytes = peaks[size, label] / 1e6
                print(f"{size:>10,} pairs, {label:<16} peak {megabytes:7.0f} MB", flush=True)
            assigned[size] = assigned_fragments((folder / f"{size}.tsv").read_text())
    small, large = sizes[0], sizes[-1]
    growth = {
        label: (peaks[large, label] - peaks[small, label]) / (assigned[large] - assigned[small])
        for label in ways
    }
    for label, value in growth.items():
        print(f"growth with {label}: {value:.1f} bytes per assigned fragment")
    return growth


if __name__ == "__main__":
    main()
