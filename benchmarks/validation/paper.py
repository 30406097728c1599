r"""The tables of Zhang et al. 2017 (BMC Genomics 18(Suppl 1):1044), as far as our reads allow.

    COUNTERBIAS_DATA=DIR python benchmarks/validation/paper.py \
        --json paper.json --figures docs/images/validation

Training time and perplexity against hidden units, for windows of 21 and 41 bases; correlation
between methods, Euclidean distance between raw and corrected expression, and the numbers of genes
that go up and down. The reads are from Drosophila S2 cells, not MAQC-III, so the figures can be
compared qualitatively, but not in value. ``--taqman TABLE --truth FILE`` converts the MAQC TaqMan
table to one that ``counterbias compare --truth`` reads.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import accuracy_samples as samples
import estimates as est
import reporting as rep

from counterbias.evaluation.agreement import change_of, log_pearson
from counterbias.pipeline.bias.choice import choose_model
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, evaluate_backend
from counterbias.plugins import load_plugins
from counterbias.records import Positions, Window

SCRIPT = "paper.py"
#: Width of the paper's windows in bases → window.
WINDOWS = {21: Window(10, 10), 41: Window(20, 20)}
#: As in the paper: one pass over the windows per iteration, without early stopping.
ITERATIONS = 30
SEQBIAS = "seqbias (R)"


# -- training time and perplexity ------------------------------------------------------------------


def as_in_paper(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the options with which networks are trained as in the paper.

    That is one pass over the windows per iteration, without early stopping.
    """
    epochs = arguments.iterations
    return (
        f"epochs={epochs}",
        "min_steps=0",
        f"patience={epochs}",
        f"max_windows={arguments.windows}",
    )


def train(
    cell: str, hidden: int, bases: int, sample: FoldSample, arguments: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Train both networks as in the paper and evaluate them on the held-out fold."""
    kind = choose_model(
        cell,
        load_plugins(),
        window=WINDOWS[bases],
        model_options=(f"hidden={hidden}", *as_in_paper(arguments)),
    )
    found = evaluate_backend(
        kind, sample, Trial(arguments.fold, seed, sampling="paper"), threads=arguments.threads
    )
    rep.log(
        f"{cell}, {hidden} hidden units, {bases} bases, seed {seed}: {found.report.seconds:.1f} s"
    )
    return {
        "cell": cell,
        "hidden": hidden,
        "bases": bases,
        "seed": seed,
        "windows": found.training,
        "seconds": found.report.seconds,
        "parameters": found.report.parameters,
        "perplexity": dict(found.report.perplexity),
        "gain_cap5": found.accuracy.gain_cap5,
        "gain": found.calibration.gain,
    }


def train_all(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    sample = samples.load_sample("fly", "unique")
    wanted = [
        (cell, hidden, bases)
        for bases in WINDOWS
        for cell in ("gru", "lstm")
        for hidden in arguments.hidden
    ]
    return [train(*one, sample, arguments, seed) for one in wanted for seed in arguments.seeds]


def training_table(rows: list[dict[str, Any]]) -> str:
    """Format a row per network and window."""
    laid = [
        [
            "network",
            "hidden units",
            "bases",
            "parameters",
            "windows",
            "s",
            "perplexity, starts",
            "perplexity, background",
            "gain cap5",
        ]
    ]
    for cell, hidden, bases in dict.fromkeys(
        (row["cell"], row["hidden"], row["bases"]) for row in rows
    ):
        own = [
            row
            for row in rows
            if (row["cell"], row["hidden"], row["bases"]) == (cell, hidden, bases)
        ]
        cells = [
            cell,
            str(hidden),
            str(bases),
            f"{own[0]['parameters']:,}",
            f"{own[0]['windows']:,}",
        ]
        cells.append(rep.mean(row["seconds"] for row in own).text(1))
        cells += [
            rep.mean(row["perplexity"][role] for row in own).text(4)
            for role in ("foreground", "background")
        ]
        laid.append([*cells, rep.mean(row["gain_cap5"] for row in own).text()])
    return rep.markdown(laid)


# -- expression before and after -------------------------------------------------------------------


def fly_sample() -> est.Sample:
    root = rep.data_folder() / samples.DATASETS["fly"][0]
    return est.Sample(root / "reads.bam", root / "genes.gtf", root / "genome.fa")


def seqbias_counts(sample: est.Sample) -> est.Counted:
    """Count with the log bias predicted by the R package, from the file stored with the data."""
    stored = np.load(sample.genome.parent / samples.SEQBIAS_FILE)["log_bias"].astype(np.float64)

    def scores(contigs: tuple[str, ...], positions: Positions, end: int) -> NDArray[np.float64]:
        known = (positions.contig == contigs.index("chr4")) & (positions.position < stored.shape[1])
        return np.where(
            known,
            stored[positions.strand, np.minimum(positions.position, stored.shape[1] - 1)],
            np.nan,
        )

    return est.count_with_scores(sample, scores)


def count_all(arguments: argparse.Namespace) -> dict[tuple[str, int], est.Counted]:
    """Count with every model in every window, trained as in the paper, and with seqbias."""
    sample = fly_sample()
    found = {}
    for bases, window in WINDOWS.items():
        for model in arguments.models:
            training = est.Training(
                sampling="paper",
                window=window,
                model_options=as_in_paper(arguments) if model in ("gru", "lstm") else (),
                seed=arguments.seeds[0],
                threads=arguments.threads,
            )
            found[model, bases] = est.count_with(sample, model, training)
            rep.log(f"counted with {model}, {bases} bases: {found[model, bases].seconds:.1f} s")
    found[SEQBIAS, 21] = seqbias_counts(sample)
    return found


def changes(found: dict[tuple[str, int], est.Counted]) -> list[dict[str, Any]]:
    """Measure how each method changes the expression of the genes.

    Both for weighted counts (the sum of the paper) and for corrected ones.
    """
    rows = []
    for (model, bases), counted in found.items():
        raw = counted.density("raw")
        for estimate in ("weighted", "corrected"):
            change = change_of(raw, counted.density(estimate))
            about = {
                "model": model,
                "bases": bases,
                "estimate": estimate,
                "applied": counted.applied,
            }
            values = {"distance": change.distance, "up": change.up, "down": change.down}
            rows.append(
                {**about, **values, "raw_pearson": log_pearson(raw, counted.density(estimate))}
            )
    return rows


def correlations(found: dict[tuple[str, int], est.Counted]) -> list[dict[str, Any]]:
    """Correlate log expression between each pair of methods."""
    keys = list(found)
    return [
        {
            "first": list(first),
            "second": list(second),
            **{
                name: log_pearson(found[first].density(name), found[second].density(name))
                for name in ("weighted", "corrected")
            },
        }
        for place, first in enumerate(keys)
        for second in keys[place + 1 :]
    ]


def change_table(rows: list[dict[str, Any]]) -> str:
    laid = [
        [
            "method",
            "bases",
            "counts",
            "Euclidean distance to raw",
            "genes up",
            "genes down",
            "log-Pearson with raw",
        ]
    ]
    for row in rows:
        cells = [
            row["model"],
            str(row["bases"]),
            row["estimate"],
            f"{row['distance']:.4f}",
            str(row["up"]),
            str(row["down"]),
        ]
        laid.append([*cells, f"{row['raw_pearson']:.4f}"])
    return rep.markdown(laid)


def correlation_table(rows: list[dict[str, Any]], estimate: str) -> str:
    """Format the correlations as a triangular table."""
    keys = list(dict.fromkeys(tuple(row[side]) for row in rows for side in ("first", "second")))
    known = {(tuple(row["first"]), tuple(row["second"])): row[estimate] for row in rows}
    labels = [f"{model}, {bases}" for model, bases in keys]
    laid = [["", *labels[1:]]]
    for place, key in enumerate(keys[:-1]):
        cells = [
            f"{known[key, other]:.4f}" if number > place else ""
            for number, other in enumerate(keys)
            if number > 0
        ]
        laid.append([labels[place], *cells])
    return rep.markdown(laid)


# -- figures ---------------------------------------------------------------------------------------


def draw_training(rows: list[dict[str, Any]], folder: Path) -> Path:
    """Plot training time and perplexity against hidden units."""
    figure, (left, right) = rep.canvas(9, 3.8, 2)
    for number, (cell, bases) in enumerate(
        dict.fromkeys((row["cell"], row["bases"]) for row in rows)
    ):
        own = [row for row in rows if (row["cell"], row["bases"]) == (cell, bases)]
        sizes = sorted({row["hidden"] for row in own})

        def means(
            take: Any, own: list[dict[str, Any]] = own, sizes: list[int] = sizes
        ) -> list[float]:
            return [
                rep.mean(take(row) for row in own if row["hidden"] == size).value for size in sizes
            ]

        label, colour = f"{cell}, {bases} bases", rep.COLOURS[number]
        left.plot(sizes, means(lambda row: row["seconds"]), "o-", color=colour, label=label)
        right.plot(
            sizes,
            means(lambda row: row["perplexity"]["foreground"]),
            "o-",
            color=colour,
            label=f"{label}, starts",
        )
        right.plot(sizes, means(lambda row: row["perplexity"]["background"]), "o:", color=colour)
    left.set(xlabel="hidden units", ylabel="training time, s", ylim=(0, None))
    right.set(
        xlabel="hidden units",
        ylabel="perplexity per base",
        title="solid: read starts, dotted: background",
    )
    left.legend(fontsize=8)
    return rep.save_figure(figure, folder, "paper_training")


def draw_changes(found: dict[tuple[str, int], est.Counted], folder: Path) -> Path:
    """Plot expression before and after, and log fold changes, for windows of 21 bases."""
    figure, (left, right) = rep.canvas(9, 3.8, 2)
    chosen = {model: one for (model, bases), one in found.items() if bases == 21}
    for number, (model, counted) in enumerate(chosen.items()):
        raw, after = counted.density("raw"), counted.density("weighted")
        rows = (raw > 0) & (after > 0)
        left.loglog(
            raw[rows], after[rows], ".", color=rep.COLOURS[number], label=model, markersize=4
        )
        right.hist(
            np.log2(after[rows] / raw[rows]),
            np.arange(-2, 2.01, 0.2),
            histtype="step",
            color=rep.COLOURS[number],
            label=model,
        )
    ends = [np.nanmin(np.where(raw > 0, raw, np.nan)), raw.max()]
    left.plot(ends, ends, color=rep.GREY, linewidth=0.8)
    left.set(xlabel="FPKM, raw", ylabel="FPKM, weighted")
    right.set(xlabel="log2 weighted / raw", ylabel="genes")
    left.legend(fontsize=8)
    return rep.save_figure(figure, folder, "paper_changes")


# -- TaqMan ----------------------------------------------------------------------------------------


def write_taqman_truth(source: Path, target: Path) -> dict[str, int]:
    """Write a truth table of the TaqMan values.

    For each gene symbol and sample it has the mean over the replicates in which the gene was
    detected, averaged over the assays of the symbol; NA if detected in none.

    Returns:
        Sample → number of genes.
    """
    table = est.read_table(source)
    values: dict[str, dict[str, list[float]]] = {}
    for place, symbol in enumerate(table["Symbol"]):
        own = values.setdefault(symbol, {sample: [] for sample in "ABCD"})
        for sample in "ABCD":
            replicates = [
                (
                    table[f"{sample}{number}_value"][place],
                    table[f"{sample}{number}_detection"][place],
                )
                for number in range(1, 5)
            ]
            detected = [float(value) for value, call in replicates if call == "P"]
            if detected:
                own[sample].append(float(np.mean(detected)))
    temporary = target.with_name(f"{target.name}.part")
    with temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(["Symbol", *"ABCD"])
        for symbol, own in values.items():
            writer.writerow(
                [
                    symbol,
                    *(f"{np.mean(own[sample]):.9g}" if own[sample] else "NA" for sample in "ABCD"),
                ]
            )
    os.replace(temporary, target)
    return {sample: sum(bool(own[sample]) for own in values.values()) for sample in "ABCD"}


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for("Reproduce the tables of Zhang et al. 2017 on other reads.")
    parser.add_argument(
        "--hidden", type=rep.whole_numbers, default="5,10,20", help="hidden units [%(default)s]"
    )
    parser.add_argument(
        "--models",
        type=rep.names,
        default="gru,lstm,bayesnet,cnn",
        help="methods to correlate [%(default)s]",
    )
    parser.add_argument(
        "--seeds",
        type=rep.whole_numbers,
        default="1,2",
        help="seeds of training; counts use the first [%(default)s]",
    )
    parser.add_argument(
        "--iterations", type=int, default=ITERATIONS, help="passes over the windows [%(default)s]"
    )
    parser.add_argument(
        "--windows", type=int, default=100_000, help="maximum windows per network [%(default)s]"
    )
    parser.add_argument("--fold", type=int, default=1, help="fold to hold out [%(default)s]")
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
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if arguments.taqman is not None:
        genes = write_taqman_truth(arguments.taqman, arguments.truth)
        rep.log(
            f"{arguments.truth}: "
            + ", ".join(f"{number} genes in {sample}" for sample, number in genes.items())
        )
        return 0
    if not (rep.data_folder() / samples.DATASETS["fly"][0]).is_dir():
        rep.log(f"error: no real data at {rep.data_folder()} (set COUNTERBIAS_DATA)")
        return 1
    trained = train_all(arguments)
    print(f"### Training time and perplexity\n\n{training_table(trained)}", flush=True)
    found = count_all(arguments)
    changed, correlated = changes(found), correlations(found)
    print(f"\n### Expression before and after\n\n{change_table(changed)}")
    for estimate in ("weighted", "corrected"):
        print(f"\n### Log-Pearson between methods, {estimate}\n")
        print(correlation_table(correlated, estimate))
    rep.write_json(
        arguments.json,
        SCRIPT,
        argv,
        {"training": trained, "changes": changed, "correlations": correlated},
    )
    if arguments.figures is not None:
        drawn = [draw_training(trained, arguments.figures), draw_changes(found, arguments.figures)]
        print(f"\nfigures: {', '.join(path.name for path in drawn)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
