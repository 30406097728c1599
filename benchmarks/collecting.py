"""Measure what `counterbias collect` takes for many samples: time, memory and disk.

    python benchmarks/collecting.py --samples 2000 --features 60000

benchmarks/README.md describes what is measured, and how.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from shared import log, markdown, write_json

from counterbias.pipeline.bias.columns import bias_columns
from counterbias.writers.bias_tables import write_bias_table
from counterbias.writers.endings import REPORT, TABLE
from counterbias.writers.qc import build_qc, write_qc

#: Samples with counts of their own; the tables of the others are links to these.
DISTINCT = 20
#: Seconds between two looks at a process.
INTERVAL = 0.02
OUTPUT = "cohort"
#: What is measured in bytes, in the order of the table.
KINDS = ("own", "all", "written")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = "[%(default)s]"
    parser.add_argument("--samples", type=int, default=2000, help=default)
    parser.add_argument("--features", type=int, default=60_000, help=default)
    parser.add_argument("--workdir", type=Path, help="folder for all files [a temporary one]")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args(argv)


def write_samples(folder: Path, samples: int, features: int) -> list[str]:
    """Write the tables and reports of simulated samples; return the tables' paths.

    Half of the features have log-normal counts, the others none.
    """
    rng = np.random.default_rng(1)
    ids = [f"ENSG{number:011d}" for number in range(features)]
    lengths = rng.integers(100, 20_000, features)
    mean = np.exp(rng.normal(1, 3, features)) * (rng.random(features) < 0.5)
    tables, totals = [], []
    for number in range(samples):
        table = folder / f"sample{number:04d}{TABLE}"
        if number < DISTINCT:
            raw = rng.poisson(np.minimum(mean, 1e6))
            effective = lengths * np.exp(rng.normal(0, 0.2, features))
            weighted = raw * np.exp(rng.normal(0, 0.1, features))
            write_bias_table(table, ids, bias_columns(lengths, raw, weighted, effective))
            totals.append(float(raw.sum()))
        else:
            os.link(tables[number % DISTINCT], table)
        tables.append(str(table))
        write_report(folder / f"sample{number:04d}{REPORT}", totals[number % DISTINCT])
    return tables


def write_report(path: Path, total: float) -> None:
    """Write a quality report with what `collect` looks at."""
    name = path.name.removesuffix(REPORT)
    counting = {"fragments": int(total), "assigned": total, "stranded": "no"}
    parts = {"sample": name, "versions": {"counterbias": "1"}, "options": {"mode": "union"}}
    parts |= {"counting": counting, "model": {"backend": "none"}, "lengths": {"method": "union"}}
    write_qc(path, build_qc(parts))


def measure(command: Sequence[str]) -> dict[str, float]:
    """Run a command; return its wall and CPU time in seconds, and peak memory in bytes.

    ``own`` is memory of the process alone, ``all`` with the pages of files that it has mapped,
    which the system takes back where it needs the room.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    peaks = {"RssAnon": 0, "VmRSS": 0}
    process = subprocess.Popen(command)
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        for name, _, value in (line.partition(":") for line in status):
            if name in peaks:
                peaks[name] = max(peaks[name], 1024 * int(value.split()[0]))
        time.sleep(INTERVAL)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = time.perf_counter() - started
    return {"wall": seconds, "cpu": cpu, "own": peaks["RssAnon"], "all": peaks["VmRSS"]}


def run(folder: Path, samples: int, features: int) -> dict[str, Any]:
    """Collect the samples without and with an AnnData file."""
    log(f"writing {samples:,} samples of {features:,} features")
    (folder / "counted").mkdir(exist_ok=True)
    tables = write_samples(folder / "counted", samples, features)
    found: dict[str, Any] = {}
    for name, options in (("tsv", []), ("tsv and h5ad", ["--h5ad"])):
        log(f"collecting {name}")
        out = folder / OUTPUT
        command = [sys.executable, "-m", "counterbias", "collect", "-q", "-o", str(out), *options]
        figures = measure([*command, *tables])
        written = sorted(out.iterdir())
        found[name] = figures | {"written": sum(path.stat().st_size for path in written)}
        for path in written:
            path.unlink()
    return found


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; return its figures."""
    arguments = parse_arguments(argv)
    with tempfile.TemporaryDirectory(prefix="counterbias-collecting-") as temporary:
        folder = arguments.workdir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = run(folder, arguments.samples, arguments.features)
    head = [
        "files",
        "wall, s",
        "CPU, s",
        "memory of its own, MB",
        "with mapped files, MB",
        "written, MB",
    ]
    rows = [
        [name, f"{one['wall']:.1f}", f"{one['cpu']:.1f}", *(f"{one[k] / 1e6:.0f}" for k in KINDS)]
        for name, one in figures.items()
    ]
    print(markdown([head, *rows]))
    write_json(arguments.json, figures)
    return figures


if __name__ == "__main__":
    main()
