"""The networks of Zhang et al. 2017 (BMC Genomics 18(Suppl 1):1044) on reads that we have.

    COUNTERBIAS_DATA=DIR python benchmarks/validation/paper.py --json paper.json --resume \
        --write docs/explanation/the-paper.md --figures docs/images/validation

Perplexities of the paper's language models, for windows of 21 and 41 bases and 10 and 20 hidden
units, beside what they and the same cells with the conditional objective gain on blocks of the
genome on which they were not trained; correlations between methods; and, on simulated reads that
have the bias of the real ones, correlations with the truth. ``--write`` puts the tables into the
page, between its comments. The reads are from Drosophila S2 cells, not MAQC-III.
``--taqman TABLE --truth FILE`` converts the MAQC TaqMan table to one that ``counterbias compare
--truth`` reads.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import accuracy_samples as samples
import estimates as est
import paper_expression as expression
import paper_networks as networks
import paper_tables as tables
import reporting as rep
from paper_taqman import write_taqman_truth

from counterbias import simulation
from counterbias.records import Window

SCRIPT = "paper.py"
REAL, SIMULATED = "real", "simulated"
#: What is measured besides the paper's networks.
SEQBIAS, TABLES, RAW, TRUE = "seqbias", "pwm", "raw", est.TRUE
#: The fold of the real reads without which the bias to simulate is learnt; no table uses it.
SPARE_FOLD = 0
#: What is trained on simulated reads: the paper's networks and what they are compared with. Those
#: between the two would take as long again.
TRUTH_TRAININGS = (networks.PAPER, networks.RATIO)

Row = dict[str, Any]


def measure_real(arguments: argparse.Namespace, rows: list[Row]) -> Iterator[Row]:
    """Train every network without a fold of the real reads, and measure it on the fold."""
    prepared = expression.prepare(fly_files())
    sample, effort = prepared.sample, effort_of(arguments)
    rep.log(f"{len(sample.starts):,} distinct starts, {len(prepared.features)} genes")
    for fold in arguments.folds:
        yield from seqbias_row(prepared, fold, rows)
        for seed in arguments.seeds:
            held_out = {
                bases: networks.held_out_windows(sample, fold, window, seed)
                for bases, window in networks.WINDOWS.items()
            }
            for network in wanted_networks(arguments, networks.TRAININGS):
                row = {"part": REAL, **network.key(), "fold": fold, "seed": seed}
                if not missing(row, rows):
                    continue
                trained = networks.train(
                    network, sample, networks.trial_of(network, fold, seed), effort
                )
                scores = trained.scores(sample)
                row["parameters"], row["seconds"] = trained.parameters, trained.seconds
                row["windows"] = len(trained.learnt.foreground)
                row["perplexity"] = networks.perplexities(trained, held_out[network.bases])
                row["values"] = networks.held_out_accuracy(scores, sample, fold, network.window)
                row["density"] = expression.densities(prepared, scores, lengths=False)
                yield row


def seqbias_row(prepared: expression.Prepared, fold: int, rows: list[Row]) -> Iterator[Row]:
    """Measure the log bias that the R package predicted for a fold on which it was not fitted."""
    row: Row = {"part": REAL, **networks.Network(SEQBIAS, 21).key(), "fold": fold, "seed": 0}
    if missing(row, rows):
        scores = samples.seqbias_scores(prepared.sample)
        row["values"] = networks.held_out_accuracy(scores, prepared.sample, fold, Window())
        row["density"] = expression.densities(prepared, scores, lengths=False)
        yield row


def measure_simulated(arguments: argparse.Namespace, rows: list[Row]) -> Iterator[Row]:
    """Train every network on simulated reads, and compare expression with the truth."""
    effort = effort_of(arguments)
    every = [networks.Network(TRUE, 21), *wanted_networks(arguments, TRUTH_TRAININGS)]
    bias = None
    for seed in arguments.truth_seeds:
        wanted = [
            network
            for network in every
            if missing({"part": SIMULATED, **network.key(), "seed": seed}, rows)
        ]
        if not wanted:
            continue
        bias = bias or real_bias(arguments)
        with expression.drawn_sample(seed, arguments.genes, arguments.pairs, bias) as drawn:
            sample = drawn.prepared.sample
            for network in wanted:
                row = {"part": SIMULATED, **network.key(), "fold": SPARE_FOLD, "seed": seed}
                scores = drawn.bias
                if network.cell != TRUE:
                    trial = networks.trial_of(network, SPARE_FOLD, seed)
                    scores = networks.train(network, sample, trial, effort).scores(sample)
                row["starts"] = len(sample.starts)
                row["truth"] = expression.against_truth(drawn, scores)
                yield row


def real_bias(arguments: argparse.Namespace) -> simulation.ScoredBias:
    """Learn the bias to simulate from the real reads."""
    network = networks.Network(arguments.bias, 21)
    sample = expression.prepare(fly_files()).sample
    trial = networks.trial_of(network, SPARE_FOLD, 1)
    fitted = networks.train(network, sample, trial, effort_of(arguments))
    return simulation.ScoredBias(network.window, fitted.model.log_bias)


def wanted_networks(
    arguments: argparse.Namespace, trainings: Sequence[str]
) -> list[networks.Network]:
    """Return the tables of frequencies, for reference, and the networks."""
    bases = list(networks.WINDOWS)
    return [
        *(networks.Network(TABLES, width) for width in bases),
        *networks.networks_of(arguments.hidden, bases, trainings),
    ]


def missing(row: Row, rows: list[Row]) -> bool:
    """Whether there is no row yet of the same part, network, fold and seed."""
    return not any(all(one.get(name) == value for name, value in row.items()) for one in rows)


def fly_files() -> est.Sample:
    root = rep.data_folder() / samples.DATASETS["fly"][0]
    return est.Sample(root / "reads.bam", root / "genes.gtf", root / "genome.fa")


def effort_of(arguments: argparse.Namespace) -> networks.Effort:
    return networks.Effort(arguments.iterations, arguments.windows, arguments.threads)


def settings(arguments: argparse.Namespace) -> Row:
    """Return the options that all rows of a file must share."""
    return {
        name: getattr(arguments, name)
        for name in ("iterations", "windows", "genes", "pairs", "bias")
    }


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for("Measure the networks of Zhang et al. 2017, honestly, on other reads.")
    parser.set_defaults(threads=1)
    for name, default, text in (
        ("hidden", "10,20", "hidden units"),
        ("folds", "1,2,3", "folds of the real reads to hold out in turn"),
        ("seeds", "1,2", "seeds of training on the real reads"),
        ("truth-seeds", "1,2", "seeds of simulated samples; none where empty"),
    ):
        parser.add_argument(
            f"--{name}", type=rep.whole_numbers, default=default, help=f"{text} [%(default)s]"
        )
    for name, number, text in (
        ("iterations", 30, "passes over the windows, where training is that of the paper"),
        ("windows", 100_000, "maximum windows per network"),
        ("genes", 400, "genes of a simulated sample"),
        ("pairs", 20_000, "read pairs of a simulated sample"),
    ):
        parser.add_argument(f"--{name}", type=int, default=number, help=f"{text} [%(default)s]")
    parser.add_argument(
        "--bias", default="cnn", help="model of the real reads that is simulated [%(default)s]"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what the --json file has, and add the rest"
    )
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the tables into this page of Markdown"
    )
    parser.add_argument(
        "--taqman",
        type=Path,
        metavar="TABLE",
        help="the MAQC TaqMan table; with it, only --truth is written",
    )
    parser.add_argument("--truth", type=Path, metavar="FILE", help="truth table to write")
    arguments = parser.parse_args(argv)
    if (arguments.taqman is None) != (arguments.truth is None):
        parser.error("--taqman and --truth must be given together")
    if arguments.resume and arguments.json is None:
        parser.error("--resume needs --json")
    if not set(arguments.folds) <= set(range(5)):
        parser.error("--folds: there are folds 0 to 4")
    return arguments


def measure(arguments: argparse.Namespace, rows: list[Row], argv: Sequence[str] | None) -> None:
    """Add all rows that are missing; the file is written after each of them."""
    for run in (measure_real, measure_simulated):
        began = time.process_time()
        for row in run(arguments, rows):
            rows.append(rep.plain(row))
            named = " ".join(str(row[name]) for name in ("training", "cell", "hidden", "bases"))
            seconds, began = time.process_time() - began, time.process_time()
            shown = f"{row['part']} fold {row['fold']} seed {row['seed']} {named}"
            rep.log(f"{shown} ({seconds:.1f} s)")
            content = {"settings": settings(arguments), "rows": rows}
            rep.write_json(arguments.json, SCRIPT, argv, content)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if arguments.taqman is not None:
        genes = write_taqman_truth(arguments.taqman, arguments.truth)
        found = ", ".join(f"{number} genes in {sample}" for sample, number in genes.items())
        rep.log(f"{arguments.truth}: {found}")
        return 0
    if not fly_files().alignments.is_file():
        rep.log(f"error: no real data at {rep.data_folder()} (set COUNTERBIAS_DATA)")
        return 1
    if arguments.write is not None and (problem := tables.problem_of(arguments.write)):
        rep.log(f"error: {arguments.write}: {problem}")
        return 1
    rows = rep.resumed(arguments, settings(arguments), "rows")
    if rows is None:
        return 1
    measure(arguments, rows, argv)
    found = tables.all_tables(rows)
    for name, table in found.items():
        print(f"### {name}\n\n{table}\n", flush=True)
    if arguments.write is not None:
        tables.write_page(arguments.write, found)
    if arguments.figures is not None:
        print(f"figure: {tables.draw(rows, arguments.figures).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
