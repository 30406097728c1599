"""Observed and expected read starts along the genes of ``--genes``: for the table and the figures.

A gene is drawn along one transcript, the same in all samples: the one that the user named, or else
the one on whose exons most of its reads start (of equals the shortest, then the first). Everything
is in the direction of transcription, as that of the transcript.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.profile import Agreement, agreement
from counterbias.evaluation.trial_means import summarise, value_of
from counterbias.pipeline.compare.along import Track
from counterbias.pipeline.compare.genes import Gene
from counterbias.pipeline.compare.outcome import OK, Outcome, why_left_out
from counterbias.pipeline.compare.results import Comparison, SampleResult

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Profile:
    """The starts of one read end on one strand of a transcript, in one sample.

    Args:
        sample: its name.
        end: the read end's label.
        sense: whether these reads lie on the transcript's strand.
        fold: int64 (places,), the fold of each place.
        observed: float64 (places,), reads that start there.
        even: float64 (places,), an even spread of the reads at places that were held out; NaN
            elsewhere.
        expected: model → float64 (places,), the same reads spread by the models of trials that did
            not see the place; the model that gains most comes first.
        agreement: model → how well these fit.
        elsewhere: reads of the gene, of this end and strand, that start at no place of the
            transcript.
    """

    sample: str
    end: str
    sense: bool
    fold: NDArray[np.int64]
    observed: Floats
    even: Floats
    expected: Mapping[str, Floats]
    agreement: Mapping[str, Agreement]
    elsewhere: int


@dataclass(frozen=True, slots=True)
class GeneProfiles:
    """A gene along one of its transcripts.

    Args:
        gene: the gene.
        transcript: the transcript; empty where the annotation names none, and all exons of the gene
            are laid end to end.
        positions: int64 (places,), 0-based genome positions in the direction of transcription.
        exon: int64 (places,), the number of each place's exon, from 1 on, in that direction.
        profiles: sample by sample; empty without reads.
    """

    gene: Gene
    transcript: str
    positions: NDArray[np.int64]
    exon: NDArray[np.int64]
    profiles: Sequence[Profile]


def profiles_of(result: Comparison) -> list[GeneProfiles]:
    """Return the profiles of all genes, in the order in which they were named."""
    return [_profiles(result, gene) for gene in result.genes]


def gaps(result: Comparison, genes: Sequence[GeneProfiles]) -> list[str]:
    """Return what cannot be drawn, in one line each: samples without reads, folds left in."""
    lines, left_in, unmeasured = [], [], []
    for one in genes:
        drawn = {profile.sample for profile in one.profiles}
        names = [
            sample.name
            for sample in result.samples
            if sample.name not in drawn and not why_left_out(sample.outcomes)
        ]
        if names:
            lines.append(
                f"{one.gene.name} is not drawn for {', '.join(names)}: no read that models learn "
                "from starts in its exons"
            )
        if drawn and all(np.isnan(profile.even).all() for profile in one.profiles):
            left_in.append(one.gene.name)
        elif drawn and not any(profile.expected for profile in one.profiles):
            unmeasured.append(one.gene.name)
    for names, why in (
        (left_in, "the folds of their places are not among those held out (--folds)"),
        (unmeasured, "no model was measured there"),
    ):
        if names:
            lines.append(f"nothing is expected along {', '.join(names)}: {why}")
    return lines


def _tracks(sample: SampleResult, gene: Gene) -> list[Track]:
    return [track for track in sample.tracks if track.gene is gene]


def _has_reads(sample: SampleResult, gene: Gene) -> bool:
    return any(track.observed.any() for track in _tracks(sample, gene))


def _profiles(result: Comparison, gene: Gene) -> GeneProfiles:
    """Return the profiles of one gene."""
    samples = [
        sample
        for sample in result.samples
        if not why_left_out(sample.outcomes) and _has_reads(sample, gene)
    ]
    reads = sum(
        (track.observed for sample in samples for track in _tracks(sample, gene)),
        np.zeros(len(gene.positions)),
    )
    transcript, exons = _choose_transcript(gene, reads)
    rows = np.concatenate([np.arange(start, end) for start, end in exons])
    rows = rows[::-1] if gene.reverse else rows
    positions = gene.positions[rows]
    # Along the places of a gene, exons touch each other; along the genome they do not.
    exon = np.cumsum(np.concatenate(([1], np.abs(np.diff(positions)) > 1)))
    return GeneProfiles(
        gene,
        transcript,
        positions,
        exon,
        [
            _profile(result, sample, track, rows)
            for sample in samples
            for track in _tracks(sample, gene)
        ],
    )


def _choose_transcript(gene: Gene, reads: Floats) -> tuple[str, NDArray[np.int64]]:
    """Return a transcript and the places of its exons; without any, all places of the gene."""
    if not gene.transcripts:
        return "", np.array([[0, len(gene.positions)]])
    before = np.concatenate(([0.0], np.cumsum(reads)))

    def merit(name: str) -> tuple[float, int]:
        start, end = gene.transcripts[name].T
        return float((before[end] - before[start]).sum()), -int((end - start).sum())

    chosen = max(gene.transcripts, key=merit)  # the first of equals
    return chosen, gene.transcripts[chosen]


def _profile(
    result: Comparison, sample: SampleResult, track: Track, rows: NDArray[np.int64]
) -> Profile:
    """Spread the reads of one track by each model, over the places that all of them know."""
    observed = track.observed[rows]
    bias = {
        result.name_of(outcome.candidate): track.mean_bias(str(outcome.candidate))[rows]
        for outcome in _by_gain(sample.outcomes)
        if sample.name not in result.training_samples(outcome.candidate)
    }
    bias = {name: values for name, values in bias.items() if np.isfinite(values).any()}
    known = np.isin(track.fold[rows], result.options.folds)
    for values in bias.values():
        known &= np.isfinite(values)
    reads = float(observed[known].sum())
    expected = {name: _spread(reads, values, known) for name, values in bias.items()}
    return Profile(
        sample.name,
        track.end,
        track.sense,
        track.fold[rows],
        observed,
        _spread(reads, np.ones(len(rows)), known),
        expected,
        {name: agreement(observed[known], values[known]) for name, values in expected.items()},
        track.outside + int(track.observed.sum() - observed.sum()),
    )


def _by_gain(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the models that were measured, the one that gains most first."""
    gain = value_of("gain_cap5")
    measured = [one for one in outcomes if one.status == OK and one.trials]

    def loss(outcome: Outcome) -> float:
        value = summarise(outcome.trials, gain).value
        return -value if math.isfinite(value) else math.inf

    return sorted(measured, key=loss)


def _spread(reads: float, bias: Floats, known: NDArray[np.bool_]) -> Floats:
    """Spread reads over the known places in proportion to their bias; NaN at the others."""
    out = np.full(len(bias), np.nan)
    out[known] = reads * bias[known] / bias[known].sum()
    return out
