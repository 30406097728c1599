"""Time the training of networks on a GPU and on the processor beside it, and compare the results.

    python benchmarks/gpu.py --json gpu.json

Each part runs in a process of its own, with a time limit, and its figures are printed as they come.
See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared import log, markdown, write_json

try:
    import torch
    from gpu_parts import PARTS
    from gpu_setting import Figure, Setting, environment, stand_in
except ModuleNotFoundError as missing:
    sys.exit(f"gpu.py needs the module '{missing.name}': benchmarks/README.md says how to get it")

#: The heading of the column where torch's CPU device stands in for the GPU.
STAND_IN = "torch's CPU device"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the training of networks on a GPU.")
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu: torch's CPU device stands in for the GPU, to try this script [%(default)s]",
    )
    parser.add_argument("--quick", action="store_true", help="everything in miniature")
    parser.add_argument("--parts", default=",".join(PARTS), help="[%(default)s]")
    parser.add_argument(
        "--threads",
        type=int,
        default=min(16, os.cpu_count() or 1),
        help="threads of the processor, as in --bias-threads [%(default)s]",
    )
    parser.add_argument(
        "--minutes", type=float, default=7.5, help="what takes longer is cut off [%(default)s]"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    arguments.names = [name for name in arguments.parts.split(",") if name]
    for name in arguments.names:
        if name not in PARTS:
            parser.error(f"there is no part '{name}'; choose from {', '.join(PARTS)}")
    return arguments


def run_part(arguments: argparse.Namespace) -> None:
    """Run one part in this process; print its figures as lines of JSON."""
    setting = setting_of(arguments)
    with stand_in(setting):
        for figure in PARTS[arguments.part][0](setting):
            print(json.dumps(asdict(figure)), flush=True)


def setting_of(arguments: argparse.Namespace) -> Setting:
    """Return what the options ask for."""
    return Setting(torch.device(arguments.device), arguments.quick, arguments.threads)


def measure(name: str, arguments: argparse.Namespace, seconds: float) -> tuple[list[Figure], str]:
    """Run one part in a process of its own.

    Returns: its figures, and why there are no more of them; empty where nothing is missing.
    """
    words = [sys.executable, __file__, "--part", name]
    words += ["--device", arguments.device, "--threads", str(arguments.threads)]
    words += ["--quick"] if arguments.quick else []
    figures: list[Figure] = []
    cut = threading.Event()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:

        def stop() -> None:
            cut.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            figures.append(Figure(**json.loads(line)))
            log("  " + ", ".join(cell for cell in cells(figures[-1]) if cell))
        process.wait()
        timer.cancel()
    if cut.is_set():
        return figures, f"cut off after {seconds:.0f} s"
    return figures, f"failed with status {process.returncode}" if process.returncode else ""


def number(values: Sequence[float], unit: str) -> str:
    """Format the median of measurements and, of several, the smallest and largest."""
    if not values:
        return ""
    text = f"{statistics.median(values):.4g} {unit}"
    return text if len(values) == 1 else f"{text} ({min(values):.4g}–{max(values):.4g})"


def cells(figure: Figure) -> list[str]:
    """Return a row of the table."""
    times = figure.unit == "s" and figure.ratio is not None
    return [
        figure.name,
        number(figure.gpu, figure.unit),
        number(figure.cpu, figure.unit),
        f"{figure.ratio:.1f}" if times else "",
        figure.target,
        "" if figure.met is None else "pass" if figure.met else "MISS",
        figure.note,
    ]


def table(figures: Sequence[Figure], arguments: argparse.Namespace) -> str:
    """Format figures as a Markdown table."""
    first = "GPU" if arguments.device == "cuda" else STAND_IN
    headings = ["measured", first, "processor", "times faster", "target", "", "note"]
    return markdown([headings, *map(cells, figures)])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return its exit status: 1 where a part failed or was cut off."""
    arguments = parse_arguments(argv)
    begun = time.monotonic()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        log("gpu.py: torch finds no GPU; --device cpu --quick tries this script without one")
        return 1
    if arguments.part:
        run_part(arguments)
        return 0
    result: dict[str, Any] = {"environment": environment(setting_of(arguments)), "parts": {}}
    for key, value in result["environment"].items():
        print(f"{key}: {value}")
    failed, missed = False, []
    for name in arguments.names:
        left = 60 * arguments.minutes - (time.monotonic() - begun)
        limit = left if arguments.quick else min(PARTS[name][1], left)
        started = time.monotonic()
        log(f"{name}: at most {limit:.0f} s")
        figures, problem = measure(name, arguments, limit) if limit > 0 else ([], "no time left")
        failed |= bool(problem)
        result["parts"][name] = {
            "figures": [asdict(one) for one in figures],
            "problem": problem,
            "seconds": time.monotonic() - started,
        }
        write_json(arguments.json, result)  # what there is, should the rest be cut off
        print(f"\n{name}" + (f" ({problem})" if problem else "") + "\n", flush=True)
        print(table(figures, arguments) if figures else "nothing", flush=True)
        missed += [one.name for one in figures if one.met is False]
    print(f"\n{time.monotonic() - begun:.0f} s in all")
    print("Missed: " + ("; ".join(missed) if missed else "nothing") + ".")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
