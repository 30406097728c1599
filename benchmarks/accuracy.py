"""Train every bias model on four fifths of a genome and evaluate it on the rest.

    python benchmarks/accuracy.py --models pwm,cnn --folds 1,2,3,4 --seeds 1,2 --json accuracy.json

docs/explanation/accuracy.md describes the measures and has the results. The data are those of
COUNTERBIAS_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy_samples import DATASETS
from accuracy_tables import curve_table, null_table, table
from accuracy_trials import Result, choose_rows, measure
from shared import log, whole_numbers

from counterbias.errors import InputError
from counterbias.plugins import load_plugins


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Evaluate bias models on genomic blocks on which they were not trained."
    )
    parser.add_argument(
        "--data",
        default="fly",
        help=f"comma-separated data sets: {', '.join(DATASETS)} [%(default)s]",
    )
    parser.add_argument(
        "--models",
        help="comma-separated backends, each with its own options as in "
        "ensemble:members=vlmm/pwm+… [all]",
    )
    parser.add_argument(
        "--folds", default="1,2,3,4", help="folds to hold out in turn, 0 to 4 [%(default)s]"
    )
    parser.add_argument("--seeds", default="1,2", help="seeds [%(default)s]")
    parser.add_argument(
        "--window", default="10,10", help="window, as in --bias-window [%(default)s]"
    )
    parser.add_argument(
        "--sampling", default="local", help="scheme, as in --bias-sampling [%(default)s]"
    )
    parser.add_argument(
        "--reads",
        choices=("unique", "assigned"),
        default="unique",
        help="reads to train on [%(default)s]",
    )
    parser.add_argument(
        "--learning-curve",
        metavar="STARTS",
        help="numbers of distinct starts to train on, as in 1000,3000,10000,40000",
    )
    parser.add_argument(
        "--null",
        action="store_true",
        help="replace starts by positions near them, so that there is no bias to learn",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for scoring [%(default)s]")
    parser.add_argument(
        "--json", type=Path, help="write all trials to this file, updated after each of them"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the trials in the --json file and add the missing ones",
    )
    arguments = parser.parse_args(argv)
    arguments.data = arguments.data.split(",")
    for name in arguments.data:
        if name not in DATASETS:
            parser.error(f"there is no set '{name}'; choose from {', '.join(DATASETS)}")
    for option in ("folds", "seeds", "learning_curve"):
        try:
            whole_numbers(getattr(arguments, option))
        except ValueError:
            parser.error(f"--{option.replace('_', '-')}: must be whole numbers, comma-separated")
    if not set(whole_numbers(arguments.folds)) <= set(range(5)):
        parser.error("--folds: there are folds 0 to 4")
    if arguments.resume and arguments.json is None:
        parser.error("--resume needs --json")
    return arguments


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options that all trials of a table must share."""
    return {name: getattr(arguments, name) for name in ("window", "sampling", "reads", "null")}


def open_results(arguments: argparse.Namespace) -> dict[str, Result]:
    """Return empty results or, with ``--resume``, those of the file."""
    results = {name: Result(name) for name in arguments.data}
    if arguments.resume and arguments.json.exists():
        stored = json.loads(arguments.json.read_text())
        if stored["settings"] != settings(arguments):
            raise InputError(
                "these trials were run with other options",
                file=str(arguments.json),
                remedy="omit --resume",
            )
        for entry in stored["results"]:
            results[entry["data"]] = Result(entry["data"], entry["trials"])
    return results


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        rows, missing = choose_rows(arguments, load_plugins())
        results = open_results(arguments)
    except InputError as problem:
        log(f"error: {problem}")
        return 1

    def save() -> None:
        if arguments.json is None:
            return
        about = {
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "command": sys.argv if argv is None else list(argv),
        }
        content = {
            "settings": settings(arguments),
            **about,
            "results": [asdict(result) for result in results.values()],
        }
        temporary = arguments.json.with_name(arguments.json.name + ".part")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(temporary, arguments.json)

    for name in arguments.data:
        result = results[name]
        result.failures.update(missing)
        measure(arguments, name, rows, result, save)
        format_table = (
            null_table if arguments.null else curve_table if arguments.learning_curve else table
        )
        print(f"\n## {name}\n\n{format_table(result)}")
        for label, reason in result.failures.items():
            print(f"{label}: not measured: {reason}")
    save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
