"""Time featureCounts, htseq-count and counterbias on the same simulated read pairs.

    python benchmarks/counting.py --pairs 8000000 --threads 1,2 --repeats 3 --htseq-pairs 1000000

benchmarks/README.md describes what is measured, and how. The files take 0.33 to 0.36 bytes per base
quality, as those of HiSeq do (0.31 to 0.40), or 0.05 with ``--instrument novaseq``;
``counting_records.py`` has more such figures, beside those of real files.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from counting_files import Design, Files
from counting_growth import bytes_per_fragment, growth_table, measure_growth
from counting_instruments import INSTRUMENTS
from counting_programs import Program, run_htseq, run_in_turn
from processes import Runner, find, loads, median, run_script, spread
from shared import markdown, whole_numbers, write_json

from counterbias.options import ORDERS, STRANDEDNESS


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = "[%(default)s]"
    add = parser.add_argument
    add("--pairs", type=int, default=1_000_000, help=f"read pairs to simulate {default}")
    add("--threads", default="1,2", help=f"numbers of threads {default}")
    add("--repeats", type=int, default=3, help=f"runs of all programs but htseq-count {default}")
    add("--order", default="name,pos", help=f"how the files are sorted {default}")
    add("--stranded", choices=STRANDEDNESS, default="yes", help=default)
    add("--genes", type=int, default=Design.genes, help=f"genes to simulate {default}")
    add("--read-length", type=int, default=Design.read_length, help=f"bases per read {default}")
    add("--instrument", choices=sorted(INSTRUMENTS), default=Design.instrument, help=default)
    add("--seed", type=int, default=Design.seed, help=default)
    add(
        "--growth",
        help="pairs, comma-separated; '' leaves growth out [eighths of --pairs: 1,2,4,8]",
    )
    add("--growth-model", default="pwm", help=f"bias model whose memory is measured {default}")
    add("--workdir", type=Path, help="folder for all files [a temporary one]")
    add("--keep", action="store_true", help="keep the simulated files in --workdir for later runs")
    htseq = parser.add_mutually_exclusive_group()
    htseq.add_argument("--skip-htseq", action="store_true", help="do not run htseq-count")
    htseq.add_argument(
        "--htseq-pairs", type=int, help="pairs for htseq-count; extrapolates its time"
    )
    add("--htseq-repeats", type=int, default=1, help=f"runs of htseq-count {default}")
    add("--json", type=Path, help="also write all figures to this file")
    arguments = parser.parse_args(argv)
    arguments.order = arguments.order.split(",")
    if not set(arguments.order) <= set(ORDERS):
        parser.error("--order must be name, pos or name,pos")
    if arguments.keep and arguments.workdir is None:
        parser.error("--keep needs --workdir")
    try:
        arguments.threads = whole_numbers(arguments.threads)
        arguments.growth = (
            [arguments.pairs // part for part in (8, 4, 2, 1)]
            if arguments.growth is None
            else whole_numbers(arguments.growth)
        )
    except ValueError:
        parser.error("--threads and --growth take whole numbers, separated by commas")
    return arguments


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Simulate, run everything in turn, compare the outputs, and return all figures."""
    chosen = ("genes", "read_length", "stranded", "instrument", "seed")
    files = Files(folder, Design(**{name: getattr(arguments, name) for name in chosen}))
    exon_lines = files.make()
    bams = {order: files.bam(order, arguments.pairs) for order in arguments.order}
    htseq = None if arguments.skip_htseq else find("htseq-count")
    htseq_pairs = min(arguments.htseq_pairs or arguments.pairs, arguments.pairs)
    if htseq is not None:
        files.bam("name", 0)
        for order in arguments.order:
            files.bam(order, htseq_pairs)
    for pairs in arguments.growth:
        files.bam("pos", pairs)
    files.forget()
    runner = Runner(folder)
    rows = run_in_turn(files, runner, bams, arguments.threads, arguments.repeats)
    result: dict[str, Any] = {
        "pairs": arguments.pairs,
        "exon_lines": exon_lines,
        "design": asdict(files.design),
        "bytes": {order: bam.stat().st_size for order, bam in bams.items()},
        "machine": {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "notes": notes(arguments, htseq),
        "growth": [],
    }
    print_table(result, rows)
    if htseq is not None:
        for order in arguments.order:
            size, repeats = (htseq_pairs, arguments.pairs), arguments.htseq_repeats
            row = run_htseq(files, runner, htseq, order, size, repeats)
            print_htseq(row, rows)
            rows.append(row)
            result["notes"].append(
                f"{order}: output byte-identical to htseq-count's ({htseq_pairs} pairs)"
            )
    result["programs"] = [
        {**asdict(row), "medians": {key: median(row.runs, key) for key in ("wall", "cpu", "peak")}}
        for row in rows
    ]
    if arguments.growth:
        run = arguments.growth_model, max(arguments.threads), arguments.repeats
        sizes = measure_growth(files, runner, arguments.growth, run)
        result["growth"] = [asdict(size) for size in sizes]
        if len(sizes) > 1:
            result["bytes_per_fragment"] = bytes_per_fragment(sizes)
        runs = [one for size in sizes for own in size.runs.values() for one in own]
        print(f"\nGrowth, position order, {run[1]} threads, {loads(runs)}\n\n{growth_table(sizes)}")
    print("\n" + "\n".join(result["notes"]))
    return result


def notes(arguments: argparse.Namespace, htseq: str | None) -> list[str]:
    """Return what was left out, and why."""
    found = []
    if arguments.skip_htseq:
        found.append("htseq-count was skipped")
    elif htseq is None:
        found.append("htseq-count is not installed: skipped")
    if shutil.which("featureCounts") is None:
        found.append("featureCounts is not installed (Debian package subread): skipped")
    return found


def print_table(result: dict[str, Any], rows: Sequence[Program]) -> None:
    """Print the runs of featureCounts and counterbias side by side."""
    sizes = ", ".join(f"{order} {size / 1e6:.0f} MB" for order, size in result["bytes"].items())
    print(
        f"{result['pairs']:,} read pairs ({sizes}; qualities: {result['design']['instrument']}), "
        f"{result['exon_lines']:,} exon lines, {os.cpu_count()} processors, "
        f"{loads([run for row in rows for run in row.runs])}; medians (smallest–largest)\n"
    )
    table = [["order, threads"]]
    names = ("counterbias", "featureCounts")
    for name in names:
        table[0] += [f"{name}: wall, s", "CPU, s", "peak MB"]
    table[0].append("wall, times featureCounts' in the same round")
    by_place = {(row.order, row.threads, row.name): row for row in rows}
    for order, threads in dict.fromkeys((row.order, row.threads) for row in rows):
        cells = [f"{order}, {threads}"]
        found = [by_place.get((order, threads, name)) for name in names]
        for row in found:
            cells += ["", "", ""] if row is None else three_figures(row)
        ours, theirs = found
        ratios = []
        if ours is not None and theirs is not None:
            pairs = zip(ours.runs, theirs.runs, strict=True)
            ratios = [one["wall"] / other["wall"] for one, other in pairs]
        table.append([*cells, ratio_text(ratios)])
    print(markdown(table))
    print("\ncounterbias: outputs byte-identical for all threads and sort orders", flush=True)


def three_figures(row: Program) -> list[str]:
    """Return wall and CPU time and peak memory as cells."""
    memory = f"{median(row.runs, 'peak') / 1e6:.0f}"
    return [spread(row.runs, "wall"), spread(row.runs, "cpu"), memory]


def ratio_text(ratios: Sequence[float]) -> str:
    """Return the median of ratios, and all of them in the order of rounds."""
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.2f} ({', '.join(f'{one:.2f}' for one in ratios)})"


def print_htseq(htseq: Program, rows: Sequence[Program]) -> None:
    """Print the figures of htseq-count, and how much longer it takes than counterbias."""
    wall = f"{htseq.wall:.1f} s wall"
    cpu, peak = median(htseq.runs, "cpu"), median(htseq.runs, "peak") / 1e6
    faster = ", ".join(
        f"{htseq.wall / row.wall:.0f} ({row.threads} threads)"
        for row in rows
        if row.name == "counterbias" and row.order == htseq.order
    )
    note = f"; {htseq.note}" if htseq.note else ""
    print(
        f"{htseq.order}: htseq-count {wall}, {cpu:.1f} s CPU, {peak:.0f} MB{note}; "
        f"wall times counterbias': {faster}",
        flush=True,
    )


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
    write_json(arguments.json, result)
    return result


if __name__ == "__main__":
    run_script(main)
