"""The columns of ``comparison.tsv`` and the measures of ``comparison.json``, with their meanings.

Files, figures and docs take them from here.
"""

from __future__ import annotations

from typing import NamedTuple

#: The tag and the schema version, major and minor, of comparison.json.
TAG, VERSION = "counterbias_comparison", (1, 1)

HIGHER, LOWER = "higher", "lower"


class Measure(NamedTuple):
    """A measure of a model in a sample, or of the sample itself.

    Args:
        name: its name in the files.
        title: its name in figures and docs.
        unit: its unit.
        better: which direction is better, or None.
        description: what it is.
    """

    name: str
    title: str
    unit: str
    better: str | None
    description: str


#: Numbers of the sample itself; the others are a model's.
_RAW = (
    *(
        Measure(
            f"kl{k}_before",
            f"KL before, k={k}",
            "bits",
            LOWER,
            f"divergence of {k}-mers around held-out starts from their units, unweighted",
        )
        for k in (1, 2, 3, 4)
    ),
    Measure(
        "half_raw",
        "Halves, raw",
        "log2",
        LOWER,
        "RMS log2 ratio of the densities of alternating 50-base blocks of a unit, reads as they "
        "are",
    ),
    Measure(
        "replicate_rmse_raw",
        "Replicates, raw",
        "log2",
        LOWER,
        "RMS log2 ratio of FPKM to the other samples of the group, scale removed, raw",
    ),
    Measure(
        "replicate_pearson_raw",
        "Replicate correlation, raw",
        "",
        HIGHER,
        "correlation of log2 FPKM with the other samples of the group, raw",
    ),
)

_TRIALS = (
    Measure(
        "gain_uniq",
        "Gain (distinct starts)",
        "bits/read",
        HIGHER,
        "held-out gain with reads per position capped at 1",
    ),
    Measure(
        "gain_cap5",
        "Gain (≤5 reads)",
        "bits/read",
        HIGHER,
        "held-out gain with reads per position capped at 5: the measure to compare by",
    ),
    Measure("gain_all", "Gain (all reads)", "bits/read", HIGHER, "held-out gain with all reads"),
    Measure(
        "gain_used",
        "Gain as used",
        "bits/read",
        HIGHER,
        "gain_cap5 after slope and gate; 0 where a count would not use the model",
    ),
    Measure(
        "gate_open",
        "Gate open",
        "share",
        HIGHER,
        "share of the trials in which a count would use the model",
    ),
    Measure(
        "reliability_slope",
        "Reliability slope",
        "",
        None,
        "what the log bias, as a count would use it, must be multiplied by to fit held-out reads "
        "best: 1 where its size is right",
    ),
    Measure(
        "behind_best",
        "Behind the best",
        "bits/read",
        LOWER,
        "gain_cap5 of the sample's best model minus this one's, paired by fold",
    ),
    Measure(
        "r2",
        "Likelihood explained",
        "",
        HIGHER,
        "1 − L′/L of Poisson log likelihoods, median over units with at least 30 reads",
    ),
    Measure("deviance", "Deviance explained", "", HIGHER, "the same of Poisson deviances"),
    Measure(
        "auc",
        "AUC",
        "",
        HIGHER,
        "chance that a distinct start scores above a uniform position of its unit",
    ),
    Measure(
        "log_loss",
        "Log loss",
        "nats",
        LOWER,
        "of telling a distinct start from a uniform position of its unit; 0.693 without a model",
    ),
    Measure(
        "ess",
        "Effective sample size",
        "share",
        HIGHER,
        "(Σw)²/(n Σw²) of weights 1/b of distinct starts, without a cap",
    ),
    Measure(
        "max_over_mean",
        "Largest weight",
        "× mean",
        LOWER,
        "largest weight 1/b over the mean, without a cap",
    ),
    *(
        Measure(
            f"kl{k}_after",
            f"KL after, k={k}",
            "bits",
            LOWER,
            f"divergence of {k}-mers around held-out starts from their units, weighted by 1/b",
        )
        for k in (1, 2, 3, 4)
    ),
    *(
        Measure(
            f"kl{k}_floor",
            f"KL floor, k={k}",
            "bits",
            None,
            f"what kl{k}_after would be without any bias: noise",
        )
        for k in (1, 2, 3, 4)
    ),
    Measure(
        "half_weighted",
        "Halves, weighted",
        "log2",
        LOWER,
        "half consistency of reads weighted by 1/b, capped at ten medians",
    ),
    Measure(
        "half_effective",
        "Halves, effective length",
        "log2",
        LOWER,
        "half consistency of reads over effective length",
    ),
    Measure(
        "perplexity_foreground",
        "Perplexity, foreground",
        "per base",
        LOWER,
        "of the foreground's sequence model on its validation windows",
    ),
    Measure(
        "perplexity_background",
        "Perplexity, background",
        "per base",
        LOWER,
        "of the background's sequence model on its validation windows",
    ),
)

_COUNTS = (
    *(
        measure
        for column in ("weighted", "corrected")
        for measure in (
            Measure(
                f"distance_{column}",
                f"Distance, {column}",
                "",
                None,
                f"Euclidean distance between raw and {column} FPKM, each divided by its sum",
            ),
            Measure(
                f"genes_up_{column}",
                f"Genes up, {column}",
                "features",
                None,
                f"features whose share of the FPKM rises, {column} against raw",
            ),
            Measure(
                f"genes_down_{column}",
                f"Genes down, {column}",
                "features",
                None,
                f"features whose share of the FPKM falls, {column} against raw",
            ),
            Measure(
                f"pearson_raw_{column}",
                f"Correlation with raw, {column}",
                "",
                None,
                f"correlation of log2 FPKM, {column} with raw",
            ),
        )
    ),
    *(
        measure
        for column in ("weighted", "corrected")
        for measure in (
            Measure(
                f"replicate_rmse_{column}",
                f"Replicates, {column}",
                "log2",
                LOWER,
                f"as replicate_rmse_raw, {column}",
            ),
            Measure(
                f"replicate_pearson_{column}",
                f"Replicate correlation, {column}",
                "",
                HIGHER,
                f"as replicate_pearson_raw, {column}",
            ),
            Measure(
                f"replicate_rmse_{column}_minus_raw",
                f"Replicates, {column} − raw",
                "log2",
                LOWER,
                "paired difference to raw, with its standard error over resampled features; below "
                "zero is nearer",
            ),
        )
    ),
)

#: Measures of a sample without any model, and of a model in a sample; in the order of the files.
RAW_MEASURES: tuple[Measure, ...] = _RAW
MODEL_MEASURES: tuple[Measure, ...] = (*_TRIALS, *_COUNTS)
#: Measures that come from trials: mean over folds (of means over seeds), with a standard error over
#: folds.
TRIAL_MEASURES = tuple(measure.name for measure in _TRIALS if measure.name != "behind_best")
RAW_TRIAL_MEASURES = tuple(
    measure.name for measure in _RAW if not measure.name.startswith("replicate")
)

#: Time and memory that a model takes, and its size.
COSTS: tuple[tuple[str, str], ...] = (
    (
        "train_seconds",
        "wall time of the fit on the whole sample, alone and with all threads, seconds",
    ),
    ("parameters", "number of free parameters"),
    ("windows_per_second", "windows that one thread scores in a second, the best of the trials"),
    (
        "memory_mb",
        "growth of the process's resident memory at its peak while the model was fitted and the "
        "sample weighed, MB; Linux only",
    ),
)

#: Measures against a truth table, and the estimates they are taken of.
TRUTH_MEASURES: tuple[tuple[str, str], ...] = (
    ("pearson", "correlation of log2 expression with log2 truth"),
    ("spearman", "rank correlation with the truth"),
    ("r2", "squared correlation of the logs"),
    ("rmse", "root mean square of log2 expression − log2 truth about its mean"),
)
ESTIMATES = ("raw", "weighted", "corrected")
DIFFERENCES = ("weighted_minus_raw", "corrected_minus_raw")

#: The columns that identify a row of comparison.tsv.
HEAD: tuple[tuple[str, str], ...] = (
    ("sample", "the sample's name: its file's, without ending"),
    ("group", "its group (--groups), NA without"),
    ("model", "the model, as written in --models"),
    ("window", "bases before and after the read start"),
    (
        "status",
        "ok; failed: the model did something wrong; skipped: it cannot be trained here, or there "
        "was too little to learn from",
    ),
    ("reason", "why, or what went wrong in single folds; NA where nothing did"),
    ("used", "whether a count would use the model (the gate); no without a fit"),
    ("starts", "distinct read starts of the sample that models learn from"),
)


def truth_columns() -> list[tuple[str, str]]:
    """List the columns on agreement with a truth table, each with its meaning."""
    columns = [
        ("truth_column", "the column of the truth table"),
        ("truth_features", "features compared"),
    ]
    for estimate in (*ESTIMATES, *DIFFERENCES):
        for name, meaning in TRUTH_MEASURES:
            description = (
                f"{estimate}: {meaning}"
                if estimate in ESTIMATES
                else f"{name}, {estimate.replace('_', ' ')}, paired"
            )
            columns.append((f"truth_{estimate}_{name}", description))
            columns += [
                (f"truth_{estimate}_{name}_{side}", f"{side} end of its 95% bootstrap interval")
                for side in ("low", "high")
            ]
    return columns


def columns() -> list[tuple[str, str]]:
    """List the columns of comparison.tsv, each with its meaning."""
    listed = list(HEAD)
    for measure in (*RAW_MEASURES, *MODEL_MEASURES):
        unit = f" ({measure.unit})" if measure.unit else ""
        listed += [
            (measure.name, measure.description + unit),
            (f"{measure.name}_se", "its standard error"),
        ]
    return [*listed, *COSTS, *truth_columns()]


def markdown_tables() -> str:
    """Return the columns and measures as Markdown tables for the docs."""
    lines = ["| column | holds |", "|---|---|"]
    for name, text in (*HEAD, *COSTS):
        lines.append(f"| `{name}` | {text} |")
    lines += ["", "| measure | title | unit | better | is |", "|---|---|---|---|---|"]
    lines += [
        f"| `{measure.name}` | {measure.title} | {measure.unit} | {measure.better or ''} "
        f"| {measure.description} |"
        for measure in (*RAW_MEASURES, *MODEL_MEASURES)
    ]
    return "\n".join(lines) + "\n"
