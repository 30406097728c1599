"""Simulated truth: error of raw, weighted and corrected counts, by depth and gene length.

    python benchmarks/validation/simulated.py --json simulated.json --figures docs/images/validation

For each seed, a genome, genes, abundances and a priming bias are drawn at random, and from these,
samples of several depths and one without bias. Every model learns from the reads alone. There are
two limits: the true bias, to which the same formulas are applied, and chance, the sampling error of
the fragments. docs/explanation/validation.md has the results.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import estimates as est
import numpy as np
import reporting as rep
from numpy.typing import NDArray

from counterbias import InputError, load_model, simulation
from counterbias.evaluation.agreement import compare_with_truth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RAW, TRUE, CHANCE = "raw", est.TRUE, "chance"
#: Class of gene length → bounds, bases.
LENGTHS = {
    "all": (0, 10**9),
    "below 1 kb": (0, 1000),
    "1 to 2 kb": (1000, 2000),
    "2 kb and more": (2000, 10**9),
}
SCRIPT = "simulated.py"


@dataclass(frozen=True)
class World:
    """What all samples of one seed share."""

    genome: simulation.Genome
    genes: simulation.GeneModels
    abundance: NDArray[np.float64]
    bias: simulation.PrimingBias | simulation.ScoredBias
    seed: int

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the true log bias of windows, nats."""
        return est.true_log_bias(self.bias)(contexts)


@dataclass(frozen=True)
class Case:
    """One sample: its seed, read pairs, and whether there is a bias."""

    seed: int
    pairs: int
    biased: bool

    def key(self) -> dict[str, Any]:
        """Return what distinguishes the case from all others."""
        return {"seed": self.seed, "pairs": self.pairs, "biased": self.biased}


def make_world(seed: int, genes: int, strength: float, model: Path | None = None) -> World:
    """Draw genome, genes, abundance and bias, as the demo does.

    With ``model``, the bias is that of a model file instead.
    """
    rng = np.random.default_rng([seed, 1])
    lengths = {f"chr{number}": max(60_000, genes * 2500) for number in range(1, 5)}
    genome = simulation.simulate_genome(rng, lengths, isochore=20_000)
    models = simulation.simulate_annotation(
        rng, lengths, genes, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias: simulation.PrimingBias | simulation.ScoredBias = simulation.simulate_priming_bias(
        rng, strength=strength
    )
    if model is not None:
        fitted = load_model(model)
        bias = simulation.ScoredBias(fitted.window, fitted.ends[0].log_bias)
    return World(genome, models, simulation.simulate_abundance(rng, models, spread=1.0), bias, seed)


def write_world(world: World, folder: Path) -> None:
    simulation.write_fasta(folder / "genome.fa", world.genome)
    simulation.write_gtf(folder / "genes.gtf", world.genes)


def draw_sample(
    world: World, case: Case, folder: Path, *, paired: bool = True, duplicates: float = 0.0
) -> tuple[est.Sample, simulation.Truth]:
    """Draw the reads of a case and write them to the folder of the world's files."""
    rng = np.random.default_rng([case.seed, 2, case.pairs, case.biased])
    library = simulation.Library(
        case.pairs, read_length=50, error_rate=0.002, paired=paired, duplicates=duplicates
    )
    reads = simulation.simulate_reads(
        rng,
        world.genome,
        world.genes,
        world.abundance,
        library,
        world.bias if case.biased else None,
    )
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    return est.Sample(folder / "reads.bam", folder / "genes.gtf", folder / "genome.fa"), reads.truth


def chance(truth: simulation.Truth) -> NDArray[np.float64]:
    """Return the fragments drawn per base, divided by each gene's true mean bias.

    Their only error is the sampling of fragments.
    """
    return np.divide(truth.fragments, truth.mean_bias * truth.length)


def densities(counted: est.Counted, truth: simulation.Truth, estimate: str) -> NDArray[np.float64]:
    return est.in_order(counted.ids, truth.gene_ids, counted.density(estimate))


def judge(
    found: dict[str, NDArray[np.float64]], truth: simulation.Truth, fewest: float, seed: int
) -> list[dict[str, Any]]:
    """Compare estimates with the truth in each class of gene length.

    Only genes with ``fewest`` expected fragments are compared.
    """
    rows = []
    for label, (low, high) in LENGTHS.items():
        kept = (truth.unbiased_fragments >= fewest) & (truth.length >= low) & (truth.length < high)
        wanted = np.where(kept, truth.unbiased_fragments / truth.length, np.nan)
        agreement = compare_with_truth(
            wanted, found, np.random.default_rng([seed, 3]), resamples=200
        )
        for name, values in agreement.of.items():
            less = agreement.minus_raw.get(name)
            rows.append(
                {
                    "length": label,
                    "estimate": name,
                    "genes": agreement.features,
                    **{measure: one.value for measure, one in values.items()},
                    "rmse_minus_raw": None if less is None else less["rmse"].value,
                    "interval": None if less is None else [less["rmse"].low, less["rmse"].high],
                }
            )
    return rows


def run_model(
    sample: est.Sample, world: World, case: Case, model: str, threads: int
) -> est.Counted:
    if model == TRUE:
        return est.count_with_truth(sample, world.bias.window, world.log_bias, threads=threads)
    return est.count_with(sample, model, est.Training(seed=case.seed, threads=threads))


def measure_case(
    world: World, case: Case, models: Sequence[str], folder: Path, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Draw a sample, count it with every model, and evaluate each of them."""
    sample, truth = draw_sample(
        world, case, folder, paired=not arguments.single, duplicates=arguments.duplicates
    )
    rows = []
    for model in models:
        try:
            counted = run_model(sample, world, case, model, arguments.threads)
        except InputError as problem:
            rep.log(f"{model}: not measured: {problem}")
            continue
        found = {name: densities(counted, truth, name) for name in est.DENSITIES}
        found[CHANCE] = chance(truth)
        judged = judge(found, truth, arguments.fewest, case.seed)
        removed, left = (
            share_removed(found, truth, arguments.fewest) if case.biased else (None, None)
        )
        about = {name: getattr(counted, name) for name in ("applied", "gain", "slope", "seconds")}
        about |= {
            "removed": removed,
            "left": left,
            "spread_of_bias": spread_of_bias(truth, arguments.fewest),
        }
        rows.append({**case.key(), "model": model, **about, "judged": judged})
        shown = {one["estimate"]: round(one["rmse"], 3) for one in judged if one["length"] == "all"}
        condition = "biased" if case.biased else "unbiased"
        rep.log(f"seed {case.seed}, {case.pairs:,} pairs, {condition}, {model}: {shown}")
    return rows


def share_removed(
    found: dict[str, NDArray[np.float64]], truth: simulation.Truth, fewest: float
) -> tuple[float | None, float | None]:
    """Measure how much of the genes' bias the correction removes, and how much remains.

    Returns the slope of log2(corrected / raw) on −log2 of the true mean bias (1: all of it is
    removed; less: undercorrection), and the standard deviation of the difference between the two.
    The sampling of reads affects neither. Both are None with fewer than three genes.
    """
    kept = (truth.unbiased_fragments >= fewest) & (found["raw"] > 0) & (found["corrected"] > 0)
    if kept.sum() < 3:
        return None, None
    moved, wanted = (
        np.log2(found["corrected"][kept] / found["raw"][kept]),
        -np.log2(truth.mean_bias[kept]),
    )
    wanted -= wanted.mean()
    return float((moved * wanted).sum() / (wanted**2).sum()), float((moved - wanted).std())


def spread_of_bias(truth: simulation.Truth, fewest: float) -> float:
    """Return the standard deviation of the genes' log2 mean bias.

    This is the part of the error that a model can remove.
    """
    return float(np.log2(truth.mean_bias[truth.unbiased_fragments >= fewest]).std())


def cases_of(arguments: argparse.Namespace, seed: int) -> list[Case]:
    biased = [Case(seed, pairs, True) for pairs in arguments.pairs]
    return [*biased, *(Case(seed, pairs, False) for pairs in arguments.null)]


def measure(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Run every case that is not in the rows yet."""
    done = {(row["seed"], row["pairs"], row["biased"], row["model"]) for row in rows}
    for seed in arguments.seeds:
        world = make_world(seed, arguments.genes, arguments.strength, arguments.bias)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_world(world, folder)
            for case in cases_of(arguments, seed):
                every = [*arguments.models, TRUE] if case.biased else arguments.models
                models = [model for model in every if (*case.key().values(), model) not in done]
                if models:
                    rows += measure_case(world, case, models, folder, arguments)


# -- tables ----------------------------------------------------------------------------------------


def pick(
    rows: list[dict[str, Any]], model: str | None, estimate: str, length: str, **case: Any
) -> list[dict[str, Any]]:
    """Select the evaluations of one estimate with a model.

    Where the model does not matter (raw, chance), ``model`` is None, and the first of each sample
    is selected.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        if (model is None or row["model"] == model) and all(
            row[name] == value for name, value in case.items()
        ):
            judged = next(
                one
                for one in row["judged"]
                if (one["estimate"], one["length"]) == (estimate, length)
            )
            found.setdefault((row["seed"], row["pairs"], row["biased"]), judged)
    return list(found.values())


def lines_of(rows: list[dict[str, Any]]) -> list[tuple[str, str | None, str]]:
    """Return the rows of a table: label, model and estimate."""
    models = list(dict.fromkeys(row["model"] for row in rows if row["model"] != TRUE))
    ordered = [*models, *([TRUE] if any(row["model"] == TRUE for row in rows) else [])]
    lines: list[tuple[str, str | None, str]] = [(RAW, None, RAW)]
    for estimate in ("weighted", "corrected"):
        lines += [(f"{estimate}, {model}", model, estimate) for model in ordered]
    return [*lines, (CHANCE, None, CHANCE)]


def table(
    rows: list[dict[str, Any]], columns: dict[str, dict[str, Any]], *, difference: bool = False
) -> str:
    """Format the RMSE of log2, a row per estimate; ``columns``: heading → case and length."""
    laid = [["RMSE log2" + (" − raw" if difference else ""), *columns]]
    for label, model, estimate in lines_of(rows):
        cells = []
        for column in columns.values():
            found = pick(rows, model, estimate, **column)
            name = "rmse_minus_raw" if difference else "rmse"
            cells.append(rep.mean(one[name] for one in found).text(sign=difference))
        if not (difference and estimate in (RAW, CHANCE)):
            laid.append([label, *cells])
    if not difference:
        numbers = [
            rep.mean(one["genes"] for one in pick(rows, None, RAW, **column)).value
            for column in columns.values()
        ]
        laid.append(["genes", *(f"{number:.0f}" for number in numbers)])
    return rep.markdown(laid)


def by_depth(rows: list[dict[str, Any]], length: str = "all") -> dict[str, dict[str, Any]]:
    depths = sorted({row["pairs"] for row in rows if row["biased"]})
    return {
        f"{pairs:,} pairs": {"pairs": pairs, "biased": True, "length": length} for pairs in depths
    }


def by_length(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    depths = sorted({row["pairs"] for row in rows if row["biased"]})
    return {
        length: {"pairs": depths[-1], "biased": True, "length": length}
        for length in LENGTHS
        if length != "all"
    }


def gate_table(rows: list[dict[str, Any]]) -> str:
    """Format, for each model, the gain, the bias removed and left, the gate, and the longest time.

    Bias removed is a fraction of the genes' bias; what is left is an SD of log2.
    """
    depths = sorted({row["pairs"] for row in rows if row["biased"]})
    headings = [
        f"{name}, {pairs:,} pairs"
        for name in ("gain", "bias removed", "bias left")
        for pairs in depths
    ]
    laid = [["model", *headings, "used, biased", "used, unbiased", "s"]]
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        cells = []
        for name, digits in (("gain", 2), ("removed", 2), ("left", 3)):
            cells += [
                rep.mean(row[name] for row in own if row["pairs"] == pairs and row["biased"]).text(
                    digits
                )
                for pairs in depths
            ]
        if model == TRUE:
            laid.append([model, *cells, "", "", ""])
            continue
        for biased in (True, False):
            used = [row["applied"] for row in own if row["biased"] == biased]
            cells.append(f"{sum(used)} of {len(used)}")
        laid.append([model, *cells, f"{max(row['seconds'] for row in own):.0f}"])
    return rep.markdown(laid)


def report(rows: list[dict[str, Any]]) -> str:
    spread = rep.mean(
        {
            (row["seed"], row["pairs"]): row["spread_of_bias"] for row in rows if row["biased"]
        }.values()
    )
    parts = [
        f"Standard deviation of the genes' log2 mean bias: {spread.text()}.",
        "### By depth",
        table(rows, by_depth(rows)),
    ]
    parts += ["### By depth, difference to raw", table(rows, by_depth(rows), difference=True)]
    parts += [
        "### By gene length, deepest samples, difference to raw",
        table(rows, by_length(rows), difference=True),
    ]
    parts += ["### By gene length, deepest samples", table(rows, by_length(rows))]
    null = sorted({row["pairs"] for row in rows if not row["biased"]})
    if null:
        columns = {
            f"{pairs:,} pairs": {"pairs": pairs, "biased": False, "length": "all"} for pairs in null
        }
        parts += ["### Without bias", table([row for row in rows if not row["biased"]], columns)]
    return "\n\n".join(
        [*parts, "### Gain, part of the bias that is removed, gate", gate_table(rows)]
    )


# -- figure ----------------------------------------------------------------------------------------


def draw(rows: list[dict[str, Any]], folder: Path, name: str) -> Path:
    """Plot the error of corrected and weighted counts, and the bias removed, by depth."""
    figure, panels = rep.canvas(12, 3.8, 3)
    depths = sorted({row["pairs"] for row in rows if row["biased"]})
    for panel, estimate in zip(panels, ("corrected", "weighted"), strict=False):
        draw_errors(panel, rows, estimate, depths)
    draw_removed(panels[2], rows, depths)
    for panel in panels:
        panel.set(xlabel="read pairs", xscale="log")
        panel.set_xticks(depths, [f"{pairs:,}" for pairs in depths], minor=False)
        panel.minorticks_off()
    for panel in panels[:2]:
        panel.set_ylim(0, max(one.get_ylim()[1] for one in panels[:2]))
    panels[0].set_ylabel("RMSE of log2 abundance")
    panels[1].legend(fontsize=8, ncols=2)
    return rep.save_figure(figure, folder, name)


def style_of(rows: list[dict[str, Any]], label: str, model: str | None) -> dict[str, Any]:
    """Return the style of a line: a colour per model; the others are black or grey."""
    models = list(dict.fromkeys(row["model"] for row in rows if row["model"] != TRUE))
    known = {RAW: ("black", "-"), CHANCE: (rep.GREY, ":")}
    fitted = (
        ("black", "--")
        if model == TRUE
        else (dict(zip(models, rep.COLOURS, strict=False)).get(str(model)), "-")
    )
    colour, line = known.get(label, fitted)
    return {
        "color": colour,
        "linestyle": line,
        "marker": "o",
        "markersize": 3,
        "label": label if model is None else model,
    }


def draw_errors(panel: Axes, rows: list[dict[str, Any]], shown: str, depths: list[int]) -> None:
    """Plot the error of one estimate with all models, and the limits."""
    for label, model, estimate in lines_of(rows):
        if estimate in (shown, RAW, CHANCE):
            found = [
                rep.mean(one["rmse"] for one in pick(rows, model, estimate, **case))
                for case in by_depth(rows).values()
            ]
            values, errors = (
                [one.value for one in found],
                [np.nan_to_num(one.error) for one in found],
            )
            panel.errorbar(depths, values, yerr=errors, **style_of(rows, label, model))
    panel.set_title(shown)


def draw_removed(panel: Axes, rows: list[dict[str, Any]], depths: list[int]) -> None:
    """Plot the fraction of the genes' bias that is removed from corrected counts."""
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model and row["biased"]]
        found = [
            rep.mean(row["removed"] for row in own if row["pairs"] == pairs) for pairs in depths
        ]
        values, errors = [one.value for one in found], [np.nan_to_num(one.error) for one in found]
        panel.errorbar(depths, values, yerr=errors, **style_of(rows, model, model))
    panel.set(title="part of the genes' bias that is removed", ylim=(0, 1.1))


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for("Compare raw, weighted and corrected counts with simulated truth.")
    parser.add_argument(
        "--models",
        type=rep.names,
        default="pwm,heptamer,vlmm,bayesnet,cnn",
        help="bias models [%(default)s]",
    )
    parser.add_argument(
        "--pairs",
        type=rep.whole_numbers,
        default="20000,100000,400000",
        help="read pairs per sample [%(default)s]",
    )
    parser.add_argument(
        "--null",
        type=rep.whole_numbers,
        default="100000",
        help="read pairs of samples without bias [%(default)s]",
    )
    parser.add_argument(
        "--seeds", type=rep.whole_numbers, default="1,2,3", help="seeds [%(default)s]"
    )
    parser.add_argument("--genes", type=int, default=400, help="genes [%(default)s]")
    parser.add_argument(
        "--strength",
        type=float,
        default=0.9,
        help="standard deviation of the log bias, nats [%(default)s]",
    )
    parser.add_argument(
        "--bias",
        type=Path,
        metavar="FILE",
        help="simulate the bias of this model file instead of a random one",
    )
    parser.add_argument("--single", action="store_true", help="single-end reads, not pairs")
    parser.add_argument(
        "--duplicates",
        type=float,
        default=0.0,
        metavar="RATE",
        help="fraction of the fragments that are duplicates [%(default)s]",
    )
    parser.add_argument(
        "--fewest",
        type=float,
        default=50,
        help="minimum expected fragments of a gene [%(default)s]",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the rows in the --json file and add the missing ones",
    )
    arguments = parser.parse_args(argv)
    if arguments.resume and arguments.json is None:
        parser.error("--resume needs --json")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    settings = {
        name: getattr(arguments, name)
        for name in ("genes", "strength", "fewest", "single", "duplicates")
    }
    settings["bias"] = None if arguments.bias is None else arguments.bias.name
    rows = rep.resumed(arguments, settings, "rows")
    if rows is None:
        return 1
    measure(arguments, rows)
    rep.write_json(arguments.json, SCRIPT, argv, {"settings": settings, "rows": rows})
    print(report(rows))
    if arguments.figures is not None:
        name = "simulated" if arguments.bias is None else f"simulated_{arguments.bias.stem}"
        print(f"\nfigure: {draw(rows, arguments.figures, name).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
