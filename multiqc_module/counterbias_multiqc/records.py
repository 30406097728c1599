"""What the module knows about a sample: the contents of quality reports and comparisons.

Values that are missing from a file are None or empty. Log2 fold changes, divergences (bits) and
shares (0 to 1) keep the units that they have in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BASES = ("A", "C", "G", "T")
#: Names of the assignment categories, as in the object ``counting`` of a quality report.
CATEGORIES = (
    "assigned",
    "no_feature",
    "ambiguous",
    "too_low_quality",
    "not_unique",
    "not_aligned",
)


@dataclass(frozen=True, slots=True)
class ExpressionBin:
    """Features of similar raw count: lowest and highest count, quantiles of their fold change."""

    raw_min: float
    raw_max: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FoldChanges:
    """Log2 fold changes from raw counts, by expression."""

    #: Which quantiles each bin holds, 0 to 1.
    quantiles: tuple[float, ...] = ()
    weighted: tuple[ExpressionBin, ...] = ()
    corrected: tuple[ExpressionBin, ...] = ()


@dataclass(frozen=True, slots=True)
class Divergence:
    """Divergence of held-out read starts from the background, by offset (single bases, bits)."""

    before: tuple[float | None, ...] = ()
    after: tuple[float | None, ...] = ()
    mean_before: float | None = None
    mean_after: float | None = None
    sum_before: float | None = None
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """Where base composition around read starts differs from the background."""

    found: bool | None = None
    first: int | None = None
    last: int | None = None
    peak: int | None = None
    #: Share of the divergence that lies before the read start.
    before_start: float | None = None
    #: Share of the divergence that lies outside the model's window.
    outside: float | None = None
    #: Whether the model's window covers the signature; None if the file does not say.
    covered: bool | None = None
    #: The ``--bias-window`` that would cover the signature.
    window: str | None = None
    #: Divergence in bits over a wide range of offsets.
    offsets: tuple[int, ...] = ()
    profile: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Reliability:
    """Observed versus predicted held-out reads.

    The slope has a 95% confidence interval. ``predicted`` and ``observed`` are log2 ratios to an
    even spread of reads, one per bin.
    """

    slope: float | None = None
    low: float | None = None
    high: float | None = None
    predicted: tuple[float, ...] = ()
    observed: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadEnd:
    """What is known about the read starts that share a model: ``both``, ``read1`` or ``read2``."""

    label: str
    #: Why there is no model for this end; None if there is one.
    no_model: str | None = None
    starts: int | None = None
    offsets: tuple[int, ...] = ()
    #: "before", "after" or "background" → base → share by offset.
    composition: Mapping[str, Mapping[str, tuple[float | None, ...]]] = field(default_factory=dict)
    divergence: Divergence = field(default_factory=Divergence)
    signature: Signature = field(default_factory=Signature)
    applied: bool | None = None
    #: Why the model is not applied.
    reason: str | None = None
    gain: float | None = None
    reliability: Reliability = field(default_factory=Reliability)
    #: Measures on held-out data: name → value.
    measures: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    #: Training curves: name → value for each epoch.
    curves: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    #: Share of the prior in the model's log bias, 0 to 1; None without a prior.
    prior_share: float | None = None

    @property
    def title(self) -> str:
        """The label as words."""
        return {"read1": "read 1", "read2": "read 2"}.get(self.label, self.label)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between consecutive edges, so there is one more edge than there are counts."""

    edges: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FragmentLengths:
    """Representative fragment lengths with their probabilities, in spliced coordinates (bases)."""

    lengths: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    mean: float | None = None
    #: Whether they were assumed, as for single-end reads, not measured.
    assumed: bool | None = None


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The contents of one quality report."""

    sample: str
    version: str | None
    alignments: str | None
    backend: str | None
    window: str | None
    paired: bool | None
    stranded: str | None
    #: The ``--stranded`` that fits the reads.
    strand_verdict: str | None
    #: Fragments whose read 1 lies on the strand of the feature, and on the other strand.
    sense: float | None
    antisense: float | None
    nonunique: str | None
    #: Assignment category (see :data:`CATEGORIES`) → fragments; empty if nothing was counted.
    counts: Mapping[str, float]
    features: int | None
    unmatched_features: int | None
    unmatched_contigs: tuple[str, ...]
    ends: tuple[ReadEnd, ...]
    #: Numbers in the object ``weights``.
    weights: Mapping[str, float]
    #: Histogram of log2 read weights.
    weight_histogram: Histogram
    fold_changes: FoldChanges
    fragments: FragmentLengths
    train_seconds: float | None
    windows_per_second: float | None
    #: The counts that the main table holds, if the command line names them: ``raw`` …
    main_counts: str | None = None

    @property
    def lengths_alone(self) -> bool:
        """Whether no bias model was asked for, so that lengths were measured alone."""
        return self.backend == "none" and not self.ends


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error or its confidence interval."""

    value: float
    error: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """How well counts agree with quantities known from elsewhere; empty without any."""

    #: Counts or difference of counts (``raw``, ``corrected_minus_raw`` …) → statistic → estimate.
    agreement: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    #: How many features have both reads and a known quantity.
    features: int | None = None


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
    curves: Mapping[str, tuple[float | None, ...]]
    truth: Truth


@dataclass(frozen=True, slots=True)
class ComparedSample:
    """One sample of a comparison with the models that were tried on it."""

    sample: str
    models: tuple[ComparedModel, ...]
    #: How unevenly raw reads lie along transcripts, RMS log2 ratio of neighbouring blocks.
    uneven_raw: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The contents of one file of ``counterbias compare``."""

    version: str | None
    #: Everything that makes measures of two comparisons differ (folds, seeds, windows …).
    design: str
    #: Folds, seeds and windows in words; None if the file does not say.
    settings: str | None
    recommended: str | None
    recommended_window: str | None
    #: Why that model, or no model, is recommended.
    reason: str | None
    samples: tuple[ComparedSample, ...]
    #: How many of the file's samples and models cannot be used.
    skipped: int = 0
