"""Time ``counterbias count-barcodes`` beside htseq-count-barcodes and ``counterbias count``.

    python benchmarks/cells.py --reads 2000000 --threads 1,2 --rounds 3 --htseq-reads 1000000

Runs alternate, so that other work on the machine affects all of them. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pysam
from processes import Figures, Runner, find, loads, median, spread, warm
from shared import log, whole_numbers, write_json

#: Bases of a cell's barcode and of a UMI (10x Genomics Chromium v3), and the quality of them all.
CELL_BASES, UMI_BASES, QUALITY = 16, 12, "F"
#: Reads that lie within so many bases may be copies of one molecule.
REGION = 2000
#: Shares of reads without a valid barcode, and of UMIs with a wrong base.
WITHOUT, WRONG = 0.05, 0.01


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time counting by cell and UMI.")
    parser.add_argument("--reads", type=int, default=2_000_000, help="reads [%(default)s]")
    parser.add_argument("--genes", type=int, default=2000, help="genes [%(default)s]")
    parser.add_argument("--cells", type=int, default=1000, help="cells [%(default)s]")
    parser.add_argument(
        "--copies", type=float, default=4, help="mean reads per UMI, about [%(default)s]"
    )
    parser.add_argument("--threads", default="1,2", help="numbers of threads [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each [%(default)s]")
    parser.add_argument(
        "--htseq-reads",
        type=int,
        default=200_000,
        help="reads that htseq-count-barcodes counts, 0 for none [%(default)s]",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--workdir", type=Path, help="folder for all files, kept and reused [a temporary one]"
    )
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args(argv)


def simulate(folder: Path, arguments: argparse.Namespace) -> None:
    """Write genome, annotation, and alignments with barcodes: all, and those for htseq-count.

    Files generated with the same options are reused.
    """
    keys = ("reads", "genes", "cells", "copies", "htseq_reads", "seed")
    stamp, note = {key: getattr(arguments, key) for key in keys}, folder / "made_from.json"
    if note.exists() and json.loads(note.read_text()) == stamp:
        return
    log(f"simulating {arguments.reads:,} reads")
    words = ["--library", "single", "--stranded", "yes", "--read-length", "90", "--order", "pos"]
    sizes = ["--pairs", str(arguments.reads), "--genes", str(arguments.genes)]
    command = [sys.executable, "-m", "counterbias", "simulate", "-q", "-o", str(folder), "--force"]
    subprocess.run([*command, *words, *sizes, "--seed", str(arguments.seed)], check=True)
    log("adding barcodes")
    add_barcodes(folder, arguments)
    note.write_text(json.dumps(stamp))


def add_barcodes(folder: Path, arguments: argparse.Namespace) -> None:
    """Give each read the tags that Cell Ranger writes; cells have log-normal numbers of reads."""
    rng = np.random.default_rng(arguments.seed)
    barcodes = [_bases(rng, CELL_BASES) for _ in range(arguments.cells)]
    shares = rng.lognormal(0, 1, arguments.cells)
    share = shares.cumsum() / shares.sum()
    source = pysam.AlignmentFile(str(folder / "sample1.bam"))
    per_region = arguments.reads / (arguments.genes * arguments.copies)
    with (
        source,
        pysam.AlignmentFile(str(folder / "cells.bam"), "wb", template=source) as every,
        pysam.AlignmentFile(str(folder / "few.bam"), "wb", template=source) as few,
    ):
        for number, record in enumerate(source.fetch(until_eof=True)):
            chosen = rng.random(4)
            cell = int(np.searchsorted(share, chosen[0]))
            place = (record.reference_id, record.reference_start // REGION, cell)
            copies = max(1, round(per_region * shares[cell] / shares.sum()))
            umi = _umi_of(place, int(chosen[1] * copies))
            if chosen[2] < WRONG:
                at = int(chosen[3] * UMI_BASES)
                umi = umi[:at] + "ACGT"["CGTA".index(umi[at])] + umi[at + 1 :]
            tags: list[tuple[str, Any]] = [
                *record.get_tags(),
                ("CR", barcodes[cell]),
                ("CY", QUALITY * CELL_BASES),
                ("UR", umi),
                ("UY", QUALITY * UMI_BASES),
            ]
            if chosen[3] > WITHOUT:
                tags += [("CB", f"{barcodes[cell]}-1"), ("UB", umi)]
            record.set_tags(tags)
            every.write(record)
            if number < arguments.htseq_reads:
                few.write(record)


def _bases(rng: np.random.Generator, number: int) -> str:
    return "".join("ACGT"[base] for base in rng.integers(0, 4, number))


def _umi_of(place: tuple[int, int, int], copy: int) -> str:
    """Return the UMI of a molecule: the digits of a hash, in base 4."""
    value = 1
    for part in (*place, copy):
        value = (value * 0x9E3779B97F4A7C15 + part + 1) % 2**64
        value ^= value >> 29
    return "".join("ACGT"[value >> (20 + 2 * i) & 3] for i in range(UMI_BASES))


def ways(folder: Path, arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Return name → command line, of everything that is timed on all reads."""
    files = [str(folder / "cells.bam"), str(folder / "genes.gtf")]
    program = [sys.executable, "-m", "counterbias"]
    found = {}
    for threads in whole_numbers(arguments.threads):
        options = ["-q", "--bias-threads", str(threads), *files]
        found[f"count, {threads} threads"] = [*program, "count", *options]
        for distance in ("0", "1"):
            found[f"count-barcodes, distance {distance}, {threads} threads"] = [
                *program, "count-barcodes", "--correct-UMI-distance", distance,
                "--counts_output_sparse", "-c", str(folder / f"ours{distance}.mtx"), *options,
            ]  # fmt: skip
    return found


def compare_with_htseq(
    folder: Path, runner: Runner, arguments: argparse.Namespace
) -> dict[str, Figures]:
    """Count the first reads with both programs; their tables must be the same.

    Raises:
        RuntimeError: they differ.
    """
    theirs = find("htseq-count-barcodes")
    if theirs is None or not arguments.htseq_reads:
        log("without htseq-count-barcodes")
        return {}
    ours = [sys.executable, "-m", "counterbias", "count-barcodes"]
    options = ["-q", "--correct-UMI-distance", "1", str(folder / "few.bam")]
    figures = {
        name: runner.run([*command, *options, str(folder / "genes.gtf")], f"{name}.txt")
        for name, command in (("counterbias", ours), ("htseq", [theirs]))
    }
    if runner.output("counterbias.txt") != runner.output("htseq.txt"):
        raise RuntimeError("the tables of counterbias and htseq-count-barcodes differ")
    return figures


def report(name: str, runs: Sequence[Figures]) -> str:
    peak = max(run["peak"] for run in runs) / 1e6
    return f"| {name} | {spread(runs, 'wall')} | {median(runs, 'cpu'):.2f} | {peak:.0f} |"


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run everything in turn, print a table, and return all figures."""
    simulate(folder, arguments)
    warm(folder / "cells.bam")
    runner = Runner(folder)
    runs: dict[str, list[Figures]] = {name: [] for name in ways(folder, arguments)}
    for turn in range(arguments.rounds):
        log(f"round {turn + 1} of {arguments.rounds}")
        for name, command in ways(folder, arguments).items():
            runs[name].append(runner.run(command))
    log(f"{arguments.htseq_reads:,} reads with both programs")
    few = compare_with_htseq(folder, runner, arguments)
    print(f"{arguments.reads:,} reads, {arguments.cells:,} cells, {arguments.genes:,} genes")
    print("| run | wall, s | CPU, s | peak MB |\n|---|---|---|---|")
    for name, own in runs.items():
        print(report(name, own))
    for name, one in few.items():
        print(report(f"{name}, {arguments.htseq_reads:,} reads, distance 1", [one]))
    print(loads([run for own in runs.values() for run in own]))
    return {"runs": runs, "few": few}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if arguments.workdir is None:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(Path(folder), arguments)
    else:
        arguments.workdir.mkdir(parents=True, exist_ok=True)
        figures = measure(arguments.workdir, arguments)
    write_json(arguments.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
