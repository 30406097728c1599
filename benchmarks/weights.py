"""Measure the effect of each option for weights and effective lengths.

In simulation, every estimate is compared with the abundance from which the reads were drawn; on
real reads, measures are taken on genomic blocks that the model was not trained on.
docs/explanation/weights.md has the tables and their interpretation.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from shared import whole_numbers
from weights_real import DATASETS, run_real
from weights_simulated import LIBRARIES, run_simulation
from weights_tables import real_table, simulation_table

from counterbias.plugins import load_plugins


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="Measure the effect of each option for weights and effective lengths."
    )
    parser.add_argument("--model", default="vlmm", help="backend, as in --bias-model [%(default)s]")
    parser.add_argument(
        "--seeds",
        type=whole_numbers,
        default=[1, 2, 3],
        help="seeds; real data sets use the first two [1,2,3]",
    )
    every = list(range(1, len(LIBRARIES) + 1))
    parser.add_argument(
        "--libraries",
        default=every,
        type=whole_numbers,
        help="simulated libraries by number; empty for none [all]",
    )
    parser.add_argument("--genes", type=int, default=300, help="simulated genes [%(default)s]")
    parser.add_argument(
        "--fragments", type=int, default=200_000, help="simulated fragments [%(default)s]"
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=1.2,
        help="SD of the simulated log bias, nats [%(default)s]",
    )
    parser.add_argument(
        "--data",
        default="fly,yeast",
        help=f"real data sets: {', '.join(DATASETS)}; empty for none [%(default)s]",
    )
    parser.add_argument(
        "--folds",
        type=whole_numbers,
        default=[1, 2, 3, 4],
        help="folds of real data sets to hold out [1,2,3,4]",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for scoring [%(default)s]")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    arguments = parser.parse_args(argv)
    arguments.data = [name for name in arguments.data.split(",") if name]
    for name in arguments.data:
        if name not in DATASETS:
            parser.error(f"there is no set '{name}'; choose from {', '.join(DATASETS)}")
    if not set(arguments.libraries) <= set(every):
        parser.error(f"--libraries: must be from 1 to {len(LIBRARIES)}")
    arguments.libraries = [list(LIBRARIES)[number - 1] for number in arguments.libraries]
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    arguments = parse_arguments(argv)
    manager = load_plugins()
    found = {
        "simulation": list(run_simulation(arguments, manager)),
        "real": list(run_real(arguments, manager)),
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"Model {arguments.model}, seeds {arguments.seeds}, folds {arguments.folds}.")
    tables = ((found["simulation"], simulation_table), (found["real"], real_table))
    for rows, format_table in tables:
        if rows:
            print(f"\n{format_table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
