"""The programs that count the same files: their command lines, and their runs in turn."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from counting_files import Files
from processes import Figures, Runner, median, warm
from shared import log


@dataclass
class Program:
    """One program on one file, and its runs."""

    name: str
    order: str
    threads: int
    command: list[str]
    runs: list[Figures] = field(default_factory=list)
    note: str = ""
    extrapolated: float | None = None

    @property
    def wall(self) -> float:
        """Return the wall time used in ratios: measured, or extrapolated from a smaller file."""
        return median(self.runs, "wall") if self.extrapolated is None else self.extrapolated

    @property
    def stdout(self) -> str:
        """Return the name of the file with the program's output."""
        return f"{self.name}-{self.order}-{self.threads}.txt"


def counterbias_command(
    files: Files, order: str, threads: int, bam: Path, options: Sequence[str] = ()
) -> list[str]:
    """Return the command line of counterbias."""
    stranded = files.design.stranded
    command = [sys.executable, "-m", "counterbias", "count", "-q", "-s", stranded, "-r", order]
    return [*command, "--bias-threads", str(threads), *options, str(bam), str(files.gtf)]


def featurecounts_command(files: Files, threads: int, bam: Path) -> list[str]:
    """Return the command line of featureCounts.

    Pairs count once, with the same strandedness; exons are grouped by gene_id, its default.
    """
    strand = {"no": "0", "yes": "1", "reverse": "2"}[files.design.stranded]
    command = ["featureCounts", "-p", "--countReadPairs", "-s", strand, "-T", str(threads)]
    return [*command, "-Q", "10", "-a", str(files.gtf), "-o", "featurecounts.txt", str(bam)]


def htseq_command(htseq: str, files: Files, order: str, bam: Path) -> list[str]:
    """Return the command line of htseq-count."""
    return [htseq, "-s", files.design.stranded, "-r", order, str(bam), str(files.gtf)]


def run_in_turn(
    files: Files, runner: Runner, bams: dict[str, Path], threads: Sequence[int], repeats: int
) -> list[Program]:
    """Run featureCounts and counterbias on every file, and return all programs.

    The two follow each other with the same file and threads, now one first and now the other, so
    that a disturbance affects both.

    Raises:
        RuntimeError: the output of counterbias depends on the threads or on the order of the file.
    """
    both = []
    for order, bam in bams.items():
        for count in threads:
            ours = counterbias_command(files, order, count, bam)
            programs = [Program("counterbias", order, count, ours)]
            if shutil.which("featureCounts"):
                theirs = featurecounts_command(files, count, bam)
                programs.insert(0, Program("featureCounts", order, count, theirs))
            both.append(programs)
    for order, bam in bams.items():  # untimed, for what is compiled or cached on first use
        runner.run(counterbias_command(files, order, max(threads), bam))
    for number in range(repeats):
        for programs in both:
            warm(bams[programs[0].order])
            for program in programs if number % 2 == 0 else reversed(programs):
                log(
                    f"round {number + 1} of {repeats}: {program.order}, {program.name}, "
                    f"{program.threads} thread(s)"
                )
                program.runs.append(runner.run(program.command, program.stdout))
    every = [program for programs in both for program in programs]
    outputs = {runner.output(one.stdout) for one in every if one.name == "counterbias"}
    if len(outputs) > 1:
        raise RuntimeError("the output of counterbias depends on the threads or the sort order")
    return every


def run_htseq(
    files: Files, runner: Runner, htseq: str, order: str, size: tuple[int, int], repeats: int
) -> Program:
    """Run htseq-count, and compare the output of counterbias with its output.

    Args:
        files, runner, order: as in :func:`run_in_turn`.
        htseq: path of the program.
        size: pairs in the file it counts, and pairs to which its wall time is extrapolated.
        repeats: how often it is run.

    Raises:
        RuntimeError: the outputs differ.
    """
    pairs, all_pairs = size
    bam = files.bam(order, pairs)
    warm(bam)
    program = Program("htseq-count", order, 1, htseq_command(htseq, files, order, bam))
    for number in range(repeats):
        log(f"{order}: htseq-count on {pairs} pairs, run {number + 1} of {repeats}")
        program.runs.append(runner.run(program.command, program.stdout))
    if pairs < all_pairs:
        log(f"{order}: htseq-count on no reads, to extrapolate")
        empty = files.bam("name", 0)
        fixed = runner.run(htseq_command(htseq, files, order, empty))["wall"]
        rest = max(0.0, program.wall - fixed)
        measured = program.wall
        program.extrapolated = fixed + rest * all_pairs / pairs
        program.note = (
            f"wall extrapolated from {measured:.1f} s for {pairs} pairs; "
            "CPU and memory are of that run"
        )
    runner.run(counterbias_command(files, order, 2, bam), "ours.txt")
    if runner.output("ours.txt") != runner.output(program.stdout):
        raise RuntimeError(
            f"{order}: the output of counterbias differs from that of htseq-count "
            "(--keep leaves both under runs/)"
        )
    return program
