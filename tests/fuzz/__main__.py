"""``python -m tests.fuzz``: run targets, or check one input again."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tests.fuzz import targets
from tests.fuzz.case import Case
from tests.fuzz.runner import Run, draw


def main() -> int:
    """Run targets and print reports. Return 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz the readers of files."
    )
    parser.add_argument(
        "target",
        nargs="*",
        metavar="TARGET",
        help=f"one or more of: {', '.join(targets.NAMES)}; default: all",
    )
    parser.add_argument("--inputs", type=int, help="inputs per target")
    parser.add_argument(
        "--minutes",
        type=float,
        help="total minutes, shared by the targets (default: 1 unless --inputs is given)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed from which inputs are drawn (default: 1)"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)"
    )
    parser.add_argument(
        "--failures",
        type=Path,
        default=Path("fuzz-failures"),
        help="folder for failing inputs (default: fuzz-failures)",
    )
    parser.add_argument(
        "--only",
        type=int,
        metavar="NUMBER",
        help="check and print this input of the seed, in this process",
    )
    parser.add_argument(
        "--case", type=Path, metavar="FILE", help="check an input from a file, in this process"
    )
    arguments = parser.parse_args()
    names = arguments.target or list(targets.NAMES)
    unknown = set(names) - set(targets.NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if arguments.case or arguments.only is not None:
        if len(names) != 1:
            parser.error("--case and --only need one TARGET")
        target = targets.load(names[0])
        case = (
            Case.load(arguments.case)
            if arguments.case
            else draw(target, arguments.seed, arguments.only)
        )
        if not arguments.case:
            print(case.dump(), end="")
        print(target.check(case))
        return 0
    minutes = (
        arguments.minutes if arguments.minutes is not None else (None if arguments.inputs else 1.0)
    )
    limits: dict[str, Any] = {} if minutes is None else {"seconds": 60 * minutes / len(names)}
    if arguments.inputs:
        limits["inputs"] = arguments.inputs
    failed = False
    for name in names:
        result = Run(
            name, arguments.seed, arguments.failures, workers=arguments.workers, **limits
        ).run()
        print(result.report(), flush=True)
        failed = failed or bool(result.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
