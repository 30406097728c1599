"""``python -m tests.fuzz``: run targets, or check one kept input again."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.fuzz import targets
from tests.fuzz.case import Case
from tests.fuzz.runner import Run, draw


def main() -> int:
    """Run and report; 1 where anything failed."""
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
        help="minutes in all, shared by the targets (default: 1 unless --inputs is given)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="what the inputs are drawn from (default: 1)"
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
        help="check this input of the seed in this process, and show it",
    )
    parser.add_argument(
        "--case", type=Path, metavar="FILE", help="check a kept input in this process"
    )
    given = parser.parse_args()
    names = given.target or list(targets.NAMES)
    unknown = set(names) - set(targets.NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if given.case or given.only is not None:
        if len(names) != 1:
            parser.error("--case and --only need one TARGET")
        target = targets.load(names[0])
        case = Case.load(given.case) if given.case else draw(target, given.seed, given.only)
        if not given.case:
            print(case.dump(), end="")
        print(target.check(case))
        return 0
    minutes = given.minutes if given.minutes is not None else (None if given.inputs else 1.0)
    limits: dict[str, float] = {} if minutes is None else {"seconds": 60 * minutes / len(names)}
    failed = False
    for name in names:
        more = {"inputs": given.inputs} if given.inputs else {}
        result = Run(
            name, given.seed, given.failures, workers=given.workers, **more, **limits
        ).run()
        print(result.report(), flush=True)
        failed = failed or bool(result.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
