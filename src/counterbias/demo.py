"""The demo: simulate reads with a known bias, count them and compare the counts with the truth.

``make demo`` runs it as ``python -m counterbias.demo``. Reads are counted by the command line that
users have, and the table that is printed is computed from the files it wrote. Two smaller samples
of the same genes, one without bias and one with trimmed reads, are counted as well, and MultiQC
reports on all of them.
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
#: Most read pairs of the two smaller samples.
SMALL_SAMPLE = 100_000
#: Bases cut off the reads of the trimmed sample.
TRIMMED = 12
#: Expected fragments of the genes that are compared; in those with fewer, chance outweighs bias.
FEWEST = 50


@dataclass(frozen=True, slots=True)
class Simulated:
    """What all samples of the demo have in common, and the truth about the biased one."""

    genome: simulation.Genome
    genes: simulation.GeneModels
    bias: simulation.PrimingBias
    abundance: NDArray[np.float64]
    truth: simulation.Truth


@dataclass(frozen=True, slots=True)
class Comparison:
    """How close the counts with one model come to the truth.

    Args:
        model: name of the bias model.
        genes: number of genes compared.
        error: estimate → root mean square of log2(estimate / truth), less its median.
        spearman: estimate → rank correlation with the truth.
        gain: held-out gain, bits per read; None if the report has none.
        fall: share of the divergence between foreground and background composition that weighting
            removes on held-out blocks; None if the report has none.
        seconds: wall time of the whole command.
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
    arguments = build_parser().parse_args(argv)
    started = time.perf_counter()
    folder: Path = arguments.directory
    folder.mkdir(parents=True, exist_ok=True)
    simulated = simulate(folder, arguments.pairs, arguments.genes, arguments.seed)
    comparisons = []
    for model in arguments.models.split(","):
        began = time.perf_counter()
        if status := count(folder, model, arguments.threads):
            return status
        seconds = time.perf_counter() - began
        comparisons.append(compare(folder, model, simulated.truth, seconds))
    simulate_small_samples(folder, simulated, min(arguments.pairs, SMALL_SAMPLE), arguments.seed)
    for sample in ("unbiased", "trimmed"):
        if status := count(folder, "pwm", arguments.threads, sample=sample, prefix=sample):
            return status
    print_comparisons(comparisons, simulated.truth)
    print_files(folder)
    print(f"\n{time.perf_counter() - started:.0f} s for simulation and counting")
    print(report(folder))
    return 0


def build_parser() -> Parser:
    """Return the parser of the demo's options."""
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
        "--seed", type=int, default=1, help="start of every random choice (default: 1)"
    )
    return parser


def simulate(folder: Path, pairs: int, genes: int, seed: int) -> Simulated:
    """Write genome.fa, genes.gtf, biased.bam and truth.tsv."""
    rng = np.random.default_rng(seed)
    lengths = {f"chr{number}": max(60_000, genes * 2500) for number in range(1, 5)}
    genome = simulation.simulate_genome(rng, lengths, isochore=20_000)
    models = simulation.simulate_annotation(
        rng, lengths, genes, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    # Composition differs between isochores, so the bias changes the counts of whole genes and not
    # only the positions within them.
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
        f"simulated: {bases / 1e6:.1f} Mb of genome, {genes} genes with {exons} exons,"
        f" {pairs} read pairs with a priming bias"
    )
    return Simulated(genome, models, bias, abundance, reads.truth)


def simulate_small_samples(folder: Path, simulated: Simulated, pairs: int, seed: int) -> None:
    """Write unbiased.bam, and trimmed.bam, whose reads were cut at their 5' ends."""
    for number, (sample, bias, trimmed) in enumerate(
        (("unbiased", None, 0), ("trimmed", simulated.bias, TRIMMED)), start=1
    ):
        rng = np.random.default_rng([seed, number])
        reads = simulation.simulate_reads(
            rng,
            simulated.genome,
            simulated.genes,
            simulated.abundance,
            simulation.Library(pairs, trimmed=trimmed),
            bias,
        )
        simulation.write_bam(folder / f"{sample}.bam", reads, order="pos")


def count(
    folder: Path, model: str, threads: int, *, sample: str = "biased", prefix: str = ""
) -> int:
    """Count a sample with one model by the command line, which is printed; return its status."""
    command = count_command(folder, model, threads, sample=sample, prefix=prefix)
    print(f"\n$ counterbias {shlex.join(command)}", flush=True)
    return cli.main(command)


def report(folder: Path) -> str:
    """Let MultiQC report on all samples; return where the report is, or why there is none."""
    if importlib.util.find_spec("multiqc") is None:
        return "no report: MultiQC is not installed (pip install 'counterbias[multiqc]')"
    options = ["--quiet", "--no-ansi", "--no-version-check", "--force"]
    options += ["--module", "counterbias", "--require-logs", "--title", "Counterbias demo"]
    options += ["--cl-config", "show_analysis_paths: False"]
    options += ["--outdir", str(folder), "--filename", "multiqc_report.html"]
    files = [str(path) for path in sorted(folder.glob("*.counterbias.json"))]
    command = [sys.executable, "-m", "multiqc", *options, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no report: MultiQC failed\n{done.stdout}{done.stderr}"
    return f"MultiQC report: {folder / 'multiqc_report.html'}"


def count_command(
    folder: Path, model: str, threads: int, *, sample: str = "biased", prefix: str = ""
) -> list[str]:
    """Return the command line that counts a sample with one model."""
    options = ["--bias-model", model, "--bias-genome", str(folder / "genome.fa")]
    options += ["--bias-output", str(folder / (prefix or model)), "--bias-threads", str(threads)]
    counts = "counts.tsv" if sample == "biased" else f"{sample}.htseq.tsv"
    files = ["-c", str(folder / counts), str(folder / f"{sample}.bam"), str(folder / "genes.gtf")]
    return ["count", "-q", "-s", "no", "-r", "pos", *options, *files]


def compare(folder: Path, model: str, truth: simulation.Truth, seconds: float) -> Comparison:
    """Compare the abundance of each gene in the files of a run with its molecules."""
    with (folder / f"{model}.counts.tsv").open() as stream:
        rows = {row["feature"]: row for row in csv.DictReader(stream, delimiter="\t")}
    keep = np.flatnonzero(truth.unbiased_fragments >= FEWEST)
    expected = np.log2(truth.abundance[keep])
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
    """Return the root mean square, less the median: the total of a library is arbitrary."""
    return float(np.sqrt(np.mean((differences - np.median(differences)) ** 2)))


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation; ties are ranked in the order of their rows."""
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def look_up(tree: Any, *keys: str) -> Any:
    """Return the value at nested keys; None if one is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def print_comparisons(comparisons: Sequence[Comparison], truth: simulation.Truth) -> None:
    """Print one row per model and estimate."""
    keep = truth.unbiased_fragments >= FEWEST
    bias = spread(np.log2(truth.mean_bias[keep]))
    per_molecule = truth.unbiased_fragments[keep] / truth.abundance[keep]
    lengths = spread(np.log2(per_molecule / truth.length[keep]))
    chance = float(np.sqrt(np.mean(1.0 / truth.expected_fragments[keep]))) / np.log(2)
    print(
        f"\n{int(keep.sum())} genes with at least {FEWEST} expected fragments,"
        " compared with their molecules"
    )
    print(
        f"error to expect: {bias:.3f} from the simulated bias, {lengths:.3f} from lengths of"
        f" transcripts, {chance:.3f} from chance\n"
    )
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
    """Name the files that were written."""
    meanings = {
        "genome.fa": "simulated genome",
        "genes.gtf": "its annotation",
        "*.bam": "read pairs, sorted by position",
        "truth.tsv": "abundance and bias of each gene",
        "counts.tsv": "what htseq-count writes",
        "*.htseq.tsv": "the same for the other samples",
        "*.counts.tsv": "raw, weighted and corrected counts",
        "*.genes.results": "counts and effective lengths, for tximport",
        "*.isoforms.results": "shares of the transcripts of each gene",
        "*.model": "fitted bias model, for --bias-model FILE",
        "*.counterbias.json": "quality report",
        "*.log": "which model, its gain and size: the quality report in six lines",
    }
    print()
    for pattern, meaning in meanings.items():
        for path in sorted(folder.glob(pattern)):
            print(f"{path!s:<32} {meaning}")


if __name__ == "__main__":
    sys.exit(main())
