"""Parse ``PREFIX.counterbias.json`` and ``comparison.json`` without MultiQC.

Files may be damaged, newer than this module or written by another program, so every value is
checked: what does not fit is absent (None or left out). A file that cannot be used at all raises
:class:`UnusableFile`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from counterbias_multiqc.records import (
    BASES,
    CATEGORIES,
    ComparedModel,
    ComparedSample,
    Comparison,
    Divergence,
    Estimate,
    ExpressionBin,
    FoldChanges,
    FragmentLengths,
    Histogram,
    QualityReport,
    ReadEnd,
    Reliability,
    Signature,
    Truth,
)
from counterbias_multiqc.values import (
    MAX_LIST_LENGTH,
    as_flag,
    as_integer,
    as_number,
    as_text,
    finite_numbers,
    integers,
    length,
    numbers,
    object_at,
    objects_at,
    scalars,
    texts,
)

#: Newest major versions that this module knows. Newer minor versions only add keys.
QC_MAJOR, COMPARISON_MAJOR = 1, 1
#: Larger files are not ours: a quality report has about 20 kB, a comparison of 500 samples 15 MB.
MAX_FILE_LENGTH = 40_000_000
MAX_PATH_LENGTH, MAX_COMMAND_LENGTH = 2000, 20_000
MAX_CURVES = 20
#: A window as in --bias-window.
_WINDOW = re.compile(r"\d+,\d+")


class UnusableFile(ValueError):
    """A file that cannot be used; its text is the reason, in one line."""


def parse_report(text: str) -> QualityReport:
    """Parse a quality report.

    Raises:
        UnusableFile: it is not a quality report of a known version, or it has no sample name.
    """
    tree = _load(text, "counterbias_schema", QC_MAJOR)
    sample = as_text(tree.get("sample"))
    if not sample:
        raise UnusableFile("it has no sample name")
    counting, model, run = (object_at(tree, key) for key in ("counting", "model", "run"))
    contigs, weights = object_at(tree, "contigs"), object_at(tree, "weights")
    strandedness = object_at(tree, "strandedness")
    return QualityReport(
        sample=sample,
        version=as_text(object_at(tree, "versions").get("counterbias")),
        alignments=as_text(object_at(tree, "inputs").get("alignments"), max_length=MAX_PATH_LENGTH),
        backend=as_text(model.get("backend")),
        window=_parse_window(model),
        paired=as_flag(counting.get("paired")),
        stranded=as_text(counting.get("stranded")),
        strand_verdict=as_text(strandedness.get("verdict")),
        sense=_count(strandedness.get("sense")),
        antisense=_count(strandedness.get("antisense")),
        nonunique=as_text(object_at(tree, "options").get("nonunique")),
        counts=scalars({name: counting.get(name) for name in CATEGORIES}, minimum=0.0),
        features=as_integer(counting.get("features")),
        unmatched_features=as_integer(contigs.get("unmatched_features")),
        unmatched_contigs=texts(contigs.get("unmatched")),
        ends=tuple(_parse_end(entry) for entry in objects_at(tree, "ends")),
        weights=scalars(weights),
        weight_histogram=_parse_histogram(object_at(weights, "histogram")),
        fold_changes=_parse_fold_changes(object_at(tree, "fold_change")),
        fragments=_parse_fragments(object_at(tree, "lengths")),
        train_seconds=as_number(object_at(run, "seconds").get("training")),
        windows_per_second=as_number(run.get("windows_per_second")),
        main_counts=_parse_main_counts(tree),
    )


def parse_comparison(text: str) -> Comparison:
    """Parse a file of ``counterbias compare``.

    Raises:
        UnusableFile: it is not a comparison of a known version, or no sample in it can be used.
    """
    tree = _load(text, "counterbias_comparison", COMPARISON_MAJOR)
    samples: dict[str, ComparedSample] = {}
    skipped = length(tree.get("samples"))
    for entry in objects_at(tree, "samples"):
        name = as_text(entry.get("sample"))
        if name and name not in samples:
            models = _parse_models(entry)
            skipped += length(entry.get("models")) - len(models) - 1
            uneven = object_at(object_at(entry, "raw"), "half_raw").get("value")
            samples[name] = ComparedSample(name, models, as_number(uneven))
    if not samples:
        raise UnusableFile("it has no usable sample")
    recommendation, options = object_at(tree, "recommendation"), object_at(tree, "options")
    return Comparison(
        version=as_text(tree.get("version")),
        design=_parse_design(options),
        settings=_parse_settings(options),
        recommended=as_text(recommendation.get("model")),
        recommended_window=_one_window(recommendation.get("window")),
        reason=as_text(recommendation.get("reason")),
        samples=tuple(samples.values()),
        skipped=skipped,
    )


def _load(text: str, tag: str, newest: int) -> Mapping[str, Any]:
    """Return the JSON object in a text, if its version, under the key ``tag``, is known."""
    if len(text) > MAX_FILE_LENGTH:
        raise UnusableFile(f"it is too long ({len(text):,} characters)")
    try:
        tree = json.loads(text)
    except RecursionError:
        raise UnusableFile("it is nested too deeply") from None
    except ValueError as error:
        raise UnusableFile(f"it is not valid JSON ({str(error)[:100]})") from None
    if not isinstance(tree, dict):
        raise UnusableFile("it is not a JSON object")
    version = tree.get(tag)
    major = as_integer(version[0]) if isinstance(version, list) and version else None
    if major is None:
        raise UnusableFile(f"its {tag} is not a version")
    if major > newest:
        raise UnusableFile(
            f"its {tag} {major} is newer than the newest known one ({newest}): update Counterbias"
        )
    if major < 1:
        raise UnusableFile(f"its {tag} {major} is unknown")
    return tree


def _parse_window(tree: Mapping[str, Any]) -> str | None:
    upstream, downstream = as_integer(tree.get("upstream")), as_integer(tree.get("downstream"))
    return None if upstream is None or downstream is None else f"{upstream},{downstream}"


def _parse_main_counts(tree: Mapping[str, Any]) -> str | None:
    """Take the last ``--bias-counts`` of the command line, the only place that has it."""
    command = as_text(tree.get("command_line"), max_length=MAX_COMMAND_LENGTH) or ""
    named = re.findall(r"(?:^|\s)--bias-counts[= ]([a-z]+)(?=\s|$)", command)
    return named[-1] if named else None


def _one_window(value: Any) -> str | None:
    text = as_text(value)
    return text if text and _WINDOW.fullmatch(text) else None


def _parse_end(tree: Mapping[str, Any]) -> ReadEnd:
    offsets = integers(tree.get("offsets"))
    calibration, training = object_at(tree, "calibration"), object_at(tree, "training")
    return ReadEnd(
        label=as_text(tree.get("end")) or "both",
        no_model=as_text(tree.get("no_model")),
        starts=as_integer(tree.get("unique_starts")),
        offsets=offsets,
        composition=_parse_composition(object_at(tree, "composition"), len(offsets)),
        divergence=_parse_divergence(object_at(tree, "divergence"), len(offsets)),
        signature=_parse_signature(object_at(tree, "signature")),
        applied=as_flag(calibration.get("applied")),
        reason=as_text(calibration.get("reason")),
        gain=as_number(calibration.get("gain")),
        reliability=_parse_reliability(object_at(tree, "reliability")),
        measures=_parse_end_measures(tree),
        parameters=as_integer(training.get("parameters")),
        curves=_parse_curves(training.get("curves")),
        prior_share=_parse_prior_share(object_at(training, "details")),
    )


def _parse_end_measures(tree: Mapping[str, Any]) -> dict[str, float]:
    gain = object_at(tree, "gain")
    return scalars(
        {f"gain_{name}": object_at(gain, name).get("value") for name in ("uniq", "cap5", "all")}
        | {name: tree.get(name) for name in ("deviance_explained", "auc", "log_loss")}
        | {"reliability_slope": object_at(tree, "reliability").get("slope")}
    )


def _parse_composition(
    tree: Mapping[str, Any], offsets: int
) -> dict[str, dict[str, tuple[float | None, ...]]]:
    """Keep the parts that have a share of every base at every offset."""
    parts = {}
    for part in ("before", "after", "background"):
        shares = {base: numbers(object_at(tree, part).get(base)) for base in BASES}
        if offsets and all(len(values) == offsets for values in shares.values()):
            parts[part] = shares
    return parts


def _parse_divergence(tree: Mapping[str, Any], offsets: int) -> Divergence:
    """Take the held-out divergence of single bases (k = 1)."""
    for entry in objects_at(tree, "held_out"):
        if entry.get("k") == 1:
            before, after = numbers(entry.get("before")), numbers(entry.get("after"))
            complete = offsets and len(before) == len(after) == offsets
            return Divergence(
                before=before if complete else (),
                after=after if complete else (),
                mean_before=as_number(entry.get("mean_before")),
                mean_after=as_number(entry.get("mean_after")),
                sum_before=as_number(entry.get("sum_before")),
                noise=as_number(entry.get("noise_before")),
            )
    return Divergence()


def _parse_signature(tree: Mapping[str, Any]) -> Signature:
    offsets, profile = integers(tree.get("offsets")), numbers(tree.get("profile"))
    complete = len(offsets) == len(profile)
    return Signature(
        found=as_flag(tree.get("found")),
        first=as_integer(tree.get("first")),
        last=as_integer(tree.get("last")),
        peak=as_integer(tree.get("peak")),
        before_start=as_number(tree.get("before_start")),
        outside=as_number(tree.get("outside")),
        covered=as_flag(tree.get("covered")),
        window=_parse_window(tree),
        offsets=offsets if complete else (),
        profile=profile if complete else (),
    )


def _parse_reliability(tree: Mapping[str, Any]) -> Reliability:
    """Take slope, interval and bins; an interval that excludes its own slope is absent."""
    slope, low, high = (as_number(tree.get(key)) for key in ("slope", "low", "high"))
    if slope is None or low is None or high is None or not low <= slope <= high:
        low = high = None
    bins = object_at(tree, "bins")
    predicted, observed = finite_numbers(bins.get("predicted")), numbers(bins.get("observed"))
    complete = len(predicted) == len(observed)
    return Reliability(
        slope, low, high, predicted if complete else (), observed if complete else ()
    )


def _parse_curves(value: Any) -> dict[str, tuple[float | None, ...]]:
    if not isinstance(value, dict):
        return {}
    curves = {as_text(name): numbers(values) for name, values in list(value.items())[:MAX_CURVES]}
    return {
        name: values
        for name, values in curves.items()
        if name and any(entry is not None for entry in values)
    }


def _parse_prior_share(details: Mapping[str, Any]) -> float | None:
    own, prior = as_number(details.get("own_share")), as_number(details.get("prior_share"))
    if own is None or prior is None or min(own, prior) < 0 or own + prior <= 0:
        return None
    return prior / (own + prior)


def _parse_histogram(tree: Mapping[str, Any]) -> Histogram:
    edges, counts = finite_numbers(tree.get("edges")), finite_numbers(tree.get("counts"))
    if len(edges) != len(counts) + 1 or sorted(edges) != list(edges):
        return Histogram()
    return Histogram(edges, counts)


def _parse_fold_changes(tree: Mapping[str, Any]) -> FoldChanges:
    quantiles = finite_numbers(tree.get("quantiles"))
    return FoldChanges(
        quantiles,
        weighted=_parse_bins(tree, "weighted", len(quantiles)),
        corrected=_parse_bins(tree, "corrected", len(quantiles)),
    )


def _parse_fragments(tree: Mapping[str, Any]) -> FragmentLengths:
    """Take the distribution of fragment lengths; one that is not in order is absent."""
    lengths = integers(tree.get("fragment_lengths"))
    shares = finite_numbers(tree.get("fragment_shares"))
    usable = len(lengths) == len(shares) and min(shares, default=0.0) >= 0 and sum(shares) > 0
    increasing = all(before < after for before, after in pairwise(lengths))
    if not usable or not increasing or min(lengths) <= 0:
        lengths = shares = ()
    return FragmentLengths(
        lengths,
        shares,
        mean=as_number(tree.get("fragment_mean")),
        assumed=as_flag(tree.get("assumed")),
    )


def _count(value: Any) -> float | None:
    number = as_number(value)
    return number if number is not None and number >= 0 else None


def _parse_bins(tree: Mapping[str, Any], key: str, quantiles: int) -> tuple[ExpressionBin, ...]:
    bins = []
    for entry in objects_at(tree, key):
        low, high = as_number(entry.get("raw_min")), as_number(entry.get("raw_max"))
        values = finite_numbers(entry.get("quantiles"))
        if low is None or high is None or not 0 < low <= high:
            continue
        if len(values) == quantiles > 0:
            bins.append(ExpressionBin(low, high, values))
    return tuple(bins)


def _parse_design(options: Mapping[str, Any]) -> str:
    """Return a text that is the same for comparisons whose measures can be compared.

    Where the genome lies and which device trains make no difference to them.
    """
    bias = {
        name: value
        for name, value in object_at(options, "bias").items()
        if name not in ("genome", "device")
    }
    parts = {name: options.get(name) for name in ("folds", "seeds", "windows")}
    return json.dumps({**parts, "bias": bias}, sort_keys=True)


def _parse_settings(options: Mapping[str, Any]) -> str | None:
    folds, seeds = length(options.get("folds")), length(options.get("seeds"))
    if not folds or not seeds:
        return None
    windows = " and ".join(_WINDOW.findall(" ".join(texts(options.get("windows")))))
    return f"{folds} fold{'s' * (folds > 1)}, {seeds} seed{'s' * (seeds > 1)}" + (
        f", window {windows}" if windows else ""
    )


def _parse_models(tree: Mapping[str, Any]) -> tuple[ComparedModel, ...]:
    models = []
    for entry in objects_at(tree, "models"):
        name = as_text(entry.get("model"))
        if name is None:
            continue
        models.append(
            ComparedModel(
                model=name,
                window=as_text(entry.get("window")),
                status=as_text(entry.get("status")) or "ok",
                reason=as_text(entry.get("reason")),
                used=as_flag(entry.get("used")),
                measures=_parse_estimates(entry.get("measures")),
                cost=scalars(entry.get("cost")),
                curves=_parse_curves(entry.get("curves")),
                truth=_parse_truth(object_at(entry, "truth")),
            )
        )
    return tuple(models)


def _parse_truth(tree: Mapping[str, Any]) -> Truth:
    agreement = {
        part: _parse_estimates(values) for part, values in tree.items() if isinstance(values, dict)
    }
    return Truth(
        {part: estimates for part, estimates in agreement.items() if estimates},
        as_integer(tree.get("features")),
    )


def _parse_estimates(value: Any) -> dict[str, Estimate]:
    """Map names to estimates; a name without a value is left out."""
    if not isinstance(value, dict):
        return {}
    estimates = {}
    for key, entry in list(value.items())[:MAX_LIST_LENGTH]:
        name = as_text(key)
        number = as_number(entry.get("value")) if isinstance(entry, dict) else None
        if name and number is not None:
            error, low, high = (as_number(entry.get(part)) for part in ("error", "low", "high"))
            estimates[name] = Estimate(number, error, low, high)
    return estimates
