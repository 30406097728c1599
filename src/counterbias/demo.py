"""The demo: simulate reads with a known bias and abundance, count them, compare with the truth.

``make demo`` runs it as ``python -m counterbias.demo``. Reads are counted by the command that users
run, and the printed table is computed from the files that it wrote. Two smaller samples of the same
genome, one without bias and one with trimmed reads, are counted too, and MultiQC reports on all of
them.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import cli, simulation
from counterbias.cli.parser import Parser

ESTIMATES = ("raw", "weighted", "corrected")
#: Most read pairs of the two smaller samples, and bases trimmed off the reads of one of them.
SMALL, TRIMMED = 100_000, 12
#: Least expected fragments of a compared gene: with fewer, chance outweighs bias.
FEWEST = 50


@dataclass(frozen=True, slots=True)
class Study:
    """What all samples of the demo share, and the truth of the first one."""

    genome: simulation.Genome
    genes: simulation.GeneModels
    bias: simulation.PrimingBias
    abundance: NDArray[np.float64]
    truth: simulation.Truth


@dataclass(frozen=True, slots=True)
class Comparison:
    """How close the counts with one model are to the truth.

    Args:
        model: name of the bias model.
        genes: number of genes compared.
        error: estimate → root mean square of log2(estimate / truth), with the median subtracted.
        spearman: estimate → rank correlation with the truth.
        gain: held-out gain, bits per read, or None where the report has none.
        fall: the part of the composition's divergence from the background that weighting removes,
            on held-out blocks, or None.
        seconds: wall time of the command.
    """

    model: str
    genes: int
    error: Mapping[str, float]
    spearman: Mapping[str, float]
    gain: float | None
    fall: float | None
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    parser = Parser(
        prog="python -m counterbias.demo", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("demo"), help="folder for all files (default: demo)"
    )
    parser.add_argument(
        "--pairs", type=int, default=400_000, help="read pairs to simulate (default: 400000)"
    )
    parser.add_argument("--genes", type=int, default=400, help="genes to simulate (default: 400)")
    parser.add_argument(
        "--models", default="pwm,gru", help="bias models to compare (default: pwm,gru)"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads for counting and scoring (default: 2)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of every random choice (default: 1)"
    )
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    folder: Path = arguments.directory
    folder.mkdir(parents=True, exist_ok=True)
    study = simulate(folder, pairs=arguments.pairs, genes=arguments.genes, seed=arguments.seed)
    comparisons = []
    for model in arguments.models.split(","):
        began = time.perf_counter()
        command = count_command(folder, model, arguments.threads)
        print(f"\n$ counterbias {shlex.join(command)}", flush=True)
        if status := cli.main(command):
            return status
        comparisons.append(compare(folder, model, study.truth, time.perf_counter() - began))
    if status := count_small_samples(
        folder,
        study,
        pairs=min(arguments.pairs, SMALL),
        seed=arguments.seed,
        threads=arguments.threads,
    ):
        return status
    print_comparisons(comparisons, study.truth)
    print_files(folder)
    print(f"\n{time.perf_counter() - started:.0f} s for simulation and counting")
    print(report(folder))
    return 0


def simulate(folder: Path, *, pairs: int, genes: int, seed: int) -> Study:
    """Write genome.fa, genes.gtf, biased.bam and truth.tsv."""
    rng = np.random.default_rng(seed)
    lengths = {f"chr{number}": max(60_000, genes * 2500) for number in range(1, 5)}
    genome = simulation.simulate_genome(rng, lengths, isochore=20_000)
    models = simulation.simulate_annotation(
        rng, lengths, genes, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    # Composition differs between isochores, so that the bias changes the counts of genes, not only
    # where reads start within them.
    bias = simulation.simulate_priming_bias(rng, strength=1.2)
    abundance = simulation.simulate_abundance(rng, models, spread=1.0)
    library = simulation.Library(
        pairs, multi_mapped=0.03, unmapped_mate=0.02, unmapped=0.02, error_rate=0.002
    )
    reads = simulation.simulate_reads(rng, genome, models, abundance, library, bias)
    simulation.write_fasta(folder / "genome.fa", genome)
    exons = simulation.write_gtf(folder / "genes.gtf", models)
    simulation.write_bam(folder / "biased.bam", reads, order="pos")
    simulation.write_truth(folder / "truth.tsv", reads.truth)
    bases = sum(genome.lengths.values())
    print(
        f"simulated: {bases / 1e6:.1f} Mb of genome, {genes} genes with {exons} exons, "
        f"{pairs} read pairs with a priming bias"
    )
    return Study(genome, models, bias, abundance, reads.truth)


def count_small_samples(folder: Path, study: Study, *, pairs: int, seed: int, threads: int) -> int:
    """Simulate and count a sample without bias, and one whose reads are trimmed at their 5' ends.

    Returns the exit status.
    """
    for number, (sample, bias, trimmed) in enumerate(
        (("unbiased", None, 0), ("trimmed", study.bias, TRIMMED)), start=1
    ):
        rng = np.random.default_rng([seed, number])
        library = simulation.Library(pairs, trimmed=trimmed)
        reads = simulation.simulate_reads(
            rng, study.genome, study.genes, study.abundance, library, bias
        )
        simulation.write_bam(folder / f"{sample}.bam", reads, order="pos")
        command = count_command(folder, "pwm", threads, sample=sample, prefix=sample)
        print(f"\n$ counterbias {shlex.join(command)}", flush=True)
        if status := cli.main(command):
            return status
    return 0


def report(folder: Path) -> str:
    """Run MultiQC on all samples; return a line with the report's name, or why there is none."""
    if importlib.util.find_spec("multiqc") is None:
        return "no report: MultiQC is not installed (pip install 'counterbias[multiqc]')"
    options = [
        "--quiet",
        "--no-ansi",
        "--no-version-check",
        "--force",
        "--module",
        "counterbias",
        "--require-logs",
    ]
    options += ["--title", "Counterbias demo", "--cl-config", "show_analysis_paths: False"]
    files = [str(path) for path in sorted(folder.glob("*.counterbias.json"))]
    command = [
        sys.executable,
        "-m",
        "multiqc",
        *options,
        "--outdir",
        str(folder),
        "--filename",
        "multiqc_report.html",
        *files,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no report: MultiQC failed\n{done.stdout}{done.stderr}"
    return f"MultiQC report: {folder / 'multiqc_report.html'}"


def count_command(
    folder: Path, model: str, threads: int, *, sample: str = "biased", prefix: str = ""
) -> list[str]:
    """Return the command-line arguments for one model and sample."""
    options = [
        "--bias-model",
        model,
        "--bias-genome",
        str(folder / "genome.fa"),
        "--bias-output",
        str(folder / (prefix or model)),
    ]
    options += ["--bias-threads", str(threads)]
    counts = "counts.tsv" if sample == "biased" else f"{sample}.htseq.tsv"
    files = ["-c", str(folder / counts), str(folder / f"{sample}.bam"), str(folder / "genes.gtf")]
    return ["count", "-q", "-s", "no", "-r", "pos", *options, *files]


def compare(folder: Path, model: str, truth: simulation.Truth, seconds: float) -> Comparison:
    """Compare the estimates of a run with the truth, as fragments per base of each gene."""
    with (folder / f"{model}.counts.tsv").open() as stream:
        rows = {row["feature"]: row for row in csv.DictReader(stream, delimiter="\t")}
    keep = np.flatnonzero(truth.unbiased_fragments >= FEWEST)
    expected = np.log2(truth.unbiased_fragments[keep] / truth.length[keep])
    error, spearman = {}, {}
    for estimate in ESTIMATES:
        density = np.array(
            [float(rows[truth.gene_ids[gene]][f"fpkm_{estimate}"]) for gene in keep.tolist()]
        )
        found = np.log2(np.maximum(density, 1e-3))
        error[estimate] = spread(found - expected)
        spearman[estimate] = rank_correlation(found, expected)
    report = json.loads((folder / f"{model}.counterbias.json").read_text())
    ends = report.get("ends") or [{}]
    gain = look_up(ends[0], "gain", "cap5", "value")
    divergence = (look_up(ends[0], "divergence", "held_out") or [{}])[0]
    return Comparison(model, len(keep), error, spearman, gain, look_up(divergence, "fall"), seconds)


def spread(differences: NDArray[np.float64]) -> float:
    """Return the root mean square with the median subtracted: library sizes are arbitrary."""
    return float(np.sqrt(np.mean((differences - np.median(differences)) ** 2)))


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation; equal values are ranked in the order of their rows."""
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def look_up(tree: Any, *keys: str) -> Any:
    """Follow keys through nested dicts; return None where one is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def print_comparisons(comparisons: Sequence[Comparison], truth: simulation.Truth) -> None:
    """Print one row per model and estimate."""
    keep = truth.unbiased_fragments >= FEWEST
    bias = spread(np.log2(truth.mean_bias[keep]))
    chance = float(np.sqrt(np.mean(1.0 / truth.expected_fragments[keep]))) / np.log(2)
    print(
        f"\n{int(keep.sum())} genes of at least {FEWEST} expected fragments, against the FPKM that "
        "unbiased reads would give"
    )
    print(f"error to expect: {bias:.3f} from the simulated bias, {chance:.3f} from chance\n")
    print("model  counts      RMSE log2  Spearman")
    for result in comparisons:
        for estimate in ESTIMATES:
            error, correlation = result.error[estimate], result.spearman[estimate]
            print(f"{result.model:<6} {estimate:<10} {error:>10.3f} {correlation:>9.4f}")
    print("\nmodel  held-out gain, bits per read  divergence removed  seconds")
    for result in comparisons:
        gain = "-" if result.gain is None else f"{result.gain:.3f}"
        fall = "-" if result.fall is None else f"{100 * result.fall:.1f} %"
        print(f"{result.model:<6} {gain:>28} {fall:>19} {result.seconds:>8.1f}")


def print_files(folder: Path) -> None:
    """Print the names of the files and what they are."""
    meanings = {
        "genome.fa": "simulated genome",
        "genes.gtf": "its annotation",
        "*.bam": "read pairs, sorted by position",
        "truth.tsv": "abundance and bias of each gene",
        "counts.tsv": "what htseq-count writes",
        "*.htseq.tsv": "the same of the other samples",
        "*.counts.tsv": "raw, weighted and corrected counts",
        "*.model": "fitted bias model, for --bias-model FILE",
        "*.counterbias.json": "quality report",
    }
    print()
    for pattern, meaning in meanings.items():
        for path in sorted(folder.glob(pattern)):
            print(f"{path!s:<32} {meaning}")


if __name__ == "__main__":
    sys.exit(main())
