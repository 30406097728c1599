r"""False and true calls of differential expression between groups that differ in their bias.

    python benchmarks/validation/differential.py --bias fly.model --seeds 21,31,32 \
        --json differential.json

Each scenario is a study of `counterbias simulate`: two groups of samples, whose bias differs or
does not, and whose truly changed genes are known. DESeq2, edgeR and limma-voom test the same reads
as raw counts, as raw counts with offsets (from effective lengths, as in
docs/how-to/differential-expression.md), and as corrected counts; with bias models trained on each
sample alone, and with the true bias as the limit. R runs the tests (differential.R).
docs/explanation/when-it-matters.md has the results.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import reporting as rep
from differential_calls import PACKAGES, TESTS, judge, r_versions, removed, run_tests
from differential_studies import RAW, SCENARIOS, Scenario, count_study, scenarios, simulate_study
from differential_tables import draw, report

from counterbias import InputError

SCRIPT = "differential.py"


def measure_study(
    wanted: Scenario, seed: int, models: Sequence[str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Simulate, count, test and evaluate one study."""
    with tempfile.TemporaryDirectory() as name:
        study = simulate_study(wanted, seed, Path(name) / "study", arguments)
        tables = count_study(study, models, seed, arguments.threads)
        kept = np.asarray(tables.counts[RAW].mean(axis=1) >= arguments.fewest)
        truth = est.read_table(study.folder / "truth.tsv")
        fold_changes = truth["log2_fold_change_group2"]
        changed = {
            gene: float(change) != 0.0
            for gene, change in zip(truth["gene_id"], fold_changes, strict=True)
        }
        rows = judge(run_tests(study, tables, kept, Path(name) / "tests"), changed)
        tested = [changed[gene] for gene, keep in zip(tables.genes, kept, strict=True) if keep]
        differs, parts = removed(study, tables, kept)
    about = {"scenario": wanted.name, "seed": seed, "tested": len(tested), "changed": sum(tested)}
    return {
        **about,
        "differs": differs,
        "removed": parts,
        "applied": tables.applied,
        "seconds": tables.seconds,
        "calls": rows,
    }


def measure(arguments: argparse.Namespace, studies: list[dict[str, Any]], save: Any) -> None:
    """Run every study that has not been run yet, saving after each."""
    done = {(one["scenario"], one["seed"]) for one in studies}
    for wanted in arguments.scenarios:
        for seed in arguments.seeds:
            if (wanted.name, seed) in done:
                continue
            studies.append(measure_study(wanted, seed, arguments.models, arguments))
            save()
            calls = studies[-1]["calls"]
            shown = {
                row["method"]: f"{row['false']} / {row['true']}"
                for row in calls
                if row["test"] == TESTS[0]
            }
            rep.log(f"{wanted.name}, seed {seed}: {TESTS[0]}, false / true calls: {shown}")


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for(
        "Test for differential expression in simulated studies whose groups differ in bias."
    )
    parser.add_argument(
        "--scenarios",
        type=scenarios,
        default=SCENARIOS,
        help="studies, words joined by hyphens [%(default)s]",
    )
    parser.add_argument(
        "--models", type=rep.names, default="auto", help="bias models [%(default)s]"
    )
    parser.add_argument(
        "--bias",
        default="builtin",
        metavar="builtin|FILE",
        help="the bias to simulate [%(default)s]",
    )
    parser.add_argument(
        "--seeds", type=rep.whole_numbers, default="21,31,32", help="seeds [%(default)s]"
    )
    parser.add_argument("--genes", type=int, default=400, help="genes [%(default)s]")
    parser.add_argument("--replicates", type=int, default=3, help="samples per group [%(default)s]")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor on the number of reads [%(default)s]"
    )
    parser.add_argument(
        "--fewest",
        type=float,
        default=10,
        help="minimum mean raw count of a gene to be tested [%(default)s]",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the studies in the --json file and add the missing ones",
    )
    arguments = parser.parse_args(argv)
    if arguments.resume and arguments.json is None:
        parser.error("--resume needs --json")
    if arguments.replicates < 2 or arguments.scale <= 0:
        parser.error("tests need at least 2 samples per group, and a positive --scale")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    versions = r_versions()
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        rep.log(
            f"error: R has no {', '.join(missing)}; install Debian's {packages}, "
            "or these packages in R"
        )
        return 1
    settings = {
        name: getattr(arguments, name)
        for name in ("models", "genes", "replicates", "scale", "fewest")
    }
    settings["bias"] = Path(arguments.bias).name
    studies = rep.resumed(arguments, settings, "studies")
    if studies is None:
        return 1

    def save() -> None:
        rep.write_json(
            arguments.json,
            SCRIPT,
            argv,
            {"settings": settings, "versions": versions, "studies": studies},
        )

    try:
        measure(arguments, studies, save)
    except InputError as problem:
        rep.log(f"error: {problem}")
        return 1
    save()
    print(report(studies))
    if arguments.figures is not None:
        print(f"\nfigure: {draw(studies, arguments.figures).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
