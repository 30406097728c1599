r"""False and true calls of differential expression between groups that differ in their bias.

    python benchmarks/validation/differential.py --bias fly.model --seeds 21,31,32 \
        --json differential.json

Each scenario is a study of `counterbias simulate`: two groups of samples, whose bias differs or
does not, and whose truly changed genes are known. DESeq2, edgeR and limma-voom test the same reads
as raw counts, as raw counts with offsets (from effective lengths, as in
docs/how-to/differential-expression.md), and as corrected counts; with bias models trained on each
sample alone, and with the true bias as the limit. Effective lengths are those of the union of a
gene's exons, and those of its transcripts. A peer tests the same reads: salmon with tximport. In
the scenarios `switched`, some genes also switch isoforms: they have as many molecules as before, so
that a test must not call them. R runs the tests (differential.R).
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
from differential_peers import PEERS, add_salmon, available, peer_versions
from differential_studies import (
    RAW,
    SCENARIOS,
    TRUE_LENGTHS,
    Scenario,
    count_study,
    differences,
    scenarios,
    simulate_study,
    true_lengths,
)
from differential_tables import draw, report

from counterbias import InputError
from counterbias.options import LENGTHS

SCRIPT = "differential.py"


def measure_study(wanted: Scenario, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Simulate, count, test and evaluate one study."""
    with tempfile.TemporaryDirectory() as name:
        study = simulate_study(wanted, seed, Path(name) / "study", arguments)
        training = est.Training(seed=seed, threads=arguments.threads)
        tables = count_study(study, arguments.models, arguments.lengths, training)
        changed, switched = differences(study)
        if wanted.switched:
            tables.add_offsets(TRUE_LENGTHS, true_lengths(study, tables.genes))
        if arguments.peers:
            add_salmon(tables, study, arguments.threads)
        kept = np.asarray(tables.counts[RAW].mean(axis=1) >= arguments.fewest)
        rows = judge(run_tests(study, tables, kept, Path(name) / "tests"), changed, switched)
        tested = [gene for gene, keep in zip(tables.genes, kept, strict=True) if keep]
        differs, parts = removed(study, tables, kept)
    about = {
        "scenario": wanted.name,
        "seed": seed,
        "tested": len(tested),
        "changed": sum(changed[gene] for gene in tested),
        "switched": sum(gene in switched and not changed[gene] for gene in tested),
    }
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
            studies.append(measure_study(wanted, seed, arguments))
            save()
            calls = studies[-1]["calls"]
            shown = {
                row["method"]: f"{row['false']} / {row['true']}"
                for row in calls
                if row["test"] == TESTS[0]
            }
            rep.log(f"{wanted.name}, seed {seed}: {TESTS[0]}, false / true calls: {shown}")


# -- command line ----------------------------------------------------------------------------------


def lengths(text: str) -> list[str]:
    """Parse comma-separated measures of lengths (for argparse)."""
    found = rep.names(text)
    if not found or set(found) - set(LENGTHS):
        raise argparse.ArgumentTypeError(f"'{text}': must be any of {', '.join(LENGTHS)}")
    return found


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
        "--lengths",
        type=lengths,
        default=",".join(LENGTHS),
        help="what effective lengths are those of: a gene's union of exons, its transcripts "
        "[%(default)s]",
    )
    parser.add_argument(
        "--peers",
        type=rep.names,
        default=",".join(PEERS),
        help="other programs, where they are installed; '' for none [%(default)s]",
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
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"--peers: {', '.join(sorted(unknown))} is none of {', '.join(PEERS)}")
    if arguments.replicates < 2 or arguments.scale <= 0:
        parser.error("tests need at least 2 samples per group, and a positive --scale")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    in_r = r_versions()
    missing = [name for name in PACKAGES if in_r[name] is None]
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        rep.log(
            f"error: R has no {', '.join(missing)}; install Debian's {packages}, "
            "or these packages in R"
        )
        return 1
    versions = {**in_r, **peer_versions(in_r)}
    arguments.peers = available(arguments.peers, versions)
    settings = {
        name: getattr(arguments, name)
        for name in ("models", "lengths", "peers", "genes", "replicates", "scale", "fewest")
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
