"""CPU time and peak memory of MultiQC on reports of many samples, and how much of it is ours.

    python -m counterbias.demo --directory demo
    python benchmarks/report.py demo/*.counterbias.json --samples 3,60,500
    python benchmarks/report.py demo/*.counterbias.json --comparison out/comparison.json

Each sample is one of these quality reports with its numbers varied by a seeded generator; with
`--comparison`, all of them are in a comparison that is made in the same way of the first sample
of one of `counterbias compare`. MultiQC runs on them as a process of its own, and in turn on as
many tables of htseq-count, for what it costs with a small module of its own. Needs the extra
`multiqc`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from shared import log, markdown, whole_numbers, write_json

#: Of the largest number of samples, CPU seconds that the run may take.
LIMIT_SECONDS, LIMIT_SAMPLES = 20.0, 500
#: Numbers are multiplied by e to the power of a normal variable of this width.
SPREAD = 0.05
#: Objects whose numbers are axes, positions or sizes that must stay as they are.
FIXED = {
    "counterbias_schema", "offsets", "quantiles", "edges", "upstream", "downstream", "units",
    "first", "last", "peak", "features", "k", "blocks",
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What a process took: CPU seconds and peak memory in megabytes."""

    seconds: float
    megabytes: float


def main() -> int:
    """Print the table; return 1 if 500 samples take longer than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("reports", type=Path, nargs="+", help="quality reports to vary")
    parser.add_argument("--comparison", type=Path, help="comparison.json to vary")
    parser.add_argument("--samples", default="3,60,500", help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    templates = [json.loads(path.read_text()) for path in sorted(arguments.reports)]
    rows = [["samples", "CPU", "peak memory", "htseq module, CPU", "more"]]
    figures: dict[int, dict[str, list[Cost]]] = {}
    for samples in whole_numbers(arguments.samples):
        with tempfile.TemporaryDirectory() as folder:
            ours, others = Path(folder) / "ours", Path(folder) / "others"
            write_samples(ours, templates, samples, random.Random(arguments.seed))
            if arguments.comparison is not None:
                write_comparison(ours, arguments.comparison, samples, random.Random(arguments.seed))
            write_others(others, samples)
            figures[samples] = found = {"ours": [], "others": []}
            for number in range(arguments.repeats):
                log(f"{samples} samples, {number + 1} of {arguments.repeats}")
                found["ours"].append(cost(ours, "counterbias"))
                found["others"].append(cost(others, "htseq"))
        rows.append(row(samples, found))
    print(markdown(rows))
    write_json(
        arguments.json,
        {n: {k: [vars(c) for c in v] for k, v in found.items()} for n, found in figures.items()},
    )
    slow = [
        samples
        for samples, found in figures.items()
        if samples <= LIMIT_SAMPLES and seconds(found["ours"]) > LIMIT_SECONDS
    ]
    for samples in slow:
        log(f"{samples} samples take more than {LIMIT_SECONDS:.0f} s of CPU time")
    return 1 if slow else 0


def row(samples: int, found: dict[str, list[Cost]]) -> list[str]:
    """Format the medians of one number of samples."""
    ours, others = seconds(found["ours"]), seconds(found["others"])
    memory = max(cost.megabytes for cost in found["ours"])
    return [
        f"{samples}",
        f"{ours:.1f} s",
        f"{memory:.0f} MB",
        f"{others:.1f} s",
        f"{max(0.0, ours - others):.1f} s",
    ]


def seconds(costs: list[Cost]) -> float:
    """Return the median CPU time."""
    return median(cost.seconds for cost in costs)


def write_samples(
    folder: Path, templates: list[dict[str, Any]], samples: int, generator: random.Random
) -> None:
    """Write quality reports of samples, each a template with other numbers."""
    folder.mkdir()
    for number in range(samples):
        name = f"sample{number:04d}"
        document = varied(templates[number % len(templates)], generator)
        document |= {"sample": name}
        document["inputs"] = {**document.get("inputs", {}), "alignments": f"/data/{name}.bam"}
        write_document(folder / f"{name}.counterbias.json", document)


def write_comparison(folder: Path, path: Path, samples: int, generator: random.Random) -> None:
    """Write a comparison of the samples, each the first one of a comparison with other numbers."""
    document = json.loads(path.read_text())
    template = document["samples"][0]
    document["samples"] = [
        {**varied(template, generator), "sample": f"sample{number:04d}"}
        for number in range(samples)
    ]
    write_document(folder / "comparison.json", document)


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON object with a line for each key, as counterbias does."""
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
    path.write_text("{" + ",\n ".join(lines) + "}\n")


def varied(tree: Any, generator: random.Random, key: str = "") -> Any:
    """Multiply the numbers of a JSON tree by factors near 1; whole numbers stay whole."""
    if key in FIXED or isinstance(tree, bool):
        return tree
    if isinstance(tree, dict):
        return {name: varied(value, generator, name) for name, value in tree.items()}
    if isinstance(tree, list):
        return [varied(value, generator, key) for value in tree]
    if isinstance(tree, int | float):
        value = tree * generator.lognormvariate(0.0, SPREAD)
        return round(value) if isinstance(tree, int) else value
    return tree


def write_others(folder: Path, samples: int) -> None:
    """Write a small table of htseq-count for each sample."""
    folder.mkdir()
    for number in range(samples):
        table = f"gene\t{100 + number}\n__no_feature\t9\n__ambiguous\t1\n"
        (folder / f"sample{number:04d}.txt").write_text(table)


def cost(folder: Path, module: str) -> Cost:
    """Run MultiQC on a folder.

    Raises:
        RuntimeError: it fails or writes no report.
    """
    output = folder.with_name(f"{folder.name}-report")
    command = [sys.executable, "-m", "multiqc", "-q", "-f", "-m", module, "--no-version-check"]
    command += ["--require-logs", "-o", str(output), str(folder)]
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status or not (output / "multiqc_report.html").exists():
        raise RuntimeError(f"MultiQC failed on {folder}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


if __name__ == "__main__":
    sys.exit(main())
