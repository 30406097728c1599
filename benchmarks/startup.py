"""Time what a fresh installation and a small file cost.

    python benchmarks/startup.py --rounds 5
    python benchmarks/startup.py --python /opt/fresh/bin/python --user nobody --sample fly

benchmarks/README.md describes what is measured, and how.
"""

from __future__ import annotations

import argparse
import os
import platform
import pwd
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam
from counting_files import Design, Files
from counting_programs import counterbias_command, featurecounts_command
from processes import Figures, Runner, loads, median, run_script, spread, warm
from shared import data_folder, log, markdown, write_json

from counterbias.options import LENGTHS

#: Where a user without a home folder has it.
NO_HOME = "/nonexistent"
#: Variables that name other places for caches, or other versions of the package.
FOREIGN = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPATH")
COUNT = "count"
#: Genes and pairs of the simulated sample: about those of the fly data set.
SMALL_GENES, SMALL_PAIRS = 100, 90_000


@dataclass(frozen=True)
class Sample:
    """Alignments in position order, annotation and genome."""

    bam: Path
    gtf: Path
    fasta: Path

    def command(self, python: str, model: str) -> list[str]:
        """Return the command line of a count, with a bias model unless it is :data:`COUNT`."""
        words = [python, "-m", "counterbias", "count", "-q", "-s", "no", "-r", "pos"]
        if model != COUNT:
            words += ["--bias-model", model, "--bias-lengths", LENGTHS[0]]
            words += ["--bias-genome", str(self.fasta), "--bias-output", model]
        return [*words, str(self.bam), str(self.gtf)]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = "[%(default)s]"
    add = parser.add_argument
    add("--python", default=sys.executable, help="interpreter of the installation [this one]")
    add("--user", help="run everything as this user (needs root) [the present one]")
    add("--home", action="store_true", help="an empty home folder in each round [no home folder]")
    add("--sample", choices=("simulated", "fly"), default="simulated", help=f"first runs {default}")
    add("--models", default="pwm,cnn", help=f"bias models of first runs {default}")
    add("--pairs", type=int, default=25_000, help=f"pairs beside featureCounts {default}")
    add("--genes", type=int, default=Design.genes, help=f"genes beside featureCounts {default}")
    add("--rounds", type=int, default=5, help=f"runs of each {default}")
    add("--workdir", type=Path, help="folder for all files, kept and reused [a temporary one]")
    add("--json", type=Path, help="also write all figures to this file")
    arguments = parser.parse_args(argv)
    arguments.models = [name for name in arguments.models.split(",") if name]
    if arguments.user is not None:
        if os.geteuid() != 0:
            parser.error("only root can run programs as another user")
        try:
            pwd.getpwnam(arguments.user)
        except KeyError:
            parser.error(f"there is no user '{arguments.user}'")
    if arguments.sample == "fly" and not (data_folder() / "fly_pasilla_chr4").is_dir():
        parser.error("the fly data set is missing: set COUNTERBIAS_DATA")
    return arguments


def first_sample(arguments: argparse.Namespace, folder: Path) -> Sample:
    """Return the sample of the first runs."""
    if arguments.sample == "fly":
        fly = data_folder() / "fly_pasilla_chr4"
        return Sample(fly / "reads.bam", fly / "genes.gtf", fly / "genome.fa")
    (folder / "small").mkdir(exist_ok=True)
    files = Files(folder / "small", Design(genes=SMALL_GENES, stranded="no"))
    files.make()
    pysam.faidx(str(files.fasta))  # some users cannot write an index next to the genome
    return Sample(files.bam("pos", SMALL_PAIRS), files.gtf, files.fasta)


def runner_of(arguments: argparse.Namespace, folder: Path, home: Path | None) -> Runner:
    """Return what runs commands in a fresh environment."""
    foreign = dict.fromkeys(FOREIGN if arguments.python != sys.executable else FOREIGN[:-1])
    environment = {**foreign, "HOME": NO_HOME if home is None else str(home)}
    who = {"user": arguments.user, "python": arguments.python}
    return Runner(folder, environment=environment, **who)


def measure_first(
    arguments: argparse.Namespace, folder: Path, sample: Sample
) -> dict[str, list[list[Figures]]]:
    """Run a count and each model twice in fresh environments: name → rounds of [first, second].

    Raises:
        RuntimeError: a run fails, or its output differs from the one before.
    """
    names = [COUNT, *arguments.models]
    found: dict[str, list[list[Figures]]] = {name: [] for name in names}
    for path in (sample.bam, sample.gtf, sample.fasta):
        warm(path)
    outputs = set()
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            home = Path(name) if arguments.home else None
            runner = runner_of(arguments, folder, home)
            if home is not None and arguments.user is not None:
                shutil.chown(home, arguments.user)
            for model in names:
                log(f"round {number + 1} of {arguments.rounds}: {model}, first and second run")
                command = sample.command(arguments.python, model)
                runs = []
                for _ in range(2):
                    runs.append(runner.run(command))
                    outputs.add(runner.output())
                found[model].append(runs)
    if len(outputs) > 1:
        raise RuntimeError("the raw counts differ between runs")
    return found


def measure_small(
    arguments: argparse.Namespace, folder: Path, files: Files
) -> dict[str, list[Figures]]:
    """Count a small file with the whole annotation in turn with featureCounts: name → runs."""
    bam = files.bam("pos", arguments.pairs)
    files.forget()
    warm(bam)
    warm(files.gtf)
    runner = runner_of(arguments, folder, folder if arguments.home else None)
    ours = counterbias_command(files, "pos", 1, bam)
    commands = {"counterbias": [arguments.python, *ours[1:]]}
    if shutil.which("featureCounts"):
        commands["featureCounts"] = featurecounts_command(files, 1, bam)
    for command in commands.values():  # untimed, for what is compiled or cached on first use
        runner.run(command)
    found: dict[str, list[Figures]] = {name: [] for name in commands}
    for number in range(arguments.rounds):
        log(f"round {number + 1} of {arguments.rounds}: {arguments.pairs:,} pairs")
        for name in commands if number % 2 == 0 else reversed(commands):
            found[name].append(runner.run(commands[name]))
    return found


def cells(label: str, runs: Sequence[Figures], ratios: Sequence[float] = ()) -> list[str]:
    """Return a row of the table: name, wall and CPU time, peak memory, ratio."""
    ratio = ""
    if ratios:
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    peak = f"{median(runs, 'peak') / 1e6:.0f}"
    return [label, spread(runs, "wall"), spread(runs, "cpu"), peak, ratio]


def table(result: dict[str, Any]) -> str:
    """Format all figures as one table."""
    rows = [["run", "wall, s", "CPU, s", "peak MB", "ratio in the same round"]]
    for name, rounds in result["first"].items():
        first, second = ([runs[which] for runs in rounds] for which in (0, 1))
        ratios = [one["cpu"] / other["cpu"] for one, other in rounds]
        row = cells(f"`{name}`, first", first, ratios)
        rows += [[*row[:-1], f"CPU, times the second's: {row[-1]}"]]
        rows += [cells(f"`{name}`, second", second)]
    small = result["small"]
    label = f"{result['pairs']:,} pairs, {result['exon_lines']:,} exon lines"
    ours, theirs = small["counterbias"], small.get("featureCounts")
    if theirs is None:
        rows.append(cells(f"`{COUNT}`, {label}", ours))
    else:
        pairs = zip(ours, theirs, strict=True)
        row = cells(f"`{COUNT}`, {label}", ours, [a["wall"] / b["wall"] for a, b in pairs])
        rows += [[*row[:-1], f"wall, times featureCounts': {row[-1]}"]]
        rows += [cells(f"featureCounts, {label}", theirs)]
    return markdown(rows)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything and return all figures."""
    files = Files(folder, Design(genes=arguments.genes))
    exon_lines = files.make()
    files.bam("pos", arguments.pairs)
    first = measure_first(arguments, folder, first_sample(arguments, folder))
    small = measure_small(arguments, folder, files)
    result: dict[str, Any] = {
        "sample": arguments.sample,
        "pairs": arguments.pairs,
        "exon_lines": exon_lines,
        "user": arguments.user,
        "home": arguments.home,
        "first": first,
        "small": small,
        "machine": {"processors": os.cpu_count(), "system": platform.platform()},
    }
    runs = [run for rounds in first.values() for pair in rounds for run in pair]
    runs += [run for own in small.values() for run in own]
    user = "the present user" if arguments.user is None else f"user {arguments.user}"
    home = "an empty home folder in each round" if arguments.home else "no home folder"
    print(
        f"First runs on the {arguments.sample} sample; {user}, {home}; {os.cpu_count()} "
        f"processors, {loads(runs)}; medians (smallest–largest)\n\n{table(result)}"
    )
    if "featureCounts" not in small:
        print("\nfeatureCounts is not installed (Debian package subread): skipped")
    return result


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark and return all figures."""
    arguments = parse_arguments(argv)
    if arguments.workdir is None:
        with tempfile.TemporaryDirectory(prefix="counterbias-benchmark-") as name:
            folder = Path(name).resolve()
            folder.chmod(0o755)  # another user has to reach the files
            result = measure(arguments, folder)
    else:
        arguments.workdir.mkdir(parents=True, exist_ok=True)
        result = measure(arguments, arguments.workdir.resolve())
    write_json(arguments.json, result)
    return result


if __name__ == "__main__":
    run_script(main)
