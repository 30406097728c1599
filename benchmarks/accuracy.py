"""Train every bias model on four fifths of a genome and evaluate it on the rest.

    python benchmarks/accuracy.py --models pwm,cnn --folds 1,2,3,4 --seeds 1,2 --json accuracy.json

docs/explanation/accuracy.md describes the measures and has the results. The data are those of
COUNTERBIAS_DATA.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from counterbias.annotation import load_annotation
from counterbias.errors import InputError
from counterbias.evaluation.reliability import reliability
from counterbias.evaluation.trial_means import Mean, paired_difference, summarise, value_of
from counterbias.genome import Genome
from counterbias.options import AnnotationOptions, CountingOptions
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.compare.candidates import find_candidates, parse_extra
from counterbias.pipeline.compare.evaluation import (
    FoldSample,
    Trial,
    evaluate_backend,
    evaluate_scores,
    fold_sample,
    gene_changes,
)
from counterbias.pipeline.counting import count_alignments
from counterbias.plugins import Manager, load_plugins
from counterbias.records import (
    CLIPPED,
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Positions,
    StartSites,
    Window,
)

#: Name → folder and alignment file of the real data sets.
DATASETS = {
    "fly": ("fly_pasilla_chr4", "reads.bam"),
    "isowt5": ("yeast", "isowt5.bam"),
    "isowt6": ("yeast", "isowt6.bam"),
    "rlp5": ("yeast", "rlp5.bam"),
    "unbiased": ("yeast", "unbiased.bam"),
}
#: The log bias that the R package seqbias predicted for held-out positions of ``fly``.
SEQBIAS_FILE = "seqbias_heldout_log_bias.npz"
NONE, SEQBIAS = "none", "seqbias"
REFERENCES = (NONE, SEQBIAS)

#: Columns of the two tables: heading, name of the measure, digits.
ACCURACY = (
    ("gain uniq", "gain_uniq", 3),
    ("gain cap5", "gain_cap5", 3),
    ("gain all", "gain_all", 3),
    ("slope", "reliability_slope", 2),
    ("R²", "r2", 3),
    ("AUC", "auc", 3),
    ("log loss", "log_loss", 3),
)
WEIGHTS = (
    ("ESS", "ess", 2),
    ("max/mean", "max_over_mean", 1),
    ("KL k=1", "kl1_after", 4),
    ("KL k=3", "kl3_after", 3),
    ("halves, weighted", "half_weighted", 3),
    ("halves, effective length", "half_effective", 3),
)


@dataclass(frozen=True)
class Row:
    """A row of the table: a label and, unless it is one of the references, a model."""

    label: str
    choice: ModelChoice | None = None


@dataclass
class Result:
    """Everything that was measured on one data set, trial by trial."""

    data: str
    trials: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def data_folder() -> Path:
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("COUNTERBIAS_DATA", default))


# -- samples ---------------------------------------------------------------------------------------


def uniquely_aligned(path: Path) -> StartSites:
    """Return the start of every primary alignment with NH 1, in a feature or not."""
    import pysam

    rows = []
    with pysam.AlignmentFile(str(path)) as file:
        contigs, lengths = file.references, file.lengths
        for read in file:
            if (
                read.is_unmapped
                or read.is_secondary
                or read.is_supplementary
                or (read.has_tag("NH") and read.get_tag("NH") != 1)
            ):
                continue
            reverse = read.is_reverse
            clipped = read.cigartuples[-1 if reverse else 0][0] in (4, 5)
            bits = PRESENT | (REVERSE if reverse else 0) | (CLIPPED if clipped else TRAINABLE)
            rows.append(
                (
                    read.reference_id,
                    read.reference_end - 1 if reverse else read.reference_start,
                    bits,
                )
            )
    table = np.array(rows, np.int64).reshape(-1, 3)
    end = EndSites(
        table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2].astype(np.uint8)
    )
    return StartSites(tuple(contigs), tuple(lengths), np.zeros(len(table), np.int32), None, (end,))


def load_sample(name: str, reads: str) -> FoldSample:
    """Read a real data set.

    ``reads``: ``unique`` for all uniquely aligned reads, ``assigned`` for those counted for a
    feature.
    """
    folder, file = DATASETS[name]
    root = data_folder() / folder
    gtf = str(root / "genes.gtf")
    genes = load_annotation(AnnotationOptions(gtf), stranded=False)
    by_transcript = AnnotationOptions(gtf, id_attributes=("gene_id", "transcript_id"))
    transcripts = load_annotation(by_transcript, stranded=False)
    if reads == "assigned":
        sites = count_alignments(
            str(root / file), genes, CountingOptions(order="pos", stranded="no"), want_sites=True
        ).sites
        assert sites is not None
    else:
        sites = uniquely_aligned(root / file)
    return fold_sample(sites, genes.features, transcripts.features, Genome(str(root / "genome.fa")))


def seqbias_scores(sample: FoldSample) -> Callable[[Positions], np.ndarray]:
    """Return a function that looks up positions of ``fly`` in the stored log bias of seqbias."""
    folder = data_folder() / DATASETS["fly"][0]
    stored = np.load(folder / SEQBIAS_FILE)["log_bias"].astype(np.float64)
    contig = sample.sites.contigs.index("chr4")

    def look_up(positions: Positions) -> np.ndarray:
        known = (positions.contig == contig) & (positions.position < stored.shape[1])
        return np.where(
            known,
            stored[positions.strand, np.minimum(positions.position, stored.shape[1] - 1)],
            np.nan,
        )

    return look_up


# -- trials ----------------------------------------------------------------------------------------


def choose_rows(
    arguments: argparse.Namespace, manager: Manager
) -> tuple[list[Row], dict[str, str]]:
    """Return the table's rows, and label → reason for models that cannot be trained."""
    labels = arguments.models.split(",") if arguments.models else []
    found = find_candidates(
        labels, [Window.parse(arguments.window)], manager, extra=parse_extra(arguments.option)
    )
    rows = [Row(NONE)] + ([Row(SEQBIAS)] if "fly" in arguments.data else [])
    rows += [Row(one.label, one.choice) for one in found if one.choice is not None]
    return rows, {one.label: one.reason for one in found if one.choice is None}


def run_trial(
    row: Row, sample: FoldSample, trial: Trial, *, window: Window, threads: int, null: bool
) -> dict[str, Any]:
    """Measure one row in one fold with one seed."""
    measured: dict[str, Any] = {
        "label": row.label,
        "fold": trial.fold,
        "seed": trial.seed,
        "starts": trial.starts,
        "null": trial.null,
    }
    if row.choice is None:
        scores = (
            seqbias_scores(sample)
            if row.label == SEQBIAS
            else lambda positions: np.zeros(len(positions))
        )
        values = asdict(evaluate_scores(scores, sample, trial.fold, window))
        held_out = sample.held_out(trial.fold)
        slope = reliability(scores(held_out.positions()), held_out).slope
        return {**measured, "values": plain({**values, "reliability_slope": slope})}
    found = evaluate_backend(row.choice, sample, trial, threads=threads)
    # Reliability is that of the model as a counting run applies it, with gate and slope.
    measured["values"] = plain(
        {**asdict(found.accuracy), "reliability_slope": found.reliability.slope}
    )
    measured["perplexity"] = plain(dict(found.report.perplexity))
    measured["parameters"] = found.report.parameters
    measured["fit_seconds"] = found.report.seconds
    measured["windows_per_second"] = found.windows_per_second
    measured["training"], measured["validation"] = found.training, found.validation
    measured["spread"], measured["calibrated_cap5"] = found.spread, found.calibrated_cap5
    measured["calibration"] = plain(
        {
            name: getattr(found.calibration, name)
            for name in ("applied", "slope", "gain", "gain_error", "reason")
        }
    )
    if null:
        changes = gene_changes(found.model, found.calibration, sample, window, threads=threads)
        measured["genes"] = len(changes["used"])
        measured["largest_change"] = {
            name: float(np.abs(factors - 1).max()) for name, factors in changes.items()
        }
    return measured


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Replace numbers that JSON cannot represent (NaN, infinity) by None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def trials_of(arguments: argparse.Namespace, row: Row) -> Iterator[Trial]:
    """Yield the trials of a row."""
    folds, seeds = whole_numbers(arguments.folds), whole_numbers(arguments.seeds)
    for fold in folds:
        if row.choice is None:
            yield Trial(fold)
            continue
        for seed in seeds:
            for starts in whole_numbers(arguments.learning_curve) or [None]:
                yield Trial(fold, seed, starts, arguments.null, arguments.sampling)


def measure(
    arguments: argparse.Namespace,
    data: str,
    rows: list[Row],
    result: Result,
    save: Callable[[], None],
) -> None:
    """Run all trials of one data set that are not in the result yet."""
    sample = load_sample(data, arguments.reads)
    log(
        f"{data}: {len(sample.starts):,} distinct starts, {len(sample.units)} units, "
        f"blocks of {sample.block:,} bases"
    )
    window = Window.parse(arguments.window)
    done = {key(trial) for trial in result.trials}
    for row in rows:
        if row.label == SEQBIAS and data != "fly":
            continue
        for trial in trials_of(arguments, row):
            if key({"label": row.label, **asdict(trial)}) in done:
                continue
            began = time.perf_counter()
            try:
                measured = run_trial(
                    row,
                    sample,
                    trial,
                    window=window,
                    threads=arguments.threads,
                    null=arguments.null,
                )
            except (InputError, RuntimeError, ValueError, FloatingPointError) as problem:
                result.failures[row.label] = f"{type(problem).__name__}: {problem}"
                log(f"{row.label}: {result.failures[row.label]}")
                break
            result.trials.append(measured)
            gain = measured["values"]["gain_cap5"]
            size = "" if trial.starts is None else f" starts {trial.starts}"
            shown = "–" if gain is None else f"{gain:.3f}"
            seconds = time.perf_counter() - began
            log(
                f"{data} {row.label} fold {trial.fold} seed {trial.seed}{size}: "
                f"cap5 {shown} ({seconds:.1f} s)"
            )
            save()


def key(trial: dict[str, Any]) -> tuple[Any, ...]:
    """Return what distinguishes a trial from all others."""
    return tuple(trial[name] for name in ("label", "fold", "seed", "starts", "null"))


# -- summaries -------------------------------------------------------------------------------------


def table(result: Result) -> str:
    """Format the measures as two Markdown tables."""
    labels = list(dict.fromkeys(trial["label"] for trial in result.trials))
    of = {label: [trial for trial in result.trials if trial["label"] == label] for label in labels}
    first, second = (
        ["model", *(column[0] for column in ACCURACY)],
        ["model", *(column[0] for column in WEIGHTS)],
    )
    if SEQBIAS in of:
        first.append("cap5 − seqbias")
    upper, lower = [first], [[*second, "perplexity", "parameters", "fit s", "windows/s"]]
    for label, trials in of.items():
        cells = [
            with_error(
                summarise(trials, lambda trial, name=name: trial["values"].get(name)), digits
            )
            for _, name, digits in ACCURACY
        ]
        if SEQBIAS in of:
            cells.append(
                ""
                if label == SEQBIAS
                else with_error(paired_difference(trials, of[SEQBIAS]), 3, sign=True)
            )
        upper.append([label, *cells])
        cost = ["", "", "", ""]
        if "parameters" in trials[0]:
            cost = [
                perplexities(trials),
                f"{np.median([trial['parameters'] for trial in trials]):,.0f}",
            ]
            cost += [f"{np.mean([trial['fit_seconds'] for trial in trials]):.2f}"]
            cost += [quantity(max(trial["windows_per_second"] for trial in trials))]
        lower.append(
            [
                label,
                *(
                    with_error(summarise(trials, value_of(name)), digits)
                    for _, name, digits in WEIGHTS
                ),
                *cost,
            ]
        )
    lines = [markdown(upper), "", markdown(lower)]
    any_trials = next(iter(of.values()), [])
    before = [f"k={k} {summarise(any_trials, value_of(f'kl{k}_before')).value:.4f}" for k in (1, 3)]
    halves = f"{summarise(any_trials, value_of('half_raw')).value:.3f}"
    lines.append(f"\nBefore weighting: KL {', '.join(before)}; halves {halves}.")
    spreads = {
        label: summarise(trials, value_of("gain_cap5")).seeds for label, trials in of.items()
    }
    listed = [f"{label} {spread:.3f}" for label, spread in spreads.items() if math.isfinite(spread)]
    if listed:
        lines.append(f"Standard deviation of cap5 between seeds: {', '.join(listed)}.")
    return "\n".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table, the first row being its heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def curve_table(result: Result) -> str:
    """Format gain_cap5 by the number of starts."""
    trials = [trial for trial in result.trials if trial["label"] not in REFERENCES]
    sizes = sorted({trial["starts"] for trial in trials})
    rows = [["model", *(f"{size:,} starts" for size in sizes)]]
    for label in dict.fromkeys(trial["label"] for trial in trials):
        cells = []
        for size in sizes:
            own = [trial for trial in trials if (trial["label"], trial["starts"]) == (label, size)]
            as_fitted, as_used = (
                summarise(own, value_of("gain_cap5")),
                summarise(own, lambda trial: trial["calibrated_cap5"]),
            )
            cells.append(
                f"{with_error(Mean(as_fitted.value, math.nan, 0), 2)} / {with_error(as_used, 2)}"
            )
        rows.append([label, *cells])
    note = (
        "Each cell: gain cap5 of the model as fitted / as a counting run applies it (slope and "
        "gate) ± SE over folds."
    )
    return f"{markdown(rows)}\n\n{note}"


def null_table(result: Result) -> str:
    """Format what models learn from a sample without bias."""
    rows = [
        [
            "model",
            "starts",
            "SD of log2 b",
            "gate opened",
            "largest change, as used",
            "largest change, ungated",
        ]
    ]
    trials = [trial for trial in result.trials if trial["label"] not in REFERENCES]
    for label, size in dict.fromkeys((trial["label"], trial["starts"]) for trial in trials):
        own = [trial for trial in trials if (trial["label"], trial["starts"]) == (label, size)]
        opened = sum(trial["calibration"]["applied"] for trial in own)
        largest = {
            name: max(trial["largest_change"][name] for trial in own)
            for name in ("used", "ungated")
        }
        starts = "all" if size is None else f"{size:,}"
        spread = summarise(own, lambda trial: trial["spread"]).value
        cells = [
            label,
            starts,
            f"{spread:.3f}",
            f"{opened} of {len(own)}",
            f"{largest['used']:.1%}",
            f"{largest['ungated']:.1%}",
        ]
        rows.append(cells)
    genes = {trial["genes"] for trial in trials}
    return markdown(rows) + f"\n\nOver {min(genes, default=0)} genes with at least 100 reads."


def with_error(mean: Mean, digits: int, *, sign: bool = False) -> str:
    if not math.isfinite(mean.value):
        return "–"
    text = f"{mean.value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
    return text if not math.isfinite(mean.error) else f"{text} ± {mean.error:.{digits}f}"


def perplexities(trials: Sequence[dict[str, Any]]) -> str:
    names = list(trials[0]["perplexity"])
    return " / ".join(
        f"{summarise(trials, lambda trial, name=name: trial['perplexity'].get(name)).value:.3f}"
        for name in names
    )


def quantity(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e5 else f"{value:,.0f}"


# -- command line ----------------------------------------------------------------------------------


def whole_numbers(text: str | None) -> list[int]:
    return [int(part) for part in (text or "").split(",") if part]


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
        "--option",
        action="append",
        default=[],
        metavar="MODEL:KEY=VALUE",
        help="an option of one backend; repeatable",
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


def log(text: str) -> None:
    """Print progress or an error on stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options that all trials of a table must share."""
    return {
        name: getattr(arguments, name) for name in ("window", "sampling", "reads", "option", "null")
    }


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
