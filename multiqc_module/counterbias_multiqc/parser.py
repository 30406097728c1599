"""Read ``PREFIX.counterbias.json`` and ``comparison.json`` without MultiQC.

What comes in may be damaged, newer, or written by somebody else: every value is checked for its kind, numbers are finite, texts and
lists have a largest length, and what does not fit is absent (None or left out). What cannot be used at all raises
:class:`UnusableFile`, whose text says why in one line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

#: Newest major versions that this module knows. Newer minor versions only add keys.
QC_MAJOR, COMPARISON_MAJOR = 1, 1
#: Files of more characters than this are not ours: a QC file has some 20 kB, a comparison of 500 samples some 15 MB.
MOST_CHARACTERS = 40_000_000
#: Longest list and longest text that is taken over.
MOST_VALUES, MOST_TEXT = 2000, 300
LETTERS = ("A", "C", "G", "T")
CLASSES = ("assigned", "no_feature", "ambiguous", "too_low_quality", "not_unique", "not_aligned")

Number = float | None
Item = TypeVar("Item")


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
class End:
    """What is known of one class of read ends (``both``, ``read1``, ``read2``)."""

    label: str
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
    """One file of ``counterbias compare``."""

    version: str | None
    measures: tuple[Measure, ...]
    recommended: str | None
    reason: str | None
    samples: tuple[ComparedSample, ...]


def parse_report(text: str) -> Report:
    """Read a QC file. Raises UnusableFile."""
    tree = _document(text, "counterbias_schema", QC_MAJOR)
    name = as_text(tree.get("sample"))
    if not name:
        raise UnusableFile("it names no sample")
    counting, model, inputs = _object(tree, "counting"), _object(tree, "model"), _object(tree, "inputs")
    strand, weights, run = _object(tree, "strandedness"), _object(tree, "weights"), _object(tree, "run")
    contigs, histogram = _object(tree, "contigs"), _object(_object(tree, "weights"), "histogram")
    edges, heights = _whole(histogram.get("edges")), _whole(histogram.get("counts"))
    fits = len(edges) == len(heights) + 1 and sorted(edges) == list(edges)
    return Report(
        sample=name,
        version=as_text(_object(tree, "versions").get("counterbias")),
        alignments=as_text(inputs.get("alignments"), most=2000),
        backend=as_text(model.get("backend")),
        window=_window(model),
        paired=_flag(counting.get("paired")),
        stranded=as_text(counting.get("stranded")),
        nonunique=as_text(_object(tree, "options").get("nonunique")),
        counts=_scalars({name: counting.get(name) for name in CLASSES}, least=0.0),
        features=as_integer(counting.get("features")),
        features_with_reads=as_integer(counting.get("features_with_reads")),
        unmatched_features=as_integer(contigs.get("unmatched_features")),
        unmatched_contigs=_texts(contigs.get("unmatched")),
        verdict=as_text(strand.get("verdict")),
        sense=as_number(strand.get("sense")),
        antisense=as_number(strand.get("antisense")),
        ends=tuple(_end(entry) for entry in _objects(tree, "ends")),
        weights=_scalars(weights),
        histogram_edges=edges if fits else (),
        histogram_counts=heights if fits else (),
        fold_change=_fold_change(_object(tree, "fold_change")),
        train_seconds=as_number(_object(run, "seconds").get("training")),
        windows_per_second=as_number(run.get("windows_per_second")),
        warnings=_texts(tree.get("warnings")),
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
        for entry in _objects(tree, "measures")
        if (name := as_text(entry.get("name")))
    )
    advice = _object(tree, "recommendation")
    samples = tuple(
        ComparedSample(name, as_integer(entry.get("starts")), _estimates(entry.get("raw")), _compared(entry))
        for entry in _objects(tree, "samples")
        if (name := as_text(entry.get("sample")))
    )
    if not samples:
        raise UnusableFile("it holds no sample")
    return Comparison(as_text(tree.get("version")), measures, as_text(advice.get("model")), as_text(advice.get("reason")), samples)


def as_number(value: Any) -> Number:
    """Give a finite number as float; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def as_integer(value: Any) -> int | None:
    """Give a whole number; anything else is None."""
    found = as_number(value)
    return int(found) if found is not None and found == int(found) else None


def as_text(value: Any, *, most: int = MOST_TEXT) -> str | None:
    """Give a text without control characters, cut at ``most`` characters; empty texts and anything else are None."""
    if not isinstance(value, str):
        return None
    clean = "".join(character if character.isprintable() else " " for character in value[: most + 1]).strip()
    if len(clean) > most:
        clean = clean[: most - 1] + "…"
    return clean or None


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
        raise UnusableFile(f"its {tag} {major} is newer than this module knows ({newest}): update Counterbias")
    if major < 1:
        raise UnusableFile(f"its {tag} {major} is unknown")
    return tree


def _object(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def _objects(tree: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = tree.get(key)
    if isinstance(value, list):
        yield from (entry for entry in value[:MOST_VALUES] if isinstance(entry, dict))


def _list(value: Any, read: Callable[[Any], Item]) -> tuple[Item, ...]:
    return tuple(read(entry) for entry in value[:MOST_VALUES]) if isinstance(value, list) else ()


def _numbers(value: Any) -> tuple[Number, ...]:
    return _list(value, as_number)


def _whole(value: Any) -> tuple[float, ...]:
    """Give the numbers of a list that holds nothing else; of any other list nothing."""
    found = _list(value, as_number)
    kept = tuple(number for number in found if number is not None)
    return kept if len(kept) == len(found) else ()


def _integers(value: Any) -> tuple[int, ...]:
    found = _list(value, as_integer)
    kept = tuple(number for number in found if number is not None)
    return kept if len(kept) == len(found) else ()


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for text in _list(value, as_text) if text)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _scalars(tree: Any, *, least: float = -math.inf) -> dict[str, float]:
    """Keep the numbers of an object; the names are texts."""
    if not isinstance(tree, dict):
        return {}
    found = {as_text(name): as_number(value) for name, value in list(tree.items())[:MOST_VALUES]}
    return {name: value for name, value in found.items() if name and value is not None and value >= least}


def _curves(value: Any) -> dict[str, tuple[Number, ...]]:
    if not isinstance(value, dict):
        return {}
    found = {as_text(name): _numbers(values) for name, values in list(value.items())[:20]}
    return {name: values for name, values in found.items() if name and any(entry is not None for entry in values)}


def _window(tree: Mapping[str, Any]) -> str | None:
    upstream, downstream = as_integer(tree.get("upstream")), as_integer(tree.get("downstream"))
    return None if upstream is None or downstream is None else f"{upstream},{downstream}"


def _end(tree: Mapping[str, Any]) -> End:
    offsets = _integers(tree.get("offsets"))
    calibration, training = _object(tree, "calibration"), _object(tree, "training")
    gains = {name: _object(_object(tree, "gain"), name).get("value") for name in ("uniq", "cap5", "all")}
    measures = _scalars(
        {f"gain_{name}": value for name, value in gains.items()}
        | {name: tree.get(name) for name in ("deviance_explained", "auc", "log_loss")}
    )
    return End(
        label=as_text(tree.get("end")) or "both",
        starts=as_integer(tree.get("unique_starts")),
        offsets=offsets,
        composition=_composition(_object(tree, "composition"), len(offsets)),
        divergence=_divergence(_object(tree, "divergence"), len(offsets)),
        signature=_signature(_object(tree, "signature")),
        applied=_flag(calibration.get("applied")),
        reason=as_text(calibration.get("reason")),
        gain=as_number(calibration.get("gain")),
        gain_error=as_number(calibration.get("gain_error")),
        measures=measures,
        parameters=as_integer(training.get("parameters")),
        curves=_curves(training.get("curves")),
        prior_share=_prior_share(_object(training, "details")),
    )


def _prior_share(details: Mapping[str, Any]) -> Number:
    own, prior = as_number(details.get("own_share")), as_number(details.get("prior_share"))
    if own is None or prior is None or min(own, prior) < 0 or own + prior <= 0:
        return None
    return prior / (own + prior)


def _composition(tree: Mapping[str, Any], offsets: int) -> dict[str, dict[str, tuple[Number, ...]]]:
    """Keep the parts that have one share per offset for all four bases."""
    found = {}
    for part in ("before", "after", "background"):
        shares = {letter: _numbers(_object(tree, part).get(letter)) for letter in LETTERS}
        if offsets and all(len(values) == offsets for values in shares.values()):
            found[part] = shares
    return found


def _divergence(tree: Mapping[str, Any], offsets: int) -> Divergence:
    for entry in _objects(tree, "held_out"):
        if entry.get("k") == 1:
            before, after = _numbers(entry.get("before")), _numbers(entry.get("after"))
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
    offsets, profile = _integers(tree.get("offsets")), _numbers(tree.get("profile"))
    fits = len(offsets) == len(profile)
    return Signature(
        found=_flag(tree.get("found")),
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
    quantiles = _whole(tree.get("quantiles"))

    def bins(name: str) -> tuple[Bin, ...]:
        found = []
        for entry in _objects(tree, name):
            low, high, values = as_number(entry.get("raw_min")), as_number(entry.get("raw_max")), _whole(entry.get("quantiles"))
            if low is not None and high is not None and 0 < low <= high and len(values) == len(quantiles) > 0:
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
            found[title] = Estimate(number, *(as_number(entry.get(key)) for key in ("error", "low", "high")))
    return found


def _compared(tree: Mapping[str, Any]) -> tuple[ComparedModel, ...]:
    found = []
    for entry in _objects(tree, "models"):
        name = as_text(entry.get("model"))
        if name is None:
            continue
        truth = {part: _estimates(values) for part, values in _object(entry, "truth").items() if isinstance(values, dict)}
        found.append(
            ComparedModel(
                model=name,
                window=as_text(entry.get("window")),
                status=as_text(entry.get("status")) or "ok",
                reason=as_text(entry.get("reason")),
                used=_flag(entry.get("used")),
                measures=_estimates(entry.get("measures")),
                cost=_scalars(entry.get("cost")),
                curves=_curves(entry.get("curves")),
                truth={part: values for part, values in truth.items() if values},
            )
        )
    return tuple(found)
