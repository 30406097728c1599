r"""Real reads: all measures on held-out blocks, and the agreement of two lanes of one library.

    COUNTERBIAS_DATA=DIR python benchmarks/validation/real_reads.py \
        --json real.json --figures docs/images/validation

The measures are those of benchmarks/accuracy.py, computed by the same code. Lanes: a model is
fitted to each lane alone, both score the same exonic positions, and the counts of the lanes are
compared before and after correction. docs/explanation/validation.md has the results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import accuracy
import accuracy_samples
import accuracy_tables
import accuracy_trials
import estimates as est
import reporting as rep

from counterbias import count_reads
from counterbias.annotation import load_annotation
from counterbias.evaluation.agreement import Replicates, SampleEstimates, replicate_agreement
from counterbias.genome import Genome, extract
from counterbias.options import AnnotationOptions
from counterbias.plugins import load_plugins
from counterbias.records import Positions

SCRIPT = "real_reads.py"
LANES = ("isowt5", "isowt6")
#: Another strain with the same protocol: its model should agree with that of a lane nearly as well.
STRAIN = "rlp5"
#: Positions shown in the figure.
SHOWN = 3000


# -- measures on held-out blocks -------------------------------------------------------------------


def measure_set(name: str, arguments: argparse.Namespace) -> tuple[accuracy_trials.Result, str]:
    """Evaluate all models on the held-out folds of one data set, as benchmarks/accuracy.py does.

    Returns the trials and the tables.
    """
    folds = [1, 2, 3, 4] if name == "fly" else [0, 1, 2, 3, 4]
    options = [
        "--data",
        name,
        "--models",
        ",".join(arguments.models),
        "--seeds",
        ",".join(map(str, arguments.seeds)),
    ]
    options += [
        "--folds",
        ",".join(map(str, arguments.folds or folds)),
        "--threads",
        str(arguments.threads),
    ]
    chosen = accuracy.parse_arguments(options)
    rows, missing = accuracy_trials.choose_rows(chosen, load_plugins())
    result = accuracy_trials.Result(name, failures=dict(missing))
    accuracy_trials.measure(chosen, name, rows, result, lambda: None)
    return result, accuracy_tables.table(result)


# -- lanes -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lane:
    """One lane, counted with its own model, and its log bias at the common positions."""

    counted: est.Counted
    log_bias: NDArray[np.float64]


def lane_sample(name: str) -> est.Sample:
    folder, file = accuracy_samples.DATASETS[name]
    root = rep.data_folder() / folder
    return est.Sample(root / file, root / "genes.gtf", root / "genome.fa")


def exonic_positions(sample: est.Sample, contig: str, first: int, last: int) -> Positions:
    """Return both strands of the exonic positions in a region of one contig."""
    options = AnnotationOptions(str(sample.annotation))
    features = load_annotation(options, stranded=False).features
    own = np.flatnonzero(
        np.array([features.contigs[number] == contig for number in features.block_contig])
    )
    covered = np.zeros(last - first, bool)
    for row in own.tolist():
        covered[
            max(0, int(features.block_start[row]) - first) : max(
                0, int(features.block_end[row]) - first
            )
        ] = True
    exonic = np.flatnonzero(covered) + first
    size = len(exonic)
    return Positions(
        np.zeros(2 * size, np.int32),
        np.tile(exonic, 2),
        np.repeat(np.array([0, 1], np.uint8), size),
        np.ones(2 * size),
    )


def count_lane(
    name: str,
    model: str,
    positions: Positions,
    contig: str,
    arguments: argparse.Namespace,
    seed: int,
) -> Lane:
    """Fit a model to one lane, count with it, and score the common positions."""
    sample = lane_sample(name)
    bias = est.Training(seed=seed, threads=arguments.threads).options(sample.genome, model)
    run = count_reads(
        sample.alignments,
        sample.annotation,
        options=sample.options,
        bias=bias,
        threads=arguments.threads,
    )
    fitted = run.bias[0].model
    with Genome(str(sample.genome)) as genome:
        contexts, valid = extract(genome, (contig,), positions, fitted.window)
    log_bias = np.full(len(positions), np.nan)
    log_bias[valid] = fitted.ends[0].log_bias(contexts[valid])
    return Lane(est.counted(run, 0, 0.0), log_bias)


def correlation(first: Lane, second: Lane) -> float:
    """Correlate the log biases of two lanes over the positions that both can score."""
    known = np.isfinite(first.log_bias) & np.isfinite(second.log_bias)
    x, y = first.log_bias[known], second.log_bias[known]
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else float("nan")


def agreement(first: Lane, second: Lane, fewest: float, seed: int) -> Replicates | None:
    """Compare the counts of two lanes before and after correction."""
    own, other = (
        SampleEstimates(
            {name: lane.counted.density(name) for name in est.DENSITIES},
            lane.counted.columns["raw"],
        )
        for lane in (first, second)
    )
    return replicate_agreement(own, [other], np.random.default_rng([seed, 4]), fewest=fewest)


def by_chance(first: Lane, second: Lane, fewest: float) -> tuple[float, int]:
    """Return the RMS log2 ratio of two draws from one library, and the number of genes compared."""
    one, two = (lane.counted.columns["raw"] for lane in (first, second))
    rows = (one >= fewest) & (two >= fewest)
    return float(np.sqrt(np.mean(1 / one[rows] + 1 / two[rows])) / np.log(2)), int(rows.sum())


def compare_lanes(
    model: str, seed: int, arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[NDArray[np.float64]]]:
    """Fit a model to each lane and to the other strain, and compare.

    Returns the figures, and the log bias of both lanes.
    """
    positions = exonic_positions(lane_sample(LANES[0]), "XIII", 800_000, 900_000)
    lanes = [
        count_lane(name, model, positions, "XIII", arguments, seed) for name in (*LANES, STRAIN)
    ]
    found = agreement(lanes[0], lanes[1], arguments.fewest, seed)
    chance, genes = by_chance(lanes[0], lanes[1], arguments.fewest)
    row = {
        "model": model,
        "seed": seed,
        "positions": len(positions),
        "applied": [lane.counted.applied for lane in lanes],
        "log_bias_pearson": correlation(lanes[0], lanes[1]),
        "other_strain_pearson": correlation(lanes[0], lanes[2]),
        "genes": genes,
        "fewest": arguments.fewest,
        "chance": chance,
        "agreement": None if found is None else asdict(found),
        # The size of the correction itself: SD over the same genes of log2(corrected / raw).
        "moved": moved(lanes[0], arguments.fewest),
    }
    rep.log(f"lanes, {model}, seed {seed}: log bias Pearson {row['log_bias_pearson']:.4f}")
    return row, [lane.log_bias for lane in lanes[:2]]


def moved(lane: Lane, fewest: float) -> dict[str, float]:
    """Return the standard deviation over genes of log2(estimate / raw)."""
    rows = lane.counted.columns["raw"] >= fewest
    raw = lane.counted.density("raw")[rows]
    return {
        name: float(np.log2(lane.counted.density(name)[rows] / raw).std())
        for name in ("weighted", "corrected")
    }


# -- tables ----------------------------------------------------------------------------------------


def lanes_table(rows: list[dict[str, Any]]) -> str:
    """Format the comparison of the lanes, mean ± SE over seeds.

    The error of a difference is that of a single seed, by resampling of genes.
    """
    laid = [
        [
            "model",
            f"log bias, {LANES[0]}–{LANES[1]}",
            f"log bias, {LANES[0]}–{STRAIN}",
            "raw",
            "weighted",
            "corrected",
        ]
    ]
    laid[0] += ["weighted − raw", "corrected − raw", "changes counts by"]
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        cells = [
            rep.mean(row[name] for row in own).text()
            for name in ("log_bias_pearson", "other_strain_pearson")
        ]
        agreed = [row["agreement"] for row in own if row["agreement"] is not None]
        cells += [rep.mean(one["rmse"][name] for one in agreed).text() for name in est.DENSITIES]
        for name in ("weighted", "corrected"):
            value = rep.mean(one["minus_raw"][name][0] for one in agreed).value
            error = rep.mean(one["minus_raw"][name][1] for one in agreed).value
            cells.append(rep.minus(f"{value:+.3f} ± {error:.3f}"))
        laid.append([model, *cells, rep.mean(row["moved"]["corrected"] for row in own).text(2)])
    first = rows[0]
    note = (
        f"Pearson over {first['positions']:,} exonic positions (both strands). Columns raw, "
        "weighted, corrected: RMS log2 ratio of the two lanes' densities over "
        f"{first['genes']} genes with at least {first['fewest']:.0f} reads in both; "
        f"two draws from one library differ by {first['chance']:.3f} by chance. "
        "Differences ± standard error by resampling of genes."
    )
    return rep.markdown(laid) + "\n\n" + note


def draw(
    rows: list[dict[str, Any]], scores: list[NDArray[np.float64]], model: str, folder: Path
) -> Path:
    """Plot the log bias of one lane against the other, and the difference between their counts."""
    figure, (left, right) = rep.canvas(9, 3.8, 2)
    known = np.flatnonzero(np.isfinite(scores[0]) & np.isfinite(scores[1]))
    chosen = np.sort(np.random.default_rng(1).choice(known, min(SHOWN, len(known)), replace=False))
    x, y = (values[chosen] / np.log(2) for values in scores)
    left.plot(x, y, ".", color=rep.COLOURS[0], markersize=2, alpha=0.4, rasterized=True)
    left.axline((0, 0), slope=1, color=rep.GREY, linewidth=0.8)
    left.set(
        xlabel=f"log2 bias learnt from {LANES[0]}",
        ylabel=f"log2 bias learnt from {LANES[1]}",
        title=f"{model}, exonic positions",
    )
    models = list(dict.fromkeys(row["model"] for row in rows))
    at = np.arange(len(models))
    for number, name in enumerate(est.DENSITIES):
        errors = [
            [
                row["agreement"]["rmse"][name]
                for row in rows
                if row["model"] == one and row["agreement"]
            ]
            for one in models
        ]
        values = [rep.mean(own).value for own in errors]
        right.bar(
            at + 0.27 * (number - 1), values, width=0.25, label=name, color=rep.COLOURS[number]
        )
    right.axhline(rows[0]["chance"], color=rep.GREY, linestyle=":", label="chance")
    right.set_xticks(at, models)
    right.set(
        ylabel="RMS log2 ratio of the lanes' counts",
        title="two lanes of one library",
        ylim=(0, 1.3 * right.get_ylim()[1]),
    )
    right.legend(fontsize=8, loc="upper center", ncols=2)
    return rep.save_figure(figure, folder, "lanes")


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for(
        "Evaluate bias models on real reads, and compare two lanes of one library."
    )
    parser.add_argument(
        "--sets",
        type=rep.names,
        default="fly,isowt5,isowt6,unbiased",
        help="data sets [%(default)s]",
    )
    parser.add_argument(
        "--models",
        type=rep.names,
        default="pwm,heptamer,vlmm,bayesnet,cnn",
        help="bias models [%(default)s]",
    )
    parser.add_argument("--seeds", type=rep.whole_numbers, default="1", help="seeds [%(default)s]")
    parser.add_argument(
        "--lane-seeds",
        type=rep.whole_numbers,
        default="1,2,3",
        help="seeds of the comparison of lanes [%(default)s]",
    )
    parser.add_argument(
        "--folds",
        type=rep.whole_numbers,
        help="folds to hold out [1 to 4 for fly, all for the others]",
    )
    parser.add_argument(
        "--fewest",
        type=float,
        default=20,
        help="minimum reads of a gene in both lanes [%(default)s]",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if not (rep.data_folder() / "yeast").is_dir():
        rep.log(f"error: no real data at {rep.data_folder()} (set COUNTERBIAS_DATA)")
        return 1
    measured = []
    for name in arguments.sets:
        result, table = measure_set(name, arguments)
        measured.append(asdict(result))
        print(f"\n### {name}\n\n{table}", flush=True)
    rows, scores = [], {}
    for model in arguments.models:
        for seed in arguments.lane_seeds:
            row, found = compare_lanes(model, seed, arguments)
            rows.append(row)
            scores.setdefault(model, found)
    rep.write_json(arguments.json, SCRIPT, argv, {"measures": measured, "lanes": rows})
    print(f"\n### Two lanes of one library\n\n{lanes_table(rows)}")
    if arguments.figures is not None:
        shown = arguments.models[-1]
        print(f"\nfigure: {draw(rows, scores[shown], shown, arguments.figures).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
