"""Read ``PREFIX.counterbias.json`` and ``comparison.json`` without MultiQC.

What comes in may be damaged, newer, or written by somebody else: every value is checked for its kind, numbers are finite, texts and
lists have a largest length, and what does not fit is absent (None or left out). What cannot be used at all raises
:class:`UnusableFile`, whose text says why in one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from counterbias_multiqc.values import (
    MOST_VALUES,
    Number,
    as_flag,
    as_integer,
    as_number,
    as_text,
    child,
    children,
    finite_numbers,
    integers,
    length,
    numbers,
    scalars,
    texts,
)

#: Newest major versions that this module knows. Newer minor versions only add keys.
QC_MAJOR, COMPARISON_MAJOR = 1, 1
#: Files of more characters than this are not ours: a QC file has some 20 kB, a comparison of 500 samples some 15 MB.
MOST_CHARACTERS = 40_000_000
LETTERS = ("A", "C", "G", "T")
CLASSES = ("assigned", "no_feature", "ambiguous", "too_low_quality", "not_unique", "not_aligned")


class UnusableFile(ValueError):
    """A file that cannot be used; its text says why."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Log2 fold changes of features of like expression: how many, lowest and highest raw count, quantiles."""

    features: int
    raw_min: float
    raw_max: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FoldChange:
    """Log2 fold changes by expression, ``weighted`` and ``corrected`` against raw, and which quantiles the bins hold."""

    quantiles: tuple[float, ...] = ()
    weighted: tuple[Bin, ...] = ()
    corrected: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True)
class Divergence:
    """Divergence of read starts from their background per offset, bits, before and after weighting (1-mers, held-out part)."""

    before: tuple[Number, ...] = ()
    after: tuple[Number, ...] = ()
    mean_before: Number = None
    mean_after: Number = None
    sum_before: Number = None
    noise: Number = None


@dataclass(frozen=True, slots=True)
class Signature:
    """Where around the read start composition differs from the background, and the wide profile that shows it (bits)."""

    found: bool | None = None
    first: int | None = None
    last: int | None = None
    peak: int | None = None
    before_start: Number = None
    outside: Number = None
    window: str | None = None
    offsets: tuple[int, ...] = ()
    profile: tuple[Number, ...] = ()

    @property
    def trimmed(self) -> bool:
        """Whether most of the signature lies before the read start, as in reads cut at their 5' end."""
        return bool(self.found) and (self.before_start or 0.0) > 0.7 and (self.peak or 0) < 0


@dataclass(frozen=True, slots=True)
class Reliability:
    """Held-out reads against those predicted: slope with its 95 % interval, and bins, log2 over an even spread."""

    slope: Number = None
    low: Number = None
    high: Number = None
    predicted: tuple[float, ...] = ()
    observed: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """What is known of one class of read ends (``both``, ``read1``, ``read2``)."""

    label: str
    #: Why there is no model of this end; None where there is one.
    no_model: str | None = None
    starts: int | None = None
    offsets: tuple[int, ...] = ()
    #: "before", "after", "background" → letter → share per offset.
    composition: Mapping[str, Mapping[str, tuple[Number, ...]]] = field(default_factory=dict)
    divergence: Divergence = field(default_factory=Divergence)
    signature: Signature = field(default_factory=Signature)
    applied: bool | None = None
    reason: str | None = None
    gain: Number = None
    gain_error: Number = None
    reliability: Reliability = field(default_factory=Reliability)
    #: Measures on held-out units, name → value.
    measures: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    curves: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)
    #: Share of the prior in the model's log bias, 0 to 1; None where there was no prior.
    prior_share: Number = None


@dataclass(frozen=True, slots=True)
class Report:
    """One QC file."""

    sample: str
    version: str | None
    alignments: str | None
    backend: str | None
    window: str | None
    paired: bool | None
    stranded: str | None
    nonunique: str | None
    #: Class of :data:`CLASSES` → fragments; empty where nothing was counted.
    counts: Mapping[str, float]
    features: int | None
    features_with_reads: int | None
    unmatched_features: int | None
    unmatched_contigs: tuple[str, ...]
    verdict: str | None
    sense: Number
    antisense: Number
    ends: tuple[End, ...]
    #: Scalars of the object ``weights``.
    weights: Mapping[str, float]
    histogram_edges: tuple[float, ...]
    histogram_counts: tuple[float, ...]
    fold_change: FoldChange
    train_seconds: Number
    windows_per_second: Number
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of a comparison: name, title, unit, whether ``higher`` or ``lower`` is better, and what it is."""

    name: str
    title: str
    unit: str
    better: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error or its confidence interval."""

    value: float
    error: Number = None
    low: Number = None
    high: Number = None


#: Estimate (``raw``, ``corrected_minus_raw`` …) → statistic (``pearson`` …) → value.
Truth = Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """One model of one sample in a comparison."""

    model: str
    window: str | None
    status: str
    reason: str | None
    used: bool | None
    measures: Mapping[str, Estimate]
    cost: Mapping[str, float]
    curves: Mapping[str, tuple[Number, ...]]
    truth: Truth


@dataclass(frozen=True, slots=True)
class ComparedSample:
    """One sample of a comparison; ``raw`` holds the measures that exist without a model."""

    sample: str
    starts: int | None
    raw: Mapping[str, Estimate]
    models: tuple[ComparedModel, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One file of ``counterbias compare``; ``left_out`` counts its samples and models that cannot be used."""

    version: str | None
    measures: tuple[Measure, ...]
    recommended: str | None
    reason: str | None
    samples: tuple[ComparedSample, ...]
    left_out: int = 0


def parse_report(text: str) -> Report:
    """Read a QC file. Raises UnusableFile."""
    tree = _document(text, "counterbias_schema", QC_MAJOR)
    name = as_text(tree.get("sample"))
    if not name:
        raise UnusableFile("it names no sample")
    counting, model, inputs = child(tree, "counting"), child(tree, "model"), child(tree, "inputs")
    strand, weights, run = child(tree, "strandedness"), child(tree, "weights"), child(tree, "run")
    contigs, histogram = child(tree, "contigs"), child(child(tree, "weights"), "histogram")
    edges, heights = finite_numbers(histogram.get("edges")), finite_numbers(histogram.get("counts"))
    fits = len(edges) == len(heights) + 1 and sorted(edges) == list(edges)
    return Report(
        sample=name,
        version=as_text(child(tree, "versions").get("counterbias")),
        alignments=as_text(inputs.get("alignments"), most=2000),
        backend=as_text(model.get("backend")),
        window=_window(model),
        paired=as_flag(counting.get("paired")),
        stranded=as_text(counting.get("stranded")),
        nonunique=as_text(child(tree, "options").get("nonunique")),
        counts=scalars({name: counting.get(name) for name in CLASSES}, least=0.0),
        features=as_integer(counting.get("features")),
        features_with_reads=as_integer(counting.get("features_with_reads")),
        unmatched_features=as_integer(contigs.get("unmatched_features")),
        unmatched_contigs=texts(contigs.get("unmatched")),
        verdict=as_text(strand.get("verdict")),
        sense=as_number(strand.get("sense")),
        antisense=as_number(strand.get("antisense")),
        ends=tuple(_end(entry) for entry in children(tree, "ends")),
        weights=scalars(weights),
        histogram_edges=edges if fits else (),
        histogram_counts=heights if fits else (),
        fold_change=_fold_change(child(tree, "fold_change")),
        train_seconds=as_number(child(run, "seconds").get("training")),
        windows_per_second=as_number(run.get("windows_per_second")),
        warnings=texts(tree.get("warnings")),
    )


def parse_comparison(text: str) -> Comparison:
    """Read a file of ``counterbias compare``. Raises UnusableFile."""
    tree = _document(text, "counterbias_comparison", COMPARISON_MAJOR)
    measures = tuple(
        Measure(
            name,
            as_text(entry.get("title")) or name,
            as_text(entry.get("unit")) or "",
            as_text(entry.get("better")),
            as_text(entry.get("description")) or name,
        )
        for entry in children(tree, "measures")
        if (name := as_text(entry.get("name")))
    )
    advice = child(tree, "recommendation")
    samples: dict[str, ComparedSample] = {}
    left_out = length(tree.get("samples"))
    for entry in children(tree, "samples"):
        name = as_text(entry.get("sample"))
        if name and name not in samples:
            models = _compared(entry)
            left_out += length(entry.get("models")) - len(models) - 1
            samples[name] = ComparedSample(
                name, as_integer(entry.get("starts")), _estimates(entry.get("raw")), models
            )
    if not samples:
        raise UnusableFile("it holds no sample")
    advised = as_text(advice.get("model")), as_text(advice.get("reason"))
    return Comparison(
        as_text(tree.get("version")), measures, *advised, tuple(samples.values()), left_out
    )


def _document(text: str, tag: str, newest: int) -> Mapping[str, Any]:
    if len(text) > MOST_CHARACTERS:
        raise UnusableFile(f"it is too long ({len(text):,} characters)")
    try:
        tree = json.loads(text)
    except RecursionError:
        raise UnusableFile("it is nested too deeply") from None
    except ValueError as error:
        raise UnusableFile(f"it is not JSON ({str(error)[:100]})") from None
    if not isinstance(tree, dict):
        raise UnusableFile("it is not a JSON object")
    version = tree.get(tag)
    major = as_integer(version[0]) if isinstance(version, list) and version else None
    if major is None:
        raise UnusableFile(f"its {tag} is not a version")
    if major > newest:
        raise UnusableFile(
            f"its {tag} {major} is newer than this module knows ({newest}): update Counterbias"
        )
    if major < 1:
        raise UnusableFile(f"its {tag} {major} is unknown")
    return tree


def _curves(value: Any) -> dict[str, tuple[Number, ...]]:
    if not isinstance(value, dict):
        return {}
    found = {as_text(name): numbers(values) for name, values in list(value.items())[:20]}
    return {
        name: values
        for name, values in found.items()
        if name and any(entry is not None for entry in values)
    }


def _window(tree: Mapping[str, Any]) -> str | None:
    upstream, downstream = as_integer(tree.get("upstream")), as_integer(tree.get("downstream"))
    return None if upstream is None or downstream is None else f"{upstream},{downstream}"


def _end(tree: Mapping[str, Any]) -> End:
    offsets = integers(tree.get("offsets"))
    calibration, training = child(tree, "calibration"), child(tree, "training")
    gains = {
        name: child(child(tree, "gain"), name).get("value") for name in ("uniq", "cap5", "all")
    }
    measures = scalars(
        {f"gain_{name}": value for name, value in gains.items()}
        | {name: tree.get(name) for name in ("deviance_explained", "auc", "log_loss")}
        | {"reliability_slope": child(tree, "reliability").get("slope")}
    )
    return End(
        label=as_text(tree.get("end")) or "both",
        no_model=as_text(tree.get("no_model")),
        starts=as_integer(tree.get("unique_starts")),
        offsets=offsets,
        composition=_composition(child(tree, "composition"), len(offsets)),
        divergence=_divergence(child(tree, "divergence"), len(offsets)),
        signature=_signature(child(tree, "signature")),
        applied=as_flag(calibration.get("applied")),
        reason=as_text(calibration.get("reason")),
        gain=as_number(calibration.get("gain")),
        gain_error=as_number(calibration.get("gain_error")),
        reliability=_reliability(child(tree, "reliability")),
        measures=measures,
        parameters=as_integer(training.get("parameters")),
        curves=_curves(training.get("curves")),
        prior_share=_prior_share(child(training, "details")),
    )


def _reliability(tree: Mapping[str, Any]) -> Reliability:
    """Read slope, interval and bins; an interval that does not hold its slope is absent."""
    slope, low, high = (as_number(tree.get(key)) for key in ("slope", "low", "high"))
    if slope is None or low is None or high is None or not low <= slope <= high:
        low = high = None
    bins = child(tree, "bins")
    predicted, observed = finite_numbers(bins.get("predicted")), numbers(bins.get("observed"))
    fits = len(predicted) == len(observed)
    return Reliability(slope, low, high, predicted if fits else (), observed if fits else ())


def _prior_share(details: Mapping[str, Any]) -> Number:
    own, prior = as_number(details.get("own_share")), as_number(details.get("prior_share"))
    if own is None or prior is None or min(own, prior) < 0 or own + prior <= 0:
        return None
    return prior / (own + prior)


def _composition(tree: Mapping[str, Any], offsets: int) -> dict[str, dict[str, tuple[Number, ...]]]:
    """Keep the parts that have one share per offset for all four bases."""
    found = {}
    for part in ("before", "after", "background"):
        shares = {letter: numbers(child(tree, part).get(letter)) for letter in LETTERS}
        if offsets and all(len(values) == offsets for values in shares.values()):
            found[part] = shares
    return found


def _divergence(tree: Mapping[str, Any], offsets: int) -> Divergence:
    for entry in children(tree, "held_out"):
        if entry.get("k") == 1:
            before, after = numbers(entry.get("before")), numbers(entry.get("after"))
            fits = offsets and len(before) == len(after) == offsets
            return Divergence(
                before if fits else (),
                after if fits else (),
                as_number(entry.get("mean_before")),
                as_number(entry.get("mean_after")),
                as_number(entry.get("sum_before")),
                as_number(entry.get("noise_before")),
            )
    return Divergence()


def _signature(tree: Mapping[str, Any]) -> Signature:
    offsets, profile = integers(tree.get("offsets")), numbers(tree.get("profile"))
    fits = len(offsets) == len(profile)
    return Signature(
        found=as_flag(tree.get("found")),
        first=as_integer(tree.get("first")),
        last=as_integer(tree.get("last")),
        peak=as_integer(tree.get("peak")),
        before_start=as_number(tree.get("before_start")),
        outside=as_number(tree.get("outside")),
        window=_window(tree),
        offsets=offsets if fits else (),
        profile=profile if fits else (),
    )


def _fold_change(tree: Mapping[str, Any]) -> FoldChange:
    quantiles = finite_numbers(tree.get("quantiles"))

    def bins(name: str) -> tuple[Bin, ...]:
        found = []
        for entry in children(tree, name):
            low, high, values = (
                as_number(entry.get("raw_min")),
                as_number(entry.get("raw_max")),
                finite_numbers(entry.get("quantiles")),
            )
            if (
                low is not None
                and high is not None
                and 0 < low <= high
                and len(values) == len(quantiles) > 0
            ):
                found.append(Bin(as_integer(entry.get("features")) or 0, low, high, values))
        return tuple(found)

    return FoldChange(quantiles, bins("weighted"), bins("corrected"))


def _estimates(value: Any) -> dict[str, Estimate]:
    """Read name → {value, error, low, high}; a name without a value is left out."""
    found = {}
    for name, entry in list(value.items())[:MOST_VALUES] if isinstance(value, dict) else ():
        number = as_number(entry.get("value")) if isinstance(entry, dict) else None
        title = as_text(name)
        if title and number is not None:
            found[title] = Estimate(
                number, *(as_number(entry.get(key)) for key in ("error", "low", "high"))
            )
    return found


def _compared(tree: Mapping[str, Any]) -> tuple[ComparedModel, ...]:
    found = []
    for entry in children(tree, "models"):
        name = as_text(entry.get("model"))
        if name is None:
            continue
        truth = {
            part: _estimates(values)
            for part, values in child(entry, "truth").items()
            if isinstance(values, dict)
        }
        found.append(
            ComparedModel(
                model=name,
                window=as_text(entry.get("window")),
                status=as_text(entry.get("status")) or "ok",
                reason=as_text(entry.get("reason")),
                used=as_flag(entry.get("used")),
                measures=_estimates(entry.get("measures")),
                cost=scalars(entry.get("cost")),
                curves=_curves(entry.get("curves")),
                truth={part: values for part, values in truth.items() if values},
            )
        )
    return tuple(found)
