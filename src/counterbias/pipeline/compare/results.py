"""The results of a comparison, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from counterbias.evaluation.truth import Joined, TruthTable
from counterbias.options import BiasOptions, CompareOptions, TruthOptions
from counterbias.pipeline.compare.along import Track
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.pipeline.compare.genes import Gene
from counterbias.pipeline.compare.outcome import Outcome
from counterbias.records import Features, SampleCounts


def truth_column(truth: TruthOptions, number: int) -> str:
    """Return the column of the truth table for sample ``number``: its own, or that of all."""
    return truth.columns[number if len(truth.columns) > 1 else 0]


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
        tracks: read starts along the genes of ``--genes``, and what models expect there.
    """

    name: str
    group: str | None
    counts: SampleCounts
    starts: int
    outcomes: list[Outcome]
    truth: Joined | None = None
    tracks: Sequence[Track] = ()


@dataclass(slots=True)
class Comparison:
    """Bias models side by side on one or several samples.

    Args:
        features: the features.
        candidates: the models, in order.
        options: which models are compared, and how.
        bias: options of the bias stages, shared by all models.
        truth: the truth table, or None.
        genes: the genes along which read starts are drawn.
        samples: results per sample.
        fitted, cached: number of results computed, and taken from the cache.
    """

    features: Features
    candidates: list[Candidate]
    options: CompareOptions
    bias: BiasOptions
    truth: TruthTable | None = None
    genes: Sequence[Gene] = ()
    samples: list[SampleResult] = field(default_factory=list)
    fitted: int = 0
    cached: int = 0

    def name_of(self, candidate: Candidate) -> str:
        """Return a model's name among the others: its label, with the window if there are several.

        It is used in per_gene.tsv, in figures and in warnings.
        """
        several = len({str(one.window) for one in self.candidates}) > 1
        return f"{candidate.label}[{candidate.window}]" if several else candidate.label

    def truth_column(self, sample: SampleResult) -> str:
        """Return the sample's column of the truth table; empty without a truth."""
        truth = self.options.truth
        if truth is None:
            return ""
        number = next(i for i, one in enumerate(self.samples) if one is sample)
        return truth_column(truth, number)

    def training_samples(self, candidate: Candidate) -> list[str]:
        """Return the samples that a model file has learnt from; their folds are not held out."""
        file = None if candidate.choice is None else candidate.choice.fitted
        if file is None:
            return []
        return [sample.name for sample in self.samples if file.training.includes(sample.name)]
