"""Stranded pairs whose reads differ in bias: three ways to correct them, and what bias remains.

    python benchmarks/validation/stranded_ends.py --json stranded_ends.json

For each seed, a genome, genes and a bias are drawn; read 1 has this bias, read 2 has it at a
fraction of its strength (0 for none). A model is fitted to each read, and effective lengths are
computed with both models without the gate, with that of read 1 alone, and as a counting run does,
which applies the gate. The bias of the genes that remains is compared. docs/explanation/weights.md
has the results.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import reporting as rep
import simulated as sim
from numpy.typing import NDArray

from counterbias import ModelFile, count_reads, simulation

SCRIPT = "stranded_ends.py"
NONE, FIRST, BOTH, COUNT = "none", "read 1 alone", "both", "as a count does"
WAYS = (NONE, FIRST, BOTH, COUNT)


def draw(
    world: sim.World, pairs: int, weaker: float, folder: Path
) -> tuple[est.Sample, simulation.Truth]:
    """Draw stranded pairs in which the log bias of read 2 is ``weaker`` times that of read 1."""
    rng = np.random.default_rng([world.seed, 7, pairs, int(1000 * weaker)])
    library = simulation.Library(pairs, read_length=50, error_rate=0.002, stranded="yes")
    biases = tuple(
        simulation.ScoredBias(world.bias.window, world.log_bias, strength)
        for strength in (1.0, weaker)
    )
    reads = simulation.simulate_reads(
        rng, world.genome, world.genes, world.abundance, library, biases
    )
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    return est.Sample(
        folder / "reads.bam", folder / "genes.gtf", folder / "genome.fa", stranded="yes"
    ), reads.truth


def ungated(sample: est.Sample, model: ModelFile, ends: Sequence[int], threads: int) -> est.Counted:
    """Count with the models of some read ends, uncalibrated; the other end is taken as unbiased."""

    def score(contexts: NDArray[np.uint8], end: int) -> NDArray[np.float64]:
        return model.end(end).model.log_bias(contexts) if end in ends else np.zeros(len(contexts))

    return est.count_with_windows(sample, model.window, score, threads=threads)


def measure(
    world: sim.World, pairs: int, weaker: float, folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return the remaining bias of the genes with each correction, and which ends pass the gate."""
    sample, truth = draw(world, pairs, weaker, folder)
    training = est.Training(seed=world.seed, threads=arguments.threads)
    bias = training.options(sample.genome, arguments.model)
    run = count_reads(
        sample.alignments,
        sample.annotation,
        options=sample.options,
        bias=bias,
        threads=arguments.threads,
    )
    fitted, ends = run.bias[0].model, run.bias[0].report["ends"]
    found: dict[str, Callable[[], est.Counted]] = {
        NONE: lambda: ungated(sample, fitted, (), arguments.threads),
        FIRST: lambda: ungated(sample, fitted, (0,), arguments.threads),
        BOTH: lambda: ungated(sample, fitted, (0, 1), arguments.threads),
        COUNT: lambda: est.counted(run, 0, 0.0),
    }
    left = {}
    for way in WAYS:
        counted = found[way]()
        densities = {name: sim.densities(counted, truth, name) for name in ("raw", "corrected")}
        left[way] = sim.share_removed(densities, truth, 1.0)[1]
    # The calibration of an end that is corrected only because the other one passes states why it
    # would not have passed by itself.
    passed = [
        bool(end["calibration"]["applied"]) and not end["calibration"]["reason"] for end in ends
    ]
    row = {
        "seed": world.seed,
        "pairs": pairs,
        "weaker": weaker,
        "backend": fitted.backend,
        "passed": passed,
        "left": left,
    }
    shown = {way: round(value, 3) for way, value in left.items()}
    rep.log(
        f"seed {world.seed}, {pairs:,} pairs, read 2 × {weaker:g}: passed {passed}, left {shown}"
    )
    return row


def report(rows: list[dict[str, Any]]) -> str:
    """Format the remaining bias, SD of log2, by the number of pairs and the bias of read 2."""
    ways = ["counterbias count" if way == COUNT else way for way in WAYS]
    laid = [["read pairs", "read 2's bias", "read 1 passes", "read 2 passes", *ways]]
    for pairs, weaker in sorted({(row["pairs"], row["weaker"]) for row in rows}):
        own = [row for row in rows if (row["pairs"], row["weaker"]) == (pairs, weaker)]
        passed = [f"{sum(row['passed'][end] for row in own)} of {len(own)}" for end in (0, 1)]
        laid.append(
            [
                f"{pairs:,}",
                f"{weaker:g}",
                *passed,
                *(rep.mean(row["left"][way] for row in own).text() for way in WAYS),
            ]
        )
    return "Remaining bias of the genes, SD of log2:\n\n" + rep.markdown(laid)


def main(argv: Sequence[str] | None = None) -> int:
    parser = rep.parser_for("Compare ways to correct stranded pairs whose reads differ in bias.")
    parser.add_argument("--model", default="auto", help="bias model [%(default)s]")
    parser.add_argument(
        "--pairs",
        type=rep.whole_numbers,
        default="1000,4000,20000",
        help="read pairs per sample [%(default)s]",
    )
    parser.add_argument(
        "--weaker",
        type=rep.numbers,
        default="0,0.15,0.4",
        help="bias of read 2 as fractions of that of read 1 [%(default)s]",
    )
    parser.add_argument(
        "--seeds", type=rep.whole_numbers, default="1,2,3,4,5", help="seeds [%(default)s]"
    )
    parser.add_argument("--genes", type=int, default=400, help="genes [%(default)s]")
    parser.add_argument(
        "--strength",
        type=float,
        default=0.9,
        help="standard deviation of the log bias of read 1, nats [%(default)s]",
    )
    arguments = parser.parse_args(argv)
    rows = []
    for seed in arguments.seeds:
        world = sim.make_world(seed, arguments.genes, arguments.strength)
        with tempfile.TemporaryDirectory() as name:
            sim.write_world(world, Path(name))
            rows += [
                measure(world, pairs, weaker, Path(name), arguments)
                for pairs in arguments.pairs
                for weaker in arguments.weaker
            ]
    rep.write_json(arguments.json, SCRIPT, argv, {"rows": rows})
    print(report(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
