"""The results of a comparison, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, field

from counterbias.evaluation.truth import Joined, TruthTable
from counterbias.options import BiasOptions, CompareOptions
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.pipeline.compare.outcome import Outcome
from counterbias.records import Features, SampleCounts


@dataclass(slots=True)
class SampleResult:
    """The results in one sample.

    Args:
        name: the sample.
        group: its group, or None.
        counts: its counts, without start sites.
        starts: number of distinct read starts that models learn from.
        outcomes: one per candidate.
        truth: its true values, or None.
    """

    name: str
    group: str | None
    counts: SampleCounts
    starts: int
    outcomes: list[Outcome]
    truth: Joined | None = None


@dataclass(slots=True)
class Comparison:
    """Bias models side by side on one or several samples.

    Args:
        features: the features.
        candidates: the models, in order.
        options: which models are compared, and how.
        bias: options of the bias stages, shared by all models.
        truth: the truth table, or None.
        samples: results per sample.
        fitted, cached: number of results computed, and taken from the cache.
    """

    features: Features
    candidates: list[Candidate]
    options: CompareOptions
    bias: BiasOptions
    truth: TruthTable | None = None
    samples: list[SampleResult] = field(default_factory=list)
    fitted: int = 0
    cached: int = 0
