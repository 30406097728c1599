"""Time whole runs of ``counterbias count`` with and without bias models on the same read pairs.

    python benchmarks/whole_run.py --pairs 2000000 --models vlmm,cnn --threads 2 --rounds 4
    python benchmarks/whole_run.py --models none,cnn --lengths union,transcripts --isoforms 10

Runs alternate, so that other work on the machine affects all of them. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from processes import Runner, run_script, warm
from shared import Variant, contig_lengths, log, variants, with_isoforms, write_json

from counterbias import simulation
from counterbias.options import LENGTHS

PLAIN = "plain"
#: Model → target for a run relative to the plain count: factor, additional seconds, and whether the
#: training time is added.
WANTED = {"vlmm": (1.3, 2.0, False), "cnn": (2.0, 0.0, True)}
#: Target for a run with lengths of transcripts, relative to the same with those of the union.
OVER_UNION = 1.5


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time whole runs with and without a bias model.")
    parser.add_argument(
        "--pairs", type=int, default=2_000_000, help="read pairs to simulate [%(default)s]"
    )
    parser.add_argument("--genes", type=int, default=20_000, help="genes to simulate [%(default)s]")
    parser.add_argument(
        "--models",
        default="vlmm,cnn",
        help="comma-separated backends; none is lengths alone [%(default)s]",
    )
    parser.add_argument(
        "--lengths", default="union", help="comma-separated, as in --bias-lengths [%(default)s]"
    )
    parser.add_argument(
        "--isoforms", type=float, help="mean number of transcripts per gene, at least 2 [1.5]"
    )
    parser.add_argument("--threads", type=int, default=2, help="as in --bias-threads [%(default)s]")
    parser.add_argument("--rounds", type=int, default=4, help="runs of each, in turn [%(default)s]")
    parser.add_argument(
        "--order",
        choices=("name", "pos"),
        default="pos",
        help="how the file is sorted [%(default)s]",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--workdir", type=Path, help="folder for all files, kept and reused [a temporary one]"
    )
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    arguments = parser.parse_args(argv)
    try:
        arguments.variants = variants(arguments.models, arguments.lengths)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def simulate(folder: Path, arguments: argparse.Namespace) -> Path:
    """Write genome, annotation and reads, and return the alignment file.

    Files generated with the same options are reused.
    """
    keys = ("pairs", "genes", "isoforms", "order", "seed")
    stamp = {key: getattr(arguments, key) for key in keys}
    path, note = folder / "reads.bam", folder / "made_from.json"
    if path.exists() and note.exists() and json.loads(note.read_text()) == stamp:
        return path
    log(f"simulating {arguments.pairs:,} pairs")
    rng = np.random.default_rng(arguments.seed)
    lengths = contig_lengths(arguments.genes)
    genome = simulation.simulate_genome(rng, lengths)
    design = simulation.AnnotationDesign(mean_exons=6.5, second_isoform=0.5)
    design = with_isoforms(design, arguments.isoforms)
    genes = simulation.simulate_annotation(rng, lengths, arguments.genes, design=design)
    bias = simulation.simulate_priming_bias(rng)
    library = simulation.Library(
        arguments.pairs, multi_mapped=0.05, unmapped_mate=0.02, unmapped=0.03, error_rate=0.002
    )
    reads = simulation.simulate_reads(
        rng, genome, genes, simulation.simulate_abundance(rng, genes), library, bias
    )
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    simulation.write_bam(path, reads, order=arguments.order)
    note.write_text(json.dumps(stamp))
    return path


def command(arguments: argparse.Namespace, folder: Path, variant: Variant | None) -> list[str]:
    """Return the command line of a run; that of the plain count without a variant."""
    words = [sys.executable, "-m", "counterbias", "count", "-q", "-s", "no", "-r", arguments.order]
    words += ["--bias-threads", str(arguments.threads)]
    if variant is not None:
        words += variant.options(folder)
    return [*words, str(folder / "reads.bam"), str(folder / "genes.gtf")]


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything in turn and return all figures."""
    warm(simulate(folder, arguments))
    runner = Runner(folder)
    ways: dict[str, Variant | None] = {PLAIN: None}
    ways |= {variant.label: variant for variant in arguments.variants}
    runs: dict[str, list[dict[str, Any]]] = {label: [] for label in ways}
    for variant in ways.values():  # untimed: compiles, and indexes the genome
        runner.run(command(arguments, folder, variant))
    for number in range(arguments.rounds):
        for label, variant in ways.items():
            log(f"round {number + 1} of {arguments.rounds}: {label}")
            found: dict[str, Any] = dict(runner.run(command(arguments, folder, variant)))
            found["output"] = runner.output().decode()
            if variant is not None:
                path = Path(f"{variant.prefix(folder)}.counterbias.json")
                report = json.loads(path.read_text())
                found["stages"] = report["run"]["seconds"]
                found["starts"] = sum(end["unique_starts"] for end in report["ends"])
                found["used"] = all(end["calibration"]["applied"] for end in report["ends"])
            runs[label].append(found)
    outputs = {run.pop("output") for own in runs.values() for run in own}
    if len(outputs) > 1:
        raise RuntimeError("the raw counts depend on the bias model or the lengths")
    return {
        "pairs": arguments.pairs,
        "isoforms": arguments.isoforms,
        "threads": arguments.threads,
        "order": arguments.order,
        "unions": {
            variant.label: Variant(variant.model, LENGTHS[0]).label
            for variant in arguments.variants
            if variant.lengths != LENGTHS[0]
        },
        "runs": runs,
    }


def ratios(runs: dict[str, list[dict[str, Any]]], label: str) -> list[float]:
    """Return, round by round, the ratio of a run's wall time to that of the plain count.

    For models of :data:`WANTED`, the additional seconds allowed (training, or a fixed number) are
    subtracted first.
    """
    _, seconds, training = WANTED.get(label, (0.0, 0.0, False))
    found = []
    for run, plain in zip(runs[label], runs[PLAIN], strict=True):
        granted = seconds + (run["stages"]["training"] if training else 0.0)
        found.append((run["wall"] - granted) / plain["wall"])
    return found


def target(result: dict[str, Any], label: str) -> tuple[str, str]:
    """Return the ratios that a run has a target for, and what it lacks; empty where nothing."""
    runs, union = result["runs"], result["unions"].get(label)
    if label in WANTED:
        most, seconds, training = WANTED[label]
        allowed = "training" if training else f"{seconds:g} s"
        found, than, rest = ratios(runs, label), f"plain plus {allowed}", f" without {allowed}"
        wanted = f"{most:g} + {allowed}"
    elif union in runs:
        most, than, rest, wanted = OVER_UNION, union, "", f"{OVER_UNION:g} x {union}"
        pairs = zip(runs[label], runs[union], strict=True)
        found = [run["wall"] / other["wall"] for run, other in pairs]
    else:
        return "", ""
    short = ""
    if statistics.median(found) > most:
        short = f"{label}: {statistics.median(found):.2f} times {than}, not {most:g}"
    return f"{wanted}: {', '.join(f'{one:.2f}' for one in found)}{rest}", short


def report(result: dict[str, Any]) -> str:
    """Format the figures."""
    runs = result["runs"]
    lines = [
        "| run | wall s | CPU s | peak MB | training s | over plain | target |",
        "|---|---|---|---|---|---|---|",
    ]
    short = []
    for label, own in runs.items():
        cells = [
            label,
            *(f"{statistics.median(run[key] for run in own):.2f}" for key in ("wall", "cpu")),
        ]
        cells.append(f"{statistics.median(run['peak'] for run in own) / 1e6:.0f}")
        if label == PLAIN:
            cells += ["", "1", ""]
        else:
            training = statistics.median(run["stages"].get("training", 0.0) for run in own)
            whole = [
                run["wall"] / plain["wall"] for run, plain in zip(own, runs[PLAIN], strict=True)
            ]
            wanted, lacking = target(result, label)
            cells += [f"{training:.2f}", ", ".join(f"{one:.2f}" for one in whole), wanted]
            if lacking:
                short.append(lacking)
            if not all(run["used"] for run in own):
                short.append(f"{label}: the model was not used")
        lines.append("| " + " | ".join(cells) + " |")
    for label, own in runs.items():
        if label != PLAIN:
            stages = {
                name: statistics.median(run["stages"][name] for run in own)
                for name in own[0]["stages"]
            }
            listed = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in stages.items())
            starts = f", {own[0]['starts']:,} distinct starts" if own[0]["starts"] else ""
            lines.append(f"\n{label}{starts}: {listed}.")
    return "\n".join(
        [*lines, "\nBelow target: " + ("; ".join(short) if short else "nothing") + "."]
    )


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    arguments = parse_arguments(argv)
    if arguments.workdir is None:
        with tempfile.TemporaryDirectory(prefix="counterbias-benchmark-") as name:
            result = measure(arguments, Path(name).resolve())
    else:
        arguments.workdir.mkdir(parents=True, exist_ok=True)
        result = measure(arguments, arguments.workdir.resolve())
    result["machine"] = {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }
    load = result["machine"]["load"][0]
    print(
        f"{result['pairs']:,} read pairs, {result['threads']} threads, load average {load:.1f}\n\n"
        f"{report(result)}"
    )
    write_json(arguments.json, result)
    return result


if __name__ == "__main__":
    run_script(main)
