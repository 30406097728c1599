"""Time htseq-count, featureCounts and counterbias on the same simulated read pairs.

    python benchmarks/counting.py --pairs 8000000 --threads 1,2 --repeats 3

benchmarks/README.md describes what is measured, and how.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from counterbias.simulation import (
    AnnotationDesign,
    GeneModels,
    Genome,
    Library,
    simulate_abundance,
    simulate_annotation,
    simulate_genome,
    simulate_reads,
    write_bam,
    write_gtf,
)

# A separate process without numpy starts each program: on Linux, the peak memory of a child process
# includes that of the process it was forked from. Arguments: the file for the figures, the file for
# stdout, the command.
LAUNCHER = """
import json, os, sys, time
figures, stdout, *command = sys.argv[1:]
out = os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
started = time.perf_counter()
actions = [(os.POSIX_SPAWN_DUP2, out, 1)]
child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
cpu = usage.ru_utime + usage.ru_stime
with open(figures, "w") as stream:
    json.dump({"wall": seconds, "cpu": cpu, "peak": peak, "status": status}, stream)
"""

GTF_ONLY = """
import sys, time
from counterbias.annotation import load_annotation
from counterbias.options import AnnotationOptions
started = time.perf_counter()
load_annotation(AnnotationOptions(sys.argv[1]), stranded=True)
print(time.perf_counter() - started)
"""


@dataclass
class Program:
    """One row of the table: a program on one file, and the time and memory of its runs."""

    name: str
    order: str
    threads: int
    command: list[str]
    runs: list[dict[str, float]] = field(default_factory=list)
    note: str = ""
    extrapolated: float | None = None

    def median(self, key: str) -> float:
        """Return the median of ``wall``, ``cpu`` (s) or ``peak`` (bytes) over the runs."""
        return statistics.median(run[key] for run in self.runs)

    @property
    def wall(self) -> float:
        """Return the wall time used in ratios: measured, or extrapolated from a smaller file."""
        return self.median("wall") if self.extrapolated is None else self.extrapolated


def log(text: str) -> None:
    """Print progress on stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pairs", type=int, default=1_000_000, help="read pairs to simulate (default: 1000000)"
    )
    parser.add_argument("--threads", default="1,2", help="numbers of threads, as in 1,2 (default)")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs per program except htseq-count (default: 3)"
    )
    parser.add_argument(
        "--order", default="name,pos", help="how the files are sorted: name, pos or both (default)"
    )
    parser.add_argument("--stranded", choices=("yes", "no", "reverse"), default="yes")
    parser.add_argument(
        "--genes",
        type=int,
        default=20_000,
        help="genes to simulate (default: 20000, about 183k exon lines)",
    )
    parser.add_argument("--read-length", type=int, default=50, help="bases per read (default: 50)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--workdir", type=Path, help="folder for all files (default: a temporary one)"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the simulated files in --workdir, and reuse those found there",
    )
    htseq = parser.add_mutually_exclusive_group()
    htseq.add_argument("--skip-htseq", action="store_true", help="do not run htseq-count")
    htseq.add_argument(
        "--htseq-pairs",
        type=int,
        help="run htseq-count on this many pairs only, and extrapolate its time",
    )
    parser.add_argument(
        "--htseq-repeats", type=int, default=1, help="runs of htseq-count (default: 1)"
    )
    parser.add_argument(
        "--skip-compilation",
        action="store_true",
        help="use the ordinary cache of compiled code; do not time compilation",
    )
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    arguments = parser.parse_args(argv)
    arguments.threads = [int(text) for text in arguments.threads.split(",")]
    arguments.order = arguments.order.split(",")
    if not set(arguments.order) <= {"name", "pos"}:
        parser.error("--order must be name, pos or name,pos")
    if arguments.keep and arguments.workdir is None:
        parser.error("--keep needs --workdir")
    return arguments


class Files:
    """The simulated files: generated where missing, stored with the options they depend on."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder, self.arguments = folder, arguments
        self.gtf = folder / "genes.gtf"
        self._models: tuple[Genome, GeneModels] | None = None

    def make(self) -> int:
        """Write the annotation and return its number of exon lines."""
        if not self._fresh(self.gtf):
            write_gtf(self.gtf, self._genome_and_genes()[1])
            self._stamp(self.gtf)
        with self.gtf.open() as stream:
            return sum("\texon\t" in line for line in stream)

    def bam(self, order: str, pairs: int) -> Path:
        """Return the path of a BAM file, sorted by ``name`` or ``pos``."""
        path = self.folder / f"{order}_{pairs}.bam"
        if not self._fresh(path):
            started = time.perf_counter()
            genome, genes = self._genome_and_genes()
            rng = np.random.default_rng([self.arguments.seed, pairs])
            fractions = {
                "multi_mapped": 0.05,
                "unmapped_mate": 0.02,
                "unmapped": 0.03,
                "error_rate": 0.002,
            }
            library = Library(
                pairs, self.arguments.read_length, stranded=self.arguments.stranded, **fractions
            )
            reads = simulate_reads(rng, genome, genes, simulate_abundance(rng, genes), library)
            write_bam(path, reads, order=order)
            self._stamp(path)
            megabytes, seconds = path.stat().st_size / 1e6, time.perf_counter() - started
            log(f"simulated {path.name}: {megabytes:.1f} MB in {seconds:.1f} s")
        return path

    def _genome_and_genes(self) -> tuple[Genome, GeneModels]:
        if self._models is None:
            rng = np.random.default_rng([self.arguments.seed, 0])
            genes = self.arguments.genes
            contigs = min(22, max(1, genes // 50))
            lengths = {
                f"chr{number}": 16_500 * genes // contigs + 200_000
                for number in range(1, contigs + 1)
            }
            genome = simulate_genome(rng, lengths)
            design = AnnotationDesign(mean_exons=6.5, second_isoform=0.5)
            self._models = genome, simulate_annotation(rng, lengths, genes, design=design)
        return self._models

    def _made_from(self) -> dict[str, Any]:
        return {
            key: getattr(self.arguments, key)
            for key in ("genes", "read_length", "seed", "stranded")
        }

    def _fresh(self, path: Path) -> bool:
        stamp = path.with_name(path.name + ".json")
        return (
            path.exists() and stamp.exists() and json.loads(stamp.read_text()) == self._made_from()
        )

    def _stamp(self, path: Path) -> None:
        path.with_name(path.name + ".json").write_text(json.dumps(self._made_from()))


class Runner:
    """Run commands and measure them."""

    def __init__(self, folder: Path, *, compile_anew: bool = True) -> None:
        self.folder = folder / "runs"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        # Compiled code is kept in a separate cache, so that compilation can be timed.
        cache = {"NUMBA_CACHE_DIR": str(self.folder / "compiled")} if compile_anew else {}
        self.environment = {**os.environ, **cache}
        # Python's own compiled modules are kept, as they are for packages installed with pip.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(self, command: list[str], stdout: str = "stdout.txt") -> dict[str, float]:
        """Run one command and return wall and CPU time (s) and peak memory (bytes).

        Raises:
            RuntimeError: the command failed.
        """
        figures = self.folder / "figures.json"
        launcher = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            LAUNCHER,
            str(figures),
            str(self.folder / stdout),
            *command,
        ]
        with (self.folder / "stderr.txt").open("w") as stderr:
            subprocess.run(
                launcher, check=True, cwd=self.folder, env=self.environment, stderr=stderr
            )
        result: dict[str, float] = json.loads(figures.read_text())
        if result.pop("status"):
            tail = (self.folder / "stderr.txt").read_text().strip().splitlines()[-5:]
            raise RuntimeError(f"{' '.join(command)} failed:\n" + "\n".join(tail))
        return result

    def output(self, name: str = "stdout.txt") -> bytes:
        """Return what the last command wrote to stdout."""
        return (self.folder / name).read_bytes()


def find(program: str) -> str | None:
    """Return the path of a program: next to this Python, or in the search path."""
    neighbour = Path(sys.executable).with_name(program)
    return str(neighbour) if neighbour.exists() else shutil.which(program)


def counterbias_command(
    arguments: argparse.Namespace, order: str, threads: int, bam: Path, gtf: Path
) -> list[str]:
    """Return the command line of counterbias."""
    command = [sys.executable, "-m", "counterbias", "count", "-s", arguments.stranded, "-r", order]
    return [*command, "--bias-threads", str(threads), str(bam), str(gtf)]


def featurecounts_command(
    arguments: argparse.Namespace, threads: int, bam: Path, gtf: Path
) -> list[str]:
    """Return the command line of featureCounts.

    Pairs count once, with the same strandedness; exons are grouped by gene_id, its default.
    """
    strand = {"no": "0", "yes": "1", "reverse": "2"}[arguments.stranded]
    command = [
        "featureCounts",
        "-p",
        "--countReadPairs",
        "-s",
        strand,
        "-T",
        str(threads),
        "-Q",
        "10",
    ]
    return [*command, "-a", str(gtf), "-o", "featurecounts.txt", str(bam)]


def htseq_command(
    htseq: str, arguments: argparse.Namespace, order: str, bam: Path, gtf: Path
) -> list[str]:
    """Return the command line of htseq-count."""
    return [htseq, "-s", arguments.stranded, "-r", order, str(bam), str(gtf)]


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Simulate, run everything in turn, compare the outputs, and return all figures."""
    files, runner = (
        Files(folder, arguments),
        Runner(folder, compile_anew=not arguments.skip_compilation),
    )
    exon_lines = files.make()
    bams = {order: files.bam(order, arguments.pairs) for order in arguments.order}
    empty = files.bam("name", 0)
    result: dict[str, Any] = {
        "pairs": arguments.pairs,
        "exon_lines": exon_lines,
        "stranded": arguments.stranded,
        "bytes": {order: bam.stat().st_size for order, bam in bams.items()},
        "machine": {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "notes": [],
    }
    result["fixed"] = measure_fixed(arguments, files, runner, empty)
    htseq = None if arguments.skip_htseq else find("htseq-count")
    if htseq is None:
        result["notes"].append(
            "htseq-count was skipped"
            if arguments.skip_htseq
            else "htseq-count is not installed: skipped"
        )
    if shutil.which("featureCounts") is None:
        result["notes"].append("featureCounts is not installed (Debian package subread): skipped")
    rows = []
    for order in arguments.order:
        rows += measure_order(arguments, files, runner, order, htseq, result)
    result["programs"] = [
        {**asdict(row), "medians": {key: row.median(key) for key in ("wall", "cpu", "peak")}}
        for row in rows
    ]
    print_report(result, rows)
    return result


def measure_fixed(
    arguments: argparse.Namespace, files: Files, runner: Runner, empty: Path
) -> dict[str, float | None]:
    """Time whatever does not depend on the number of reads.

    This is compilation, start-up with annotation, and the annotation alone.
    """
    sample = files.bam(arguments.order[0], min(arguments.pairs, 1000))
    log("counterbias: first run, with compilation")
    command = counterbias_command(arguments, arguments.order[0], 1, sample, files.gtf)
    first = runner.run(command)["wall"]
    # Code that only the other order or several threads need is compiled here as well.
    for order in arguments.order:
        other = files.bam(order, min(arguments.pairs, 1000))
        first += runner.run(
            counterbias_command(arguments, order, max(arguments.threads), other, files.gtf)
        )["wall"]
    again = [runner.run(command)["wall"] for _ in range(arguments.repeats)]
    runs = len(arguments.order) + 1
    start = [
        runner.run(counterbias_command(arguments, "name", 1, empty, files.gtf))["wall"]
        for _ in range(arguments.repeats)
    ]
    annotation = []
    for _ in range(arguments.repeats):
        runner.run([sys.executable, "-c", GTF_ONLY, str(files.gtf)])
        annotation.append(float(runner.output()))
    return {
        "compilation": None
        if arguments.skip_compilation
        else first - runs * statistics.median(again),
        "start_and_annotation": statistics.median(start),
        "annotation": statistics.median(annotation),
    }


def measure_order(
    arguments: argparse.Namespace,
    files: Files,
    runner: Runner,
    order: str,
    htseq: str | None,
    result: dict[str, Any],
) -> list[Program]:
    """Run every program on the file of one order, in turn."""
    bam, gtf = files.bam(order, arguments.pairs), files.gtf
    warm(bam)
    ours = [
        Program("counterbias", order, n, counterbias_command(arguments, order, n, bam, gtf))
        for n in arguments.threads
    ]
    theirs = []
    if shutil.which("featureCounts"):
        theirs = [
            Program("featureCounts", order, n, featurecounts_command(arguments, n, bam, gtf))
            for n in arguments.threads
        ]
    for repeat in range(arguments.repeats):
        for program in [*theirs, *ours]:
            log(
                f"{order}: {program.name}, {program.threads} thread(s), "
                f"run {repeat + 1} of {arguments.repeats}"
            )
            program.runs.append(
                runner.run(program.command, f"{program.name}-{order}-{program.threads}.txt")
            )
    outputs = {runner.output(f"counterbias-{order}-{program.threads}.txt") for program in ours}
    if len(outputs) > 1:
        raise RuntimeError(f"{order}: the output of counterbias depends on the number of threads")
    if htseq is None:
        return [*theirs, *ours]
    return [measure_htseq(arguments, files, runner, order, htseq, result), *theirs, *ours]


def measure_htseq(
    arguments: argparse.Namespace,
    files: Files,
    runner: Runner,
    order: str,
    htseq: str,
    result: dict[str, Any],
) -> Program:
    """Run htseq-count on all pairs or on a smaller file, and compare the outputs on that file."""
    pairs = min(arguments.htseq_pairs or arguments.pairs, arguments.pairs)
    bam = files.bam(order, pairs)
    warm(bam)
    program = Program(
        "htseq-count", order, 1, htseq_command(htseq, arguments, order, bam, files.gtf)
    )
    for repeat in range(arguments.htseq_repeats):
        log(f"{order}: htseq-count on {pairs} pairs, run {repeat + 1} of {arguments.htseq_repeats}")
        program.runs.append(runner.run(program.command, f"htseq-{order}.txt"))
    if pairs < arguments.pairs:
        log(f"{order}: htseq-count on no reads, to extrapolate")
        fixed = runner.run(htseq_command(htseq, arguments, order, files.bam("name", 0), files.gtf))[
            "wall"
        ]
        program.extrapolated = (
            fixed + max(0.0, program.median("wall") - fixed) * arguments.pairs / pairs
        )
        program.note = (
            f"wall extrapolated from {program.median('wall'):.1f} s for {pairs} pairs; "
            "CPU and memory are of that run"
        )
    runner.run(
        counterbias_command(arguments, order, max(arguments.threads), bam, files.gtf), "ours.txt"
    )
    if runner.output("ours.txt") != runner.output(f"htseq-{order}.txt"):
        raise RuntimeError(
            f"{order}: the output of counterbias differs from that of htseq-count "
            "(--keep leaves both under runs/)"
        )
    result["notes"].append(f"{order}: output byte-identical to htseq-count's ({pairs} pairs)")
    return program


def warm(path: Path) -> None:
    """Read a file once, so that every program finds it in the page cache."""
    with path.open("rb") as stream:
        while stream.read(1 << 24):
            pass


def print_report(result: dict[str, Any], rows: list[Program]) -> None:
    """Print the table."""
    sizes = ", ".join(f"{order} {size / 1e6:.0f} MB" for order, size in result["bytes"].items())
    print(
        f"{result['pairs']} read pairs ({sizes}), {result['exon_lines']} exon lines, "
        f"{os.cpu_count()} processors\n"
    )
    print(
        "order  program        threads   wall s    CPU s  peak MB  faster than htseq-count"
        "  wall over featureCounts'"
    )
    walls = {(row.name, row.order, row.threads): row.wall for row in rows}
    for row in rows:
        slower = walls.get(("htseq-count", row.order, 1))
        other = walls.get(("featureCounts", row.order, row.threads))
        ratios = (f"{slower / row.wall:23.1f}x" if slower else " " * 24) + (
            f"{row.wall / other:26.2f}" if other else ""
        )
        print(
            f"{row.order:<6} {row.name:<14} {row.threads:>7} {row.wall:>8.2f} "
            f"{row.median('cpu'):>8.2f} {row.median('peak') / 1e6:>8.0f} "
            f"{ratios}{'   ' + row.note if row.note else ''}"
        )
    fixed = result["fixed"]
    compilation = (
        "" if fixed["compilation"] is None else f"compilation once {fixed['compilation']:.1f} s; "
    )
    print(f"\ncounterbias: {compilation}", end="")
    print(
        f"start-up and annotation {fixed['start_and_annotation']:.2f} s, "
        f"of which annotation {fixed['annotation']:.2f} s"
    )
    for note in result["notes"]:
        print(note)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark and return all figures."""
    arguments = parse_arguments(argv)
    if arguments.workdir is not None:
        arguments.workdir.mkdir(parents=True, exist_ok=True)
    if arguments.keep:
        result = measure(arguments, arguments.workdir.resolve())
    else:
        with tempfile.TemporaryDirectory(
            prefix="counterbias-benchmark-", dir=arguments.workdir
        ) as folder:
            result = measure(arguments, Path(folder).resolve())
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return result


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"counting.py: {error}")
