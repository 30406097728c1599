"""Measure wall time and peak memory of ``counterbias simulate`` as a whole process.

    python benchmarks/simulating.py --pairs 1000000 --threads 1,2 --repeats 3

Each run writes position-sorted BAM, FASTA, GTF and all truth tables; ``--fastq`` and
``--order both`` are timed in a separate row. The files must be identical for all numbers of
threads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import LAUNCHER
from shared import write_json

#: Row of the table → options in addition to those of the size.
FILES = {
    "BAM by position": [],
    "both orders, FASTQ, GC": [
        "--order",
        "both",
        "--fastq",
        "--gc-bias",
        "0.2",
        "--duplicates",
        "0.1",
    ],
}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--pairs", type=int, default=1_000_000, help="read pairs (default: 1000000)"
    )
    parser.add_argument("--genes", type=int, default=2000, help="genes (default: 2000)")
    parser.add_argument(
        "--bias-model", default="builtin", help="as in counterbias simulate (default: builtin)"
    )
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument(
        "--workdir", type=Path, help="folder for all files (default: a temporary one)"
    )
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args(argv)


def measure(folder: Path, options: Sequence[str]) -> tuple[dict[str, float], str]:
    """Run the program once; return its time and memory, and a digest of all files.

    Time and memory: wall and processor time (s) and peak memory (bytes).
    """
    output, figures = folder / "simulated", folder / "figures.json"
    command = [sys.executable, "-m", "counterbias", "simulate", "-q", "-o", str(output), *options]
    subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(figures), str(folder / "stdout"), *command], check=True
    )
    found = json.loads(figures.read_text())
    if found["status"]:
        sys.exit(f"counterbias simulate failed with status {found['status']}")
    digest = hashlib.md5()
    for path in sorted(output.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    shutil.rmtree(output)
    return found, digest.hexdigest()


def main(argv: Sequence[str] | None = None) -> list[dict[str, object]]:
    arguments = parse_arguments(argv)
    rows: list[dict[str, object]] = []
    print(f"{arguments.pairs:,} pairs, {arguments.genes} genes, bias model {arguments.bias_model}")
    print(f"{'files':<24} {'threads':>7} {'wall, s':>8} {'CPU, s':>8} {'peak, MB':>9}")
    with tempfile.TemporaryDirectory(dir=arguments.workdir) as name:
        size = [
            "--pairs",
            str(arguments.pairs),
            "--genes",
            str(arguments.genes),
            "--bias-model",
            arguments.bias_model,
        ]
        # Compiles the loops where that has not been done yet.
        measure(Path(name), ["--pairs", "100", "--genes", "10", "--fastq"])
        for label, options in FILES.items():
            digests = set()
            for threads in (int(text) for text in arguments.threads.split(",")):
                runs = []
                for _ in range(arguments.repeats):
                    figures, digest = measure(
                        Path(name), [*size, *options, "--threads", str(threads)]
                    )
                    runs.append(figures)
                    digests.add(digest)
                medians = {
                    key: statistics.median(run[key] for run in runs)
                    for key in ("wall", "cpu", "peak")
                }
                rows.append({"files": label, "threads": threads, **medians, "runs": runs})
                print(
                    f"{label:<24} {threads:>7} {medians['wall']:>8.1f} {medians['cpu']:>8.1f} "
                    f"{medians['peak'] / 1e6:>9.0f}",
                    flush=True,
                )
            if len(digests) != 1:
                sys.exit("the files differ between runs")
    print("all runs with the same options wrote identical files")
    write_json(arguments.json, rows)
    return rows


if __name__ == "__main__":
    main()
