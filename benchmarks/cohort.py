"""Measure what the workflow adds to the counts of a cohort, and how it grows with the samples.

    python benchmarks/cohort.py --samples 60 --pairs 150000 --model cnn --cores 2
    python benchmarks/cohort.py --tiny 2000

The first simulates samples, counts each by itself, one after the other with one thread, and runs
``workflow/`` on them: its wall time is compared with the sum of those of the counts, divided by the
cores. The second measures the time and memory of Snakemake for many samples: for a dry run, which
is reading the table and finding out what has to be done, and for a run whose counts are replaced by
copies of one, from which the same copies by ``xargs`` are subtracted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processes import Figures, Runner, find, run_script
from shared import log, markdown, write_json

WORKFLOW = Path(__file__).resolve().parents[1] / "workflow" / "Snakefile"
#: Size of a tiny sample.
TINY_PAIRS, TINY_GENES = 500, 20
#: Options of a count that takes as little as one with a table for the cohort can.
TINY_MODEL, TINY_OPTIONS = "none", "--bias-lengths union"
#: In place of counting: the files of the one sample under another sample's name.
STAND_IN = """\
#!/bin/sh
[ "$1" = count ] || exec {real} "$@"
while [ "$1" != --bias-output ]; do shift; done
cp {folder}/plain.counts.tsv "$2.counts.tsv"
name="$(basename "$2")"
sed "s/\\"sample1\\"/\\"$name\\"/" {folder}/plain.counterbias.json > "$2.counterbias.json"
"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=60, help="samples (default: 60)")
    parser.add_argument(
        "--pairs", type=int, default=150_000, help="read pairs of each (default: 150000)"
    )
    parser.add_argument("--genes", type=int, default=400, help="genes (default: 400)")
    parser.add_argument("--model", default="cnn", help="bias model (default: cnn)")
    parser.add_argument("--cores", type=int, default=2, help="cores (default: 2)")
    parser.add_argument(
        "--tiny", type=int, metavar="N", help="measure N tiny samples instead of --samples"
    )
    parser.add_argument("--workdir", type=Path, help="folder for all files (default: temporary)")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args(argv)


def simulate(folder: Path, samples: int, pairs: int, genes: int) -> list[Path]:
    """Simulate samples, unless they are there; return their files."""
    simulated = folder / "simulated"
    if not (simulated / "samples.tsv").exists():
        log(f"simulating {samples} samples of {pairs} pairs")
        words = ["--samples", str(samples), "--pairs", str(pairs), "--genes", str(genes)]
        subprocess.run(
            [program("counterbias"), "simulate", "-q", "-o", str(simulated), *words], check=True
        )
    return [simulated / f"sample{number}.bam" for number in range(1, samples + 1)]


def program(name: str) -> str:
    """Return the path of a program. Raises RuntimeError where it is missing."""
    found = find(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found


def write_cohort(folder: Path, files: Sequence[Path], model: str, options: str) -> None:
    """Write the configuration and the table of samples."""
    (folder / "config").mkdir(exist_ok=True)
    rows = [f"{file.stem}\t{file}\tone\tno\n" for file in files]
    (folder / "config" / "samples.tsv").write_text(
        "sample\talignments\tgroup\tstrandedness\n" + "".join(rows)
    )
    settings = {
        "annotation": "simulated/genes.gtf",
        "genome": "simulated/genome.fa",
        "groups": ["one"],
        "counting": "-r pos",
        "model": model,
        "count_options": options,
    }
    (folder / "config" / "config.yaml").write_text(json.dumps(settings))


def workflow(runner: Runner, folder: Path, *words: str) -> Figures:
    """Run the workflow in a folder and measure it, with all that it starts."""
    command = [sys.executable, "-m", "snakemake", "-s", str(WORKFLOW), "-d", str(folder), *words]
    return runner.run(command)


def count_command(folder: Path, file: str, model: str, options: str) -> list[str]:
    """Return the plain command that the workflow runs for a sample."""
    simulated = folder / "simulated"
    return [
        *(program("counterbias"), "count", "-s", "no", "-r", "pos", *options.split()),
        *("--bias-model", model, "--bias-genome", str(simulated / "genome.fa")),
        *("--bias-output", str(folder / "plain"), file, str(simulated / "genes.gtf")),
    ]


def measure_cohort(arguments: argparse.Namespace, folder: Path, runner: Runner) -> dict[str, Any]:
    """Compare the whole workflow with the sum of its counts."""
    files = simulate(folder, arguments.samples, arguments.pairs, arguments.genes)
    write_cohort(folder, files, arguments.model, "")
    half = len(files) // 2
    log("counting the first half of the samples one by one")
    counts = [runner.run(count_command(folder, str(f), arguments.model, "")) for f in files[:half]]
    log("running the workflow")
    whole = workflow(runner, folder, "--cores", str(arguments.cores))
    log("counting the second half of the samples one by one")
    counts += [runner.run(count_command(folder, str(f), arguments.model, "")) for f in files[half:]]
    wall, cpu = (sum(run[key] for run in counts) for key in ("wall", "cpu"))
    rows = [["", "wall, s", "CPU, s", "load"]]
    rows += [
        [f"{len(counts)} counts by themselves", f"{wall:.1f}", f"{cpu:.1f}", load_of(counts)],
        [f"the workflow, {arguments.cores} cores", *cells(whole)],
        [
            "ratio",
            f"{whole['wall'] * arguments.cores / wall:.2f} (× cores)",
            f"{whole['cpu'] / cpu:.2f}",
            "",
        ],
    ]
    print(f"{len(files)} samples of {arguments.pairs} pairs, `{arguments.model}`\n")
    print(markdown(rows))
    return {"counts": counts, "workflow": whole}


def measure_tiny(arguments: argparse.Namespace, folder: Path, runner: Runner) -> dict[str, Any]:
    """Measure what Snakemake takes for many samples, whose counts are copies of one."""
    (first,) = simulate(folder, 1, TINY_PAIRS, TINY_GENES)
    files = [folder / "tiny" / f"t{number}.bam" for number in range(arguments.tiny)]
    files[0].parent.mkdir(exist_ok=True)
    for file in files:
        if not file.exists():
            os.link(first, file)
    write_cohort(folder, files, TINY_MODEL, TINY_OPTIONS)
    runner.run(count_command(folder, str(first), TINY_MODEL, TINY_OPTIONS))
    write_stand_in(folder, runner)
    cores = str(arguments.cores)
    dry = workflow(runner, folder, "--cores", cores, "--dry-run", "--quiet", "rules")
    log(f"running the workflow on {len(files)} tiny samples")
    counted = workflow(runner, folder, "--cores", cores, "results/outcomes.tsv")
    log("collecting and reporting")
    rest = workflow(runner, folder, "--cores", cores)
    again = workflow(runner, folder, "--cores", cores, "--dry-run", "--quiet", "rules")
    log("copying without the workflow")
    (runner.folder / "names.txt").write_text("".join(f"{file.stem}\n" for file in files))
    copy = f"{folder}/programs/counterbias count --bias-output {folder}/copies/NAME"
    (folder / "copies").mkdir(exist_ok=True)
    plain = runner.run(["xargs", "-a", "names.txt", "-P", cores, "-I", "NAME", *copy.split()])
    overhead = {key: (counted[key] - plain[key]) / len(files) for key in ("wall", "cpu")}
    rows = [["", "wall, s", "CPU, s", "peak MB", "load"]]
    for label, run in (
        ("dry run, nothing done yet", dry),
        (f"{len(files)} jobs, {cores} cores", counted),
        ("the same copies by xargs", plain),
        ("collect and MultiQC", rest),
        ("dry run, all done", again),
    ):
        wall, cpu, load = cells(run)
        rows.append([label, wall, cpu, f"{run['peak'] / 1e6:.0f}", load])
    rows.append(["per job", f"{overhead['wall']:.3f}", f"{overhead['cpu']:.3f}", "", ""])
    print(f"{len(files)} tiny samples\n")
    print(markdown(rows))
    return {"dry": dry, "counted": counted, "plain": plain, "rest": rest, "again": again}


def write_stand_in(folder: Path, runner: Runner) -> None:
    """Write a ``counterbias`` whose counts are copies under another name, and let runs find it."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "counterbias").write_text(STAND_IN.format(folder=folder, real=find("counterbias")))
    (programs / "counterbias").chmod(0o755)
    runner.environment["PATH"] = f"{programs}{os.pathsep}{runner.environment['PATH']}"


def cells(run: Figures) -> list[str]:
    """Return the cells of a row: wall and CPU time, load average at the start."""
    return [f"{run['wall']:.1f}", f"{run['cpu']:.1f}", f"{run['load']:.1f}"]


def load_of(runs: Sequence[Figures]) -> str:
    """Return the smallest and largest load average of several runs."""
    return f"{min(run['load'] for run in runs):.1f}–{max(run['load'] for run in runs):.1f}"


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark and return all figures."""
    arguments = parse_arguments(argv)
    measure = measure_cohort if arguments.tiny is None else measure_tiny
    with tempfile.TemporaryDirectory(prefix="counterbias-benchmark-") as name:
        folder = (arguments.workdir or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        runner = Runner(folder, environment={"PATH": path})
        result = measure(arguments, folder, runner)
    write_json(arguments.json, result)
    return result


if __name__ == "__main__":
    run_script(main)
