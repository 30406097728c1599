r"""UHR against HBR: fold changes of a tiny cohort compared with deep sequencing of the same RNA.

    COUNTERBIAS_DATA=DIR python benchmarks/validation/maqc.py \
        --json maqc.json --figures docs/images/validation

Six samples of 600 to 1,200 pairs on 3 Mb of chromosome 22 have reads for only a handful of genes,
so the result is an interval. Fold changes of raw, weighted and corrected counts are compared with
those of the counts of another laboratory (SEQC); intervals come from resampling replicates and from
resampling genes. Each model is also used without the gate, to show what the correction would have
done. docs/explanation/validation.md has the results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import reporting as rep
from numpy.typing import NDArray

from counterbias import count_reads
from counterbias.evaluation.agreement import Interval, compare_with_truth
from counterbias.options import AnnotationOptions

SCRIPT = "maqc.py"
FOLDER, TRUTH = "human_maqc_chr22", "seqc_ILM_COH_counts_A_B.tsv"
CONDITIONS = {"UHR": "A_sum", "HBR": "B_sum"}
REPLICATES = (1, 2, 3)
COLUMNS = {"raw": "raw", "weighted": "weighted", "corrected": "corrected"}


@dataclass(frozen=True)
class Cohort:
    """Six samples counted with one model.

    Args:
        names: gene names.
        counts: estimate → condition → float64 (replicates, genes).
        applied: number of samples in which the model was used.
        gain: held-out gain per sample, bits per start.
    """

    names: tuple[str, ...]
    counts: dict[str, dict[str, NDArray[np.float64]]]
    applied: int
    gain: list[float | None]


def count_cohort(model: str, arguments: argparse.Namespace, *, gate: bool = True) -> Cohort:
    """Count all samples, each with its own model (or all with a model file).

    With ``gate`` false, models are used whether or not they pass the gate, without calibration.
    """
    root = rep.data_folder() / FOLDER
    paths = [
        root / f"{condition}_Rep{number}.bam" for condition in CONDITIONS for number in REPLICATES
    ]
    sample = est.Sample(paths[0], root / "genes.gtf", root / "genome.fa", stranded="reverse")
    training = est.Training(seed=arguments.seed, threads=arguments.threads)
    bias = training.options(sample.genome, model)
    run = count_reads(
        paths,
        AnnotationOptions(str(sample.annotation), additional_attributes=("gene_name",)),
        options=sample.options,
        bias=bias,
    )
    counted = [est.counted(run, number, 0.0) for number in range(len(paths))]
    gains = [one.gain for one in counted]
    if not gate:
        samples = [
            est.Sample(path, sample.annotation, sample.genome, sample.stranded) for path in paths
        ]
        counted = [
            est.count_ungated(one, fitted.model)
            for one, fitted in zip(samples, run.bias, strict=True)
        ]
    size = len(REPLICATES)
    counts = {
        estimate: {
            condition: np.stack(
                [one.columns[column] for one in counted[number * size : (number + 1) * size]]
            )
            for number, condition in enumerate(CONDITIONS)
        }
        for estimate, column in COLUMNS.items()
    }
    features = run.annotation.features
    names = tuple(features.attributes["gene_name"])
    return Cohort(names, counts, sum(one.applied for one in counted), gains)


def true_changes(names: Sequence[str]) -> NDArray[np.float64]:
    """Return log2(UHR / HBR) of the SEQC counts, normalised by their totals.

    NaN for genes that are missing from the table or have fewer than 100 reads in it.
    """
    table = est.read_table(rep.data_folder() / FOLDER / TRUTH)
    known = {}
    for symbol, change, first, second in zip(
        table["Symbol"], table["log2_UHR_over_HBR"], table["A_sum"], table["B_sum"], strict=True
    ):
        if min(float(first), float(second)) >= 100:
            known[symbol] = float(change)
    return np.array([known.get(name, np.nan) for name in names])


def changes(
    cohort: Cohort,
    estimate: str,
    totals: dict[str, float],
    drawn: dict[str, NDArray[np.int64]] | None = None,
) -> NDArray[np.float64]:
    """Return log2 fold changes of the summed replicates, with half a fragment added.

    ``drawn``: condition → indices of the replicates to sum; by default all of them, once.
    """
    sums = {}
    for condition, counts in cohort.counts[estimate].items():
        rows = counts if drawn is None else counts[drawn[condition]]
        sums[condition] = (rows.sum(axis=0) + 0.5) / totals[condition]
    return np.log2(sums["UHR"] / sums["HBR"])


def judge(cohort: Cohort, fewest: float, rng: np.random.Generator) -> dict[str, Any]:
    """Compare fold changes with the truth.

    Only genes with ``fewest`` raw fragments over the replicates of each condition are compared.
    """
    truth = true_changes(cohort.names)
    raw = cohort.counts["raw"]
    kept = np.isfinite(truth) & np.all(
        [counts.sum(axis=0) >= fewest for counts in raw.values()], axis=0
    )
    totals = {condition: float(counts.sum()) for condition, counts in raw.items()}
    whole = {name: changes(cohort, name, totals) for name in COLUMNS}
    # compare_with_truth takes logarithms itself, so it gets ratios rather than log fold changes.
    ratios = {name: np.exp2(values) for name, values in whole.items()}
    agreement = compare_with_truth(
        np.where(kept, np.exp2(np.where(kept, truth, 0.0)), np.nan), ratios, rng
    )
    size = len(REPLICATES)
    draws = [{name: rng.integers(0, size, size) for name in CONDITIONS} for _ in range(1000)]
    errors = {
        name: np.std([changes(cohort, name, totals, drawn)[kept] for drawn in draws], axis=0)
        for name in COLUMNS
    }
    genes = [
        {
            "gene": cohort.names[row],
            "truth": truth[row],
            "fragments": [int(counts[:, row].sum()) for counts in raw.values()],
            "found": {name: whole[name][row] for name in COLUMNS},
            "error": {name: errors[name][place] for name in COLUMNS},
        }
        for place, row in enumerate(np.flatnonzero(kept))
    ]
    return {
        "genes": genes,
        "of": {
            name: {measure: bounds(one) for measure, one in measures.items()}
            for name, measures in agreement.of.items()
        },
        "minus_raw": {
            name: {measure: bounds(one) for measure, one in measures.items()}
            for name, measures in agreement.minus_raw.items()
        },
        "applied": cohort.applied,
        "gain": cohort.gain,
    }


def bounds(one: Interval) -> list[float]:
    """Return the value of an interval with its lower and upper bound."""
    return [one.value, one.low, one.high]


# -- tables and figure -----------------------------------------------------------------------------


def gene_table(judged: dict[str, Any]) -> str:
    rows = [["gene", "fragments UHR / HBR", "SEQC", *COLUMNS]]
    for gene in judged["genes"]:
        cells = [
            rep.minus(f"{gene['found'][name]:+.2f} ± {gene['error'][name]:.2f}") for name in COLUMNS
        ]
        rows.append(
            [
                gene["gene"],
                " / ".join(map(str, gene["fragments"])),
                rep.minus(f"{gene['truth']:+.2f}"),
                *cells,
            ]
        )
    return rep.markdown(rows)


def summary_table(by_model: dict[str, dict[str, Any]]) -> str:
    """Format Pearson and RMSE with their intervals, and the differences from raw."""
    rows = [["model", "used in", "counts", "Pearson", "RMSE log2", "RMSE − raw"]]
    for model, judged in by_model.items():
        for name in COLUMNS:
            if name == "raw" and len(rows) > 1:
                continue
            own = judged["of"][name]
            cells = [f"{own['pearson'][0]:.2f} ({rep.interval(*own['pearson'][1:])})"]
            cells.append("{:.3f} ({:.2f} … {:.2f})".format(*own["rmse"]))
            less = judged["minus_raw"].get(name)
            if less is None:
                cells.append("")
            else:
                difference = rep.minus(format(less["rmse"][0], "+.3f"))
                cells.append(f"{difference} ({rep.interval(*less['rmse'][1:], 3)})")
            used = f"{judged['applied']} of {2 * len(REPLICATES)}"
            rows.append(
                ["" if name == "raw" else model, "" if name == "raw" else used, name, *cells]
            )
    return rep.markdown(rows)


def report(by_model: dict[str, dict[str, Any]]) -> str:
    parts = ["### Agreement with SEQC", summary_table(by_model)]
    for model, judged in by_model.items():
        if judged["applied"]:
            parts += [f"### Genes, {model}", gene_table(judged)]
    return "\n\n".join(parts)


def draw(by_model: dict[str, dict[str, Any]], folder: Path) -> Path:
    """Plot the estimated fold changes against those of SEQC, one panel per model."""
    chosen = {model: judged for model, judged in by_model.items() if judged["applied"]}
    figure, panels = rep.canvas(4.2 * max(1, len(chosen)), 3.9, max(1, len(chosen)))
    for panel, (model, judged) in zip(panels, chosen.items(), strict=False):
        for number, name in enumerate(COLUMNS):
            x = np.array([gene["truth"] for gene in judged["genes"]]) + 0.04 * (number - 1)
            y = [gene["found"][name] for gene in judged["genes"]]
            errors = [gene["error"][name] for gene in judged["genes"]]
            panel.errorbar(
                x,
                y,
                yerr=errors,
                fmt="o",
                markersize=4,
                linewidth=1,
                color=rep.COLOURS[number],
                label=name,
            )
        panel.axline((0, 0), slope=1, color=rep.GREY, linewidth=0.8)
        panel.set(
            title=model, xlabel="log2 UHR / HBR, SEQC", ylabel="log2 UHR / HBR, these samples"
        )
    panels[0].legend(fontsize=8)
    return rep.save_figure(figure, folder, "maqc")


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for("Compare fold changes of UHR and HBR with deep sequencing.")
    parser.add_argument(
        "--models",
        type=rep.names,
        default="heptamer",
        help="bias models, or model files [%(default)s]",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed [%(default)s]")
    parser.add_argument(
        "--fewest",
        type=float,
        default=10,
        help="minimum fragments of a gene in each condition [%(default)s]",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if not (rep.data_folder() / FOLDER).is_dir():
        rep.log(f"error: no real data at {rep.data_folder()} (set COUNTERBIAS_DATA)")
        return 1
    by_model = {}
    for model in arguments.models:
        for gate in (True, False):
            cohort = count_cohort(model, arguments, gate=gate)
            label = Path(model).stem + ("" if gate else ", ungated")
            by_model[label] = judge(
                cohort, arguments.fewest, np.random.default_rng([arguments.seed, 7])
            )
    rep.write_json(arguments.json, SCRIPT, argv, {"models": by_model})
    print(report(by_model))
    if arguments.figures is not None:
        print(f"\nfigure: {draw(by_model, arguments.figures).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
